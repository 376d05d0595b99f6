"""Lift, the split's check and the sizes of an experiment, against closed forms."""

import numpy as np
import pytest
from scipy import stats

import offline_eval as oe
from allot import DataError, ShapeError
from offline_eval.experiments import PRIOR_CUSTOMERS


def trial(n=2000, seed=0, effect=0.5, noise=1.0):
    r = np.random.default_rng(seed)
    before = r.normal(size=(n, 2))
    treated = r.random(n) < 0.4
    outcome = before @ [1.5, -1.0] + treated * (effect + 0.5 * before[:, 0]) + noise * r.normal(size=n)
    return outcome, treated, before


def test_plain_lift_is_welchs_difference_of_means():
    y, t, _ = trial()
    found = oe.lift(y, t)
    assert found.plain is found.adjusted
    assert found.plain.value == pytest.approx(y[t].mean() - y[~t].mean(), rel=1e-12)
    error = np.sqrt(y[t].var(ddof=1) / t.sum() + y[~t].var(ddof=1) / (~t).sum())
    assert found.plain.std_error == pytest.approx(error, rel=1e-3)
    assert (found.treated, found.holdout) == (t.sum(), (~t).sum())


def test_adjusted_lift_is_the_treatment_coefficient_of_a_regression_with_interactions():
    y, t, x = trial()
    found = oe.lift(y, t, x)
    centred = x - x.mean(0)
    design = np.column_stack([np.ones(len(y)), t, centred, centred * t[:, None]])
    assert found.adjusted.value == pytest.approx(np.linalg.lstsq(design, y, rcond=None)[0][1], rel=1e-10)
    assert found.variance_removed > 0.5
    assert found.adjusted.std_error < 0.7 * found.plain.std_error


def test_a_covariate_without_spread_or_in_another_unit_changes_nothing():
    y, t, x = trial()
    base = oe.lift(y, t, x).adjusted
    for other in (np.column_stack([x, np.full(len(y), 7.0)]), x * [1000.0, 0.01] + 5):
        found = oe.lift(y, t, other).adjusted
        assert (found.value, found.std_error) == pytest.approx((base.value, base.std_error), rel=1e-9)


def test_copies_of_a_customers_rows_do_not_narrow_a_lift():
    y, t, x = trial(n=400)
    base = oe.lift(y, t, x, cluster=np.arange(400)).adjusted
    twice = oe.lift(np.tile(y, 2), np.tile(t, 2), np.tile(x, (2, 1)), cluster=np.tile(np.arange(400), 2)).adjusted
    assert twice.value == pytest.approx(base.value, rel=1e-10)
    assert twice.std_error == pytest.approx(base.std_error, rel=0.01)


def test_a_lift_takes_any_interval_that_needs_no_terms():
    y, t, x = trial()
    found = oe.lift(y, t, x).adjusted
    always = oe.interval(found, oe.AnyLook(planned=2000))
    assert always.high - always.low > found.high - found.low
    drawn = oe.interval(found, oe.Bootstrap(seed=1))
    assert drawn.high - drawn.low == pytest.approx(found.high - found.low, rel=0.15)


def test_a_lift_refuses_what_it_cannot_use():
    y, t, x = trial(n=50)
    with pytest.raises(DataError, match="too few"):
        oe.lift(y, np.arange(50) < 2, x)
    with pytest.raises(DataError, match="too few"):
        oe.lift(y, np.zeros(50, bool))
    with pytest.raises(DataError, match="finite"):
        oe.lift(np.where(np.arange(50) == 3, np.nan, y), t, x)
    with pytest.raises(ShapeError, match="bool"):
        oe.lift(y, t.astype(int))


def test_the_split_check_is_the_ratio_of_a_mixture_to_the_plan():
    """Two groups planned 1:1: the beta-binomial over the binomial."""
    counts = np.array([61, 39])
    (found,) = oe.sample_ratio(counts, np.array([0.5, 0.5]))
    a = PRIOR_CUSTOMERS / 2
    log_mixture = stats.betabinom.logpmf(61, 100, a, a)
    log_plan = stats.binom.logpmf(61, 100, 0.5)
    assert found == pytest.approx(min(1.0, np.exp(log_plan - log_mixture)), rel=1e-9)


def test_the_split_check_only_falls_and_finds_a_leak():
    even = np.cumsum(np.full((20, 2), 500), axis=0)
    leaky = np.cumsum(np.tile([500, 470], (20, 1)), axis=0)
    plan = np.array([0.5, 0.5])
    assert (oe.sample_ratio(even, plan) == 1.0).all()
    found = oe.sample_ratio(leaky, plan)
    assert (np.diff(found) <= 0).all()
    assert found[-1] < 0.01


@pytest.mark.parametrize(
    ("counts", "shares"),
    [
        ([[5, 5], [4, 6]], [0.5, 0.5]),
        ([5, 5, 5], [0.5, 0.5]),
        ([5, 5], [0.5, 0.6]),
        ([5, 5], [1.0, 0.0]),
        ([5.0, 5.0], [0.5, 0.5]),
    ],
)
def test_the_split_check_refuses_what_is_no_count_or_no_split(counts, shares):
    with pytest.raises(ShapeError):
        oe.sample_ratio(np.array(counts), np.array(shares))


def test_sizes_and_detectable_lifts_invert_each_other():
    """Textbook: 16 sd^2 / effect^2 per group for 80 % power, more exactly 15.7."""
    assert oe.customers_needed(0.1, 1.0) == pytest.approx(2 * 15.7 / 0.01, rel=0.001)
    n = oe.customers_needed(0.05, 0.4, share_treated=0.9, explained=0.3, power=0.9)
    assert oe.detectable(0.9 * n, 0.1 * n, 0.4, explained=0.3, power=0.9) == pytest.approx(0.05, rel=1e-3)
    assert oe.detectable(500, 500, 1.0, explained=0.75) == pytest.approx(oe.detectable(500, 500, 1.0) / 2)
    for wrong in ({"power": 1.0}, {"explained": 1.0}, {"level": 0.0}):
        with pytest.raises(ShapeError):
            oe.detectable(10, 10, 1.0, **wrong)
    with pytest.raises(ShapeError):
        oe.customers_needed(0.0, 1.0)
