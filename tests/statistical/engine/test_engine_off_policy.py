"""What another campaign would have earned, estimated from plans that kept every limit, is right on average."""

from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import pytest
from engine_calibration import DRAWS, Choices, Floats, N, Table, campaign, limits, played
from engine_mutants import at_charges, at_no_prices, at_prices_of_one_draw, with_less_uncertainty
from engine_statistics import FOUR, deviation, normalised

from engine.policy import Setting, policy_of
from offline_eval import Log, dr, ips
from portfolio import Problem, initial_headroom

LARGEST_BIAS = 1e-3  # of the true value


@cache
def reward(n: int) -> Floats:
    """(n, k + 1) true expected reward: a world drawn once from the beliefs."""
    s = campaign(n).worth.scores
    r = np.random.default_rng(3)
    chance = 1.0 / (1.0 + np.exp(-(s.mean + s.sd * r.normal(size=s.mean.shape))))
    return np.column_stack([chance * s.value, np.full(len(chance), 0.8)])


def with_half_the_money(n: int) -> Floats:
    """And a tenth of exploration."""
    case = campaign(n)
    p = case.problem
    half = Problem(p.value, p.cost, p.eligible, p.cell, limits(n, money=0.5))
    return policy_of(case.worth.scores, half, Setting(0.1, initial_headroom(case.rows, half))).probability


def at_lower_prices(n: int) -> Floats:
    """A tenth off every price."""
    return at_charges(campaign(n), 0.9 * campaign(n).policy.charges)


def with_more_uncertainty(n: int) -> Floats:
    """A fifth more temperature at the same prices."""
    case = campaign(n)
    s = case.worth.scores
    return at_charges(case, case.policy.charges, replace(s, sd=np.float32(1.2) * s.sd))


def between(n: int) -> Floats:
    """Half what was played, half with half the money."""
    return 0.5 * normalised(campaign(n).policy.probability) + 0.5 * normalised(target(with_half_the_money, n))


@cache
def target(policy, n: int) -> Floats:
    return normalised(policy(n))


TARGETS = (with_half_the_money, at_lower_prices, with_more_uncertainty, between)


@dataclass(frozen=True)
class Bias:
    """Of an estimate, relative to the truth, with its standard error and in standard errors."""

    mean: float
    error: float
    z: float


def bias(table: Table, choices: Choices, policy, *, modelled: bool = False) -> Bias:
    """Of IPS, or of DR with a model that is wrong, with the propensities of a table."""
    n = len(table)
    p, row, worth, wanted = normalised(table), np.arange(n), reward(n), target(policy, n)
    wrong = np.broadcast_to(2.0 * worth.mean(0), worth.shape)  # all customers alike, and twice too good
    logs = (Log(worth[row, c], c, p[row, c]) for c in choices)
    found = np.array([(dr(log, wanted, wrong) if modelled else ips(log, wanted)).value for log in logs])
    ratio = found / (wanted * worth).sum(1).mean()
    return Bias(ratio.mean() - 1.0, ratio.std(ddof=1) / np.sqrt(len(ratio)), float(deviation(ratio, 1.0)))


@pytest.mark.parametrize("policy", TARGETS, ids=lambda policy: policy.__name__)
@pytest.mark.parametrize("modelled", [False, True])
@pytest.mark.parametrize(("n", "error"), [(200, 5e-3), (N, 2e-3)])
def test_the_value_of_another_policy_is_unbiased(n, error, policy, modelled):
    """By importance weights alone, and with a reward model that is wrong."""
    seen = bias(campaign(n).policy.probability, played(n, DRAWS), policy, modelled=modelled)
    assert seen.error < error  # or being unbiased would say nothing
    assert abs(seen.z) < FOUR


@pytest.mark.soak
@pytest.mark.parametrize("policy", TARGETS, ids=lambda policy: policy.__name__)
@pytest.mark.parametrize(("n", "draws", "error"), [(200, 32_000, 4e-4), (N, 3_000, 2.5e-4), (20_000, 400, 2.5e-4)])
def test_its_bias_is_under_a_thousandth(n, draws, error, policy, record_property):
    """As far as the draws can know it; `error` is how well, a part of the true value as the bias is."""
    seen = bias(campaign(n).policy.probability, played(n, draws), policy)
    record_property(
        "off-policy value",
        f"{draws:,} plans of {n:,} customers, another policy {policy.__name__.replace('_', ' ')}: "
        f"bias {seen.mean:+.3%}, standard error {seen.error:.3%}",
    )
    assert seen.error < error
    assert abs(seen.z) < FOUR
    assert abs(seen.mean) < LARGEST_BIAS


@pytest.mark.parametrize("policy", TARGETS, ids=lambda policy: policy.__name__)
def test_the_other_policy_stays_within_what_was_played(case, policy):
    """Where nothing was played nothing can be learnt, and no weight would say so."""
    wanted = target(policy, N)
    assert wanted[normalised(case.policy.probability) == 0.0].sum() == 0.0


@pytest.mark.parametrize(("policy", "least", "most"), [(with_half_the_money, 0.0, 0.8), (at_lower_prices, 1.1, np.inf)])
def test_it_is_another_policy_indeed(case, policy, least, most):
    logged = (normalised(case.policy.probability) * reward(N)).sum()
    assert least < (target(policy, N) * reward(N)).sum() / logged < most


@pytest.mark.parametrize("lie", [at_prices_of_one_draw, with_less_uncertainty, at_no_prices])
def test_it_is_biased_by_propensities_that_were_not_played(case, choices, lie):
    seen = bias(lie(case), choices, with_half_the_money)
    assert abs(seen.z) > FOUR
    assert abs(seen.mean) > LARGEST_BIAS
    assert len(choices) == DRAWS
