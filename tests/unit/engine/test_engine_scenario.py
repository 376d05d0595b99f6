"""What-if questions as people type them: what they mean, and what is answered to those that mean nothing."""

import pytest

from allot import CampaignError
from engine.campaign import LimitSpec, Where
from engine.scenario import POINTS, Change, changed, read_scenarios
from portfolio import Limit, Selection, Share

PLAIN = Where()
SPECS = (
    LimitSpec("budget", "cost", PLAIN, maximum=60.0),
    LimitSpec("letters, big", "count", PLAIN, minimum=10.0, maximum=80.0),
    LimitSpec("people from away", "count", PLAIN, minimum=40.0),
    LimitSpec("passes", "count", PLAIN, PLAIN, maximum=0.4),
    LimitSpec("earned", "value", PLAIN, minimum=-5.0),
    LimitSpec("watched", "count", PLAIN, maximum=5.0, report_only=True),
    LimitSpec("a=b", "count", PLAIN, maximum=9.0),
)
ONE = [
    ("budget=50000", ("budget", "maximum", 50_000.0)),
    ("budget = -20%", ("budget", "maximum", 48.0)),
    ("budget=+5%", ("budget", "maximum", 63.0)),
    ("budget=+5", ("budget", "maximum", 65.0)),
    ("budget=-5.5", ("budget", "maximum", 54.5)),
    ("budget=1.5x", ("budget", "maximum", 90.0)),
    ("budget=1e3", ("budget", "maximum", 1000.0)),
    ("budget=none", ("budget", "maximum", None)),
    ("budget.minimum=30", ("budget", "minimum", 30.0)),
    ("people from away=-50%", ("people from away", "minimum", 20.0)),
    ("passes=30%", ("passes", "maximum", 0.3)),
    ("passes=0.3", ("passes", "maximum", 0.3)),
    ("passes=-50%", ("passes", "maximum", 0.2)),
    ("earned=+20%", ("earned", "minimum", -4.0)),
    ("earned=-1", ("earned", "minimum", -6.0)),
    ("letters, big.maximum=90", ("letters, big", "maximum", 90.0)),
    ("a=b=7", ("a=b", "maximum", 7.0)),
]


@pytest.mark.parametrize(("text", "meant"), ONE, ids=[text for text, _ in ONE])
def test_a_bound_becomes_what_is_written(text, meant):
    (scenario,) = read_scenarios([text], SPECS)
    name, side, after = meant
    before = getattr(next(s for s in SPECS if s.name == name), side)
    assert scenario.label == text.strip()
    (change,) = scenario.changes
    assert (change.limit, change.side, change.before) == (name, side, before)
    assert change.after == (None if after is None else pytest.approx(after))


def test_several_limits_change_together_also_where_a_name_has_a_comma():
    (scenario,) = read_scenarios(["budget=2x, letters, big.minimum=none, passes=10%"], SPECS)
    assert scenario.changes == (
        Change("budget", "maximum", 60.0, 120.0),
        Change("letters, big", "minimum", 10.0, None),
        Change("passes", "maximum", 0.4, 0.1),
    )
    assert scenario.one_maximum is None


def test_a_range_is_its_points_with_both_ends_and_each_point_can_be_asked_for_alone():
    points = read_scenarios(["budget=0.5x..2x"], SPECS)
    assert len(points) == POINTS and all(s.point for s in points)
    assert [s.changes[0].after for s in points] == [30.0, 45.0, 60.0, 75.0, 90.0, 105.0, 120.0]
    for scenario in (*points, *read_scenarios(["passes=10%..1:3, budget=-1", "budget=1..2.5:50"], SPECS)):
        (again,) = read_scenarios([scenario.label], SPECS)
        assert again.changes == scenario.changes
    three = read_scenarios(["letters, big.minimum=0..+1:3"], SPECS)
    assert [s.changes[0].after for s in three] == [0.0, 5.5, 11.0]
    assert [s.one_maximum for s in three] == [None] * 3


