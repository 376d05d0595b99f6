"""Replay states what a learner would have earned, and how far chance may have carried it."""

import numpy as np
import pytest

from bandit import Columns
from sims.learners import Fixed, Linear, Money
from sims.replay import RandomisedLog, replayed

K, LOGS = 3, 400
COLUMNS = Columns(("x",), ("arm",), (1,))


def drawn(r, n):
    """A log, and the chance (n, K) of each customer; the sign of one number turns the arms around."""
    x = r.normal(size=(n, 1))
    chance = np.where(x > 0, [0.1, 0.4, 0.7], [0.7, 0.4, 0.1])
    arm = r.integers(0, K, n)
    outcome = (r.random(n) < chance[np.arange(n), arm]).astype(float)
    return RandomisedLog("drawn", x, COLUMNS, {}, ("a", "b", "c"), arm, outcome, np.full(n, 1 / K)), chance


@pytest.fixture(scope="module")
def fixed():
    """A policy that is right for those above 0 and half right for the others, on many logs: (value, std error)."""
    r, out = np.random.default_rng(1), []
    for _ in range(LOGS):
        log, _ = drawn(r, 300)
        table = np.where(log.customers > 0, [0.0, 0.0, 1.0], [0.0, 1.0, 0.0])
        played = replayed(log, Fixed(table), seed=1)
        out.append((played.value, played.std_error))
    return np.array(out)


def test_on_average_a_policy_is_replayed_at_its_true_value(fixed):
    value = fixed[:, 0]
    assert abs(value.mean() - (0.7 + 0.4) / 2) < 4 * value.std(ddof=1) / np.sqrt(LOGS)


def test_the_standard_error_is_that_of_repeated_logs(fixed):
    value, error = fixed.T
    assert value.std(ddof=1) == pytest.approx(error.mean(), rel=4 / np.sqrt(2 * LOGS))


def test_a_learner_that_learns_from_what_it_hears_earns_in_replay_what_it_earns_live():
    """As long a life: replay hears a third of the log, so the live run has a third of the customers."""
    r, replays, lives = np.random.default_rng(2), [], []
    for _ in range(60):
        log, chance = drawn(r, 1200)
        replays.append(replayed(log, _ridge(log), seed=3, windows=60).value)
        learner, earned = _ridge(log), []
        for window in range(60):
            rows = np.arange(window * 20, window * 20 + 20)[: 20 // K]
            arm = learner.scores(rows, r).argmax(1)
            outcome = (r.random(len(rows)) < chance[rows, arm]).astype(float)
            learner.hear(rows, arm, outcome, window)
            earned.append(outcome.mean())
        lives.append(np.mean(earned))
    error = np.sqrt(np.var(replays, ddof=1) / 60 + np.var(lives, ddof=1) / 60)
    assert abs(np.mean(replays) - np.mean(lives)) < 4 * error
    assert np.mean(replays) > 0.55


def _ridge(log):
    basis = np.column_stack([np.ones(len(log.arm)), log.customers, log.customers > 0])
    return Linear(basis, Money(np.ones(K), np.zeros(K)), 0.1)
