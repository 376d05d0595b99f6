"""What another maximum is worth, over which range a price holds, and what changes between two plans."""

from dataclasses import replace

import numpy as np
import pytest

from allot import LimitError, ShapeError
from portfolio import Limit, Problem, Selection, Share, compare, frontier, price_range, solve, use_of


def market(n=3_000, k=4, seed=0, **more):
    rng = np.random.default_rng(seed)
    value, cost = rng.gamma(2, 10, (n, k)), rng.uniform(1, 5, (n, k))
    eligible = rng.random((n, k)) < 0.8
    limits = (
        Limit("budget", "cost", maximum=0.8 * n),
        Limit("cap", "count", maximum=0.06 * n, offers=(0,)),
        Limit("floor", "count", minimum=0.05 * n, offers=(3,)),
        Share("mix", "count", Selection(offers=(1,)), Selection(), maximum=0.15),
    )
    return Problem(value, cost, eligible, rng.integers(0, 3, n), limits, **more)


def test_the_frontier_never_falls_is_concave_within_the_gaps_and_its_slope_is_the_price():
    problem = market()
    maxima = np.linspace(1_000.0, 4_500.0, 8)
    points = frontier(problem, "budget", maxima, gap=1e-4)
    value = np.array([p.value for p in points])
    assert (np.diff(value) >= 0).all()
    assert (np.diff([p.bound for p in points]) >= 0).all()
    slope = np.diff(value) / np.diff(maxima)
    loss = np.array([p.bound - p.value for p in points])
    slack = (loss[:-1] + loss[1:]) / np.diff(maxima)
    assert (np.diff(slope) <= slack[:-1] + slack[1:]).all()
    price = np.array([p.prices["budget"] for p in points])
    assert (slope <= price[:-1] + slack).all()  # concave: the price at the left end is steeper than the chord
    assert (slope >= price[1:] - slack).all()
    near = frontier(problem, "budget", (maxima[3] - 20.0, maxima[3] + 20.0), gap=1e-4)
    assert (near[1].value - near[0].value) / 40.0 == pytest.approx(price[3], rel=0.05)


def test_maxima_next_to_each_other_never_lose_by_chance():
    problem = market(seed=2)
    points = frontier(problem, "budget", 2_000.0 + 0.02 * np.arange(12), gap=1e-4)
    assert (np.diff([p.value for p in points]) >= 0).all()
    assert (np.diff([p.bound for p in points]) >= 0).all()
    for point in points:
        assert point.gap == pytest.approx((point.bound - point.value) / point.bound, abs=1e-12)
        assert use_of(problem, point.choice)[1].sum() <= point.usage[0].maximum + 1e-9


def test_points_come_back_in_the_order_asked_for_and_are_the_solutions_themselves():
    problem = market(n=1_500)
    high, low, again = frontier(problem, "cap", (80.0, 20.0, 80.0))
    assert high is again
    assert low.usage[1].used == 20.0
    alone = solve(
        replace(problem, limits=(problem.limits[0], replace(problem.limits[1], maximum=20.0), *problem.limits[2:]))
    )
    assert low.value == pytest.approx(alone.value, rel=2e-6)


def test_points_that_no_plan_reaches_are_solutions_that_say_so():
    problem = market(n=1_500)
    own = replace(problem, limits=(Limit("band", "count", minimum=20.0, maximum=30.0),))
    below, above = frontier(own, "band", (10.0, 40.0))
    assert (below.status, below.conflict) == ("infeasible", ("band",))
    assert (below.choice == -1).all()
    assert above.status == "optimal"
    starved, fed = frontier(problem, "budget", (1.0, 1_200.0))
    assert starved.status == "infeasible"
    assert set(starved.conflict) == {"budget", "floor"}
    assert fed.status in ("optimal", "feasible")


def test_the_frontier_of_a_share_rises_with_the_share():
    points = frontier(market(n=1_500), "mix", (0.0, 0.05, 0.1, 0.2), gap=1e-4)
    value = [p.value for p in points]
    assert value == sorted(value)
    assert value[-1] > value[0]


def test_a_frontier_is_asked_about_a_limit_that_exists_and_binds():
    problem = market(n=50)
    with pytest.raises(LimitError, match="no such limit"):
        frontier(problem, "bugdet", (1.0,))
    watched = replace(problem, limits=(replace(problem.limits[0], report_only=True),))
    with pytest.raises(LimitError, match="report-only"):
        frontier(watched, "budget", (1.0,))
    with pytest.raises(LimitError, match="not a number"):
        frontier(problem, "budget", (float("nan"),))


