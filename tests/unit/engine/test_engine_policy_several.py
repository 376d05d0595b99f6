"""A random policy is about one offer per customer, and says so."""

import numpy as np
import pytest

from allot import LimitError
from bandit import Beliefs
from engine.policy import affordable_policy
from portfolio import Problem


@pytest.mark.parametrize("more", [{"most": 2}, {"groups": np.array([0, 0, 1])}])
def test_a_random_policy_with_several_offers_per_customer_is_refused_in_words(more):
    shape = (4, 3)
    beliefs = Beliefs(np.zeros(shape), np.ones(shape))
    problem = Problem(np.ones(shape), np.ones(shape), np.ones(shape, bool), np.zeros(4, int), **more)
    with pytest.raises(LimitError, match="at most one offer") as refusal:
        affordable_policy(beliefs, np.ones(3), problem)
    assert "temperature 0" in str(refusal.value)
