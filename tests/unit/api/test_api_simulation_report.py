"""The page about a simulation: it says who earns most, how sure that is, and how bad it can get."""

import re
from dataclasses import replace

import numpy as np
import pytest

from api.pages.simulation import draw_charts, render, story, write_simulation_report
from api.pages.simulation_trust import beliefs_in_words, chances_in_words, estimates_in_words
from api.simulating import _show
from sims.claims import BELIEF_EDGES, CHANCE_EDGES, Claims
from sims.comparison import Compared, summarised
from sims.judged import Judged
from sims.run_files import Run
from sims.trust import trusted

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
        prices=tuple({"budget": level * (2 + day % 2), "cap tea": 1.0} for day in range(DAYS)),
        **(claimed(r) if policy in ("allot", "lints") else {"claims": None, "judged": ()}),
    )


def claimed(r):
    """Beliefs that promise a tenth too much, chances that are right, estimates that are."""
    beliefs = np.zeros((len(BELIEF_EDGES) - 1, 3))
    beliefs[5:8] = [[100, 11, 10], [200, 22, 20], [100, 16.5, 15]]
    chances = np.zeros((len(CHANCE_EDGES) - 1, 4))
    chances[6:9] = [[400, 60, 62, 50], [400, 100, 98, 75], [400, 160, 160, 96]]
    values = 5 + 0.1 * r.normal(size=4)
    judged = tuple(Judged("greedy", 99, "supported", v, 0.1, v - 0.3, v + 0.3, 5.0) for v in values.tolist())
    return {"claims": Claims(beliefs, np.array([[400, 320], [900, 765]]), chances), "judged": judged}


def compared(levels, seeds=(1, 2, 3)):
    return Compared([run(policy, seed, level) for policy, level in levels.items() for seed in seeds])


def documented(runs):
    return summarised("nbo", runs) | {"trust": trusted(runs)}


@pytest.fixture(scope="module")
def runs():
    return compared({"lints": 0.6, "allot": 0.8, "uniform/first-come": 0.3, "oracle": 1.0})


def test_the_page_shows_every_policy_its_worst_and_all_charts(runs, tmp_path):
    document = documented(runs)
    files = write_simulation_report(document, runs, tmp_path)
    page = files.html.read_text()
    assert "<h1>nbo</h1>" in page
    assert "3 seeds, 1 to 3" in page
    for policy, x in document["summary"].items():
        assert policy in page
        assert f"{100 * x['oracle_share']:.1f} %" in page
    names = {"policies", "differences", "learning", "regret", "phases", "spend", "traffic"}
    names |= {"beliefs", "chances", "estimates", "prices"}
    assert {path.stem for path in files.charts} == names
    assert page.count("<figure") == len(names)
    assert not re.search(r"<script|<link|src=\"http|url\(http", page), "the page needs nothing else"
    assert "tea & cake" not in page


def test_the_same_runs_give_the_same_page(runs):
    document = documented(runs)
    pages = [render(document, runs, draw_charts(document, runs)) for _ in range(2)]
    assert pages[0] == pages[1]


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (0.6, "more than the next, lints, and more than chance explains"),
        (0.95, "more, and more than chance explains"),
        (0.8, "which chance may explain"),
    ],
)
def test_the_story_says_who_is_ahead_and_whether_chance_explains_it(other, words):
    told = story(documented(compared({"allot": 0.8, "lints": other, "oracle": 1.0})))
    assert words in told


def test_one_seed_says_nothing_of_chance_and_still_has_a_page():
    runs = compared({"allot": 0.8, "lints": 0.6, "oracle": 1.0}, seeds=(4,))
    document = documented(runs)
    assert "points less; one seed says nothing of chance" in story(document)
    page = render(document | {"data": "0a1b"}, runs, draw_charts(document, runs))
    assert "seed 4 · fitted to data 0a1b" in page


def test_the_oracle_alone_has_a_page():
    runs = compared({"oracle": 1.0})
    document = documented(runs)
    page = render(document, runs, draw_charts(document, runs))
    assert "oracle earns 100.0 %" in page
    assert page.count("<figure") == 3


