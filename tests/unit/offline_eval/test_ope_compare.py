"""The difference of two policies has the interval that its own successes and skewness call for."""

import numpy as np
import pytest
from scipy import stats

import offline_eval as oe
from allot import ShapeError


def made(n=4_000, rate=0.3, seed=1):
    r = np.random.default_rng(seed)
    log = oe.Log((r.random(n) < rate).astype(float), r.integers(0, 2, n), np.full(n, 0.5))
    return log, np.tile([0.8, 0.2], (n, 1)), np.tile([0.3, 0.7], (n, 1))


def test_the_value_is_that_of_the_difference_and_so_is_the_interval_where_successes_abound():
    log, one, other = made()
    first, second = oe.snips(log, one), oe.snips(log, other)
    found, why = oe.compare(first, second, log)
    plain = oe.difference(first, second)
    assert (found.value, found.low, found.high) == (plain.value, plain.low, plain.high)
    assert "normal interval" in why


def test_skewed_differences_get_the_skewed_interval():
    r = np.random.default_rng(2)
    n = 20_000
    action = (r.random(n) < 0.05).astype(int)
    log = oe.Log((r.random(n) < 0.6) * r.pareto(3, n), action, np.where(action == 1, 0.05, 0.95))
    found, why = oe.compare(oe.snips(log, np.tile([0.3, 0.7], (n, 1))), oe.logged(log), log)
    assert found.interval == "skewed"
    assert "skewness" in why


def test_on_few_successes_the_ends_are_those_of_two_counts():
    """All weights of the two policies differ by .6 / .5: 6 successes speak for the first, 3 for the second."""
    n = 400
    reward, action = np.zeros(n), np.arange(n) % 2
    reward[:12:2] = 1
    reward[1:7:2] = 1
    log = oe.Log(reward, action, np.full(n, 0.5))
    one, other = np.tile([0.8, 0.2], (n, 1)), np.tile([0.2, 0.8], (n, 1))
    found, why = oe.compare(oe.ips(log, one), oe.ips(log, other), log)
    unit = 1.2 / n
    (low6, high6), (low3, high3) = (
        (stats.gamma.ppf(0.025, y), stats.gamma.ppf(0.975, y + 1)) for y in (6, 3)
    )  # the exact ends of Poisson counts
    assert found.value == pytest.approx(3 * unit)
    assert found.low == pytest.approx(3 * unit - unit * np.hypot(6 - low6, high3 - 3))
    assert found.high == pytest.approx(3 * unit + unit * np.hypot(high6 - 6, 3 - low3))
    assert "9.0 weighted" in why


def test_turning_the_comparison_turns_the_interval():
    log, one, other = made(n=300)
    q_hat = np.full((300, 2), 0.3)
    for estimate in (lambda t: oe.snips(log, t), lambda t: oe.dr(log, t, q_hat)):
        there, _ = oe.compare(estimate(one), estimate(other), log)
        back, _ = oe.compare(estimate(other), estimate(one), log)
        assert there.interval == "few_successes"
        assert (there.value, there.low, there.high) == pytest.approx((-back.value, -back.high, -back.low))


def test_a_policy_does_not_differ_from_itself():
    log, one, _ = made(n=300)
    found, _ = oe.compare(oe.snips(log, one), oe.snips(log, one), log)
    assert (found.value, found.low, found.high) == (0, 0, 0)


def test_what_has_no_value_or_is_a_difference_is_not_compared():
    log, one, other = made()
    nowhere = np.tile([0.0, 0.0, 1.0], (4_000, 1))
    wide = np.column_stack([one, np.zeros(4_000)])
    found, why = oe.compare(oe.snips(log, nowhere), oe.snips(log, wide), log)
    assert (found.low, found.high) == (-np.inf, np.inf)
    assert why == "one of the two has no value."
    gap = oe.difference(oe.snips(log, one), oe.snips(log, other))
    with pytest.raises(ShapeError, match="difference"):
        oe.compare(gap, oe.logged(log), log)
