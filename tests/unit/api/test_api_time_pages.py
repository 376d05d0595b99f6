"""The pages of a backtest and of an experiment: every moment and look is there, and only what may be shown."""

import pytest
from evaluation_documents import backtest, experiment, look, origin

from api import experiment_words
from api.evaluation_report import write_page

NASTY = "<b>town & more</b>"


def written(kind, document, folder):
    files = write_page(kind, document, folder)
    return (folder / "report.html").read_text(), [path.rpartition("/")[2] for path in files["charts"]]


def test_a_backtest_shows_value_plan_and_log_moment_by_moment(tmp_path):
    moments = (origin(2, 0.45), origin(3, 0.5), origin(4, 0.123, "insufficient", reasons=["Too thin."]))
    page, charts = written("backtest", backtest(*moments, target=NASTY, warnings=[NASTY]), tmp_path)
    assert charts == ["origins.png"]
    assert NASTY not in page and "<script" not in page
    assert "Over all moments it would have earned 470 per 1,000 decisions (95 % interval 420 to 520)" in page
    assert "That is 70 more per 1,000 decisions (+40 to +100): more than chance explains." in page
    assert "Its own beliefs promised 520 per 1,000 decisions" in page
    for day in (2, 3, 4):
        assert f'<th scope="row">2026-0{day}-01</th>' in page
    assert "2026-04-01: Too thin." in page and "<td>123</td>" not in page
    assert page.count("<svg") == page.count("<figure") == 1


def test_a_backtest_below_the_floors_has_no_chart(tmp_path):
    page, charts = written("backtest", backtest(origin(2, 0.9, "invalid"), verdict="invalid"), tmp_path)
    assert charts == [] and "<svg" not in page
    assert '<p class="warning"><strong>Invalid</strong>' in page


def test_an_experiment_shows_every_look_the_split_and_what_was_registered(tmp_path):
    page, charts = written("experiment", experiment(campaign=NASTY), tmp_path)
    assert charts == ["lift.png", "split.png"]
    assert NASTY not in page and "<script" not in page
    assert "a decision earns more than without: +640 per 1,000 (95 % interval 440 to 840, at every look)" in page
    assert "60 of 600 customers are held out, planned 10.0 % (chance value 0.7, valid at every look)." in page
    assert "<code>77ab1f0c</code>" in page and "2026-02-27 00:00 UTC" in page and "2026-03-01 00:00 UTC" in page
    assert "finds a lift of 310 with a chance of 80.0 %" in page
    for day in (1, 2, 3):
        assert f'<th scope="row">2026-03-0{day}</th>' in page


@pytest.mark.parametrize("looks", [[], [look(1, None, verdict="insufficient")]])
def test_an_experiment_that_may_not_be_read_shows_no_lift(tmp_path, looks):
    document = experiment(verdict="insufficient" if looks else "invalid", looks=looks, reasons=["Broken."])
    page, charts = written("experiment", document, tmp_path)
    assert charts == (["split.png"] if looks else [])
    assert "+640" not in page and "lift.png" not in charts and "Broken." in page and "<code>77ab1f0c</code>" in page


def test_an_experiment_without_covariates_and_effect_still_has_a_page(tmp_path):
    plan = {**experiment()["plan"], "covariates": [], "effect": None, "needed": None, "audience": NASTY}
    page, _ = written("experiment", experiment(plan=plan), tmp_path)
    assert "<td>nothing</td>" in page and "that matters" not in page and NASTY not in page
    assert experiment_words.story(experiment(lift=None)) == []
