"""Limits that no plan can keep: who conflicts, and advice that works when it is followed, for every member."""

from dataclasses import replace

import numpy as np
import pytest
from test_engine_plan import BUDGET, CAP, DRAWS, draw, people

import engine.drawable
from allot import LimitError
from engine.drawable import check_drawable, narrowed, no_room_for_draw
from engine.infeasible import Cure, Infeasible, applied, infeasible
from engine.plan import drawn_plan
from engine.stages import Stages
from portfolio import Limit, Selection, Share, diagnose, solve, usage, use_of

FLOOR = Limit("floor", "count", minimum=90, offers=(2,))
EVERYBODY = Limit("nearly everybody", "count", minimum=270)
PART = Share("part", "count", Selection((2,)), Selection((1, 2)), maximum=0.4)
FEW = Limit("few", "count", maximum=40, offers=(1,))
CONFLICTS = {
    "cap and floor": (CAP, FLOOR, Limit("free", "count", maximum=250)),
    "a budget and a minimum": (BUDGET, EVERYBODY),
    "a chain of three": (PART, FEW, FLOOR),
    "more than there are": (Limit("all", "count", minimum=320),),
    "two bounds each": (Limit("cap", "count", 5, 30, (2,)), Limit("floor", "count", 90, 280, (2,))),
}


SHORT = ("a budget and a minimum", "a chain of three", "more than there are")
CASES = [
    pytest.param(limits, id=name, marks=[] if name in SHORT else [pytest.mark.soak])
    for name, limits in CONFLICTS.items()
]


@pytest.mark.parametrize("limits", CASES)
def test_each_cure_alone_makes_the_optimum_possible_and_the_last_step_less_does_not(limits):
    _, problem = people(*limits)
    found = infeasible(problem)
    assert found is not None
    assert {cure.limit for cure in found.cures} == set(found.limits) == {x.name for x in limits} - {"free"}
    for cure in found.cures:
        after = applied(problem, cure)
        best = solve(after, gap=1e-3)
        assert best.status in ("optimal", "feasible") and not best.broken, cure
        assert all(x.slack >= -1e-6 for x in usage(after.limits, use_of(after, best.choice)))
        unit = 0.001 if cure.share else (1.0 if cure.measure == "count" else 0.05 * cure.by)
        sign = 1.0 if cure.side == "maximum" else -1.0
        short = applied(problem, replace(cure, to=cure.to - sign * unit))
        assert diagnose(short) is not None, cure


@pytest.mark.parametrize("limits", CASES)
def test_each_cure_alone_makes_a_random_draw_possible(limits):
    worth, problem = people(*limits)
    found = no_room_for_draw(worth, problem, 0.02)
    assert found is not None and not found.drawn
    for cure in found.cures:
        plan = draw(worth, applied(problem, cure))
        assert plan.status == "released", cure
        assert all(x.slack >= -1e-6 for x in plan.usage)


def test_headroom_comes_on_top_of_what_any_plan_needs_and_not_much_more():
    """Some two contacts are kept from each of the two bounds, so 60 are not enough, and 64 are about right."""
    worth, problem = people(CAP, FLOOR)
    found = no_room_for_draw(worth, problem, 0.0)
    assert [cure.by for cure in found.cures] == [pytest.approx(64.0, abs=2.0)] * 2
    for cure in found.cures:
        assert draw(worth, applied(problem, cure), share=0.0).status == "released"


def test_where_there_are_too_many_customers_for_trials_the_room_is_reckoned(monkeypatch):
    monkeypatch.setattr(engine.drawable, "_TRIED_UP_TO", 0)
    worth, problem = people(BUDGET, EVERYBODY)
    for cure in no_room_for_draw(worth, problem, 0.02).cures:
        assert draw(worth, applied(problem, cure)).status == "released", cure


