"""What a manager reads of an evaluation: money in words, nobody wins below the floors, and every chart draws."""

import math
import re

import pytest
from evaluation_documents import chance, estimate, evaluation, hindsight, invalid, scenario, segment

from api import evaluation_words as words
from api.evaluation_report import write_page
from api.evaluation_table import evaluated
from api.pages.blocks import publish
from api.pages.evaluation import draw_charts, render
from api.withheld import withheld

CERTAIN = {**chance("a", 510.0), "worst_segment": {**chance("a", 510.0)["worst_segment"], "z": None}}
NASTY = "<b>town & more</b>"
COMPARING = (
    " less per 1,000",
    " more per 1,000",
    "than chance explains",
    "earns more",
    "earns less",
    "beliefs promised",
)


def told(document, capsys):
    evaluated(withheld(document))
    return " ".join(capsys.readouterr().out.split())


def page_of(document):
    shown = withheld(document)
    return render(shown, draw_charts(shown))


def test_the_story_is_money_with_intervals_against_what_was_done():
    first, total, gap = words.story(evaluation())
    assert first == (
        "half the budget would have earned 365 per 1,000 decisions (95 % interval 315 to 415); "
        "what was done earned 420 per 1,000 decisions (95 % interval 370 to 470)."
    )
    assert "10,000 logged decisions that is 3,650 (3,150 to 4,150) against 4,200" in total
    assert gap == "That is 55 less per 1,000 decisions (-85 to -25): more than chance explains."
    within = evaluation(difference=estimate("d", 0.01, 0.03))
    assert words.gap(within) == "That is 10 more per 1,000 decisions (-20 to +40): chance explains that."


def test_without_another_policy_the_story_is_of_what_was_done():
    own = evaluation(target="", estimate=estimate("dr", 0.5), difference=None)
    assert words.story(own)[0].startswith("What was done earned 420 per 1,000")
    assert "4,200 (3,700 to 4,700), rewards" in words.story(own)[1]
    assert "weights" not in draw_charts(own) and "weights" in draw_charts(evaluation())


@pytest.mark.parametrize("value", [0.45, 0.2])
def test_what_the_plan_promised_is_held_against_its_interval(value):
    off = words.promise(evaluation(planned=value))
    assert "outside its interval" in off
    assert ("85 more than the estimate" in off and "too high" in off) == (value == 0.45)
    assert "within its interval" in words.promise(evaluation(planned=0.37))


@pytest.mark.parametrize("verdict", ["insufficient", "invalid"])
def test_below_the_floors_no_winner_is_named_anywhere(verdict, capsys):
    found = evaluation(verdict=verdict, reasons=["The effective sample size is 12."])
    for text in (told(found, capsys), page_of(found)):
        assert not [phrase for phrase in COMPARING if phrase in text]
        assert "The effective sample size is 12." in text
        plain = re.sub("<svg.*?</svg>", "", text, flags=re.DOTALL)
        assert not [figure for figure in ("365", "350", "360", "-55", "450") if figure in plain]
    assert "Difference" not in page_of(found)
    assert words.gap(withheld(found)) == words.promise(withheld(found)) == ""


def test_an_invalid_evaluation_shows_no_estimate(capsys):
    for found in (invalid(), evaluation(verdict="invalid", reasons=["Learnt from it."])):
        out, page = told(found, capsys), page_of(found)
        assert out.startswith("Verdict: invalid") and found["reasons"][0] in out
        assert "by ips" not in out and "by ips" not in page
        assert '<p class="warning"><strong>Invalid</strong>' in page
        assert "estimates" not in draw_charts(withheld(found))


def test_segments_are_told_with_their_findings_and_thin_ones_without_numbers(capsys):
    out = told(evaluation(), capsys)
    assert "It earns more than what was done where town is inner." in out
    assert "It earns less than what was done where town is outer." in out
    assert "In 1 of 4 the log is too thin to say." in out
    page = page_of(evaluation())
    assert "insufficient: Too thin." in page
    assert "900" not in page.split("In which segments")[1].split("</table>")[0]
    values = draw_charts(evaluation())["segments"].definition
    assert "abroad" not in str(values) and "inner" in str(values)


