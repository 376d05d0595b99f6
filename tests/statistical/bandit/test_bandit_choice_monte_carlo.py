"""Choice probabilities and expected maxima against a million draws each, within four standard errors."""

import numpy as np
import pytest
from scipy.special import expit

from bandit import Outside, Scores
from bandit.choice import no_draws, solve_arms
from bandit.scores import block_arms

DRAWS = 1_000_000


def beliefs(kind, rng):
    offers = 6
    mean, sd = rng.normal(-2.5, 0.7, offers), rng.lognormal(-1.2, 0.5, offers)
    value, fee = rng.lognormal(3, 0.4, offers), rng.uniform(0, 1, offers)
    if kind == "mixed":
        sd = np.array([0.0, 1e-8, 1e-3, 0.3, 3.0, 10.0])
    if kind == "wide":
        mean, sd = rng.uniform(-15, 15, offers), np.array([3.0, 10.0] * 3)
    if kind == "free":
        mean, sd, fee = rng.uniform(-15, -8, offers), np.full(offers, 4.0), np.zeros(offers)
    if kind == "subsidised":
        fee = fee - 2.0
    if kind == "losses":
        value = value * np.array([1, -1] * 3)
    return mean, sd, value, fee


@pytest.mark.parametrize("outside", [0.4, "belief"])
@pytest.mark.parametrize("kind", ["typical", "mixed", "wide", "free", "subsidised", "losses"])
def test_frequencies_of_the_best_score_are_the_probabilities(kind, outside):
    rng = np.random.default_rng(sum(map(ord, kind)))
    mean, sd, value, fee = beliefs(kind, rng)
    none = Outside(np.array([-2.0]), np.array([0.5]), 10.0) if outside == "belief" else outside
    scores = Scores(mean[None], sd[None], value, fee, np.ones((1, len(mean)), bool), none)
    solved = solve_arms(block_arms(scores, slice(0, 1)), no_draws(), 1e-6, 0)
    draws = np.empty((len(mean) + 1, DRAWS))
    for a in range(len(mean)):
        draws[a] = value[a] * expit(mean[a] + sd[a] * rng.standard_normal(DRAWS)) - fee[a]
    draws[-1] = 10 * expit(-2 + 0.5 * rng.standard_normal(DRAWS)) if outside == "belief" else outside
    frequency = np.bincount(draws.argmax(0), minlength=len(draws)) / DRAWS
    chance = solved.probability[0]
    assert (np.abs(frequency - chance) <= 4 * np.sqrt(chance * (1 - chance) / DRAWS) + 2e-6).all()
    assert (chance[frequency > 0] > 0).all()
    best = draws.max(0)
    assert abs(best.mean() - solved.expected_maximum[0]) <= 4 * best.std() / np.sqrt(DRAWS) + 1e-6
