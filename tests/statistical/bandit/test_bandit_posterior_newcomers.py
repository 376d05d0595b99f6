"""A new offer gets its chance and no more than that, and a wrong idea of delays costs little. Fixed seeds."""

from dataclasses import replace

import numpy as np
import pytest

from bandit.basis import INTERCEPT, NUMERICS, SLOPE
from bandit.posterior import Posterior, Rows
from bandit.posterior_start import start

BLOCK = (INTERCEPT, NUMERICS, NUMERICS, SLOPE)
ARMS = 9  # seven known offers, a new one, and no offer, which nobody is given here
NEW = 7


def sigmoid(z: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-z))


def people(r: np.random.Generator, n: int) -> np.ndarray:
    return np.column_stack([np.ones(n), r.normal(size=(n, 2))]).astype(np.float32)


def started(r: np.random.Generator, weight: np.ndarray, rows: int = 6000) -> Posterior:
    """From a log of the known offers, without trees: every prior logit is −1.5."""
    basis, arm = people(r, rows), r.integers(0, NEW, rows)
    outcome = (r.random(rows) < sigmoid((basis * weight[arm]).sum(1))).astype(float)
    log = Rows(basis, np.full(rows, -1.5), arm, outcome)
    return start(log, log.logit, ARMS, centre=-1.5, block=BLOCK)


def drawn(state: Posterior, basis: np.ndarray, r: np.random.Generator) -> np.ndarray:
    """Thompson's choices at our temperatures."""
    beliefs = state.beliefs(basis, np.full((len(basis), ARMS), -1.5), threads=1)
    sample = beliefs.mean + state.temperature() * beliefs.sd * r.normal(size=beliefs.mean.shape)
    return sample[:, : NEW + 1].argmax(1)


def shares_of_the_new(seed: int, level: float, windows: int, missed: float = 0.0) -> tuple[float, float]:
    """Of customers who were given the new offer, and of those for whom it is the best, over some windows.

    `level` is how much better than the others it is, and `missed` how much better all are than their prior says.
    """
    r = np.random.default_rng(seed)
    weight = np.array([-1.5 + missed, 0, 0]) + r.normal(size=(NEW + 1, 3)) * np.array([0.6, 0.4, 0.4])
    weight[NEW, 0] += level
    state = started(r, weight)
    given = best = 0.0
    for window in range(windows):
        basis = people(r, 400)
        chance = sigmoid(basis @ weight.T)
        arm = drawn(state, basis, r)
        outcome = (r.random(400) < chance[np.arange(400), arm]).astype(float)
        state = state.update(Rows(basis, np.full(400, -1.5), arm, outcome), window=window)
        given += float((arm == NEW).mean()) / windows
        best += float((chance.argmax(1) == NEW).mean()) / windows
    return given, best


@pytest.mark.parametrize("missed", [-1.0, 0.0, 1.0])
def test_a_new_offer_is_first_given_to_about_as_many_as_one_of_its_relatives_would_be(missed):
    """It is one of eight alike: neither starved nor flooded before anything is known of it.

    Where its relatives proved better or worse than the prior had said, so is it expected to.
    """
    given = np.array([shares_of_the_new(seed, 0.0, 1, missed)[0] for seed in range(30, 60)])
    assert 0.35 / 8 < given.mean() < 1.25 / 8


@pytest.mark.parametrize("level", [-2.0, 2.0])
def test_a_new_offer_soon_gets_what_it_deserves(level):
    given, best = np.array([shares_of_the_new(seed, level, 8) for seed in range(30, 42)]).mean(0)
    if level > 0:
        assert given > 0.6 * best and best > 0.3
    else:
        assert given < best + 0.05


def young(r: np.random.Generator, rows: int, chance: float, assumed: float) -> Rows:
    """Decisions of arm 0 and of one age, at which `chance` of them show a success and silence counts `assumed`."""
    outcome = (r.random(rows) < chance).astype(float)
    weight = np.where(outcome > 0, 1.0, assumed)
    return Rows(people(r, rows), np.full(rows, -1.5), np.zeros(rows, np.int64), outcome, weight)