@pytest.mark.parametrize("name", ["budget", "cap", "mix"])
def test_inside_the_estimated_range_the_price_stays_and_outside_it_does_not(name):
    problem = market(n=2_000, seed=4)
    found = solve(problem, gap=1e-4)
    span = price_range(problem, name, found, tolerance=0.2)
    at = [x.name for x in problem.limits].index(name)
    maximum = problem.limits[at].maximum
    assert span.price == found.prices[name] > 0
    assert span.estimated_low < maximum < span.estimated_high
    width = span.estimated_high - span.estimated_low
    inside = (span.estimated_low + 0.1 * width, span.estimated_high - 0.1 * width)
    outside = (span.estimated_low - 0.15 * width, span.estimated_high + 0.15 * width)
    for maximum, near in ((inside[0], True), (inside[1], True), (outside[0], False), (outside[1], False)):
        (point,) = frontier(problem, name, (maximum,), gap=1e-4)
        assert (abs(point.prices[name] / span.price - 1) <= 0.2) is near, (maximum, point.prices[name])


@pytest.mark.parametrize("tolerance", [0.0, 1.0, -0.1, float("nan")])
def test_a_tolerance_that_is_no_part_of_the_price_is_refused(tolerance):
    problem = market(n=100)
    with pytest.raises(LimitError, match="tolerance"):
        price_range(problem, "budget", solve(problem), tolerance=tolerance)


def test_a_range_is_asked_about_a_plan_of_these_very_limits():
    problem = market(n=100)
    other = replace(problem, limits=(replace(problem.limits[0], name="purse"),))
    with pytest.raises(LimitError, match="not of these limits"):
        price_range(other, "purse", solve(problem))
    starved = replace(problem, limits=(replace(problem.limits[0], maximum=1.0), *problem.limits[1:]))
    with pytest.raises(LimitError, match="no plan"):
        price_range(starved, "budget", solve(starved))


def test_a_limit_with_room_to_spare_is_free_from_what_it_uses_upwards():
    problem = replace(market(n=100), limits=(Limit("roomy", "cost", maximum=1e6),))
    found = solve(problem)
    span = price_range(problem, "roomy", found)
    assert (span.price, span.estimated_low, span.estimated_high) == (0.0, found.usage[0].used, np.inf)


def test_the_comparison_of_plans_counts_who_changes_and_what_it_costs():
    problem = Problem(
        np.array([[5.0, 4.0], [3.0, 2.0], [1.0, 6.0]]),
        np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]),
        np.ones((3, 2), bool),
        np.zeros(3, int),
        (Limit("budget", "cost", maximum=9.0),),
    )
    change = compare(problem, np.array([0, 0, -1]), np.array([0, 1, 1]))
    assert change.customers.tolist() == [1, 2]
    assert change.flows.tolist() == [[0, 1, 0], [0, 0, 0], [0, 1, 0]]
    assert change.value.tolist() == [-1.0, 6.0]
    assert change.cost.tolist() == [1.0, 6.0]
    assert (change.before.contacts, change.after.cost, change.after.value) == (2.0, 11.0, 13.0)
    assert [(x.used, y.used) for x, y in change.usage] == [(4.0, 11.0)]
    assert change.usage[0][1].slack == -2.0


def test_a_plan_compared_with_itself_changes_nobody_however_its_offers_are_listed():
    problem = market(n=20, most=2)
    plan = np.tile([0, 2], (20, 1))
    change = compare(problem, plan, plan[:, ::-1])
    assert len(change.customers) == 0
    assert not change.flows.any()
    other = plan.copy()
    other[3] = (-1, 2)
    other[4] = (2, 3)
    change = compare(problem, plan, other)
    assert change.customers.tolist() == [3, 4]
    assert {(int(a), int(b)): int(change.flows[a, b]) for a, b in np.argwhere(change.flows)} == {(0, 4): 1, (0, 3): 1}


def test_differences_of_a_comparison_add_up_to_the_difference_of_the_totals():
    problem = market(n=500, seed=8)
    rng = np.random.default_rng(1)
    before, after = rng.integers(-1, 4, 500), rng.integers(-1, 4, 500)
    change = compare(problem, before, after)
    assert change.value.sum() == pytest.approx(change.after.value - change.before.value)
    assert change.cost.sum() == pytest.approx(change.after.cost - change.before.cost)
    assert change.flows.sum() == len(change.customers) == int((before != after).sum())
    assert change.after.contacts == use_of(problem, after)[0].sum()


def test_a_plan_about_other_customers_or_offers_is_refused():
    problem = market(n=5)
    with pytest.raises(ShapeError, match="shape"):
        compare(problem, np.zeros(4, int), np.zeros(5, int))
    with pytest.raises(ShapeError, match="outside"):
        compare(problem, np.zeros(5, int), np.full(5, 4))


def test_a_plan_that_breaks_a_limit_is_not_carried_to_other_maxima():
    """With whole customers, costs of 2 and a floor of 2.1, the smaller maximum has no plan; the larger has."""
    n = 2001
    limits = (Limit("floor", "cost", minimum=2.1), Limit("budget", "cost", maximum=5.0))
    value, cost = np.full((n, 1), -10.0), np.full((n, 1), 2.0)
    problem = Problem(value, cost, np.ones((n, 1), bool), np.zeros(n, int), limits)
    below, above = frontier(problem, "budget", [2.2, 5.0])
    assert below.broken or below.status == "infeasible"
    assert (above.value, above.broken) == (-20.0, ())
