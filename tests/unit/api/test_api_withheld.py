"""Below the floors nobody wins: whatever is asked, and wherever the answer goes, no figure says who earns more."""

import json
import re

import pytest
from evaluation_documents import backtest, estimate, evaluation, experiment, hindsight, look, origin, scenario, segment

from api.evaluation_report import write_page
from api.evaluation_table import evaluated
from api.experiments import told as experiment_told
from api.hindsight import backtested
from api.hindsight import hindsight as supposed
from api.options import Output, answer
from api.withheld import withheld

SECRET = 0.2718281  # every figure of what a policy earns is made of it
THIN = {"verdict": "insufficient", "reasons": ["The effective sample size is 12."]}


def thin_evaluation(verdict):
    one = estimate("dr", SECRET)
    wins = {"planned": SECRET, "realised": SECRET, "planned_minus_realised": SECRET}
    cut = {**evaluation()["slices"], "segments": [segment("inner", SECRET)]}
    document = evaluation(**THIN, estimate=one, estimates=[one], difference=estimate("d", SECRET), **wins, slices=cut)
    return {**document, "verdict": verdict}


def thin_hindsight(verdict):
    line = scenario("budget=2x", SECRET, verdict, reasons=THIN["reasons"], estimate=estimate("dr", SECRET))
    return {**hindsight(line), "as_written": scenario("as written", SECRET, verdict, estimate=estimate("dr", SECRET))}


def thin_backtest(verdict):
    return backtest(origin(3, SECRET, verdict), **{**origin(2, SECRET), **THIN, "verdict": verdict})


def thin_experiment(verdict):
    money = estimate("lift", SECRET)
    figures = {"lift": money, "plain": money, "in_all": dict.fromkeys(("value", "low", "high"), SECRET)}
    rest = {"held_out_mean": SECRET, "variance_removed": SECRET, "looks": [look(1, SECRET, verdict=verdict)]}
    return {**experiment(**THIN, **figures, **rest), "verdict": verdict}


COMMANDS = {
    "evaluation": (thin_evaluation, evaluated),
    "hindsight": (thin_hindsight, supposed),
    "backtest": (thin_backtest, backtested),
    "experiment": (thin_experiment, experiment_told),
}


@pytest.mark.parametrize("verdict", ["insufficient", "invalid"])
@pytest.mark.parametrize("command", COMMANDS)
def test_no_figure_of_a_policy_leaves_any_command_below_the_floors(command, verdict, capsys, tmp_path):
    made, show = COMMANDS[command]
    document = made(verdict)
    figures = ("71828", "271.83", "272", "-55", "more than chance", "earns more", "earns less")
    for output in Output:
        answer(document, output, show)
        text = capsys.readouterr().out
        assert verdict[:8] in text and THIN["reasons"][0] in text
        assert not [figure for figure in figures if figure in text]
    write_page(command, document, tmp_path)
    page = re.sub("<svg.*?</svg>", "", (tmp_path / "report.html").read_text(), flags=re.DOTALL)
    assert not [figure for figure in figures if figure in page]
    assert THIN["reasons"][0] in page


@pytest.mark.parametrize(
    "document", [evaluation(slices=None), hindsight(scenario("a", 0.1)), backtest(origin(3, 0.5)), {"a": 1}]
)
def test_what_is_supported_is_shown_as_it_is(document):
    assert json.dumps(withheld(document)) == json.dumps(document)


def test_what_the_log_knows_of_itself_stays():
    shown = withheld(thin_evaluation("insufficient"))
    whole = thin_evaluation("insufficient")
    for kept in ("logged", "ess", "weighted_successes", "unsupported_mass", "weights", "propensities", "ranking"):
        assert shown[kept] == whole[kept]
    assert (shown["estimate"], shown["estimates"], shown["chosen_because"], shown["slices"]) == (None, [], "", None)
    assert withheld(shown) == shown


def test_a_part_goes_by_its_own_verdict_unless_the_whole_is_invalid():
    parts = (origin(3, 0.5), origin(4, 0.6, "insufficient"))
    first, second = withheld(backtest(*parts))["origins"]
    assert first == parts[0]
    assert (second["estimate"], second["difference"], second["planned"]) == (None, None, None)
    assert [x["estimate"] for x in withheld(backtest(*parts, verdict="invalid"))["origins"]] == [None, None]
    thin = scenario("budget=2x", 0.3, "insufficient")
    known, unknown = withheld(hindsight(scenario("budget=-5%", 0.1), thin))["scenarios"]
    assert known["difference"]["value"] == 0.1
    assert unknown["difference"]["value"] is None and unknown["difference"]["in_all"] is None
    assert unknown["difference"]["planned_cost"] == thin["difference"]["planned_cost"]
