import numpy as np
import pytest

from allot import LimitError, ShapeError
from portfolio import Limit
from sims import nbo
from sims.limits import reference_limits
from sims.oracle import best_plan, realised_value


@pytest.fixture(scope="module")
def world():
    return nbo(9, customers=300, days=10, history=200)


def greedy_under(world, limits, order):
    """Customers in some order, each gets the best offer that still fits."""
    value, cost = world.value(0)[:, :-1], world.cost(0)
    budget, caps = limits[0].maximum, np.full(12, np.inf)
    for limit in limits[1:]:
        caps[limit.offers[0]] = limit.maximum
    choice = np.full(len(value), -1)
    for i in order:
        worth = np.where(world.eligible[i] & (caps >= 1) & (cost[i] <= budget), value[i], -np.inf)
        if worth.max() > 0:
            a = int(worth.argmax())
            choice[i], budget, caps[a] = a, budget - cost[i, a], caps[a] - 1
    return choice


def test_no_plan_within_the_limits_beats_the_oracle(world):
    limits = reference_limits(world, 0)
    best = best_plan(world, 0, world.eligible, limits).value
    by_value = np.argsort(-world.value(0).max(1))
    orders = [by_value, *(np.random.default_rng(s).permutation(300) for s in range(4))]
    realised = [realised_value(world, greedy_under(world, limits, order), 0) for order in orders]
    assert all(0 < r <= best for r in realised)
    assert best < best_plan(world, 0, world.eligible).value


def test_without_limits_the_oracle_is_greedy_in_the_truth(world):
    for day in (0, 9):
        value = world.value(day)[:, :-1]
        greedy = np.where(world.eligible, value, 0.0).max(1, initial=0.0).sum()
        assert best_plan(world, day, world.eligible).value == pytest.approx(greedy, rel=1e-6)


def test_impossible_limits_are_named(world):
    limit = Limit("everybody", "count", minimum=301)
    with pytest.raises(LimitError, match="everybody"):
        best_plan(world, 0, world.eligible, (limit,))


def test_realised_value_adds_up_the_chosen_offers(world):
    rows = np.array([4, 2, 0])
    value = world.value(8)
    assert realised_value(world, np.array([3, -1, 11]), 8, rows=rows) == pytest.approx(value[4, 3] + value[0, 11])
    assert realised_value(world, np.full(300, -1), 8) == 0


def test_a_choice_that_does_not_fit_the_world_is_refused(world):
    for choice in (np.zeros(299, int), np.full(300, 12), np.full(300, -2)):
        with pytest.raises(ShapeError):
            realised_value(world, choice, 0)


def test_reference_limits_are_shares_of_the_unlimited_optimum(world):
    value = world.value(0)[:, :-1]
    best = np.where(world.eligible, value, -np.inf)
    table = (best == best.max(1, keepdims=True)) & (best > 0)
    limits = reference_limits(world, 0)
    assert limits[0].maximum == pytest.approx(0.4 * (table * world.cost(0)).sum())
    demand = table.sum(0)
    assert {x.offers[0]: x.maximum for x in limits[1:]} == {a: demand[a] // 2 for a in range(12) if demand[a] >= 6}