def test_the_same_scenario_is_planned_once():
    texts = ["budget=30", "budget=0.5x", "budget=0.5x..1x:2"]
    assert [s.label for s in read_scenarios(texts, SPECS)] == ["budget=30", "budget=60"]


REFUSED = [
    ("bugdet=3", ("no limit 'bugdet'", "Did you mean 'budget'?")),
    ("xyz=3", ("no limit 'xyz'", "Its limits are 'budget'")),
    ("budget", ("has no '='", "LIMIT=VALUE")),
    ("", ("has no '='",)),
    ("budget=", ("'' is no value", "a change (-20%")),
    ("budget=much", ("'much' is no value",)),
    ("budget=nan", ("'nan' is no value",)),
    ("budget=inf", ("'inf' is no value",)),
    ("budget=1e999", ("'1e999' is no value",)),
    ("budget=5 0", ("'5 0' is no value",)),
    ("budget=50,000", ("'000' stands behind a comma", "without separators")),
    ("budget=20%", ("may be a change or a part", "-20% or +20%", "0.2x")),
    ("budget=-200%", ("maximum of 'budget' would be -60", "at least 0")),
    ("passes=2", ("maximum of 'passes' would be 2", "between 0 and 1")),
    ("passes=-0.5", ("would be -0.1", "between 0 and 1")),
    ("letters, big=5", ("has a minimum and a maximum", "letters, big.maximum=")),
    ("letters, big.maximum=5", ("minimum of 'letters, big' would be 10, above its maximum 5", "Lower one")),
    ("budget.minimum=70", ("would be 70, above its maximum 60",)),
    ("budget.minimum=-5%", ("no minimum that '-5%' could change", "the bound itself")),
    ("people from away.maximum=2x", ("no maximum that '2x'",)),
    ("watched=3", ("report_only", "that is enforced")),
    ("budget=3, budget=4", ("sets the maximum of 'budget' twice",)),
    ("budget=1..2, passes=0.1..0.2", ("has two ranges",)),
    ("budget=2..1", ("runs from 2 to 1", "smaller end first")),
    ("budget=1..1", ("nothing between",)),
    ("budget=1..none", ("cannot end in none",)),
    ("budget=1..", ("'' is no value",)),
    ("budget=1..2:1", ("'1' is no number of points between 2 and 50",)),
    ("budget=1..2:1000", ("'1000' is no number of points",)),
    ("budget=1..2:x", ("'x' is no number of points",)),
    ("budget=-200%..5", ("would be -60",)),
]


@pytest.mark.parametrize(("text", "parts"), REFUSED, ids=[text or "nothing" for text, _ in REFUSED])
def test_what_cannot_be_meant_is_answered_with_what_can(text, parts):
    with pytest.raises(CampaignError) as refused:
        read_scenarios(["budget=1", text], SPECS)
    assert refused.value.where == f"what-if {text!r}"
    assert refused.value.remedy
    for part in parts:
        assert part in str(refused.value) + refused.value.remedy


def test_a_campaign_without_limits_has_nothing_to_change():
    with pytest.raises(CampaignError, match="no limits that could be changed"):
        read_scenarios(["budget=1"], ())


def test_only_the_named_bounds_of_the_portfolios_limits_change():
    share = Share("passes", "count", Selection((1,)), Selection(), maximum=0.4)
    limits = (Limit("budget", "cost", maximum=60.0, offers=(1,)), share, Limit("other", "count", 1, 2))
    (scenario,) = read_scenarios(["budget.minimum=5, passes=none"], SPECS)
    budget, passes, other = changed(limits, scenario)
    assert budget == Limit("budget", "cost", 5.0, 60.0, offers=(1,))
    assert passes == Share("passes", "count", Selection((1,)), Selection())
    assert other is limits[2]
