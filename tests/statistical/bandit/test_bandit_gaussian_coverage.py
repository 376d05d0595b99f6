"""Intervals of amounts hold the truth as often as they say, with the noise and the hierarchy learnt. Fixed seeds."""

import numpy as np

from bandit.basis import INTERCEPT, NUMERICS, SLOPE
from bandit.posterior import Rows
from bandit.posterior_start import start_amounts

BLOCK = (INTERCEPT, NUMERICS, NUMERICS, SLOPE)
ARMS = 10


def world(r: np.random.Generator, noise: float, rows: int) -> np.ndarray:
    """Share of 90 % intervals (25 customers, all arms) that hold the true mean amount."""
    weight = r.normal(size=(ARMS, 4)) * noise * np.array([0.3, 0.15, 0.15, 0.2 / noise])
    basis = np.column_stack([np.ones(rows), r.normal(size=(rows, 2))]).astype(np.float32)
    expected, arm = r.normal(50, noise, rows), r.integers(0, ARMS, rows)
    psi = np.column_stack([basis, expected - 50])
    log = Rows(basis, expected, arm, expected + (psi * weight[arm]).sum(1) + noise * r.normal(size=rows))
    state = start_amounts(log, expected, ARMS, centre=50.0, block=BLOCK)
    base = np.column_stack([np.ones(25), r.normal(size=(25, 2))]).astype(np.float32)
    prior = r.normal(50, noise, (25, ARMS))
    truth = prior + base @ weight[:, :3].T + (prior - 50) * weight[:, 3]
    beliefs = state.beliefs(base, prior, threads=1)
    return np.abs(truth - beliefs.mean) < 1.6449 * beliefs.sd


def test_ninety_percent_intervals_of_amounts_cover():
    r = np.random.default_rng(21)
    assert 0.88 < np.mean([world(r, 40.0, 3000) for _ in range(60)]) < 0.92


def test_what_weights_fit_by_chance_is_not_taken_off_the_noise():
    """Every arm has hardly more than two hundred rows for two dozen weights."""
    r = np.random.default_rng(22)
    arms, p, rows = 20, 24, 4400
    weight = r.normal(size=(arms, p))
    basis = np.column_stack([np.ones(rows), r.normal(size=(rows, p - 1))]).astype(np.float32)
    arm = np.arange(rows) % arms
    log = Rows(basis, np.zeros(rows), arm, (basis * weight[arm]).sum(1) + r.normal(size=rows))
    block = (INTERCEPT, *(NUMERICS,) * (p - 1), SLOPE)
    noise = start_amounts(log, log.logit, arms + 1, centre=0.0, block=block).noise_variance
    assert abs(noise - 1.0) < 4 * np.sqrt(2 / (rows - arms * p))
