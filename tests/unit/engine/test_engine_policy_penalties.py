"""Penalties far above any value: the random policy weighs them and keeps hard limits all the same."""

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.instances import make_beliefs
from engine.policy import affordable_policy
from portfolio import Limit, expected_use


@pytest.mark.parametrize("penalty", [20.0, 2e4, 2e8])
def test_a_budget_holds_against_a_wish_whatever_its_penalty(penalty):
    given = make_beliefs(600, 4, 0, seed=1)
    wish = Limit("everybody", "count", minimum=500, penalty=penalty)
    problem = replace(given.problem, limits=(Limit("budget", "cost", maximum=120.0), wish))
    policy = affordable_policy(given.beliefs, given.margin, problem)
    use = expected_use(problem, policy.probability)
    assert use[1].sum() <= 120.0 * (1 + 1e-4)  # as close as limits of expectations are kept
    assert 0 < use[0].sum() < 500
    assert policy.prices["everybody"] == pytest.approx(-penalty, rel=1e-6)
    assert policy.prices["budget"] > 0
    assert np.isfinite(policy.bound)
