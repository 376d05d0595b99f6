"""Amounts in place of successes: prices, limits and probabilities stand on Gaussian scores as on any."""

import numpy as np
import pytest

from bandit import Beliefs, amount_scores
from engine.policy import PRICED_WITHIN, Setting, policy_of
from portfolio import Limit, Problem

N, K, DRAWS = 400, 4, 4_000


def world(seed, *, spread):
    """Spends of some ten to sixty, of which the posterior knows the means to a few; contacts cost."""
    r = np.random.default_rng(seed)
    mean = r.gamma(4.0, 8.0, (N, 1)) + r.normal(0, 6.0, (N, K))
    sd = spread * np.exp(r.normal(0, 0.5, (N, K)))
    fee = r.uniform(2.0, 9.0, K)
    cost = np.broadcast_to(fee, (N, K)).copy()
    return Beliefs(mean.astype(np.float32), sd.astype(np.float32)), fee, cost, r.random((N, K)) < 0.8


@pytest.mark.parametrize("spread", [0.5, 5.0, 40.0])
@pytest.mark.parametrize("uncertain", [False, True])
def test_the_policy_keeps_its_limits_and_is_what_gaussian_draws_do(spread, uncertain):
    """The table's chances are the frequencies of the best of the drawn amounts less what the limits charge."""
    beliefs, fee, cost, eligible = world(1, spread=spread)
    value = beliefs.mean - fee
    none = Beliefs(np.full((N, 1), 30.0, np.float32), np.full((N, 1), spread, np.float32))
    scores = amount_scores(beliefs, fee, eligible, outside=none if uncertain else 30.0)
    cell = np.arange(N) % 2
    free = policy_of(scores, Problem(value, cost, eligible, cell, (), n_cells=2), Setting(0.0))
    count, spent, _ = free.use
    limits = (
        Limit("budget", "cost", maximum=0.6 * spent.sum()),
        Limit("cap", "count", maximum=0.5 * count[:, 1].sum(), offers=(1,)),
    )
    problem = Problem(value, cost, eligible, cell, limits, n_cells=2)
    policy = policy_of(scores, problem, Setting(0.0))
    used = policy.use[1].sum(), policy.use[0][:, 1].sum()
    for limit, level in zip(limits, used, strict=True):
        assert level <= limit.maximum * (1 + 2 * PRICED_WITHIN)
    assert used[0] == pytest.approx(limits[0].maximum, rel=2 * PRICED_WITHIN)
    charge = policy.charges[0][cell] + policy.charges[1][cell] * cost + policy.charges[2][cell] * value
    r = np.random.default_rng(2)
    won = np.zeros((N, K + 1))
    for _ in range(DRAWS // 100):
        drawn = beliefs.mean + beliefs.sd * r.normal(size=(100, N, K)) - fee - charge
        own = 30.0 + (spread * r.normal(size=(100, N, 1)) if uncertain else np.zeros((100, N, 1)))
        taken = np.concatenate([np.where(eligible, drawn, -np.inf), own], axis=2).argmax(2)
        won += (taken[:, :, None] == np.arange(K + 1)).sum(0)
    p = policy.probability.astype(float)
    open_ = (p > 0.01) & (p < 0.99)
    error = (won / DRAWS - p)[open_] / np.sqrt((p * (1 - p))[open_] / DRAWS)
    assert np.abs(error).max() < 5.5
    assert abs((error**2).mean() - 1) < 4 * np.sqrt(2 / (error.size / 2))  # two of a customer's chances go together
    assert np.abs((won / DRAWS - p).sum(0)).max() < 4 * np.sqrt((p * (1 - p)).sum(0).max() / DRAWS)


def test_the_bound_is_over_no_offer_whatever_that_is_worth():
    """Uncertain or not, with the mean worth and no spread no offer is the same."""
    beliefs, fee, cost, eligible = world(3, spread=5.0)
    problem = Problem(beliefs.mean - fee, cost, eligible, np.zeros(N, int), (Limit("budget", "cost", maximum=500.0),))
    none = Beliefs(np.full((N, 1), 30.0, np.float32), np.zeros((N, 1), np.float32))
    one, other = (
        policy_of(amount_scores(beliefs, fee, eligible, outside=x), problem, Setting(0.0)) for x in (30.0, none)
    )
    assert one.bound == pytest.approx(other.bound, rel=1e-6)
    np.testing.assert_allclose(one.probability, other.probability, atol=1e-6)
