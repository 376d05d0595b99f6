"""Intervals hold the truth as often as they say: by many small logs with a known truth."""

import numpy as np
import pytest

import offline_eval as oe
from offline_eval.intervals import any_look_quantiles, skewed_quantiles
from offline_eval.sequences import lower_bounds

LOOKS = np.array([100, 300, 1_000, 3_000])


def history(n, seed, rate, spread=1.5, rows_each=1):
    """A log over three actions whose weights reach from .4 to about 7; a customer's rows share context and luck."""
    r = np.random.default_rng(seed)
    m = n // rows_each
    x = np.repeat(r.normal(size=m), rows_each)
    logits = np.column_stack([spread * x, np.zeros(n), -x])
    policy = 0.8 * np.exp(logits) / np.exp(logits).sum(1, keepdims=True) + 0.2 / 3
    action = (policy.cumsum(1) < r.random(n)[:, None]).sum(1).clip(0, 2)
    success = np.repeat(r.random(m), rows_each) < rate * (0.5 + 0.5 * action)
    log = oe.Log(success.astype(float), action, policy[np.arange(n), action], np.repeat(np.arange(m), rows_each))
    return log, np.tile([0.2, 0.3, 0.5], (n, 1)), rate * (0.5 + 0.5 * (0.3 + 2 * 0.5))


def covered(how, rate, n=400, logs=400, estimator=oe.ips, rows_each=1):
    hits = 0
    for seed in range(logs):
        log, target, truth = history(n, seed, rate, rows_each=rows_each)
        found = oe.interval(estimator(log, target), how)
        hits += found.low <= truth <= found.high
    return hits / logs


def test_the_bootstrap_has_the_spread_of_the_standard_error_by_customer():
    """1,000 replicates: the spread's own relative error is 1/sqrt(2000) = .022."""
    for seed, rows_each in ((0, 1), (1, 4)):
        log, target, _ = history(20_000, seed, 0.3, rows_each=rows_each)
        for e in (oe.ips(log, target), oe.snips(log, target), oe.difference(oe.snips(log, target), oe.logged(log))):
            drawn = oe.replicates(e, seed=seed)
            assert drawn.std() == pytest.approx(e.std_error, rel=4 * 0.022)
            assert abs(drawn.mean() - e.value) < 4 * e.std_error / np.sqrt(1000)


@pytest.mark.parametrize("estimator", [oe.ips, oe.snips])
def test_the_bootstrap_by_customer_covers(estimator):
    """400 logs of 800 rows of 200 customers; the count's own error is .011 and the percentiles run a little short."""
    assert 0.95 - 4 * 0.011 - 0.01 < covered(oe.Bootstrap(seed=1), 0.3, n=800, estimator=estimator, rows_each=4) < 0.99


def test_few_successes_are_covered_where_the_normal_interval_fails():
    """About six successes per log: the exact interval holds, the normal one is far below its level."""
    few, normal = (covered(how, 0.015) for how in (oe.FewSuccesses(), oe.Normal()))
    assert few > 0.95 - 0.011
    assert normal < 0.95 - 4 * 0.011


def test_the_skewed_interval_mends_what_skewness_costs():
    """About sixteen weighted successes per log."""
    skewed, normal = (covered(how, 0.06) for how in (oe.Skewed(), oe.Normal()))
    assert skewed > 0.95 - 4 * 0.011
    assert skewed > normal


def test_the_skewed_interval_misses_equally_on_both_sides_of_a_gamma_mean():
    """Means of 40 exponentials, 20,000 times: the normal interval misses 4.3 % and 1.1 %, this one near 2.5 % each."""
    x = np.random.default_rng(4).exponential(size=(20_000, 40))
    error = x.std(1, ddof=1) / np.sqrt(40)
    t = (x.mean(1) - 1) / error
    skew = ((x - x.mean(1, keepdims=True)) ** 3).mean(1) / x.var(1) ** 1.5 / np.sqrt(40)
    low, high = np.array([skewed_quantiles(s, 0.95) for s in skew]).T
    above, below = np.mean(t < low), np.mean(t > high)
    assert above < 0.045
    assert below < 0.035
    assert np.mean(t < -1.96) > 0.055


def test_bernstein_never_fails():
    highest = 0.5 / (0.2 / 3)  # the largest chance of the target over the smallest of the log
    assert covered(oe.Bernstein(0.0, highest), 0.3) == 1.0


def test_any_look_holds_at_all_looks_where_the_normal_interval_fails():
    """1,000 streams of 2,000 rows, looked at from row 50 on: the normal interval is left by a third of them."""
    x = np.random.default_rng(7).exponential(size=(1_000, 2_000)) - 1
    count = np.arange(1, 2_001)
    mean = x.cumsum(1) / count
    sd = np.sqrt(np.maximum((x**2).cumsum(1) / count - mean**2, 1e-12))
    t = np.abs(mean) * np.sqrt(count) / sd
    reach = any_look_quantiles(count.astype(float), 500, 0.95)
    left = (t > reach)[:, 50:].any(1).mean()
    assert left < 0.05 + 4 * 0.007
    assert (t > 1.96)[:, 50:].any(1).mean() > 0.25


def test_lower_bounds_hold_at_all_looks_for_skewed_draws_and_close_in_on_the_mean():
    """200 streams whose draws reach 20 times their mean of .3."""
    r = np.random.default_rng(11)
    failed, last = 0, []
    for _ in range(200):
        x = np.where(r.random(3_000) < 0.05, 6.0, 0.0)
        bounds = lower_bounds(x, LOOKS, 0.05)
        failed += bounds.max() > 0.3
        last.append(bounds[-1])
    assert failed / 200 < 0.05 + 4 * 0.0154
    assert 0.2 < np.mean(last) < 0.3


def test_a_confidence_sequence_holds_the_truth_at_every_look_and_narrows():
    failed, widths = 0, []
    for seed in range(100):
        log, target, truth = history(3_000, seed, 0.4)
        found = oe.confidence_sequence(log, target, looks=LOOKS)
        failed += bool((found.low > truth).any() or (found.high < truth).any())
        widths.append(found.high - found.low)
    assert failed / 100 < 0.05 + 4 * 0.0218
    assert (np.diff(np.mean(widths, axis=0)) < 0).all()
    assert np.mean(widths, axis=0)[-1] < 0.16
