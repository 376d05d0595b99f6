"""Spends learnt as amounts, day by day under a budget: choices get better, and what is planned is what comes."""

from dataclasses import replace

import numpy as np

from bandit import Beliefs, Rows, amount_scores, start_amounts
from bandit.basis import INTERCEPT, NUMERICS, SLOPE
from engine.policy import Policy, Setting, policy_of
from portfolio import Limit, Problem

OFFERS, PEOPLE, DAYS, NOISE = 5, 400, 8, 20.0
BLOCK = (INTERCEPT, NUMERICS, NUMERICS, SLOPE)
FEE = np.array([4.0, 5.0, 6.0, 5.0, 4.0])


class Spends:
    """What customers spend, in currency units: the trees know half of it, the last offer is new to the log."""

    def __init__(self, seed: int) -> None:
        self.r = np.random.default_rng(seed)
        self.taste = self.r.normal(0, 6.0, (OFFERS + 1, 2))
        self.level = np.append(self.r.normal(12.0, 4.0, OFFERS), 4.0)

    def people(self, n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Basis (n, 3), the prior's amounts and the true ones (n, OFFERS + 1)."""
        basis = np.column_stack([np.ones(n), self.r.normal(size=(n, 2))])
        truth = self.level + basis[:, 1:] @ self.taste.T
        prior = 10.0 + 0.5 * (truth - self.level)
        return basis.astype(np.float32), prior, truth

    def rows(self, basis: np.ndarray, prior: np.ndarray, truth: np.ndarray, arm: np.ndarray) -> Rows:
        """What came of showing some arms."""
        at = np.arange(len(arm)), arm
        return Rows(basis, prior[at], arm, truth[at] + NOISE * self.r.normal(size=len(arm)))


def policy(beliefs: Beliefs, temperature: np.ndarray, budget: float) -> tuple[Policy, Problem]:
    """Thompson sampling of the amounts under a budget."""
    offers, none = (Beliefs(beliefs.mean[:, j], beliefs.sd[:, j]) for j in (slice(0, -1), slice(-1, None)))
    played = replace(offers, sd=offers.sd * temperature[:-1].astype(np.float32))
    everybody = np.ones(offers.mean.shape, bool)
    cost = np.broadcast_to(FEE, offers.mean.shape)
    limits = (Limit("budget", "cost", maximum=budget),)
    problem = Problem(offers.mean - none.mean - FEE, cost, everybody, np.zeros(PEOPLE, int), limits)
    scores = amount_scores(played, FEE, everybody, outside=replace(none, sd=none.sd * np.float32(temperature[-1])))
    return policy_of(scores, problem, Setting(0.0)), problem


def played(seed: int) -> tuple[list[float], list[float], float]:
    """Share of the oracle's value day by day, and planned less realised value with its noise."""
    world = Spends(seed)
    basis, prior, truth = world.people(1500)
    arm = world.r.choice([0, 1, 2, 3, 5], 1500)
    log = world.rows(basis, prior, truth, arm)
    state = start_amounts(log, prior[:, :4].mean(1), OFFERS + 1, centre=10.0, block=BLOCK)
    share, missed = [], []
    for day in range(DAYS):
        basis, prior, truth = world.people(PEOPLE)
        known = Beliefs(truth.astype(np.float32), np.full(truth.shape, 1e-3, np.float32))
        budget = 0.5 * PEOPLE * 5.0
        best, _ = policy(known, np.ones(OFFERS + 1), budget)
        chosen, problem = policy(state.beliefs(basis, prior), state.temperature(), budget)
        assert (chosen.probability[:, :-1] * problem.cost).sum() <= budget * (1 + 2e-4)
        net = truth[:, :-1] - truth[:, -1:] - FEE
        earned, possible = ((p.probability[:, :-1] * net).sum() for p in (chosen, best))
        share.append(earned / possible)
        missed.append((chosen.probability[:, :-1] * (problem.value - net)).sum() / possible)
        drawn = (chosen.probability.cumsum(1) < world.r.random((PEOPLE, 1))).sum(1).clip(max=OFFERS)
        state = state.update(world.rows(basis, prior, truth, drawn), window=day)
    return share, missed, float(state.noise_variance)


def test_choices_between_learnt_amounts_get_better_and_keep_what_they_promise():
    """Over worlds: the last days beat the first and come near the oracle, and plans earn what they promised."""
    runs = [played(seed) for seed in range(8)]
    share = np.array([run[0] for run in runs])
    gain = share[:, -3:].mean(1) - share[:, 0]
    assert gain.mean() > 4 * gain.std(ddof=1) / np.sqrt(len(gain))
    assert share[:, -3:].mean() > 0.97
    missed = np.array([run[1] for run in runs]).mean(1)
    assert abs(missed.mean()) < 4 * missed.std(ddof=1) / np.sqrt(len(missed)) < 0.1
    assert abs(np.mean([run[2] for run in runs]) / NOISE**2 - 1) < 0.03
