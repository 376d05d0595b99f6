"""Small probabilities are right in relation to themselves, also of arms that end within a node's distance."""

import numpy as np
import pytest
from scipy.special import expit, log_ndtr

from bandit import choice_probabilities

NODES, WEIGHTS = np.polynomial.legendre.leggauss(100)
PANELS = 24


def referee(mean, sd, value, price):
    """One customer's probabilities on 24 panels of 100 nodes over the score, cut once more where an arm ends."""
    low = max(0.0, (value * expit(mean - 8 * sd) - price).max())
    high = (value * expit(mean + 8 * sd) - price).max()
    origin = low - 1e-3 * (high - low)
    edges = origin + np.geomspace(low - origin, high - origin, PANELS + 1)
    tops = value - price
    edges = np.sort(np.concatenate([edges, tops[(tops > low) & (tops < high)]]))
    half = 0.5 * np.diff(edges)[:, None]
    score = (edges[:-1, None] + half * (1 + NODES)).ravel()[:, None]
    won, lost = score + price, value - price - score
    inside = (won > 0) & (lost > 0)
    won, lost = np.where(inside, won, 1.0), np.where(inside, lost, 1.0)
    z = np.where(inside, (np.log(won / lost) - mean) / sd, np.where(score > -price, 40.0, -40.0))
    below = log_ndtr(z)
    density = np.where(inside, np.exp(-0.5 * z * z) / np.sqrt(2 * np.pi) * value / (sd * won * lost), 0.0)
    return ((half * WEIGHTS).ravel()[:, None] * density * np.exp(below.sum(1, keepdims=True) - below)).sum(0)


def uneven(rows, offers, seed):
    """Margins of 20 to 200, prices of 0 to 8: offers with small margins win, if at all, close to all they can earn."""
    rng = np.random.default_rng(seed)
    mean, sd = rng.normal(-2.5, 0.8, (rows, offers)), rng.lognormal(-1.3, 0.5, (rows, offers))
    return mean, sd, rng.uniform(20, 200, offers), rng.uniform(0, 8, (rows, offers))


def alike(rows, offers, seed):
    """Margins of 1 to 5 and likely successes: many offers win close to all they can earn, one panel does for few."""
    rng = np.random.default_rng(seed)
    mean, sd = rng.normal(1, 1, (rows, offers)), rng.lognormal(-0.5, 0.5, (rows, offers))
    return mean, sd, rng.uniform(1, 5, offers), rng.uniform(0, 1, (rows, offers))


# In each case, one to three probabilities that are wrong on grids that are right in sum.
CASES = [(uneven, 10, 385), (uneven, 20, 18), (uneven, 20, 100), (uneven, 50, 55), (alike, 20, 26)]


@pytest.mark.parametrize(("kind", "offers", "seed"), CASES)
def test_every_chance_above_a_millionth_is_right_within_a_thousandth_of_itself(kind, offers, seed):
    mean, sd, value, price = kind(40, offers, seed)
    found = choice_probabilities(mean, sd, value, price, np.ones(mean.shape, bool), threads=1)
    small = 0
    for i in range(len(mean)):
        exact = referee(mean[i], sd[i], value, price[i])
        counted = exact >= 1e-6
        np.testing.assert_allclose(found[i, :-1][counted], exact[counted], rtol=1e-3, err_msg=f"row {i}")
        small += int((counted & (exact < 1e-4)).sum())
    assert small > 20
