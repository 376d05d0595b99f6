"""The range that a plan is said to come out in is the range that it comes out in."""

from dataclasses import dataclass

import numpy as np
import pytest

from bandit import AMOUNTS, SUCCESSES, Beliefs
from engine.models import Scored
from engine.spread import Chosen, Shared, planned_range

N, OFFERS, COLUMNS, WORLDS = 1_500, 3, 4, 3_000


@dataclass(frozen=True)
class Weights:
    """As much of a posterior as a range asks for: means (K, d) and covariances (K, d, d) of the weights."""

    mean: np.ndarray
    covariance: np.ndarray
    noise_variance: float | None = None
    centre: float = -1.0

    def weights(self):
        return self.mean, self.covariance

    def seen(self, basis):
        return basis


def house(noise=None):
    """Customers, choices, prior logits and a posterior whose weights move everybody together."""
    r = np.random.default_rng(11)
    basis = (1.0 + 0.5 * r.normal(size=(N, COLUMNS - 1))).astype(np.float32)
    basis[:, 0] = 1.0
    logits = (r.normal(size=(N, OFFERS + 1)) * 0.6 - 1.0).astype(np.float32)
    root = 0.03 * (1.5 + r.normal(size=(OFFERS + 1, COLUMNS, COLUMNS)))  # weights that move together
    posterior = Weights(r.normal(size=(OFFERS + 1, COLUMNS)) * 0.1, root @ root.transpose(0, 2, 1), noise)
    seen = np.concatenate([np.repeat(basis[:, None], OFFERS + 1, 1), logits[..., None] - posterior.centre], axis=2)
    mean = logits + np.einsum("nad,ad->na", seen, posterior.mean)
    sd = np.sqrt(np.einsum("nad,ade,nae->na", seen, posterior.covariance, seen))
    choice = r.integers(-1, OFFERS, N)
    beliefs = Beliefs(mean.astype(np.float32), sd.astype(np.float32))
    return choice, beliefs, Shared(Scored(basis, logits, None), posterior, np.arange(OFFERS + 1)), seen


@pytest.mark.parametrize("kind", [SUCCESSES, AMOUNTS], ids=["successes", "amounts"])
@pytest.mark.parametrize("against_none", [False, True], ids=["plain", "incremental"])
def test_a_tenth_of_what_may_come_lies_below_and_above_the_range(kind, against_none):
    noise = None if kind is SUCCESSES else 0.8
    choice, beliefs, shared, seen = house(noise)
    rate = np.array([20.0, 5.0, 60.0])
    outside = 25.0 if against_none else None
    rows = np.flatnonzero(choice >= 0)
    expected = kind.expected(beliefs.mean, beliefs.sd)
    value = rate[choice[rows]] * expected[rows, choice[rows]] - (outside or 0.0) * expected[rows, -1]
    found = planned_range(float(value.sum()), Chosen(choice, rate, outside), beliefs, shared, kind)

    r = np.random.default_rng(12)
    factor = np.linalg.cholesky(shared.posterior.covariance + 1e-12 * np.eye(COLUMNS))
    came = np.empty(WORLDS)
    for world in range(WORLDS):
        weights = shared.posterior.mean + np.einsum("ade,ae->ad", factor, r.normal(size=(OFFERS + 1, COLUMNS)))
        score = shared.scored.logits[rows] + np.einsum("nad,ad->na", seen[rows], weights)
        truth = 1.0 / (1.0 + np.exp(-score)) if kind is SUCCESSES else score
        mine = truth[np.arange(len(rows)), choice[rows]]
        if kind is SUCCESSES:
            outcome = (r.random(len(rows)) < mine).astype(float)
        else:
            outcome = mine + r.normal(size=len(rows)) * np.sqrt(noise)
        came[world] = (rate[choice[rows]] * outcome).sum() - (outside or 0.0) * truth[:, -1].sum()
    error = 4.0 * np.sqrt(0.09 / WORLDS)
    assert (came < found.p10).mean() == pytest.approx(0.1, abs=error)
    assert (came > found.p90).mean() == pytest.approx(0.1, abs=error)
    assert (came < found.p50).mean() == pytest.approx(0.5, abs=4.0 * np.sqrt(0.25 / WORLDS))
    assert found.sd_beliefs > found.sd_outcomes / 10


def test_a_plan_that_chooses_nobody_comes_out_at_nothing():
    choice, beliefs, shared, _ = house()
    found = planned_range(0.0, Chosen(np.full_like(choice, -1), np.ones(OFFERS)), beliefs, shared, SUCCESSES)
    assert (found.p10, found.p50, found.p90) == (0.0, 0.0, 0.0)