@pytest.mark.parametrize("wrong", [0.5, 1.0, 2.0])
def test_a_wrong_arrival_curve_moves_a_logit_by_at_most_its_logarithm_and_less_with_mature_rows(wrong):
    """Two fifths of a rate of 20 % have arrived; silence counts `wrong` times as much as it should."""
    r = np.random.default_rng(60)
    none = Rows(people(r, 0), np.zeros(0), np.zeros(0, np.int64), np.zeros(0))
    blank = start(none, none.logit, ARMS, centre=-1.5, block=BLOCK)
    blank = replace(blank, variance=100.0 * blank.variance)  # what is believed is what the rows say
    arrived, rate = 0.4, 0.2
    rows = young(r, 20_000, rate * arrived, wrong * arrived)
    mature = young(r, 20_000, rate, 1.0)
    truth = float(np.log(rate / (1 - rate)))
    error = np.sqrt(1 / (20_000 * rate * arrived * (1 - rate)))
    alone = -1.5 + blank.overlay(rows).weights()[0][0, 0] - truth
    among = -1.5 + blank.overlay(mature).overlay(rows).weights()[0][0, 0] - truth
    bound = abs(np.log(wrong)) + abs(np.log((1 - rate) / (1 - rate * arrived)))
    assert abs(alone) < bound + 4 * error
    assert abs(among) < 0.6 * bound + 4 * error
    if wrong != 1.0:
        assert np.sign(alone) == np.sign(-np.log(wrong)) and abs(alone) > 0.5 * abs(np.log(wrong))


_DAYS, _LATEST = 20, 7
_ARRIVES = np.cumsum(0.75 ** np.arange(_LATEST + 1)) / np.sum(0.75 ** np.arange(_LATEST + 1))


def value(seed: int, assumed: np.ndarray | None) -> float:
    """Mean chance of success of what was chosen, with delays up to seven days; `assumed` None: rows wait for them."""
    r = np.random.default_rng(seed)
    weight = np.array([-1.5, 0, 0]) + r.normal(size=(NEW + 1, 3)) * np.array([0.6, 0.4, 0.4])
    state, past, total = started(r, weight, 1500), [], 0.0
    for day in range(_DAYS):
        if day > _LATEST:
            basis, arm, success, _ = past[day - _LATEST - 1]
            state = state.update(Rows(basis, np.full(len(arm), -1.5), arm, success), window=day - _LATEST - 1)
        believed = state
        if assumed is not None and past:
            age = [(day - 1 - i, *rows) for i, rows in enumerate(past) if i > day - _LATEST - 1]
            seen = np.concatenate([s * (lag <= a) for a, _, _, s, lag in age])
            silence = np.concatenate([np.full(len(arm), assumed[a]) for a, _, arm, _, _ in age])
            basis, arm = (np.concatenate([rows[j] for rows in age]) for j in (1, 2))
            counted = np.where(seen > 0, 1.0, silence)
            believed = state.overlay(Rows(basis, np.full(len(arm), -1.5), arm, seen, counted))
        basis = people(r, 300)
        arm = drawn(believed, basis, r)
        chance = sigmoid(basis @ weight.T)[np.arange(300), arm]
        total += float(chance.mean()) / _DAYS
        lag = np.searchsorted(_ARRIVES, r.random(300))
        past.append((basis, arm, (r.random(300) < chance).astype(float), lag))
    return total


@pytest.mark.soak
def test_a_curve_that_is_wrong_by_half_costs_less_than_waiting_does():
    seeds = range(70, 110)
    right, slow, fast, waiting = (
        np.array([value(seed, assumed) for seed in seeds])
        for assumed in (_ARRIVES, 0.5 * _ARRIVES, np.minimum(1.0, 1.5 * _ARRIVES), None)
    )
    for wrong in (slow, fast):
        gain = wrong - waiting
        assert gain.mean() > 4 * gain.std(ddof=1) / np.sqrt(len(seeds))
        assert (right - wrong).mean() < 0.01 * right.mean()