def test_the_page_stands_alone_and_shows_every_chart(tmp_path):
    nasty = evaluation(target=NASTY, log=NASTY, warnings=[NASTY], propensities=[chance(NASTY, 520.0, alarm=True)])
    written = publish(nasty, tmp_path, draw_charts, render)
    page = written.html.read_text()
    assert [path.stem for path in written.charts] == ["estimates", "segments", "weights", "propensities"]
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in written.charts)
    assert page.count("<figure") == page.count("<svg") == 4
    assert NASTY not in page and "<script" not in page
    assert "wrong for 1 of 1 offers" in page
    assert publish(nasty, tmp_path, draw_charts, render).html.read_text() == page


def test_values_that_do_not_exist_are_dashes(tmp_path, capsys):
    empty = estimate("snips", math.nan, math.inf)
    found = evaluation(
        verdict="insufficient",
        estimate=empty,
        estimates=[estimate("ips", 0.0), empty],
        spread=math.inf,
        difference=None,
    )
    assert "might earn" not in told(found, capsys)
    written = write_page("evaluation", found, tmp_path)
    assert ">nan" not in (tmp_path / "report.html").read_text()
    assert written["html"].endswith("report.html")


def test_offers_that_occur_too_often_are_named(capsys):
    found = evaluation(propensities=[chance("a", 510.0), chance("b", 700.0, alarm=True)])
    assert "Logged chances are wrong for 1 of 2 offers: b." in told(found, capsys)


def test_what_is_left_out_is_counted_and_the_segment_furthest_from_its_chances_is_named(capsys):
    words_ = "500 decisions are left out: 200 are too young to have all their outcomes, 300 are held out or unanswered"
    assert words_ in told(evaluation(), capsys) and words_ in page_of(evaluation())
    assert words.left_out(evaluation(left_out=0, immature=0)) == ""
    assert "inner of town: 0.3" in page_of(evaluation())
    assert "inner of town: certain" in page_of(evaluation(propensities=[{**CERTAIN, "alarm": True}]))


def test_many_segments_and_offers_still_make_a_page():
    many = [segment(f"s{i}", 0.01) for i in range(60)]
    wide = evaluation(
        slices={**evaluation()["slices"], "segments": many}, propensities=[chance(f"o{i}", 510.0) for i in range(60)]
    )
    assert len(page_of(wide).encode()) < 2_000_000


def test_limits_side_by_side_have_a_page_with_every_policy(tmp_path):
    thin = scenario("budget=-50%", -0.3, verdict="insufficient", reasons=["Too thin."])
    found = hindsight(scenario("budget=-5%", -0.06), scenario("budget=+1%", 0.01), thin)
    written = write_page("hindsight", found, tmp_path)
    assert [path.rpartition("/")[2] for path in written["charts"]] == ["policies.png", "differences.png"]
    page = (tmp_path / "report.html").read_text()
    assert "budget=-5%: -600 of reward in all (-1,100 to -100), for -95 of planned cost; more than chance" in page
    assert "(-400 to +600), for -95 of planned cost; chance explains that." in page
    assert "budget=-50%: the log is too thin for this question, so no winner is named." in page
    assert "-3,000" not in page and "Too thin." in page


def test_scenarios_that_the_log_cannot_judge_have_no_figures(tmp_path):
    bare = dict.fromkeys(("value", "low", "high", "in_all"))
    bad = scenario("budget=2x", 0.1, verdict="invalid", estimate=None, reasons=["Learnt from it."])
    bad["difference"] |= {**bare, "verdict": "invalid"}
    written = write_page("hindsight", hindsight(bad), tmp_path)
    assert len(written["charts"]) == 1
    assert "Learnt from it." in (tmp_path / "report.html").read_text()


def test_a_what_if_on_a_log_without_propensities_says_so(tmp_path):
    write_page("evaluation", {**invalid(), "scenarios": []}, tmp_path)
    assert "no propensity" in (tmp_path / "report.html").read_text()
