"""Outcomes of one offer that are still to come are suspected from the ages of the rows alone."""

import numpy as np
import pytest

import offline_eval as oe
from allot import ShapeError

K = 5


def made(seed, *, n=40_000, late=None, rate=0.06):
    """Rows up to 120 days old, a season for all offers; outcomes of `late` take 20 days on average."""
    r = np.random.default_rng(seed)
    age, action = r.integers(0, 120, n).astype(float), r.integers(0, K, n)
    won = r.random(n) < rate * (1 + action / K) * (1 + age / 240)
    if late is not None:
        won &= (action != late) | (r.exponential(20, n) < age)
    return action, won, age


def test_an_offer_whose_outcomes_are_late_is_named_with_its_figures():
    action, won, age = made(1, late=2)
    (found,) = oe.suspected_late(action, won, age, actions=K)
    assert found.action == 2
    young = (age <= found.age) & (action == 2)
    assert found.found == won[young].sum()
    assert found.found < 0.8 * found.expected
    assert found.z < -3


def test_logs_without_late_outcomes_are_hardly_ever_suspected():
    """300 logs with a season that moves all offers: at most one in a hundred by the threshold, here within 4 s.e."""
    suspected = sum(bool(oe.suspected_late(*made(seed, n=6_000), actions=K)) for seed in range(300))
    assert suspected <= 300 * (0.01 + 4 * np.sqrt(0.01 / 300))


def test_outcomes_that_are_late_for_all_alike_are_no_suspicion():
    action, won, age = made(3)
    heard = won & (np.random.default_rng(4).exponential(20, len(age)) < age)
    assert oe.suspected_late(action, heard, age, actions=K) == ()


def test_ages_that_do_not_differ_and_rows_without_successes_say_nothing():
    action, won, age = made(5, n=3_000, late=2)
    assert oe.suspected_late(action, won, np.zeros_like(age), actions=K) == ()
    assert oe.suspected_late(action, np.zeros_like(won), age, actions=K) == ()
    with pytest.raises(ShapeError):
        oe.suspected_late(action, won, age[:-1], actions=K)
