"""The certificate counts in float64, whatever it is given."""

import math

import numpy as np
import pytest

from portfolio.certificate import bound_of, breaches, recount
from portfolio.limits import Limit, Problem, compile_rows, use_of


def problem_of(dtype):
    rng = np.random.default_rng(0)
    n = 20_000
    value = rng.uniform(0, 1, (n, 2)).astype(dtype)
    value[7, 0] = 3e7
    limits = (Limit("b", "cost", maximum=900.0), Limit("floor", "count", minimum=3.0, offers=(1,)))
    return Problem(value, np.full((n, 2), 0.1, dtype), rng.random((n, 2)) < 0.9, np.zeros(n, int), limits)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_bound_is_the_exact_sum(dtype):
    problem = problem_of(dtype)
    rows = compile_rows(problem.limits, 1, 2)
    price = np.array([0.3, -0.05])
    terms = [900.0 * 0.3, 3.0 * -0.05]
    for i in range(len(problem.value)):
        net = [0.0]
        for a, extra in ((0, 0.0), (1, -0.05)):
            if problem.eligible[i, a]:
                net.append(float(problem.value[i, a]) - 0.3 * float(problem.cost[i, a]) - extra)
        terms.append(max(net))
    assert bound_of(problem, rows, price) == pytest.approx(math.fsum(terms), rel=1e-13)


def test_prices_of_the_wrong_sign_or_above_the_penalty_prove_nothing():
    problem = problem_of(np.float64)
    rows = compile_rows((*problem.limits, Limit("soft", "count", maximum=5.0, penalty=2.0)), 1, 2)
    assert bound_of(problem, rows, np.array([-0.1, 0.0, 0.0])) == np.inf
    assert bound_of(problem, rows, np.array([0.0, 0.1, 0.0])) == np.inf
    assert bound_of(problem, rows, np.array([0.0, 0.0, 2.1])) == np.inf
    assert bound_of(problem, rows, np.array([0.0, 0.0, 2.0])) < np.inf


def test_a_breach_is_the_distance_and_rounding_of_sums_is_none():
    problem = problem_of(np.float64)
    rows = compile_rows(problem.limits, 1, 2)
    choice = np.where(problem.eligible[:, 0], 0, -1)
    taken = int((choice == 0).sum())
    use = use_of(problem, choice)
    assert breaches(rows, use) == pytest.approx([0.1 * taken - 900.0, 3.0])
    value, kept = recount(problem, rows, choice)
    assert value == pytest.approx(math.fsum(problem.value[choice == 0, 0]), rel=1e-14)
    assert not kept
    exact = compile_rows((Limit("b", "cost", maximum=0.1 * taken),), 1, 2)
    assert breaches(exact, use).tolist() == [0.0]
