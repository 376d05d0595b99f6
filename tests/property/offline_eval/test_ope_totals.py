"""Blocks of a log add up to the log."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import offline_eval as oe
from allot import ShapeError
from offline_eval.intervals import skewness

EVERY = {
    "ips": lambda log, t, q: oe.ips(log, t),
    "snips": lambda log, t, q: oe.snips(log, t),
    "dm": oe.dm,
    "dr": oe.dr,
    "sndr": oe.sndr,
    "dr_os": lambda log, t, q: oe.dr_os(log, t, q, 2.0),
}


@pytest.mark.parametrize("name", EVERY)
@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), blocks=st.integers(1, 4), named=st.booleans())
def test_blocks_add_up_to_the_log_whatever_their_cut(name, seed, blocks, named):
    r = np.random.default_rng(seed)
    n, k = int(r.integers(8, 80)), 3
    cluster = r.integers(0, n // 2, n) if named else np.arange(n)
    action = r.integers(0, k, n)
    reward, target, q = r.normal(size=n) + 5, r.dirichlet(np.ones(k), n), r.normal(size=(n, k)) + 5

    def on(rows):
        log = oe.Log(reward[rows], action[rows], np.full(len(rows), 1 / k), cluster[rows] if named else None)
        return EVERY[name](log, target[rows], q[rows])

    whole = on(np.arange(n))
    parts = [np.flatnonzero(cluster % blocks == b) for b in range(blocks)]
    sums = [oe.totals(on(rows)) for rows in parts if len(rows)]
    found = oe.combined(sums, level=0.9)
    expected = whole.at(0.9)
    for field in ("value", "std_error", "low", "high", "ess", "largest_weight"):
        assert getattr(found, field) == pytest.approx(getattr(expected, field), rel=1e-8), field
    assert found.skewness == pytest.approx(skewness(whole), rel=1e-5, abs=1e-7)
    assert found.rows == n
    bent, given_ = oe.combined(sums, skewed=True), oe.interval(whole, oe.Skewed(), 0.95)
    assert (bent.low, bent.high) == pytest.approx((given_.low, given_.high), rel=1e-6)


def test_nothing_and_two_estimators_do_not_add_up():
    log = oe.Log(np.ones(4), np.zeros(4, int), np.full(4, 0.5))
    target = np.tile([0.5, 0.5], (4, 1))
    with pytest.raises(ShapeError):
        oe.combined([])
    with pytest.raises(ShapeError, match="ips and snips"):
        oe.combined([oe.totals(oe.ips(log, target)), oe.totals(oe.snips(log, target))])
    with pytest.raises(ShapeError, match="difference"):
        oe.totals(oe.difference(oe.ips(log, target), oe.logged(log)))


def test_a_target_that_never_meets_the_log_has_no_value_and_one_customer_no_interval():
    log = oe.Log(np.ones(4), np.zeros(4, int), np.full(4, 0.5))
    found = oe.combined([oe.totals(oe.snips(log, np.tile([0.0, 1.0], (4, 1))))])
    assert np.isnan(found.value)
    assert (found.low, found.high, found.ess) == (-np.inf, np.inf, 0.0)
    alone = oe.combined([oe.totals(oe.ips(oe.Log(np.ones(1), np.zeros(1, int), np.ones(1)), np.ones((1, 1))))])
    assert (alone.value, alone.low, alone.high) == (1.0, -np.inf, np.inf)
