"""Segments: each is the estimator on its rows, and many of them find no more than one would."""

import numpy as np
import pytest

import offline_eval as oe
from allot import ShapeError


def made(n=3000, seed=0, gap=0.0):
    """Two policies on a uniform log of two offers; in segment 2 the first offer earns `gap` more."""
    r = np.random.default_rng(seed)
    segment = r.integers(0, 6, n)
    action = r.integers(0, 2, n)
    reward = r.normal(size=n) + gap * ((segment == 2) & (action == 0))
    log = oe.Log(reward, action, np.full(n, 0.5))
    return log, np.tile([0.9, 0.1], (n, 1)), np.tile([0.1, 0.9], (n, 1)), segment


def test_a_slice_is_the_difference_on_its_rows_with_an_interval_for_all_of_them():
    log, first, second, segment = made()
    one, two = oe.ips(log, first), oe.ips(log, second)
    found = oe.slices(one, segment, log, two)
    assert [s.segment for s in found] == list(range(6))
    rows = segment == 3
    alone = oe.difference(oe.part(one, rows), oe.part(two, rows))
    assert found[3].estimate.value == alone.value
    assert found[3].rows == rows.sum()
    assert found[3].estimate.level == pytest.approx(1 - 0.05 / 6)
    assert found[3].estimate.high - found[3].estimate.low > alone.high - alone.low
    assert oe.slices(one, segment, log)[3].estimate.value == oe.part(one, rows).value


def test_a_segment_that_differs_is_found():
    log, first, second, segment = made(gap=1.0)
    found = oe.slices(oe.ips(log, first), segment, log, oe.ips(log, second))
    assert found[2].adjusted < 0.001
    assert all(s.adjusted >= s.chance for s in found)


def test_of_many_logs_without_any_difference_one_in_twenty_has_a_finding():
    """300 logs of six segments: uncorrected, a quarter of them would have one."""
    corrected = uncorrected = together = 0
    for seed in range(300):
        log, first, second, segment = made(n=1200, seed=seed)
        found = oe.slices(oe.ips(log, first), segment, log, oe.ips(log, second))
        corrected += min(s.adjusted for s in found) < 0.05
        uncorrected += min(s.chance for s in found) < 0.05
        together += all(s.estimate.low <= 0 <= s.estimate.high for s in found)
    assert corrected / 300 < 0.05 + 4 * 0.0126
    assert uncorrected / 300 > 0.15
    assert together / 300 > 0.95 - 4 * 0.0126


def test_segments_of_few_successes_find_no_more_than_one_log_in_twenty():
    """60 logs of 20 segments of a dozen successes, every offer alike: normal intervals find something in 14 of them."""
    found = 0
    for seed in range(60):
        r = np.random.default_rng(seed)
        n = 12_000
        action, segment = r.choice(3, n, p=(0.6, 0.3, 0.1)), r.integers(0, 20, n)
        log = oe.Log((r.random(n) < 0.02).astype(float), action, np.array([0.6, 0.3, 0.1])[action])
        one = oe.snips(log, np.tile([0.2, 0.4, 0.4], (n, 1)))
        lines = oe.slices(one, segment, log, oe.logged(log))
        left_out = [s.estimate.low > 0 or s.estimate.high < 0 for s in lines]
        assert left_out == [s.chance < 0.05 / 20 for s in lines]
        found += any(left_out)
    assert found / 60 <= 0.05 + 2 * 0.0281


def test_holm_is_the_textbook_example():
    assert oe.holm(np.array([0.01, 0.04, 0.03, 0.005])) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert oe.holm(np.array([0.5, 0.9])).tolist() == [1.0, 1.0]
    with pytest.raises(ShapeError):
        oe.holm(np.array([0.5, np.nan]))
