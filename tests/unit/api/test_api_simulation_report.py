"""The page about a simulation: it says who earns most, how sure that is, and how bad it can get."""

import re

import numpy as np
import pytest

from api.pages.simulation import draw_charts, render, story, write_simulation_report
from sims.comparison import Compared, summarised
from sims.run_files import Run

DAYS = 9


def run(policy, seed, level):
    r = np.random.default_rng([seed, len(policy)])
    reward = level * (100 + r.random(DAYS))
    return Run(
        policy=policy,
        seed=seed,
        offers=("tea & cake", "coffee"),
        decisions=np.full(DAYS, 50),
        contacts=r.integers(1, 20, (DAYS, 2)),
        reward=reward,
        spend=np.full(DAYS, 9.0),
        budget=np.full(DAYS, 10.0),
        fullest=np.full(DAYS, 0.9),
        seconds=np.full(DAYS, 0.1),
        status=("released",) * DAYS,
    )


def compared(levels, seeds=(1, 2, 3)):
    return Compared([run(policy, seed, level) for policy, level in levels.items() for seed in seeds])


@pytest.fixture(scope="module")
def runs():
    return compared({"lints": 0.6, "allot": 0.8, "uniform/first-come": 0.3, "oracle": 1.0})


def test_the_page_shows_every_policy_its_worst_and_all_charts(runs, tmp_path):
    document = summarised("nbo", runs)
    files = write_simulation_report(document, runs, tmp_path)
    page = files.html.read_text()
    assert "<h1>nbo</h1>" in page
    assert "3 seeds, 1 to 3" in page
    for policy, x in document["summary"].items():
        assert policy in page
        assert f"{100 * x['oracle_share']:.1f} %" in page
    names = {"policies", "differences", "learning", "regret", "phases", "spend", "traffic"}
    assert {path.stem for path in files.charts} == names
    assert page.count("<figure") == len(names)
    assert not re.search(r"<script|<link|src=\"http|url\(http", page), "the page needs nothing else"
    assert "tea & cake" not in page


def test_the_same_runs_give_the_same_page(runs):
    document = summarised("nbo", runs)
    pages = [render(document, runs, draw_charts(document, runs)) for _ in range(2)]
    assert pages[0] == pages[1]


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (0.6, "more than the next, lints, and more than chance explains"),
        (0.95, "lints earns"),
        (0.8, "chance may explain"),
    ],
)
def test_the_story_says_who_is_ahead_and_whether_chance_explains_it(other, words):
    told = story(summarised("nbo", compared({"allot": 0.8, "lints": other, "oracle": 1.0})))
    assert words in told


def test_one_seed_says_nothing_of_chance_and_still_has_a_page():
    runs = compared({"allot": 0.8, "lints": 0.6, "oracle": 1.0}, seeds=(4,))
    document = summarised("nbo", runs)
    assert "one seed says nothing of chance" in story(document)
    assert "seed 4" in render(document, runs, draw_charts(document, runs))


def test_the_oracle_alone_has_a_page():
    runs = compared({"oracle": 1.0})
    document = summarised("nbo", runs)
    page = render(document, runs, draw_charts(document, runs))
    assert "oracle earns 100.0 %" in page
    assert page.count("<figure") == 2


def test_a_curve_is_the_share_of_a_week(runs):
    chart = draw_charts(summarised("nbo", runs), runs)["learning"].definition
    (values,) = chart["datasets"].values() if "datasets" in chart else [chart["layer"][0]["data"]["values"]]
    last = next(v for v in values if v["policy"] == "lints" and v["day"] == DAYS)
    week = [runs.daily(p, "reward")[:, -7:].sum(1) for p in ("lints", "oracle")]
    assert last["value"] == pytest.approx(100 * np.mean(week[0] / week[1]))
    assert last["low"] < last["value"] < last["high"]
