"""Amounts: the same state and the same laws, and no approximation."""

from dataclasses import replace

import numpy as np
import pytest

from allot import ShapeError
from bandit.basis import INTERCEPT, NUMERICS, SLOPE
from bandit.posterior import Posterior, Rows
from bandit.posterior_start import start, start_amounts

BLOCK = (INTERCEPT, NUMERICS, NUMERICS, SLOPE)
ARMS = 6  # 0..3 warm, 4 cold, 5 no offer


def amounts(seed: int, size: int, arms: tuple[int, ...] = (0, 1, 2, 3, 5), noise: float = 3.0) -> Rows:
    r = np.random.default_rng(seed)
    basis = np.column_stack([np.ones(size), r.normal(size=(size, 2))]).astype(np.float32)
    arm, expected = r.choice(arms, size), r.normal(20, 2, size)
    outcome = expected + 0.4 * (arm - 2) + 0.5 * basis[:, 1] * (arm % 2) - 0.3 * (expected - 20)
    return Rows(basis, expected, arm, outcome + noise * r.normal(size=size))


def begin(log: Rows, *, unit: float = 1.0, **options: float) -> Posterior:
    return start_amounts(log, log.logit + unit, ARMS, centre=20.0 * unit, block=BLOCK, **options)


@pytest.fixture(scope="module")
def begun() -> Posterior:
    return begin(amounts(1, 4000), discount=0.9)


def query(seed: int, n: int) -> tuple[np.ndarray, np.ndarray]:
    r = np.random.default_rng(seed)
    basis = np.column_stack([np.ones(n), r.normal(size=(n, 2))]).astype(np.float32)
    return basis, r.normal(20, 2, (n, ARMS)).astype(np.float32)


def test_beliefs_are_the_exact_posterior_of_a_linear_regression(begun):
    """Bayes in its other form: condition the joint Gaussian of outcomes and weights on the outcomes."""
    rows = amounts(2, 40, arms=(3,))
    prior_mean, prior_covariance = (a[3] for a in begun.weights())
    psi = np.column_stack([rows.basis, rows.logit - 20.0])
    cross = prior_covariance @ psi.T
    gain = cross @ np.linalg.inv(psi @ cross + begun.noise_variance * np.eye(40))
    mean = prior_mean + gain @ (rows.outcome - rows.logit - psi @ prior_mean)
    weight, covariance = (a[3] for a in begun.overlay(rows).weights())
    np.testing.assert_allclose(weight, mean, atol=1e-9)
    np.testing.assert_allclose(covariance, prior_covariance - gain @ cross.T, atol=1e-10)


def test_windows_commute_and_halves_of_a_row_make_a_row(begun):
    """Evidence of amounts adds up, whatever was known when it came: no linearisation depends on the order."""
    one, two = amounts(3, 200), amounts(4, 100)
    there, back = begun.overlay(one).overlay(two), begun.overlay(two).overlay(one)
    np.testing.assert_allclose(there.shift, back.shift, rtol=1e-9, atol=1e-9)
    half = replace(one, weight=np.full(200, 0.5))
    twice = begun.overlay(half).overlay(half)
    np.testing.assert_allclose(twice.weights()[0], begun.overlay(one).weights()[0], atol=1e-9)
    np.testing.assert_allclose(twice.count, begun.overlay(one).count)


@pytest.mark.parametrize("unit", [1024.0, 1 / 7])
def test_cents_and_euros_lead_to_the_same_beliefs(unit):
    log, later = amounts(5, 3000), amounts(6, 500)

    def scaled(rows: Rows) -> Rows:
        return replace(rows, logit=unit * rows.logit, outcome=unit * rows.outcome)

    basis, expected = query(7, 50)
    one = begin(log).update(later, window=0)
    other = begin(scaled(log), unit=unit).update(scaled(later), window=0)
    assert other.noise_variance == pytest.approx(unit**2 * one.noise_variance, rel=1e-9)
    found, wanted = other.beliefs(basis, unit * expected), one.beliefs(basis, expected)
    np.testing.assert_allclose(found.mean, unit * wanted.mean, rtol=2e-6)
    np.testing.assert_allclose(found.sd, unit * wanted.sd, rtol=2e-5)


def test_the_noise_is_found_again_and_a_known_one_is_kept():
    log = amounts(8, 5000, noise=2.5)
    assert abs(begin(log).noise_variance - 6.25) < 4 * 6.25 * np.sqrt(2 / 5000)
    assert begin(log, noise_variance=4.0).noise_variance == 4.0


def test_nobody_takes_what_arms_differ_in_for_noise():
    """Arms 20 apart: the variance around the prior's amounts is a hundred times the noise."""
    log = amounts(9, 4000, noise=1.0)
    apart = replace(log, outcome=log.outcome + 20.0 * (log.arm - 2))
    assert abs(begin(apart).noise_variance - 1.0) < 4 * np.sqrt(2 / 4000) + 0.02


def test_more_data_never_widens_a_direction(begun):
    basis, expected = query(10, 100)
    seen = begun.overlay(amounts(11, 50)).beliefs(basis, expected)
    assert np.all(seen.sd <= begun.beliefs(basis, expected).sd * (1 + 1e-6))


def test_a_cold_arm_starts_near_the_others_and_less_certain(begun):
    basis, expected = query(12, 200)
    beliefs = begun.beliefs(basis, expected)
    assert np.all(beliefs.sd[:, 4] > 1.3 * beliefs.sd[:, :4].max(1))
    assert np.abs((beliefs.mean - expected)[:, 4]).mean() < 3.0


def test_without_data_beliefs_return_to_the_hierarchy(begun):
    state = begun.update(amounts(13, 400), window=0)
    none = amounts(14, 0)
    for day in range(1, 400):
        state = state.update(none, window=day)
    group = state.cold.astype(int)
    weight, covariance = state.weights()
    np.testing.assert_allclose(weight, state.mean[group], atol=1e-6)
    np.testing.assert_allclose(np.einsum("aii->ai", covariance), state.variance[group], rtol=1e-6)
    np.testing.assert_allclose(state.mean, begun.anchor_mean, atol=1e-9)


def test_a_state_of_amounts_comes_back_bit_for_bit(begun):
    again = Posterior.from_arrays(begun.to_arrays())
    assert again.noise_variance == begun.noise_variance
    one, two = begun.update(amounts(15, 90), window=2).to_arrays(), again.update(amounts(15, 90), window=2).to_arrays()
    assert all(one[name].tobytes() == two[name].tobytes() for name in one)


def test_without_a_log_the_noise_must_be_said_or_is_one():
    none = amounts(16, 0)
    assert begin(none).noise_variance == 1.0
    state = begin(none, noise_variance=9.0)
    assert state.cold.all() and np.sqrt(state.variance[1, 0]) == pytest.approx(3.0 * np.sqrt(3) / np.pi)


def test_amounts_need_a_state_of_amounts(begun):
    rows = amounts(17, 20)
    with pytest.raises(ShapeError, match="Amounts need a state of amounts"):
        start(rows, rows.logit, ARMS, centre=0.0, block=BLOCK)
    with pytest.raises(ShapeError, match="not positive"):
        replace(begun, noise_variance=0.0)
    with pytest.raises(ShapeError, match="as cold"):
        start_amounts(rows, rows.logit[1:], ARMS, centre=0.0, block=BLOCK)
