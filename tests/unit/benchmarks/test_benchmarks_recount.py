"""The recount that judges benchmarks and long runs is right on plans that can be counted by hand."""

import numpy as np
import pytest

from benchmarks import recount
from benchmarks.instances import make_problem
from portfolio import Limit, Problem, Selection, Share, solve

VALUE = np.array([[5.0, 3.0], [4.0, 6.0], [2.0, 7.0], [1.0, 1.0]])
COST = np.array([[1.0, 2.0], [1.0, 2.0], [1.0, 2.0], [1.0, 2.0]])
ELIGIBLE = np.array([[True, True], [True, True], [True, True], [True, False]])
CELL = np.array([0, 0, 1, 1])


def problem(*limits: Limit | Share) -> Problem:
    return Problem(VALUE, COST, ELIGIBLE, CELL, limits)


def test_a_plan_inside_its_limits_breaks_none() -> None:
    tight = problem(
        Limit("budget", "cost", maximum=5.0),
        Limit("contacts", "count", minimum=3.0, maximum=3.0),
        Limit("value here", "value", minimum=7.0, cells=(1,), offers=(1,)),
        Share("half", "cost", Selection((0,)), Selection(), minimum=0.2, maximum=0.2),
    )
    assert recount.broken(tight, np.array([0, 1, 1, -1])) == []


@pytest.mark.parametrize(
    ("limit", "over"),
    [
        (Limit("x", "cost", maximum=4.5), 0.5),
        (Limit("x", "count", minimum=4.0), 1.0),
        (Limit("x", "count", maximum=0.0, offers=(1,), cells=(1,)), 1.0),
        (Limit("x", "value", minimum=20.0), 2.0),
        (Share("x", "count", Selection((0,)), Selection(), minimum=0.5), 0.5),
        (Share("x", "cost", Selection((1,), (0,)), Selection(cells=(0,)), maximum=0.5), 0.5),
    ],
)
def test_a_broken_limit_is_named_with_its_breach(limit: Limit | Share, over: float) -> None:
    plan = np.array([0, 1, 1, -1])
    assert recount.broken(problem(limit), plan) == ["x"]
    assert recount.breaches(problem(limit), plan) == {"x": pytest.approx(over)}


def test_reports_and_penalties_break_nothing_and_penalties_are_paid() -> None:
    soft = problem(
        Limit("paid", "cost", maximum=4.0, penalty=3.0), Limit("seen", "cost", maximum=0.0, report_only=True)
    )
    plan = np.array([0, 1, 1, -1])
    assert recount.broken(soft, plan) == []
    assert recount.worth(soft, plan) == pytest.approx(18.0 - 3.0)


def test_an_offer_that_is_not_eligible_is_noticed() -> None:
    assert recount.broken(problem(), np.array([-1, -1, -1, 1])) == ["eligibility"]


def test_the_bound_at_no_prices_is_what_everybody_would_take() -> None:
    assert recount.bound(problem(Limit("budget", "cost", maximum=1.0)), {"budget": 0.0}) == 5 + 6 + 7 + 1


def test_the_bound_at_prices_is_dual() -> None:
    bounded = problem(Limit("budget", "cost", maximum=3.0))
    assert recount.bound(bounded, {"budget": 2.0}) == pytest.approx((5 - 2) + (6 - 4) + (7 - 4) + 2.0 * 3)
    with pytest.raises(ValueError, match="budget"):
        recount.bound(bounded, {"budget": -1.0})


def test_the_bound_of_a_share_at_a_price_is_dual() -> None:
    shared = problem(Share("x", "count", Selection((0,)), Selection(), maximum=0.25))
    net = (max(5 - 0.75, 3 + 0.25), max(4 - 0.75, 6 + 0.25), max(2 - 0.75, 7 + 0.25), 1 - 0.75)
    assert recount.bound(shared, {"x": 1.0}) == pytest.approx(sum(net))


def test_deviations_are_measured_in_largest_coefficients() -> None:
    chance = np.array([[0.5, 0.5, 0.0], [0.0, 1.0, 0.0], [0.5, 0.0, 0.5], [0.0, 0.0, 1.0]])
    limits = (Limit("cost", "cost", maximum=9.0), Limit("first", "count", maximum=9.0, offers=(0,)))
    away = recount.deviations(problem(*limits), chance, np.array([0, 1, 0, -1]))
    np.testing.assert_allclose(away, [(4 - 4) / 2, (2 - 1) / 1])


def test_bound_and_worth_agree_with_the_solver() -> None:
    made = make_problem(2_000, k=6)
    found = solve(made)
    assert recount.broken(made, found.choice) == []
    assert recount.worth(made, found.choice) == pytest.approx(found.value)
    assert recount.bound(made, found.prices) >= found.value
