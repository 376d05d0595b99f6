import numpy as np
import pytest
from test_api_report import Words, evidence, limit, page_of, summary

from api.pages import Heat
from api.pages.evidence import BEST, THIS
from api.pages.figures import count, decimal, holding_back, measured, moment, money, percent, story
from api.pages.report import draw_charts


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (0.0, "0.00"),
        (-0.001, "0.00"),
        (-0.5, "−0.50"),
        (999.994, "999.99"),
        (999.996, "1,000"),
        (-12345.6, "−12,346"),
        (None, "–"),
        (float("inf"), "–"),
    ],
)
def test_money_has_cents_below_a_thousand_and_separators_above(value, written):
    assert money(value) == written


def test_numbers_are_written_in_one_way():
    assert moment("2026-03-01T02:00:00+02:00") == "2026-03-01 00:00 UTC"
    assert count(1_234_567) == "1,234,567"
    assert percent(0.1234) == "12.3 %"
    assert percent(None) == "–"
    assert decimal(0.0123456) == "0.0123"
    assert measured({**limit("a", "count", 3), "share": True}, 0.25) == "25.0 %"
    assert measured(limit("a", "count", 3), 1234.0) == "1,234"


def test_the_limit_that_matters_is_where_one_per_cent_is_worth_most():
    small = limit("small", "count", 10, maximum=10.0, price=5.0)
    large = limit("large", "cost", 1000, maximum=1000.0, price=1.5)
    assert holding_back([small, large, limit("free", "count", 1, maximum=9.0)])["name"] == "large"
    assert holding_back([limit("free", "count", 1, maximum=9.0)]) is None


def test_a_minimum_is_told_as_what_it_costs():
    words = story(summary(limits=[limit("at least calls", "count", 500, minimum=500.0, price=-2.5)]))
    assert "“at least calls” costs most: at least 500 are asked for, and one contact less would be worth 2.50." in words


def test_without_binding_limits_the_story_says_so():
    assert "9,990. The campaign has no limits." in story(summary(limits=[]))
    assert "9,990. No limit holds the plan back." in story(summary(limits=[limit("a", "count", 1, maximum=9.0)]))


def test_what_a_known_chance_costs_is_said_once_in_words_and_never_of_a_fixed_plan():
    """18,650 is the best fixed plan, 18,240.40 this one."""
    words = "costs {}409.60 (2.2 %) against the best fixed plan."
    assert story(summary()).endswith(words.format(""))
    assert story(summary(best_is_sampled=True)).endswith(words.format("about "))
    text = Words(page_of(evidence())).text
    assert "Price of learning 409.60 2.2 % below the best fixed plan, 18,650" in text
    assert "lies below the line by the price of learning" in text
    for changes in ({"mechanism": "deterministic"}, {"deterministic_value": None}):
        fixed = Words(page_of(evidence(summary=summary(**changes)))).text
        assert "known chance" not in fixed
        assert "rice of learning" not in fixed
    assert "known chance" not in story(summary(deterministic_value=18_240.4))


def layers_of(given):
    """What each layer of the frontier's chart draws."""
    chart = draw_charts(given)["frontier"].definition
    data = [layer.get("data", chart.get("data")) for layer in chart["layer"]]
    return [x["values"] if "values" in x else chart["datasets"][x["name"]] for x in data]


def test_the_curve_shows_this_plan_beside_the_best_ones_and_how_far_its_price_holds():
    best = tuple({"maximum": 2500.0 * i, "value": 9000.0 + i, "kind": BEST, "price": 2.5 - 0.5 * i} for i in range(5))
    this = {"maximum": 10_000.0, "value": 8_700.0, "kind": THIS}
    given = evidence(frontier=(*best, this), price_holds=(9_500.0, 10_400.0))
    text = Words(page_of(given)).text
    assert "About the same price holds for maxima from 9,500 to 10,400 (an estimate, within a tenth)." in text
    assert "7,500 9,003 1.00 best fixed plan" in text
    assert "10,000 8,700 – this plan" in text
    drawn = layers_of(given)
    assert [(x["maximum"], x["value"]) for x in drawn[-1]] == [(10_000.0, 8_700.0)]
    assert all(len(values) == 5 for values in drawn[:2])  # this plan is no point of the line


def test_the_price_is_drawn_as_the_slope_at_the_campaigns_own_maximum():
    points = tuple({"maximum": 2500.0 * i, "value": 9000.0 + i, "kind": BEST, "price": 0.5} for i in range(1, 6))
    (tangent,) = (values for values in layers_of(evidence(frontier=points)) if len(values) == 2)
    low, high = tangent
    assert (high["value"] - low["value"]) / (high["maximum"] - low["maximum"]) == pytest.approx(0.5)
    assert (high["maximum"] + low["maximum"]) / 2 == pytest.approx(10_000)
    assert (high["value"] + low["value"]) / 2 == pytest.approx(9004.0)


def test_conversions_are_not_written_as_money():
    text = story(
        summary(campaign={"name": "a", "as_of": "b", "objective": "conversions"}, planned_value=1234.56, limits=[])
    )
    assert "Planned conversions: 1,234.6, at an expected cost" in text


def test_an_empty_plan_is_a_page_too():
    empty = summary(
        chosen=0, no_offer=0, no_eligible=50_000, held_out=0, planned_value=0.0, planned_cost=0.0, limits=[],
        bound=0.0, deterministic_value=None, offer_ids=[], offer_names=[], status="headroom_too_small",
    )  # fmt: skip
    given = evidence(
        summary=empty, funnel=(), pairs=0, eligible_not_chosen=0, heat=None, chosen_probability=np.zeros(0),
        option_probability=np.zeros(0), frontier=(), frontier_limit="", offers=(), evaluation=None,
    )  # fmt: skip
    text = Words(page_of(given)).text
    assert "None of 50,000 customers gets an offer: 50,000 had no eligible offer, 0 are held out" in text
    assert "Not released: headroom too small." in text
    assert "not accounted for" not in text


def test_books_that_do_not_balance_are_shown_as_such():
    quiet = {"frontier": (), "heat": None, "evaluation": None}
    assert "not accounted for" not in Words(page_of(evidence(**quiet))).text
    assert "70 pairs are not accounted for" in Words(page_of(evidence(pairs=150_070, **quiet))).text


def test_an_audience_of_nobody_divides_nothing():
    nobody = summary(audience=0, chosen=0, no_offer=0, no_eligible=0, held_out=0)
    assert "None of 0 customers" in story(nobody)
    assert "–" in Words(page_of(evidence(summary=nobody))).text


def test_an_insufficient_evaluation_is_a_warning():
    given = {**evidence().evaluation, "verdict": "insufficient", "reasons": ["Effective sample size 12 is below 500."]}
    page = page_of(evidence(evaluation=given))
    assert '<p class="warning"><strong>Insufficient</strong>' in page
    assert "Effective sample size 12 is below 500." in page


def test_many_offers_and_segments_with_long_and_equal_names_stay_below_three_megabytes():
    offers = tuple("A very long offer name that nobody would print " * 3 for _ in range(60))
    segments = tuple(f"segment {s}" for s in range(30))
    counts = np.arange(1800).reshape(30, 60)
    page = page_of(evidence(heat=Heat(segments, offers, counts, counts * 1.0)))
    assert "1,799" in page
    assert len(page.encode()) < 3_000_000
