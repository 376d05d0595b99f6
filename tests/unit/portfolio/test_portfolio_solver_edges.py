"""Corners of the solver: nothing to choose, nothing to spend, several offers per customer, and what is refused."""

from dataclasses import replace

import numpy as np
import pytest

import portfolio.large.solver
import portfolio.solver
from allot import LimitError, ShapeError
from portfolio.conflicts.diagnose import diagnose
from portfolio.large.whole import Whole
from portfolio.limits import Limit, Problem, Selection, Share
from portfolio.solver import solve


def problem_of(value, cost=None, eligible=None, limits=(), **more):
    value = np.array(value, float)
    cost = np.ones_like(value) if cost is None else np.array(cost, float)
    eligible = np.ones(value.shape, bool) if eligible is None else np.array(eligible, bool)
    return Problem(value, cost, eligible, np.zeros(len(value), int), tuple(limits), **more)


@pytest.fixture(params=["exact", "large"])
def path(request, monkeypatch):
    if request.param == "large":
        monkeypatch.setattr(portfolio.solver, "EXACT_PAIRS", -1)
    return request.param


def test_without_limits_everybody_gets_the_best_offer_and_nobody_a_loss(path):
    found = solve(problem_of([[1.0, 2.0], [-1.0, -2.0], [3.0, 3.0]]))
    assert found.choice.tolist()[:2] == [1, -1]
    assert (found.value, found.status) == (5.0, "optimal")
    assert found.bound == pytest.approx(5.0)


def test_no_customer_and_no_eligible_pair_are_plans_worth_nothing(path):
    assert solve(problem_of(np.zeros((0, 2)))).choice.shape == (0,)
    found = solve(problem_of([[5.0], [6.0]], eligible=[[False], [False]], limits=[Limit("b", "cost", maximum=1.0)]))
    assert (found.choice == -1).all()
    assert (found.value, found.status) == (0.0, "optimal")


def test_a_budget_of_zero_buys_only_what_is_free(path):
    found = solve(problem_of([[5.0, 1.0]] * 3, cost=[[2.0, 0.0]] * 3, limits=[Limit("b", "cost", maximum=0.0)]))
    assert found.choice.tolist() == [1, 1, 1]
    assert found.usage[0].used == 0.0


def test_a_minimum_forces_losses_but_no_more_than_it_asks(path):
    found = solve(problem_of([[-3.0], [-1.0], [-2.0]], limits=[Limit("floor", "count", minimum=1.5)]))
    assert found.choice.tolist() == [-1, 0, 0]
    assert found.value == -3.0


def test_counts_between_whole_numbers_are_rounded_inwards(path):
    limits = [Limit("cap", "count", maximum=1.7, offers=(0,)), Limit("floor", "count", minimum=0.2, offers=(1,))]
    found = solve(problem_of([[5.0, -1.0]] * 3, limits=limits))
    assert np.bincount(found.choice + 1, minlength=3).tolist() == [1, 1, 1]


def test_a_limit_that_nothing_can_touch_is_kept_or_impossible(path):
    cells = (7,)
    found = solve(problem_of([[5.0]], limits=[Limit("far", "count", maximum=3.0, cells=cells)]))
    assert found.choice.tolist() == [0]
    found = solve(problem_of([[5.0]], limits=[Limit("far", "count", minimum=1.0, cells=cells)]))
    assert (found.status, found.conflict) == ("infeasible", ("far",))


def test_an_equality_is_met(path):
    rng = np.random.default_rng(0)
    limits = [Limit("exactly", "count", minimum=7.0, maximum=7.0, offers=(0,))]
    found = solve(problem_of(rng.normal(0, 5, (30, 2)), limits=limits))
    assert int((found.choice == 0).sum()) == 7


def test_a_share_is_kept_of_what_is_chosen_not_of_everybody(path):
    rng = np.random.default_rng(1)
    value = rng.uniform(1, 2, (40, 2)) + np.array([3.0, 0.0])
    limits = [Share("mix", "count", Selection(offers=(0,)), Selection(), maximum=0.4)]
    found = solve(problem_of(value, limits=limits))
    counts = np.bincount(found.choice[found.choice >= 0], minlength=2)
    assert counts[0] <= 0.4 * counts.sum()
    assert counts.sum() == 40


def test_an_elastic_limit_is_broken_where_breaking_it_pays(path):
    limits = [Limit("soft", "count", maximum=1.0, penalty=4.0)]
    found = solve(problem_of([[10.0], [5.0], [3.0]], limits=limits))
    assert found.choice.tolist() == [0, 0, -1]
    assert found.value == pytest.approx(10 + 5 - 4)
    assert found.usage[0].slack == -1.0
    assert found.status == "optimal"


def test_several_offers_per_customer_respect_most_and_groups():
    problem = problem_of([[5.0, 4.0, 3.0], [1.0, -1.0, 2.0]], most=2, groups=np.array([0, 0, 1]))
    found = solve(problem)
    assert found.choice.tolist() == [[0, 2], [0, 2]]
    assert found.value == 11.0
    found = solve(problem_of([[5.0, 4.0, 3.0], [-1.0, -1.0, 2.0]], most=2))
    assert found.choice.tolist() == [[0, 1], [2, -1]]


