"""Ties of every kind: whole classes of customers turn at one price, and must be split in whole numbers."""

from dataclasses import replace

import numpy as np
import pytest

from portfolio.limits import Limit, Problem, Selection, Share, use_of
from portfolio.solver import solve
from tests.statistical.portfolio.solver_soak import random_problem

G, K = 4, 8
KINDS = ("euro", "five euros", "twenty euros", "identical", "equal", "few scores")


def tied(kind, n, seed=0):
    """Customers who are hard to tell apart, and limits around what a random plan uses."""
    rng = np.random.default_rng(seed)
    value = rng.gamma(2.0, 12.0, (n, K)) + rng.uniform(0, 10, K)
    cost = np.broadcast_to(np.round(rng.uniform(0.5, 5.0, K), 1), (n, K)).copy()
    eligible = rng.random((n, K)) < 0.75
    cell = rng.integers(0, G, n)
    if kind.endswith(("euro", "euros")):
        step = {"euro": 1.0, "five euros": 5.0, "twenty euros": 20.0}[kind]
        value = np.maximum(np.round(value / step), 1.0) * step
    elif kind == "identical":
        like = np.arange(n) % 8
        value, eligible, cell = value[like], eligible[like], cell[like]
        eligible[:, 0] = True
    elif kind == "equal":
        value, cost = np.full((n, K), 7.0), np.full((n, K), 2.0)
    else:
        value, cost = np.round(value / 25.0) * 10.0, rng.uniform(0.5, 5.0, (n, K))
    offer = np.where(eligible.any(1), (rng.random((n, K)) * eligible).argmax(1), -1)
    plan = np.where(rng.random(n) < 0.6, offer, -1)
    bare = Problem(value.astype(np.float32), cost.astype(np.float32), eligible, cell, n_cells=G)
    use = use_of(bare, plan)
    count, part = use[0].sum(0), use[0, 1, 3] / max(use[0, 1].sum(), 1)
    limits = (
        Limit("budget", "cost", maximum=float(use[1].sum())),
        *(Limit(f"cap {a}", "count", maximum=float(count[a]) + 0.5, offers=(a,)) for a in range(4)),
        Limit("floor", "count", minimum=float(count[5]) - 0.5, offers=(5,)),
        Limit("cell", "cost", maximum=float(use[1, 2].sum()) * 1.01, cells=(2,)),
        Share("mix", "count", Selection((3,), (1,)), Selection(None, (1,)), minimum=0.9 * part),
    )
    return replace(bare, limits=limits)


def assert_kept(problem, found):
    assert found.status in ("optimal", "feasible")
    assert found.broken == ()
    for row in found.usage:
        assert row.slack >= -1e-9 * abs(row.used), row
    taken = np.nonzero(found.choice >= 0)[0]
    assert problem.eligible[taken, found.choice[taken]].all()
    assert found.value == pytest.approx(problem.value[taken, found.choice[taken]].sum(dtype=float), rel=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_thousands_of_tied_customers_are_planned_in_whole_numbers(kind):
    problem = tied(kind, 3_000)
    found = solve(problem, gap=1e-4)
    assert_kept(problem, found)
    assert found.gap <= 1e-4 or found.bound - found.value <= problem.value.max()  # less than one customer's worth


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("n", [20_000, 100_000])
def test_many_tied_customers_are_planned_within_a_ten_thousandth(kind, n, seed):
    problem = tied(kind, n, seed)
    found = solve(problem)
    assert_kept(problem, found)
    assert found.gap <= 1e-4


@pytest.mark.soak
@pytest.mark.parametrize("seed", [61, 68, 115, 180])
def test_where_limits_leave_nearly_everybody_indifferent_plans_are_close(seed):
    """A maximum of the value itself charges all of it: then no offer is better than another, though none are equal."""
    problem = random_problem(seed, 20_000, 200_000).problem
    found = solve(problem)
    assert found.broken == ()
    assert found.gap <= 2e-5
