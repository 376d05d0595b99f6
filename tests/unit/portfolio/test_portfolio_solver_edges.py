"""Corners of the solver: nothing to choose, nothing to spend, several offers per customer, and what is refused."""

from dataclasses import replace

import numpy as np
import pytest

import portfolio.large.solver
import portfolio.solver
from allot import LimitError, ShapeError
from portfolio.certificate import breaches
from portfolio.conflicts.diagnose import diagnose
from portfolio.large.whole import Whole
from portfolio.limits import Limit, Problem, Selection, Share, compile_rows, usage, use_of
from portfolio.referee import whole_counts
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


def clashing(n, most, penalty):
    """More contacts are wanted than the budget pays for: what is missing has its price, a million times any value."""
    rng = np.random.default_rng(1)
    limits = (Limit("wanted", "count", minimum=0.9 * n, penalty=penalty), Limit("budget", "cost", maximum=0.8 * n))
    value, cost = rng.gamma(2.0, 10.0, (n, 3)), rng.uniform(0.5, 5.0, (n, 3))
    return problem_of(value, cost, limits=limits, most=most)


@pytest.mark.parametrize("n", [100, 3_000])
@pytest.mark.parametrize("typical_values", [1e-3, 1.0, 1e3, 1e5, 1e7])
def test_a_penalty_of_any_size_is_weighed_and_hard_limits_hold(n, typical_values):
    penalty = 20.0 * typical_values
    found = solve(clashing(n, 1, penalty))
    assert found.status in ("optimal", "feasible") and found.broken == ()
    assert found.usage[1].slack >= -1e-9 * n
    # what whole numbers cost: one contact more or less
    assert found.gap <= 1e-4 or found.bound - found.value <= penalty


@pytest.mark.parametrize("typical_values", [1e3, 1e7])
def test_a_penalty_that_nobody_would_pay_plans_as_if_the_limit_were_hard(typical_values):
    problem = many_customers()
    floor = problem.limits[1]
    soft = replace(problem, limits=(problem.limits[0], replace(floor, penalty=5.0 * typical_values)))
    hard, found = solve(problem, gap=1e-4), solve(soft, gap=1e-4)
    assert found.usage[1].slack >= 0
    assert (found.status, found.value) == ("optimal", pytest.approx(hard.value, rel=2e-4))


@pytest.mark.parametrize("n", [300, 3_000])
@pytest.mark.parametrize("most", [1, 2])
def test_a_count_between_two_neighbouring_whole_numbers_is_impossible_at_any_size(n, most):
    rng = np.random.default_rng(0)
    limits = (Limit("exactly", "count", minimum=77.2, maximum=77.8), Limit("budget", "cost", maximum=20.0))
    problem = problem_of(rng.random((n, 3)), rng.random((n, 3)), limits=limits, most=most)
    found, conflict = solve(problem), diagnose(problem)
    assert (found.status, found.conflict) == ("infeasible", ("exactly",))
    assert (found.usage[0].minimum, found.usage[0].maximum) == (77.2, 77.8)
    assert conflict is not None
    assert conflict.relaxation == pytest.approx({"exactly": 0.2})


def test_a_bound_that_misses_a_whole_number_by_rounding_is_that_number(path):
    limits = [Limit("cap", "count", maximum=0.1 * 3 * 10 - 4e-15), Limit("floor", "count", minimum=0.1 * 3 * 10)]
    found = solve(problem_of([[1.0]] * 5, limits=limits))
    assert limits[0].maximum < 3.0 < limits[1].minimum
    assert int((found.choice == 0).sum()) == 3


def test_whole_numbers_of_large_bounds_are_told_from_rounding_too():
    limits = (Limit("cap", "count", maximum=7e7 * (1 - 2e-16)), Limit("other", "count", maximum=7e7 - 0.4))
    rows = whole_counts(compile_rows(limits, 1, 1))
    assert rows.upper.tolist() == [7e7, 7e7 - 1]


def test_an_elastic_count_is_paid_for_from_the_bound_as_given(path):
    found = solve(problem_of([[5.0], [4.0]], limits=[Limit("soft", "count", maximum=1.5, penalty=2.0)]))
    assert found.value == pytest.approx(9.0 - 0.5 * 2.0)


def test_a_share_of_an_empty_whole_is_counted_as_the_amount_that_it_is():
    whole = Selection(offers=(1,))
    few = Share("few", "count", Selection(offers=(0,)), whole, maximum=0.5)
    many = Share("many", "count", Selection(offers=(0,)), whole, minimum=0.5)
    problem = problem_of([[1.0, 1.0]] * 3, limits=[few, many])
    rows = compile_rows(problem.limits, 1, 2)
    for plan, slack in (([0, 0, -1], [-2.0, 2.0]), ([-1, -1, -1], [0.0, 0.0])):
        use = use_of(problem, np.array(plan))
        assert [x.slack for x in usage(problem.limits, use)] == slack
        assert [x.used for x in usage(problem.limits, use)] == [float(plan.count(0))] * 2
        assert ((breaches(rows, use) > 0) == (np.array(slack) < 0)).all()


@pytest.mark.parametrize("n", [2, 3_000])
def test_an_eligible_pair_without_a_number_has_no_diagnosis_either(n):
    value = np.ones((n, 1))
    value[1] = np.nan
    problem = problem_of(value, limits=[Limit("floor", "count", minimum=float(n))])
    for ask in (solve, diagnose):
        with pytest.raises(ShapeError, match="customer 1 and offer 0"):
            ask(problem)


def test_what_cannot_be_asked_for_is_refused_with_a_remedy():
    problem = problem_of([[1.0]])
    asked = [{"gap": -1.0}, {"gap": np.nan}, {"gap": np.inf}, {"time_limit_seconds": -1.0}]
    asked.append({"time_limit_seconds": np.nan})
    for wrong in asked:
        with pytest.raises(LimitError) as refused:
            solve(problem, clock=lambda: 0.0, **wrong)
        assert refused.value.where == next(iter(wrong))
        assert refused.value.remedy
    with pytest.raises(ShapeError, match="most is 0"):
        diagnose(problem_of([[1.0]], most=0))
    assert solve(problem, gap=0.0, time_limit_seconds=0.0, clock=lambda: 0.0).broken == ()


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


def test_an_exact_share_of_money_is_kept_however_close_a_plan_is_wanted():
    """A search for the last value may end beside such a limit; a coarser one then finds a plan inside it."""
    r = np.random.default_rng(0)
    value = r.gamma(2, 5, (2_500, 4)).astype(np.float32)
    cost = r.uniform(0.5, 2, (2_500, 4)).astype(np.float32)
    limits = (
        Share("exactly", "cost", Selection((0,)), Selection(), minimum=0.3, maximum=0.3),
        Limit("floor", "count", minimum=300.0),
    )
    problem = Problem(value, cost, r.random((2_500, 4)) < 0.8, r.integers(0, 3, 2_500), limits)
    found = solve(problem)
    assert found.broken == ()
    assert found.gap < 2e-3