def test_several_offers_for_many_customers_are_planned_as_well():
    rng = np.random.default_rng(0)
    value = rng.uniform(0, 9, (1_000, 3))
    found = solve(problem_of(value, most=2, limits=[Limit("cap", "count", maximum=1_500.0)]), gap=1e-4)
    assert found.choice.shape == (1_000, 2)
    assert int((found.choice >= 0).sum()) == 1_500
    assert found.value == pytest.approx(np.sort(np.sort(value, 1)[:, 1:].ravel())[-1_500:].sum(), rel=1e-4)


def test_an_eligible_pair_without_a_number_is_refused():
    with pytest.raises(ShapeError, match="customer 1 and offer 0"):
        solve(problem_of([[1.0], [np.nan]]))
    found = solve(problem_of([[1.0], [np.nan]], eligible=[[True], [False]]))
    assert found.choice.tolist() == [0, -1]


def test_one_more_unit_of_budget_is_worth_its_price():
    rng = np.random.default_rng(3)
    value, cost = rng.uniform(1, 9, (400, 3)), rng.uniform(1, 3, (400, 3))
    tight, loose = (
        solve(problem_of(value, cost, limits=[Limit("b", "cost", maximum=b)]), gap=1e-5) for b in (200.0, 210.0)
    )
    assert (loose.value - tight.value) / 10 == pytest.approx(tight.prices["b"], rel=0.1)


def many_customers(n=3_000):
    rng = np.random.default_rng(8)
    limits = [Limit("b", "cost", maximum=0.6 * n), Limit("floor", "count", minimum=0.1 * n, offers=(2,))]
    return problem_of(rng.uniform(1, 9, (n, 3)), rng.uniform(1, 3, (n, 3)), limits=limits)


def test_when_the_time_is_over_the_best_plan_so_far_keeps_every_limit():
    ticks = iter(range(100_000))
    found = solve(many_customers(), gap=0.0, time_limit_seconds=0.5, clock=lambda: float(next(ticks)))
    assert found.status == "time_limit"
    assert found.broken == ()
    assert 0 < found.gap < 1
    assert min(row.slack for row in found.usage) >= 0
    patient = solve(many_customers(), gap=0.0, time_limit_seconds=1e9, clock=lambda: float(next(ticks)))
    assert patient.status == "feasible"
    assert patient.value >= found.value


def test_a_time_limit_for_many_customers_needs_a_clock():
    with pytest.raises(LimitError, match="clock"):
        solve(many_customers(), time_limit_seconds=1.0)


def test_limits_that_the_effort_cannot_keep_are_named_and_nothing_is_called_a_plan(monkeypatch):
    def no_effort(market, settled, goal):
        return Whole(np.full(market.population.size, -1), 0.0, False)

    monkeypatch.setattr(portfolio.large.solver, "whole_plan", no_effort)
    found = solve(many_customers())
    assert (found.status, found.gap, found.broken) == ("time_limit", np.inf, ("floor",))


@pytest.mark.parametrize("g", [15, pytest.param(100, marks=pytest.mark.soak)])
def test_hundreds_of_limits_are_kept(g):
    rng = np.random.default_rng(9)
    n, k = 40 * g, 10
    cell = rng.integers(0, g, n)
    limits = [
        Limit(f"{c} {a}", "count", maximum=2.0 + c % 3, offers=(a,), cells=(c,)) for c in range(g) for a in range(k)
    ]
    everybody = np.ones((n, k), bool)
    problem = Problem(rng.uniform(1, 9, (n, k)), rng.uniform(1, 3, (n, k)), everybody, cell, tuple(limits))
    found = solve(problem, gap=1e-3)
    assert found.status == "optimal"
    assert np.bincount((cell * k + found.choice)[found.choice >= 0]).max() <= 4
    assert min(row.slack for row in found.usage) >= 0


def test_money_of_any_size_is_planned_alike():
    problem = many_customers()
    one = solve(problem, gap=1e-4)
    for scale in (2.0**-40, 2.0**70):
        other = solve(replace(problem, value=scale * problem.value), gap=1e-4)
        assert other.value == pytest.approx(scale * one.value, rel=1e-4)


def test_a_clock_gives_seconds_by_stage_and_none_gives_none():
    ticks = iter(range(1000))
    found = solve(problem_of([[1.0]]), clock=lambda: float(next(ticks)))
    assert set(found.seconds) == {"relaxation", "integer program"}
    assert solve(problem_of([[1.0]])).seconds == {}


def test_a_limit_kept_by_some_plan_has_no_conflict_and_report_only_limits_never_do():
    assert diagnose(problem_of([[1.0]], limits=[Limit("floor", "count", minimum=1.0)])) is None
    watched = Limit("watched", "count", minimum=9.0, report_only=True)
    assert diagnose(problem_of([[1.0]], limits=[watched])) is None
    soft = Limit("soft", "count", minimum=9.0, penalty=1.0)
    assert diagnose(problem_of([[1.0]], limits=[soft])) is None


def test_a_small_conflict_says_how_much_each_limit_would_have_to_give():
    limits = [
        Limit("floor", "count", minimum=3.0),
        Limit("budget", "cost", maximum=4.0),
        Limit("loose", "count", maximum=9.0),
    ]
    conflict = diagnose(problem_of([[1.0]] * 5, cost=[[2.0]] * 5, limits=limits))
    assert conflict is not None
    assert conflict.limits == ("floor", "budget")
    assert conflict.relaxation == pytest.approx({"floor": 1.0, "budget": 2.0})
