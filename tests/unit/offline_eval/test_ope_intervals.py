"""Each way to make an interval, against values worked out elsewhere, and where it refuses."""

import numpy as np
import pytest
from scipy import stats

import offline_eval as oe
from allot import ShapeError
from offline_eval.intervals import any_look_quantiles, fewest_expected, skewed_quantiles, skewness


def few(successes, n=1000, p=0.5):
    """A uniform log of n rows with some successes, judged by its own policy: all weights are 1."""
    reward = np.zeros(n)
    reward[:successes] = 1.0
    return oe.Log(reward, np.zeros(n, int), np.full(n, p)), np.tile([p, 1 - p], (n, 1))


def made(n=400, seed=1):
    r = np.random.default_rng(seed)
    log = oe.Log((r.random(n) < 0.2).astype(float), r.integers(0, 2, n), np.full(n, 0.5), r.integers(0, n // 2, n))
    return log, np.tile([0.8, 0.2], (n, 1)), np.full((n, 2), 0.2)


EVERY = [oe.Normal(), oe.Skewed(), oe.Bootstrap(seed=3), oe.FewSuccesses(), oe.AnyLook(planned=200)]


@pytest.mark.parametrize("how", [*EVERY, oe.Bernstein(0.0, 1.6)], ids=lambda h: type(h).__name__)
def test_an_interval_surrounds_the_value_says_its_name_and_widens_with_its_level(how):
    log, target, _ = made()
    narrow, wide = (oe.interval(oe.ips(log, target), how, level) for level in (0.8, 0.99))
    assert narrow.low < narrow.value < narrow.high
    assert wide.low < narrow.low
    assert wide.high > narrow.high
    assert (narrow.level, wide.level) == (0.8, 0.99)
    assert narrow.value == oe.ips(log, target).value
    name = {"FewSuccesses": "few_successes", "AnyLook": "any_look"}.get(type(how).__name__, type(how).__name__.lower())
    assert narrow.interval == name
    with pytest.raises(ShapeError, match="level"):
        oe.interval(narrow, how, 1.0)


@pytest.mark.parametrize("how", EVERY, ids=lambda h: type(h).__name__)
def test_one_customer_tells_nothing(how):
    log, target, _ = made()
    alone = oe.Log(log.reward, log.action, log.propensity, np.zeros(len(log.reward), int))
    found = oe.interval(oe.ips(alone, target), how)
    assert (found.low, found.high) == (-np.inf, np.inf)


@pytest.mark.parametrize("successes", [0, 1, 4, 30])
@pytest.mark.parametrize("level", [0.9, 0.95])
def test_with_equal_weights_the_interval_of_few_successes_is_the_exact_one_of_poisson(successes, level):
    log, target = few(successes)
    found = oe.interval(oe.ips(log, target), oe.FewSuccesses(), level)
    tail = (1 - level) / 2
    low = stats.chi2.ppf(tail, 2 * successes) / 2 / 1000 if successes else 0.0
    assert found.low == pytest.approx(low, rel=1e-9, abs=1e-15)
    assert found.high == pytest.approx(stats.chi2.ppf(1 - tail, 2 * successes + 2) / 2 / 1000, rel=1e-9)


@pytest.mark.parametrize("found", [51, 57, 70, 100])
def test_after_a_floor_the_lower_end_asks_only_logs_that_pass_it(found):
    """Of Poisson counts of at least 50 whose mean is the lower end, a share of .025 is as large as what was found."""
    low = float(fewest_expected(np.array(float(found)), 50.0, 0.025))
    plain = stats.gamma.ppf(0.025, found)
    assert 0 <= low < plain
    if low > 0:
        share = stats.poisson.sf(found - 1, low) / stats.poisson.sf(49, low)
        assert share == pytest.approx(0.025, rel=1e-6)
    log, target = few(found)
    given = oe.interval(oe.snips(log, target), oe.FewSuccesses(enough=50 / found))
    assert given.low == pytest.approx(low / 1000, rel=1e-9)
    assert given.high == oe.interval(oe.snips(log, target), oe.FewSuccesses()).high


def test_the_price_of_a_floor_falls_from_everything_at_the_floor_to_nothing_at_twice_the_floor():
    found = np.array([50.0, 52.0, 60.0, 75.0, 100.0])
    lost = 1 - fewest_expected(found, 50.0, 0.025) / fewest_expected(found, 0.0, 0.025)
    assert lost[0] == 1
    assert (np.diff(lost) < 0).all()
    assert lost[-1] < 0.001


def test_the_interval_of_few_successes_is_for_rewards_without_a_model():
    log, target, q = made()
    with pytest.raises(ShapeError, match="without a model"):
        oe.interval(oe.dr(log, target, q), oe.FewSuccesses())
    with pytest.raises(ShapeError, match="at least 0"):
        oe.interval(oe.ips(oe.Log(-log.reward, log.action, log.propensity), target), oe.FewSuccesses())
    with pytest.raises(ShapeError):
        oe.interval(oe.difference(oe.ips(log, target), oe.logged(log)), oe.FewSuccesses())


def test_a_larger_possible_reward_reaches_further_up_only():
    log, target = few(3)
    one, ten = (oe.interval(oe.ips(log, target), oe.FewSuccesses(largest)) for largest in (1.0, 10.0))
    assert ten.low == one.low
    assert ten.high > one.high


def test_one_row_far_from_all_others_does_not_set_the_interval_of_few_successes():
    log, target = few(3)
    p = log.propensity.copy()
    p[-1] /= 50
    far = oe.interval(oe.ips(oe.Log(log.reward, log.action, p), target), oe.FewSuccesses())
    near = oe.interval(oe.ips(log, target), oe.FewSuccesses())
    next_one = (999 + 50**3) / (999 + 50**2)
    up, spread = 3 + next_one, 3 + next_one**2
    assert far.high == pytest.approx(spread / (2 * up) * stats.chi2.ppf(0.975, 2 * up**2 / spread) / 1000, rel=1e-9)
    assert far.low == near.low


def test_bernstein_is_the_formula_of_maurer_and_pontil_on_independent_rows():
    log, target, _ = made()
    rows = oe.Log(log.reward, log.action, log.propensity)
    e = oe.ips(rows, target)
    found = oe.interval(e, oe.Bernstein(0.0, 1.6), 0.9)
    n, log_term = 400, np.log(2 / 0.05)
    half = np.sqrt(2 * e.contributions.var(ddof=1) * log_term / n) + 7 * 1.6 * log_term / (3 * (n - 1))
    assert found.high - e.value == pytest.approx(half, rel=1e-12)
    assert e.value - found.low == pytest.approx(half, rel=1e-12)


def test_bernstein_refuses_bounds_that_do_not_hold_and_self_normalised_estimators():
    log, target, _ = made()
    with pytest.raises(ShapeError, match=r"0 to 1\.6, not 0 to 1\."):
        oe.interval(oe.ips(log, target), oe.Bernstein(0.0, 1.0))
    with pytest.raises(ShapeError, match="self-normalised"):
        oe.interval(oe.snips(log, target), oe.Bernstein(0.0, 2.0))


@pytest.mark.parametrize("skew", [-0.8, -0.1, 1e-12, 0.05, 0.3, 2.0])
def test_quantiles_for_a_skewed_value_invert_halls_cubic(skew):
    for level in (0.5, 0.95):
        z = stats.norm.ppf(0.5 + level / 2)
        for t, y in zip(skewed_quantiles(skew, level), (-z, z), strict=True):
            assert t + skew * t**2 / 3 + skew**2 * t**3 / 27 + skew / 6 == pytest.approx(y, abs=1e-9)


def test_rewards_skewed_to_the_right_move_the_interval_up():
    log, target = few(8)
    plain, moved = (oe.interval(oe.ips(log, target), how) for how in (oe.Normal(), oe.Skewed()))
    assert skewness(plain) == pytest.approx(stats.skew(plain.contributions) / np.sqrt(1000), rel=1e-9)
    assert moved.low > plain.low
    assert moved.high > plain.high
    mirrored = oe.interval(oe.ips(oe.Log(-log.reward, log.action, log.propensity), target), oe.Skewed())
    assert (mirrored.low, mirrored.high) == pytest.approx((-moved.high, -moved.low), rel=1e-9)


def test_any_look_is_wider_than_one_look_and_narrowest_near_the_plan():
    widths = any_look_quantiles(np.array([10, 1_000, 10_000, 1_000_000]), 10_000, 0.95)
    assert (widths > 1.96).all()
    best = [any_look_quantiles(np.array([10_000]), planned, 0.95)[0] for planned in (1_000, 10_000, 100_000)]
    assert best[1] < min(best[0], best[2])
    with pytest.raises(ShapeError):
        oe.interval(oe.logged(made()[0]), oe.AnyLook(planned=0))


def test_the_same_seed_draws_the_same_customers_whatever_the_order_of_rows():
    log, target, q = made()
    e = oe.dr(log, target, q)
    values = oe.replicates(e, seed=5, count=50)
    order = np.random.default_rng(0).permutation(len(log.reward))
    mixed = oe.Log(log.reward[order], log.action[order], log.propensity[order], log.cluster[order])
    again = oe.replicates(oe.dr(mixed, target[order], q[order]), seed=5, count=50)
    np.testing.assert_allclose(again, values, rtol=1e-12)
    assert np.array_equal(values, oe.replicates(e, seed=5, count=50))
    assert np.array_equal(values[:17], oe.replicates(e, seed=5, count=17))
    assert not np.array_equal(values, oe.replicates(e, seed=6, count=50))
    with pytest.raises(ShapeError):
        oe.replicates(e, seed=5, count=0)


def test_a_replicate_is_the_estimator_on_customers_drawn_again():
    """All rewards equal: every replicate of a self-normalised estimator has that value, and no spread is made up."""
    log, target, _ = made()
    flat = oe.Log(np.full(len(log.reward), 3.0), log.action, log.propensity, log.cluster)
    assert oe.replicates(oe.snips(flat, target), seed=1, count=40) == pytest.approx(np.full(40, 3.0), rel=1e-12)
    assert oe.replicates(oe.ips(flat, target), seed=1, count=40).std() > 0.01
