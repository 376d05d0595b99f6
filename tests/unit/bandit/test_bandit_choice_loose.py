"""What a loose tolerance gives up: a customer's digits, not those of sums over customers."""

import numpy as np
import pytest

from bandit.choice import no_draws, solve_arms
from bandit.quadrature import LOOSE
from bandit.scores import Scores, block_arms


def _solved(tolerance, rows=1500, offers=12):
    rng = np.random.default_rng(11)
    mean, sd = rng.normal(-2.5, 0.8, (rows, offers)), rng.lognormal(-1.3, 0.5, (rows, offers))
    fee = rng.uniform(0, 8, (rows, offers))
    eligible = rng.random((rows, offers)) < 0.8
    scores = Scores(mean, sd, rng.uniform(20, 200, offers), fee, eligible, 2.0)
    return solve_arms(block_arms(scores, slice(0, rows)), no_draws(), tolerance, 0)


@pytest.mark.parametrize("tolerance", [LOOSE, 1e-4])
def test_loose_rows_are_within_their_tolerance_and_their_sums_far_closer(tolerance):
    exact, loose = _solved(1e-7), _solved(tolerance)
    error = loose.probability - exact.probability
    assert 1e-8 < np.abs(error).max() < 2 * tolerance
    assert loose.residual <= tolerance
    often = exact.probability.sum(0) > 1.0
    assert often.sum() >= 8
    assert np.abs(error.sum(0) / exact.probability.sum(0))[often].max() < tolerance
    worth = np.abs(loose.expected_maximum - exact.expected_maximum).sum() / exact.expected_maximum.sum()
    assert worth < 0.01 * tolerance


@pytest.mark.parametrize("tolerance", [LOOSE, 1e-4])
def test_wide_beliefs_are_not_refused_where_less_is_asked(tolerance):
    rng = np.random.default_rng(5)
    rows, offers = 3000, 20
    mean, sd = rng.normal(-2, 2, (rows, offers)), np.exp(rng.uniform(np.log(0.5), np.log(6), (rows, offers)))
    value = rng.uniform(5, 100, (rows, offers))
    fee = rng.uniform(0, 0.3, (rows, offers)) * value
    scores = Scores(mean, sd, value, fee, np.ones((rows, offers), bool), 0.0)
    exact, loose = (solve_arms(block_arms(scores, slice(0, rows)), no_draws(), t, 0) for t in (1e-7, tolerance))
    assert loose.residual <= tolerance
    assert np.abs(loose.probability - exact.probability).max() < 3 * tolerance