def test_where_only_the_draw_has_no_room_that_is_what_is_said():
    """299 of 300 customers can get something: 297 can be asked for, but not by a policy that keeps headroom."""
    worth, problem = people()
    most = int(problem.eligible.any(1).sum())
    problem = replace(problem, limits=(Limit("nearly all", "count", minimum=most - 1),))
    check_drawable(worth, problem, 0.02)
    with pytest.raises(LimitError):
        drawn_plan(worth, problem, 0.02, DRAWS, Stages())
    found = no_room_for_draw(worth, problem, 0.02)
    assert found is not None and found.drawn
    assert found.what == "no random draw can keep 'nearly all'."
    assert found.remedy.endswith("Temperature 0 needs less room.")
    assert draw(worth, applied(problem, found.cures[0])).status == "released"
    assert solve(problem, gap=1e-3).status != "infeasible"


def test_limits_that_can_be_kept_are_not_complained_about():
    worth, problem = people(BUDGET, CAP)
    assert infeasible(problem) is None
    assert no_room_for_draw(worth, problem, 0.02) is None
    check_drawable(worth, problem, 0.02)


def test_what_a_policy_must_keep_lies_inside_the_limits_by_headroom_and_exploration():
    _, problem = people(BUDGET, replace(CAP, minimum=3.0), replace(FLOOR, minimum=8.0), PART)
    inside = {x.name: x for x in narrowed(problem, 0.02).limits}
    largest = float(problem.cost[problem.eligible].max())
    assert inside["budget"].maximum < 120.0 - largest
    cap, taken = inside["cap"], 0.1 * 30.0  # exploration may take a tenth of a maximum
    assert (5.0 - taken) / 0.98 <= cap.minimum <= 5.0 / 0.98
    assert cap.maximum - cap.minimum == pytest.approx((28.0 - 5.0) / 0.98)  # two contacts kept from either bound
    assert inside["floor"].minimum == pytest.approx(cap.minimum + (8.0 - 3.0) / 0.98)
    assert inside["part"] == PART
    tight = replace(problem, limits=(replace(CAP, minimum=29.0),))
    assert narrowed(tight, 0.02).limits == tight.limits  # too narrow for any draw: refused elsewhere


def test_where_other_limits_conflict_as_well_that_is_said():
    """Offers 0 and 2 each have a maximum below a minimum: no one step is enough; two are."""
    other = (Limit("low", "count", maximum=5, offers=(0,)), Limit("high", "count", minimum=20, offers=(0,)))
    _, problem = people(CAP, FLOOR, *other)
    first = infeasible(problem)
    assert set(first.limits) in ({"cap", "floor"}, {"low", "high"})
    assert not any(cure.enough for cure in first.cures)
    assert first.remedy.endswith("Other limits conflict as well: ask again afterwards.")
    second = infeasible(applied(problem, first.cures[0]))
    assert not set(first.limits) & set(second.limits)
    assert all(cure.enough for cure in second.cures)
    assert infeasible(applied(applied(problem, first.cures[0]), second.cures[-1])) is None


def test_advice_is_in_the_limits_own_unit():
    contacts = Cure("food is seen", "minimum", "count", False, 210.0, 1190.0)
    money = Cure("budget", "maximum", "cost", False, 1234.5, 51234.5)
    share = Cure("calls", "maximum", "count", True, 0.05, 0.45)
    said = Infeasible(("budget", "food is seen", "calls"), (money, contacts, share))
    assert said.what == "no plan can keep 'budget', 'food is seen' and 'calls' together."
    assert said.remedy == (
        "Raise 'budget' by 1,234.50 to 51,234.50; or raise 'calls' by 5.0 % to 45.0 %; "
        "or lower 'food is seen' by 210 contacts to 1,190."
    )
    assert np.isfinite(said.document["cures"][0]["to"])


def test_a_count_that_no_whole_number_meets_is_told_in_whole_contacts():
    _, problem = people(Limit("exactly", "count", minimum=77.2, maximum=77.8))
    found = infeasible(problem)
    assert found is not None
    assert found.what == "no plan can keep 'exactly'."
    assert found.remedy == "Raise 'exactly' to 78."
    assert solve(applied(problem, found.cures[0]), gap=1e-3).usage[0].used == 78
