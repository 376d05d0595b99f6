"""Replay counts, and lets be heard, what the log did as well; a log of unequal chances is refused."""

from dataclasses import replace

import numpy as np
import pytest

from allot import ShapeError
from bandit import Columns
from sims.learners import Fixed
from sims.replay import RandomisedLog, Replayed, always, replayed


def made(seed, n=300, k=4):
    """Customers with one number; arm a succeeds by a chance that the number's sign turns around."""
    r = np.random.default_rng(seed)
    x, arm = r.normal(size=(n, 1)), r.integers(0, k, n)
    chance = np.where(x > 0, np.linspace(0.2, 0.8, k), np.linspace(0.8, 0.2, k))
    outcome = (r.random(n) < chance[np.arange(n), arm]).astype(float)
    arms = tuple(f"a{i}" for i in range(k))
    return RandomisedLog("made", x, Columns(("x",), ("arm",), (1,)), {}, arms, arm, outcome, np.full(n, 1 / k)), chance


class Recorder(Fixed):
    def __init__(self, table):
        super().__init__(table)
        self.told = []

    def hear(self, rows, arm, outcome, window):
        self.told.append((window, rows, arm, outcome))


def test_a_learner_hears_of_the_decisions_it_would_have_taken_once_and_in_order():
    log, chance = made(1)
    learner = Recorder(chance)
    played = replayed(log, learner, seed=1, windows=7)
    windows, rows, arm, outcome = zip(*learner.told, strict=True)
    heard = np.concatenate(rows)
    assert windows == tuple(range(7))
    assert np.array_equal(heard, np.flatnonzero(log.arm == chance.argmax(1)))
    assert np.array_equal(heard, np.flatnonzero(played.matched))
    assert np.array_equal(np.concatenate(arm), log.arm[heard])
    assert np.array_equal(np.concatenate(outcome), log.outcome[heard])
    assert played.value == log.outcome[heard].mean()


def test_one_arm_for_all_is_its_mean_in_the_log():
    log, _ = made(2)
    fixed = replayed(log, Fixed(np.tile([0.0, 1.0, 0.0, 0.0], (300, 1))), seed=1)
    assert np.array_equal(fixed.matched, always(log, 1).matched)
    assert always(log, 1).value == log.outcome[log.arm == 1].mean()
    gain, error = fixed.minus(always(log, 1))
    assert (gain, error) == (0.0, 0.0)


def test_a_log_of_unequal_chances_or_unequal_length_is_refused():
    log, _ = made(3)
    with pytest.raises(ShapeError, match="some propensity is not 1/4"):
        replace(log, propensity=np.full(300, 0.3))
    with pytest.raises(ShapeError, match="not equally many"):
        replace(log, outcome=log.outcome[:-1])
    with pytest.raises(ShapeError, match="outside 0 to 3"):
        replace(log, arm=log.arm + 1)
    assert np.array_equal(log.taken(np.array([5, 2])).outcome, log.outcome[[5, 2]])


def test_who_never_decides_alike_has_no_value():
    assert np.isnan(Replayed(np.zeros(3, bool), np.ones(3)).value)


def test_copies_of_a_customers_decisions_narrow_nothing():
    log, chance = made(5)
    rows = np.repeat(np.arange(300), 4)
    once = replayed(replace(log, customer=np.arange(300)), Fixed(chance), seed=1)
    often = replayed(replace(log, customer=np.arange(300)).taken(rows), Fixed(chance[rows]), seed=1)
    assert once.std_error == pytest.approx(replayed(log, Fixed(chance), seed=1).std_error)
    assert often.value == pytest.approx(once.value)
    assert often.std_error == pytest.approx(once.std_error)
    assert often.minus(always(log.taken(rows), 0))[1] == pytest.approx(once.minus(always(log, 0))[1])