def test_a_curve_is_the_share_of_a_week(runs):
    chart = draw_charts(documented(runs), runs)["learning"].definition
    (values,) = chart["datasets"].values() if "datasets" in chart else [chart["layer"][0]["data"]["values"]]
    last = next(v for v in values if v["policy"] == "lints" and v["day"] == DAYS)
    week = [runs.daily(p, "reward")[:, -7:].sum(1) for p in ("lints", "oracle")]
    assert last["value"] == pytest.approx(100 * np.mean(week[0] / week[1]))
    assert last["low"] < last["value"] < last["high"]


def test_the_page_says_what_may_be_believed(runs):
    document = documented(runs)
    page = re.sub(r"<[^>]+>", " ", render(document, runs, draw_charts(document, runs)))
    assert (
        "allot expects 12.4 % of the offers it chooses to succeed; 11.2 % truly do: it promises 10.0 % too much" in page
    )
    assert "hold the true chance of 85.0 % of all offers that could be made, and of 80.0 % of those" in page
    assert "3,600 options were drawn as often as their stated chances say" in page
    assert "12 of 12 estimates are supported, and the 95 % intervals of 100.0 % of these hold the truth" in page
    assert "the price of the budget changes by 40.0 % for lints, 40.0 % for allot" in page


@pytest.mark.parametrize(
    ("held", "words"),
    [(0.77, "surer of itself than it may be"), (0.9, "as sure of itself as it may be"), (0.97, "less sure of itself")],
)
def test_the_page_says_in_words_whether_beliefs_are_too_sure(held, words):
    """With an interval over seeds it is the interval that decides, with one seed the share itself."""
    for seeds in ((1,), (1, 2, 3, 4)):
        runs = compared({"allot": 0.8, "oracle": 1.0}, seeds=seeds)
        for i, run in enumerate(runs.runs["allot"]):
            run.claims.inside[1] = (10_000, 10_000 * held + (i % 2) * (seeds != (1,)))
        assert words in beliefs_in_words("allot", trusted(runs)["allot"]["beliefs"])


def test_wrong_chances_and_biased_estimates_are_said():
    right = compared({"allot": 0.8, "oracle": 1.0})
    for run in right.runs["allot"]:
        run.claims.chances[7, 2] += 90
    wrong = [
        replace(run, judged=tuple(replace(one, value=one.value + 2) for one in run.judged))
        for run in right.runs["allot"]
    ]
    runs = Compared([*wrong, *right.runs["oracle"]])
    own = trusted(runs)["allot"]
    assert "not drawn as often" in chances_in_words(own["chances"])
    assert "too high, more than chance explains" in estimates_in_words(own["estimates"])


def test_the_table_fits_on_eighty_columns(monkeypatch, capsys):
    """The longest names and millions of money; names are folded between learner and allocation, nowhere else."""
    monkeypatch.setenv("COLUMNS", "80")
    levels = {"allot": -80_000.0, "epsilon-greedy/best-first": 60_000.0, "logistic-ts/balanced": 3e3, "oracle": 1e5}
    _show(documented(compared(levels)))
    lines = capsys.readouterr().out.splitlines()
    drawn = [line for line in lines if line[:1] in ("┏", "┃", "┡", "│", "└")]
    assert len(drawn) > 8 and max(map(len, drawn)) <= 80
    cells = {line.split("│")[1].strip() for line in drawn if line.startswith("│")}
    assert cells == {"allot", "oracle", "epsilon-greedy", "/best-first", "logistic-ts", "/balanced"}
    assert any("-80." in line or "-79." in line for line in drawn)


def test_without_claims_the_page_has_no_such_part():
    runs = compared({"uniform/first-come": 0.3, "oracle": 1.0})
    bare = Compared([replace(run, prices=({},) * DAYS) for some in runs.runs.values() for run in some])
    document = documented(bare)
    assert document["trust"] == {}
    assert "Is what it says true?" not in render(document, bare, draw_charts(document, bare))
