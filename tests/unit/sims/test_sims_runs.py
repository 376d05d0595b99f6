"""Runs: same bits whatever the parallelism, nothing is played twice, half-written files never count."""

import os
from dataclasses import fields, replace
from pathlib import Path
from shutil import copytree

import numpy as np
import pyarrow.parquet as pq
import pytest

from allot import WorkspaceError
from sims import runs
from sims.claims import Claims
from sims.days import LEARNERS, Known
from sims.description import WORLDS, Cut, Reporting
from sims.play import play
from sims.policies import ALLOCATIONS, BELIEVERS, ORACLE, policies_of, policy_of
from sims.run_files import Run, path_of, read_run, write_run
from sims.runs import Task, perform, places, played
from sims.study import Study
from sims.world import build, nbo

EVERYBODY = [
    f"{learner}/{allocation}"
    for learner in (*LEARNERS, ORACLE)
    for allocation in ALLOCATIONS
    if allocation != "balanced" or learner in BELIEVERS
]


@pytest.fixture(scope="module")
def known():
    return Known(nbo(7, days=4, per_day=200, history=1_500))


@pytest.fixture(scope="module")
def best(known):
    return [day.reward for day in play(known, policy_of(ORACLE))]


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.soak] * (name == "best-static/optimum")) for name in EVERYBODY]
)
def test_no_policy_exceeds_a_limit_or_the_oracle_on_any_day(known, best, name):
    days = list(play(known, policy_of(name)))
    assert [day.day for day in days] == list(range(4))
    assert all(day.status == "released" for day in days)
    assert all(0.5 < day.fullest <= 1 + 1e-9 and day.spend <= day.budget * (1 + 1e-9) for day in days)
    assert all(day.reward <= most * 1.001 for day, most in zip(days, best, strict=True))
    assert all(day.decisions == 200 and 0 < day.contacts.sum() <= 200 for day in days)
    assert (days[0].propensity is not None) == (policy_of(name).allocation == "balanced")


def test_a_report_without_delay_is_heard_on_the_next_day(known):
    """Nobody decides on a day before the outcomes of the day before are in, and none can be heard sooner."""
    at_once, next_day = (
        [day.reward for day in play(Known(build(replace(known.world.about, feedback=how), 7)), policy_of("lints"))]
        for how in (Reporting(delay_days=0), Reporting(delay_days=1))
    )
    assert at_once == next_day
    assert at_once[0] == next(play(known, policy_of("lints"))).reward != at_once[1]


def test_a_budget_of_nothing_is_a_budget_and_is_kept(known):
    about = replace(known.world.about, budget=Cut(at=0.5, to=0.0))
    days = list(play(Known(build(about, 7)), policy_of("lints")))
    assert [day.budget > 0 for day in days] == [True, True, False, False]
    assert [day.spend for day in days[2:]] == [day.reward for day in days[2:]] == [0.0, 0.0]
    assert days[3].budget == 0.0


def test_nothing_is_heard_before_its_time(known):
    """With a delay longer than the world, a learner decides as if it never heard anything."""
    about = replace(known.world.about, feedback=Reporting(delay_days=4))
    deaf = list(play(Known(build(about, 7)), policy_of("lints")))
    usual = list(play(known, policy_of("lints")))
    early = [(a.reward, b.reward) for a, b in zip(deaf, usual, strict=True)]
    assert all(a == b for a, b in early[:3])
    assert all(a != b for a, b in early[3:])


TINY = replace(WORLDS["nbo"], days=2, per_day=40, history=1_000)
STUDY = Study(TINY, policies_of("lints,uniform"), (3, 4))


def same(one: Run, other: Run) -> bool:
    return all(np.array_equal(getattr(one, f.name), getattr(other, f.name)) for f in fields(Run) if f.name != "seconds")


