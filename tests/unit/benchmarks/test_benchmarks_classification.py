"""The classification benchmark asks what it says: unseen customers, new classes, and paired differences."""

import numpy as np
import pytest

from bandit import Columns
from benchmarks.classification import AT_ZERO, BEST_VARIANT, OURS, TREELESS, floors, minus, with_hindsight
from benchmarks.classification_peers import GRID, LINTS, LINTS_LOG, TUNED, VOWPAL, lints
from benchmarks.classification_tasks import SETS, Data, Task, made, share_right
from benchmarks.measure import Difference, difference
from sims.learners import Linear, Money


@pytest.fixture(scope="module")
def data() -> Data:
    r = np.random.default_rng(1)
    label = r.integers(0, 6, 900)
    customers = np.column_stack([np.arange(900.0), np.eye(6)[label] + 0.5 * r.normal(size=(900, 6))])
    return Data(customers, label, Columns(tuple("abcdefg"), ("class",), (7,)), {})


@pytest.fixture(scope="module")
def task(data) -> Task:
    return made(data, 7)


def test_nobody_in_the_log_is_decided_on(task):
    assert not set(task.log.customers[:, 0]) & set(task.customers[:, 0])


def test_a_third_of_the_classes_was_never_guessed_and_comes_all_the_same(task):
    assert len(np.unique(task.log.arm)) == 4 and len(np.unique(task.label)) == task.classes == 6


def test_the_log_says_only_whether_the_guess_was_right(data, task):
    label = data.label[task.log.customer_key.astype(int)]
    assert np.array_equal(task.log.outcome, (task.log.arm == label).astype(float))
    assert 0.2 < task.log.outcome.mean() < 0.8


def test_a_seed_names_a_task(data, task):
    assert np.array_equal(made(data, 7).log.arm, task.log.arm)
    assert not np.array_equal(made(data, 8).label, task.label)


def test_a_learner_hears_only_of_its_own_guesses(task):
    basis = np.column_stack([np.ones(len(task.label)), task.customers[:, 1:]]).astype(np.float32)
    learner = Linear(basis, Money(np.ones(task.classes), np.zeros(task.classes)), 0.1)
    assert share_right(task, learner, 1) > 50.0
    assert learner._gram[:, 0, 0].sum() == task.classes + len(task.label)


def test_a_difference_is_paired():
    one = np.array([50.0, 60.0, 70.0])
    assert difference(one + 1, one).mean == pytest.approx(1.0) and difference(one + 1, one).half == pytest.approx(0.0)
    assert difference(np.array([1.0, 3.0]), np.zeros(2)).half == pytest.approx(12.7062, abs=1e-4)
    assert Difference(-1.0, 0.9).below and not Difference(-1.0, 1.1).below


def test_a_floor_is_broken_by_one_set_on_which_trees_do_harm():
    good = {
        OURS: np.array([80.0, 81.0]),
        TREELESS: np.array([79.0, 80.0]),
        AT_ZERO: np.zeros(2),
        LINTS_LOG: np.zeros(2),
    }
    bad = {**good, TREELESS: np.array([82.0, 83.0])}
    assert [kept for _, kept in floors({"a": good, "b": good})] == [True, True, True]
    assert [kept for _, kept in floors({"a": good, "b": bad})] == [False, True, True]
    assert "below on: b" in floors({"a": good, "b": bad})[0][0]
    level = {**good, AT_ZERO: np.array([75.5, 76.0]), LINTS_LOG: np.array([80.0, 82.0])}
    assert [kept for _, kept in floors({"a": level})] == [True, False, False]


def test_over_sets_ours_must_beat_the_best_variant_of_vowpal_wabbit_by_more_than_the_noise():
    own, low = np.array([80.0, 81.0, 79.0]), np.array([70.0, 71.0, 69.0])
    shares = {OURS: own, TREELESS: low, AT_ZERO: low, LINTS_LOG: low, "VW bag": low}
    clear = {"a": {**shares, "VW regcb": own - 3.0}, "b": {**shares, "VW regcb": own + 1.0}}
    assert minus(clear, "VW regcb").mean == pytest.approx(1.0)
    assert floors(clear)[-1] == (
        "significantly above the best Vowpal Wabbit variant on average (VW regcb, +1.0 ± 0.0)",
        True,
    )
    noisy = {"a": clear["a"], "b": {**shares, "VW regcb": own + np.array([9.0, -3.0, -3.0])}}
    assert minus(noisy, "VW regcb").mean == pytest.approx(1.0)
    assert not floors(noisy)[-1][1]


def test_in_hindsight_the_best_variant_of_each_set_counts_against_us():
    found = {
        "a": {OURS: np.full(2, 80.0), "VW bag": np.full(2, 70.0), "VW regcb": np.full(2, 75.0)},
        "b": {OURS: np.full(2, 80.0), "VW bag": np.full(2, 85.0), "VW regcb": np.full(2, 60.0)},
    }
    told = with_hindsight(found)
    assert [float(shares[BEST_VARIANT][0]) for shares in told.values()] == [75.0, 85.0]
    assert minus(told, BEST_VARIANT).mean == 0.0
    assert BEST_VARIANT not in with_hindsight({"a": {OURS: np.full(2, 80.0)}})["a"]


def test_everybody_has_as_many_settings_and_one_of_them_plays_on_each_set():
    assert {len(set(settings)) for settings in GRID.values()} == {12} == {len(settings) for settings in GRID.values()}
    assert tuple(TUNED) == SETS and VOWPAL.keys() | {LINTS, LINTS_LOG} == GRID.keys()
    for tuned in TUNED.values():
        assert tuned.keys() == GRID.keys() and all(tuned[who] in GRID[who] for who in GRID)


def test_lints_that_has_read_the_log_knows_known_classes_before_it_decides(task):
    rows, r = np.arange(len(task.label)), np.random.default_rng(1)
    known = np.isin(task.label, task.log.arm.astype(int))
    right = {
        log: (lints(task, 0.0, log=log).scores(rows, r).argmax(1) == task.label)[known].mean() for log in (True, False)
    }
    assert right[True] > 0.7 > 0.5 > right[False]
