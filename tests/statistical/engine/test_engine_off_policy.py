"""What another campaign would have earned, estimated from plans that kept every limit, is right on average."""

import numpy as np
import pytest
from engine_calibration import DRAWS, FOUR, deviation, limits, normalised, policy_of
from engine_mutants import at_no_prices, at_prices_of_one_draw, with_less_uncertainty

from engine.policy import Setting
from offline_eval import Log, dr, ips
from portfolio import Problem, initial_headroom


@pytest.fixture(scope="module")
def reward(case):
    """(n, k + 1) true expected reward: a world drawn once from the beliefs."""
    s = case.worth.scores
    r = np.random.default_rng(3)
    chance = 1.0 / (1.0 + np.exp(-(s.mean + s.sd * r.normal(size=s.mean.shape))))
    return np.column_stack([chance * s.value, np.full(len(chance), 0.8)])


@pytest.fixture(scope="module")
def target(case):
    """The policy with half the money and a tenth of exploration."""
    p = case.problem
    half = Problem(p.value, p.cost, p.eligible, p.cell, limits(scale=0.5))
    return normalised(policy_of(case.worth, half, Setting(0.1, initial_headroom(case.rows, half))).probability)


def estimates(table, choices, reward, target, *, model=None):
    """(draws,) IPS, or DR with a model, from each plan's log with the propensities of a table."""
    p, row = normalised(table), np.arange(len(table))
    logs = (Log(reward[row, c], c, p[row, c]) for c in choices)
    return np.array([(ips(log, target) if model is None else dr(log, target, model)).value for log in logs])


@pytest.mark.parametrize("wrong", [None, 2.0])
def test_the_value_of_another_policy_is_unbiased(case, choices, reward, target, wrong):
    """By importance weights alone, and with a reward model that is wrong by a factor of two."""
    truth = (target * reward).sum(1).mean()
    model = None if wrong is None else wrong * reward
    found = estimates(case.policy.probability, choices, reward, target, model=model)
    assert found.std(ddof=1) / np.sqrt(DRAWS) < 0.01 * truth  # or being unbiased would say nothing
    assert abs(deviation(found, truth)) < FOUR


def test_it_is_another_policy_indeed(case, reward, target):
    logged = (normalised(case.policy.probability) * reward).sum(1).mean()
    assert (target * reward).sum(1).mean() < 0.8 * logged


@pytest.mark.parametrize("lie", [at_prices_of_one_draw, with_less_uncertainty, at_no_prices])
def test_it_is_biased_by_propensities_that_were_not_played(case, choices, reward, target, lie):
    truth = (target * reward).sum(1).mean()
    assert abs(deviation(estimates(lie(case), choices, reward, target), truth)) > FOUR