def kept_days(folder: Path, run: Run) -> str:
    """Every figure of a run's file to the last bit, but for the time that it took."""
    return str(pq.read_table(path_of(folder, "nbo", run.policy, run.seed)).drop_columns("seconds").to_pydict())


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A folder in which `STUDY` has been played, and its runs."""
    folder = tmp_path_factory.mktemp("finished")
    return folder, played(STUDY, folder, processes=1)


@pytest.fixture
def kept(finished, tmp_path):
    """A copy of that folder."""
    return copytree(finished[0], tmp_path / "kept")


def test_any_parallelism_gives_the_same_bits(kept, tmp_path):
    """Other processes play the product and a baseline; the oracle is there already, whom they all know."""
    study = replace(STUDY, policies=policies_of("allot,lints/first-come"))
    alone = played(study, copytree(kept, tmp_path / "alone"), processes=1)
    beside = played(study, kept, processes=2)
    assert [(run.policy, run.seed) for run in alone] == [
        (policy, seed) for policy in ("allot", "lints/first-come", ORACLE) for seed in (3, 4)
    ]
    assert [kept_days(tmp_path / "alone", run) for run in alone] == [kept_days(kept, run) for run in beside]
    assert not same(beside[2], beside[3])


def test_a_world_is_built_by_one_process_unless_another_would_idle():
    policies = policies_of("lints,uniform,allot")
    tasks = [Task(STUDY, policy, seed, Path()) for seed in (3, 4, 5) for policy in policies]
    assert places(tasks, 2) == [0, 0, 0, 1, 1, 1, 0, 1, 0]
    assert places(tasks[:3], 2) == [0, 1, 0]
    assert places(tasks, 3) == [0, 0, 0, 1, 1, 1, 2, 2, 2]


def test_what_is_finished_is_not_played_again(finished, kept, monkeypatch):
    missing = path_of(kept, "nbo", "lints", 4)
    missing.unlink()
    done, told = [], []
    monkeypatch.setattr(runs, "perform", lambda task: (done.append(task.path), perform(task)))
    again = played(STUDY, kept, processes=1, reporter=lambda *progress: told.append(progress))
    assert done == [missing]
    assert told == [("runs", 5, 6), ("runs", 6, 6)]
    assert all(same(one, other) for one, other in zip(finished[1], again, strict=True))
    more = played(replace(STUDY, seeds=(3, 4, 5)), kept, processes=1)
    assert len(done) == 4 and len(more) == 9


def test_an_interruption_leaves_what_is_finished_and_nothing_else(tmp_path, monkeypatch):
    count = 0

    def stopped(task: Task) -> None:
        nonlocal count
        count += 1
        if count == 3:
            raise KeyboardInterrupt
        perform(task)

    monkeypatch.setattr(runs, "perform", stopped)
    with pytest.raises(KeyboardInterrupt):
        played(STUDY, tmp_path, processes=1)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) == 2
    assert all(read_run(path).seed == 3 for path in files)


def test_a_run_that_breaks_off_leaves_no_file(tmp_path, monkeypatch):
    def broken(known, policy):
        days = play(known, policy)
        yield next(days)
        raise MemoryError

    monkeypatch.setattr(runs, "play", broken)
    with pytest.raises(MemoryError):
        played(STUDY, tmp_path, processes=1)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_runs_of_other_settings_are_refused_and_not_mixed(kept):
    with pytest.raises(WorkspaceError, match="per_day 40"):
        played(replace(STUDY, about=replace(TINY, per_day=41)), kept, processes=1)


@pytest.mark.parametrize("content", [b"", b"PAR1 but not really"])
def test_a_file_that_is_no_run_is_named(tmp_path, content):
    path = path_of(tmp_path, "nbo", "lints", 3)
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    with pytest.raises(WorkspaceError) as refused:
        played(STUDY, tmp_path, processes=1)
    assert refused.value.where == str(path)


def dies(task: Task) -> None:
    os._exit(3)


def test_a_process_that_dies_is_said_in_words(tmp_path, monkeypatch):
    monkeypatch.setattr(runs, "perform", dies)
    with pytest.raises(WorkspaceError, match="ended before its time"):
        played(STUDY, tmp_path, processes=2)


def test_a_file_tells_what_happened_each_day(tmp_path):
    study = Study(replace(TINY, per_day=150), policies_of("logistic-ts/balanced"), (3,))
    (run, best) = played(study, tmp_path, processes=1)
    table = pq.read_table(path_of(tmp_path, "nbo", run.policy, 3)).to_pydict()
    assert [len(chances) for chances in table["propensity"]] == [150, 150]
    assert all(0 < p <= 1 for chances in table["propensity"] for p in chances)
    assert dict(table["prices"][1])["budget"] > 0
    assert run.contacts.shape == (2, 12) == best.contacts.shape
    assert run.offers == nbo(3, days=1, per_day=2, history=2).offers.ids
    assert (run.reward < best.reward).all() and (run.seconds > 0).all()


def test_a_file_keeps_what_was_claimed_and_judged(tmp_path, known):
    days = list(play(known, policy_of("allot")))
    write_run(tmp_path / "x.parquet", days, {"settings": {}, "policy": "allot", "seed": 7, "offers": ["a"]})
    run = read_run(tmp_path / "x.parquet")
    for f in fields(Claims):
        assert np.array_equal(getattr(run.claims, f.name), sum(getattr(day.claims, f.name) for day in days))
    assert run.judged == days[-1].judged and len(run.judged) > 1
    assert run.prices == tuple(day.prices for day in days)


def test_nothing_claimed_is_nothing_kept(tmp_path, known):
    write_run(tmp_path / "x.parquet", play(known, policy_of("lints")), {"settings": {}, "policy": "lints", "seed": 7,
                                                                      "offers": ["a"]})  # fmt: skip
    run = read_run(tmp_path / "x.parquet")
    assert run.claims is None and run.judged == ()
