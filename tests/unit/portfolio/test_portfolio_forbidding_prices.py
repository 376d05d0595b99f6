"""What forbids has the price of the first unit of room, not any price that is high enough."""

from dataclasses import replace

import numpy as np
import pytest

from portfolio import Limit, Problem, compile_rows, solve
from portfolio.certificate import bound_of, least_forbidding


def contested(n, seed):
    """Offer 0 is worth little to everybody, the last one is forbidden in cell 0, and money is short."""
    r = np.random.default_rng(seed)
    value = r.gamma(2.0, 5.0, (n, 4))
    value[:, 0] = 0.01
    limits = (
        Limit("nothing of little", "count", maximum=0.0, offers=(0,)),
        Limit("nothing here", "cost", maximum=0.0, offers=(3,), cells=(0,)),
        Limit("budget", "cost", maximum=0.8 * n),
    )
    return Problem(value, r.uniform(1.0, 3.0, (n, 4)), r.random((n, 4)) < 0.8, r.integers(0, 2, n), limits)


@pytest.mark.parametrize("n", [120, 3_000])
def test_the_first_unit_of_room_is_worth_the_price(n):
    problem = contested(n, 3)
    found = solve(problem, gap=1e-4)
    assert found.prices["nothing of little"] <= 0.01
    more = solve(
        replace(problem, limits=(*problem.limits[:1], replace(problem.limits[1], maximum=30.0), problem.limits[2]))
    )
    assert 0.0 < more.value - found.value <= 30.0 * found.prices["nothing here"] + 1e-4 * found.value


@pytest.mark.parametrize("seed", range(6))
def test_lower_prices_prove_the_same_bound(seed):
    problem = contested(500, seed)
    rows = compile_rows(problem.limits, problem.n_cells, 4)
    price = np.array([7.0, 50.0, 1.5])
    least = least_forbidding(problem, rows, price)
    high, low = bound_of(problem, rows, price), bound_of(problem, rows, least)
    assert (least <= price).all() and least[2] == price[2] and (least[:2] < price[:2]).all()
    assert low == pytest.approx(high, rel=1e-12)
    assert bound_of(problem, rows, least * np.array([1.0, 0.98, 1.0])) > high + 1e-6


def test_where_something_makes_room_prices_stay():
    problem = contested(200, 1)
    paid = replace(problem, cost=np.where(problem.cost > 2.0, -1.0, problem.cost))
    rows = compile_rows(paid.limits, paid.n_cells, 4)
    price = np.array([7.0, 2.0, 1.5])
    assert least_forbidding(paid, rows, price)[1] == 2.0
