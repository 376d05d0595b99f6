"""The classification benchmark asks what it says: unseen customers, new classes, and paired differences."""

import numpy as np
import pytest

from bandit import Columns
from benchmarks.classification import (
    AT_ZERO,
    LINTS_LOG,
    OURS,
    TREELESS,
    floors,
    share_right,
)
from benchmarks.classification_tasks import Data, Task, made
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
