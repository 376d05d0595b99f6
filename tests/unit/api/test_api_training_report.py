"""The page about a training: what is not used says so, names cannot break it, and every chart draws."""

import pytest

from api import tables
from api.pages.blocks import publish
from api.pages.training import draw_charts, render, story
from api.pages.training_charts import reliability_chart

NASTY = "<b>Post & more</b>"


def document(**changes):
    plain = {
        "prior": "prior-1",
        "posterior": "posterior-1",
        "in_use": True,
        "refused": "",
        "predecessor": None,
        "as_of": "2026-03-01T00:00:00+00:00",
        "rows": 3000,
        "holdout_rows": 600,
        "trees": 40,
        "rate": 0.1,
        "constant": "",
        "forced": "",
        "log_loss": 0.27,
        "base_log_loss": 0.3,
        "logistic_log_loss": 0.28,
        "tree_log_loss": 0.27,
        "brier": 0.08,
        "arms": [arm("a", NASTY, 2000, 400), arm(None, None, 1000, 200), arm("c", "c", 0, 0)],
        "calibration": [{"predicted": 0.05, "observed": 0.04, "rows": 300}, line(0.2, 0.25)],
        "ranking": [{"k": 1, "recall": 0.4, "ndcg": 0.4, "rate_recall": 0.3, "rate_ndcg": 0.3}],
        "gain": {"customer.age": 12.5, NASTY: 3.0, "offer.margin": 0.0},
        "cross": None,
        "weighted_rows": 0,
        "monotone": [],
        "experts": {"plain": 1.0},
        "learnt_margins": False,
        "warnings": [],
    }
    return {**plain, **changes}


def arm(offer_id, name, rows, held):
    seen = (0.11, 0.1) if held else (None, None)
    rate = 0.1 if rows else None
    shown = {"offer_id": offer_id, "name": name, "rows": rows, "rate": rate, "warm": rows >= 200}
    return {**shown, "holdout_rows": held, "predicted": seen[0], "observed": seen[1]}


def line(predicted, observed):
    return {"predicted": predicted, "observed": observed, "rows": 300}


REFUSED = {"in_use": False, "refused": "it says the same of everybody", "predecessor": {"prior": "prior-0"}}
CROSSED = {"used": False, "because": "on 2,400 rows before those held out, log loss with them is 0.0001 less"}
COMPARED = {"rows": 500, "log_loss": 0.27, "other_log_loss": 0.25, "difference": 0.02, "std_error": 0.004}


def test_the_page_stands_alone_and_shows_every_chart(tmp_path):
    written = publish(document(), tmp_path, draw_charts, render)
    page = written.html.read_text()
    assert [path.stem for path in written.charts] == ["losses", "reliability", "ranking", "gain", "support"]
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in written.charts)
    assert page.count("<figure") == page.count("<svg") == 5
    assert NASTY not in page and "&lt;b&gt;Post &amp; more&lt;/b&gt;" in page
    assert "<script" not in page and "10.0 % better than the base rate" in page
    assert publish(document(), tmp_path, draw_charts, render).html.read_text() == page


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (REFUSED, "<strong>Not put to use:</strong> it says the same of everybody."),
        ({**REFUSED, "in_use": True}, "<strong>Forced into use.</strong> it says the same of everybody."),
        ({"forced": "trees do not beat the rate"}, "<strong>Forced into use.</strong> trees do not beat the rate."),
        ({"predecessor": {"prior": "prior-0", **COMPARED}}, "(difference +0.0200, standard error 0.0040)"),
        (REFUSED, "It could not be compared with <code>prior-0</code>"),
        (
            {"experts": dict.fromkeys(("plain", "quick", "curved"), 1 / 3)},
            "<li>three posteriors run beside one another",
        ),
        ({"cross": CROSSED}, "its category) are not used: on 2,400 rows"),
        ({"weighted_rows": 2900, "monotone": ["customer.age=up"]}, "<li>held monotone: customer.age=up</li>"),
    ],
)
def test_it_says_what_became_of_the_model(changes, words):
    assert words in render(document(**changes), {})


def test_a_constant_prior_without_hold_out_still_has_a_page():
    bare = {"logistic_log_loss": None, "tree_log_loss": None, "ranking": [], "gain": {}, "calibration": []}
    empty = document(constant="the log has fewer than 50 rows", **bare)
    assert set(draw_charts(empty)) == {"support"}
    assert "the same of everybody: the log has fewer than 50 rows." in story(empty)
    assert "fewer than 50 rows" in render(empty, draw_charts(empty))


def test_intervals_hold_what_was_observed_even_at_the_edges():
    ends = [line(0.01, 0.0), line(0.99, 1.0), line(0.5, 0.5)]
    bars = [row for row in _rows(reliability_chart(ends).definition) if {"low", "observed"} <= row.keys()]
    assert len(bars) == 3
    for end in bars:
        assert 0 <= end["low"] <= end["observed"] + 1e-9 and end["observed"] <= end["high"] + 1e-9 <= 1 + 1e-8
        assert end["high"] - end["low"] > 0.01


def _rows(definition):
    """Every table inside a chart's definition."""
    if isinstance(definition, dict):
        yield definition
    inner = definition.values() if isinstance(definition, dict) else definition if isinstance(definition, list) else ()
    for part in inner:
        yield from _rows(part)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, "Model prior-1 with posterior-1. Next: allot allocate"),
        (REFUSED, "Not put to use: it says the same of everybody. prior-0 stays in use."),
        ({**REFUSED, "in_use": True}, "Forced into use: it says"),
        ({"cross": CROSSED}, "category (cross columns) is not used: on 2,400 rows"),
        ({"cross": {**CROSSED, "used": True}}, "category (cross columns) is used: on 2,400 rows"),
        ({}, "log loss 0.2700 against 0.3000 of the base rate (10.0% better), 0.2800 of a logistic regression."),
        ({"log_loss": 0.33, "tree_log_loss": 0.33, "forced": "no better"}, "0.3000 of the base rate (10.0% worse)"),
        (
            {"log_loss": 0.3, "tree_log_loss": 0.302, "constant": "no better"},
            "0.3020 against 0.3000 of the base rate, 0.2800 of a logistic regression: trees are no better than the "
            "base rate, and the success rate of all, 10.0 %, is used for everybody.",
        ),
        (
            {"log_loss": 0.3, "tree_log_loss": None, "logistic_log_loss": None, "constant": "the log has few rows"},
            "Trained on 3,000 exposures; the success rate of all, 10.0 %, is used for everybody: the log has few rows.",
        ),
        ({"predecessor": {"prior": "prior-0", **COMPARED}}, "log loss 0.2700 against 0.2500 of the model it replaces"),
    ],
)
def test_the_command_says_it_in_a_sentence(capsys, changes, words):
    tables.trained(document(**changes))
    said = " ".join(capsys.readouterr().out.split())
    assert words in said and "allot report prior-1" in said
