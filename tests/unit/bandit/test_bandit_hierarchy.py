"""The hierarchy: what arms have in common is found again, and nobody echoes it back."""

import numpy as np

from bandit.basis import INTERCEPT, NUMERICS, SLOPE
from bandit.hierarchy import Anchor, Group, Sites, em_step, fit_group, initial, moments, site
from bandit.laplace import Batch, mode

BLOCK = np.array([INTERCEPT, NUMERICS, NUMERICS, SLOPE])


def batch_of(r: np.random.Generator, weight: np.ndarray, rows: int) -> Batch:
    basis = np.column_stack([np.ones(rows), r.normal(size=(rows, 2))]).astype(np.float32)
    slope = r.normal(size=rows)
    offset = slope - 0.5
    z = offset + basis @ weight[:3] + slope * weight[3]
    return Batch(basis, slope, offset, (r.random(rows) < 1 / (1 + np.exp(-z))).astype(float), np.ones(rows))


def test_initial_scales():
    warm, cold = initial(BLOCK, cold=False), initial(BLOCK, cold=True)
    np.testing.assert_allclose(np.sqrt(warm.variance), [0.5, 0.3, 0.3, 0.25])
    np.testing.assert_allclose(np.sqrt(cold.variance), [1.0, 0.3, 0.3, 0.25])
    assert not warm.mean.any() and not cold.mean.any()


def test_the_group_that_made_the_arms_is_found_again():
    r = np.random.default_rng(4)
    mean, sd = np.array([0.6, 0.0, 0.0, -0.7]), np.array([0.8, 0.15, 0.15, 0.1])
    batches = [batch_of(r, r.normal(mean, sd), 1500) for _ in range(60)]
    group, sites = fit_group(batches, BLOCK, initial(BLOCK, cold=False))
    standard_error = np.sqrt(sd**2 / 60 + 1 / (60 * 1500 * 0.15))
    assert np.all(np.abs(group.mean - mean) < 4 * standard_error)
    np.testing.assert_allclose(np.sqrt(group.variance), sd, rtol=0.4)
    assert group.variance[1] == group.variance[2]
    assert sites.precision.shape == (60, 4, 4)


def test_steps_settle_and_put_every_arm_between_its_own_estimate_and_the_group():
    r = np.random.default_rng(5)
    sites = Sites(np.stack([np.diag([30.0, 20, 10, 25.0])] * 8), r.normal(0.5, 1, (8, 4)) * 20)
    start = initial(BLOCK, cold=False)
    anchor = Anchor(start.mean, 16 * start.variance, start.variance, 1.0)
    group, trail = start, []
    for _ in range(200):
        following = em_step(group, anchor, sites, BLOCK)
        trail.append(np.abs(following.mean - group.mean).max())
        group = following
    weight, _ = moments(group, sites)
    estimate = np.linalg.solve(sites.precision, sites.shift[..., None])[..., 0]
    assert trail[-1] < 1e-8 < trail[0]
    low, high = np.minimum(estimate, group.mean), np.maximum(estimate, group.mean)
    assert np.all((weight >= low - 1e-12) & (weight <= high + 1e-12))


def test_without_arms_a_step_leads_back_to_the_anchor():
    anchor = Anchor(np.array([1.0, 2, 3, 4]), np.ones(4), np.array([0.5, 0.2, 0.2, 0.1]), 8.0)
    away = Group(np.full(4, 9.0), np.full(4, 7.0))
    back = em_step(away, anchor, Sites(np.zeros((0, 4, 4)), np.zeros((0, 4))), BLOCK)
    np.testing.assert_allclose(back.mean, anchor.mean)
    np.testing.assert_allclose(back.variance, anchor.variance)


def test_a_site_and_its_group_give_the_mode():
    r = np.random.default_rng(6)
    batch = batch_of(r, np.array([0.3, 0.2, -0.1, 0.1]), 300)
    group = initial(BLOCK, cold=False)
    precision, shift, w = site(batch, group)
    mean, covariance = moments(group, Sites(precision[None], shift[None]))
    np.testing.assert_allclose(mean[0], w, atol=1e-9)
    again, curvature = mode(batch, group.mean, np.diag(1 / group.variance))
    np.testing.assert_allclose(again, w, atol=1e-9)
    np.testing.assert_allclose(np.linalg.inv(covariance[0]), curvature + np.diag(1 / group.variance), rtol=1e-9)


def test_arms_that_lie_elsewhere_by_what_is_known_of_them_say_the_same_of_their_group():
    """Weights N(μ + lift, width·σ²): without lifts and widths, μ and σ² would be found elsewhere."""
    r = np.random.default_rng(9)
    arms, noise = 800, 0.1
    lift, width = r.normal(0.5, 1.0, (arms, 4)), r.uniform(0.2, 0.6, (arms, 4))
    weight = 0.2 + lift + 0.3 * np.sqrt(width) * r.normal(size=(arms, 4)) + noise * r.normal(size=(arms, 4))
    sites = Sites(np.tile(np.eye(4) / noise**2, (arms, 1, 1)), weight / noise**2, lift, width)
    group = initial(BLOCK, cold=False)
    anchor = Anchor(group.mean, 16 * group.variance, group.variance, 1.0)
    for _ in range(60):
        group = em_step(group, anchor, sites, BLOCK)
    spread = 0.09 + noise**2 / width.min()
    assert np.all(np.abs(group.mean - 0.2) < 4 * np.sqrt(spread / arms))
    assert np.all(np.abs(group.variance - 0.09) < 4 * spread * np.sqrt(2 / arms))


def test_no_arms_leave_the_initial_scales():
    start = initial(BLOCK, cold=True)
    group, sites = fit_group([], BLOCK, start)
    assert group is start and sites.shift.shape == (0, 4)


def test_a_weight_counts_rows():
    r = np.random.default_rng(7)
    batch = batch_of(r, np.zeros(4), 50)
    doubled = Batch(batch.basis, batch.slope, batch.offset, batch.outcome, np.full(50, 2.0))
    twice = Batch(
        *(np.concatenate([a, a]) for a in (batch.basis, batch.slope, batch.offset, batch.outcome, batch.weight))
    )
    for one, two in zip(mode(doubled, np.zeros(4), np.eye(4)), mode(twice, np.zeros(4), np.eye(4)), strict=True):
        np.testing.assert_allclose(one, two, atol=1e-9)


def test_a_spread_smaller_than_the_noise_of_its_arms_is_neither_lost_nor_inflated():
    """Each arm's own estimate is twice as noisy as arms differ: only the covariances tell the two apart."""
    r = np.random.default_rng(8)
    arms, noise = 800, 0.6
    weight = r.normal(0.2, 0.3, (arms, 4))
    estimate = weight + noise * r.normal(size=(arms, 4))
    sites = Sites(np.tile(np.eye(4) / noise**2, (arms, 1, 1)), estimate / noise**2)
    group = initial(BLOCK, cold=False)
    anchor = Anchor(group.mean, 16 * group.variance, group.variance, 1.0)
    for _ in range(300):
        group = em_step(group, anchor, sites, BLOCK)
    standard_error = (0.3**2 + noise**2) * np.sqrt(2 / arms)
    assert np.all(np.abs(group.variance - 0.09) < 4 * standard_error)
    assert np.all(np.abs(group.mean - 0.2) < 4 * np.sqrt((0.09 + noise**2) / arms))
