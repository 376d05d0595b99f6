"""What a confidence sequence refuses, and the bet behind it worked out by hand."""

import numpy as np
import pytest

import offline_eval as oe
from allot import DataError, ShapeError
from offline_eval.sequences import BETS, lower_bounds


def made(n=200):
    r = np.random.default_rng(2)
    return oe.Log(r.integers(0, 2, n).astype(float), r.integers(0, 2, n), np.full(n, 0.5)), np.full((n, 2), 0.5)


def test_the_bound_is_where_the_money_spread_over_the_bets_has_grown_enough():
    x = np.array([0.5, 2.0, 1.0, 0.0, 1.5, 3.0, 0.25, 1.0, 2.0, 1.0] * 5)
    (bound,) = lower_bounds(x, np.array([50]), 0.05)
    money = np.mean([np.prod(1 + b * (x / bound - 1)) for b in BETS])
    assert np.log(money) == pytest.approx(np.log(1 / 0.05), rel=1e-2)
    assert 0 < bound < x.mean()


def test_nothing_earned_bounds_nothing_and_much_earned_bounds_at_one():
    assert lower_bounds(np.zeros(50), np.array([50]), 0.05).tolist() == [0.0]
    assert lower_bounds(np.full(200, 5.0), np.array([200]), 0.05).tolist() == [1.0]


def test_bounds_only_close_in_and_the_last_look_is_at_all_rows():
    log, target = made()
    found = oe.confidence_sequence(log, target)
    assert found.looks[0] == 1
    assert found.looks[-1] == 200
    assert (np.diff(found.low) >= 0).all()
    assert (np.diff(found.high) <= 0).all()
    early = oe.confidence_sequence(log, target, looks=found.looks[:5])
    assert np.array_equal(early.low, found.low[:5])


def test_another_unit_of_the_rewards_gives_the_same_bounds_in_that_unit():
    log, target = made()
    base = oe.confidence_sequence(log, target)
    euros = oe.confidence_sequence(
        oe.Log(40 * log.reward - 10, log.action, log.propensity), target, lowest=-10.0, highest=30.0
    )
    np.testing.assert_allclose(euros.low, 40 * base.low - 10, atol=1e-9)
    np.testing.assert_allclose(euros.high, 40 * base.high - 10, atol=1e-9)


def test_what_breaks_the_promise_is_refused():
    log, target = made()
    with pytest.raises(DataError, match=r"not within 0 to 0\.5"):
        oe.confidence_sequence(log, target, highest=0.5)
    with pytest.raises(ShapeError, match="several rows"):
        oe.confidence_sequence(oe.Log(log.reward, log.action, log.propensity, np.arange(200) // 2), target)
    with pytest.raises(ShapeError, match="level"):
        oe.confidence_sequence(log, target, level=1.0)
    for looks in ([0, 5], [5, 5], [10, 201], []):
        with pytest.raises(ShapeError, match="looks"):
            oe.confidence_sequence(log, target, looks=np.array(looks, int))
