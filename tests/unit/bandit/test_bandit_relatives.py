"""Relatives: averaged over attributes and shares as the exact joint Gaussian of all arms would have it."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import logsumexp

from allot import ShapeError
from bandit.basis import INTERCEPT, NUMERICS, SLOPE
from bandit.hierarchy import Group, Sites
from bandit.posterior import Posterior, Rows
from bandit.posterior_start import start
from bandit.relatives import learn_relatives, no_relatives

BLOCK = (INTERCEPT, NUMERICS, SLOPE)
GROUP = Group(np.array([0.3, -0.1, 0.0]), np.array([0.8, 0.2, 0.1]))
KIN = np.array([[1, 11], [1, 12], [2, 11], [2, 0], [3, 12], [0, 11], [1, 12]], np.uint64)


def sites_of(seed: int, arms: int, alike: np.ndarray | None = None) -> Sites:
    """Evidence of arms drawn from `GROUP`; weights of arms that are `alike` (A,) differ little."""
    r = np.random.default_rng(seed)
    sd = np.sqrt(GROUP.variance)
    weight = GROUP.mean + r.normal(size=(arms, 3)) * sd
    if alike is not None:
        common = r.normal(size=(int(alike.max()) + 1, 3)) * sd
        weight = GROUP.mean + np.sqrt(0.9) * common[alike] + np.sqrt(0.1) * (weight - GROUP.mean)
    root = r.normal(size=(arms, 5, 3)) * 2.0
    precision = root.transpose(0, 2, 1) @ root + np.eye(3)
    noise = np.einsum("aij,aj->ai", np.linalg.cholesky(precision), r.normal(size=(arms, 3)))
    return Sites(precision, np.einsum("aij,aj->ai", precision, weight) + noise)


def dense(sites: Sites, kin: np.ndarray, asked: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and variance (d,) of the weights of a new arm of levels `asked` (q,), by one Gaussian of all arms' weights
    for each attribute and share, averaged by their evidence."""
    arms, d = sites.shift.shape
    evidence, mean, variance = [], [], []
    every = [(0.5 if share == 0.0 else 0.5 / 10, j, share) for j in (0, 1) for share in (0.1, 0.3, 0.5, 0.7, 0.9)]
    for prior, j, share in [(0.5, 0, 0.0), *every]:
        level = np.append(kin[:, j], asked[j])
        same = (level[:, None] == level) & (level > 0)
        np.fill_diagonal(same, False)
        covariance = np.kron(np.eye(arms + 1) + share * same, np.diag(GROUP.variance))
        known = slice(0, arms * d)
        # the arms' weights as noisy readings of themselves: y = J⁻¹h with covariance J⁻¹
        noise = np.zeros((arms * d, arms * d))
        for a in range(arms):
            noise[a * d : (a + 1) * d, a * d : (a + 1) * d] = np.linalg.inv(sites.precision[a])
        reading = np.linalg.solve(sites.precision, sites.shift[..., None])[..., 0] - GROUP.mean
        total = covariance[known, known] + noise
        answer = np.linalg.solve(total, reading.ravel())
        evidence.append(np.log(prior) - 0.5 * np.linalg.slogdet(total)[1] - 0.5 * reading.ravel() @ answer)
        cross = covariance[arms * d :, known]
        mean.append(GROUP.mean + cross @ answer)
        variance.append(GROUP.variance - np.diag(cross @ np.linalg.solve(total, cross.T)))
    weight = np.exp(np.array(evidence) - logsumexp(evidence))[:, None]
    average = (weight * np.array(mean)).sum(0)
    return average, (weight * (np.array(variance) + (np.array(mean) - average) ** 2)).sum(0)


@pytest.mark.parametrize("asked", [[1, 12], [3, 11], [2, 99], [0, 0]])
def test_a_new_arm_starts_where_the_joint_gaussian_of_all_arms_says(asked):
    sites, keys = sites_of(1, len(KIN)), np.array(asked, np.uint64)
    lift, width = learn_relatives(GROUP, sites, KIN).of(keys[None])
    mean, variance = dense(sites, KIN, keys)
    np.testing.assert_allclose(GROUP.mean + lift[0], mean, atol=1e-10)
    np.testing.assert_allclose(GROUP.variance * width[0], variance, rtol=1e-10)


def test_attributes_that_tell_are_believed_and_others_are_not():
    category = np.arange(12) % 3
    sites = sites_of(2, 12, category)
    kin = np.column_stack([1 + category, 10 + np.arange(12) // 6]).astype(np.uint64)
    known = learn_relatives(GROUP, sites, kin)
    asked = np.array([[1, 0], [2, 0], [3, 0], [0, 10], [0, 11]], np.uint64)
    lift, width = known.of(asked)
    assert (width[:3] < 0.6).all()
    assert np.abs(lift[3:]).max() < 1e-3 and np.abs(width[3:] - 1).max() < 1e-3
    estimate = np.linalg.solve(sites.precision, sites.shift[..., None])[..., 0]
    for c in range(3):
        before = np.abs(estimate[category == c] - GROUP.mean).mean()
        assert np.abs(estimate[category == c] - GROUP.mean - lift[c]).mean() < before


def test_the_order_of_arms_and_attributes_does_not_matter():
    sites, order = sites_of(3, len(KIN)), np.array([3, 0, 6, 2, 5, 1, 4])
    one = learn_relatives(GROUP, sites, KIN)
    two = learn_relatives(GROUP, Sites(sites.precision[order], sites.shift[order]), KIN[order][:, ::-1])
    assert one.key.tolist() == two.key.tolist()
    np.testing.assert_allclose(one.lift, two.lift, atol=1e-12)
    np.testing.assert_allclose(one.surplus, two.surplus, atol=1e-12)


def test_a_level_that_nobody_has_says_nothing():
    known = learn_relatives(GROUP, sites_of(4, len(KIN)), KIN)
    lift, width = known.of(np.array([[77, 0], [0, 0]], np.uint64))
    assert not lift.any() and (width == 1.0).all()
    assert len(no_relatives(GROUP.variance).key) == 0
    for kin in (KIN[:-1], KIN[:, 0]):
        with pytest.raises(ShapeError, match="one row for each"):
            learn_relatives(GROUP, sites_of(4, len(KIN)), kin)
    with pytest.raises(ShapeError, match="surpluses"):
        replace(known, lift=known.lift[1:])


ARMS = 9  # 0..5 warm, of two categories; 6 and 7 cold, one of each; 8 no offer


def log_of(seed: int, offers: int = 6) -> Rows:
    """Offers of even number are liked by everybody, others by few."""
    r = np.random.default_rng(seed)
    basis = np.column_stack([np.ones(4000), r.normal(size=4000)]).astype(np.float32)
    arm = r.choice([*range(offers), 8], 4000)
    taste = np.where(arm % 2 == 0, 1.0, -1.0) + 0.5 * np.where(arm % 2 == 0, basis[:, 1], -basis[:, 1])
    chance = 1 / (1 + np.exp(1.0 - taste))
    return Rows(basis, np.full(4000, -1.0), arm, (r.random(4000) < chance).astype(float))


CATEGORY = np.append(1 + np.arange(8) % 2, 0).astype(np.uint64)[:, None]


def begun(kin: np.ndarray | None, seed: int = 5) -> Posterior:
    log = log_of(seed)
    return start(log, log.logit, ARMS, centre=-1.0, block=BLOCK, kin=kin)


def test_no_attributes_and_attributes_that_nobody_shares_are_the_same_to_the_bit():
    plain = begun(None).to_arrays()
    for kin in (np.zeros((ARMS, 2), np.uint64), np.zeros((ARMS, 0), np.uint64)):
        other = begun(kin).to_arrays()
        assert all(plain[name].tobytes() == other[name].tobytes() for name in plain)


def test_only_cold_offers_start_from_their_relatives():
    plain, kin = begun(None), begun(CATEGORY)
    assert kin.cold.tolist() == [False] * 6 + [True, True, False]
    for one, other in zip(plain.weights(), kin.weights(), strict=True):
        assert np.array_equal(one[~kin.cold], other[~kin.cold])
    weight, _ = kin.weights()
    assert weight[6, 0] > plain.weights()[0][6, 0] + 0.5 and weight[7, 0] < plain.weights()[0][7, 0] - 0.5
    assert (kin.width[6:8, :2] < 0.3).all() and (kin.width[6:8, 2] == 1.0).all()  # the logit is constant: no slope


def test_a_newcomer_starts_like_a_cold_offer_of_its_category():
    state = Posterior.from_arrays(begun(CATEGORY).to_arrays())
    wide = state.widened(3, np.array([[2], [1], [0]], np.uint64))
    mean, covariance = wide.weights()
    for new, like in ((8, 7), (9, 6)):
        assert np.array_equal(mean[new], mean[like]) and np.array_equal(covariance[new], covariance[like])
    np.testing.assert_allclose(mean[10], state.mean[1], rtol=1e-12)
    assert np.array_equal(state.widened(1).weights()[0][8], mean[10])


def test_an_idle_arm_returns_to_where_its_relatives_say():
    state = begun(CATEGORY)
    rows = replace(log_of(6), arm=np.full(4000, 6), outcome=np.zeros(4000))
    moved = state.update(rows, window=0)
    assert moved.weights()[0][6, 0] < state.weights()[0][6, 0] - 1.0
    none = Rows(rows.basis[:0], rows.logit[:0], rows.arm[:0], rows.outcome[:0])
    late = moved.update(none, window=600).update(none, window=1200)
    np.testing.assert_allclose(late.weights()[0][6], state.weights()[0][6], atol=1e-6)
    np.testing.assert_allclose(late.weights()[1][6], state.weights()[1][6], rtol=1e-6, atol=1e-9)


def test_a_few_rows_of_a_cold_offer_are_read_from_its_relatives_start():
    log, few = log_of(7), log_of(8, 7)
    own = np.flatnonzero(few.arm == 6)[:60]
    both = Rows(
        *(np.concatenate([getattr(log, n), getattr(few, n)[own]]) for n in ("basis", "logit", "arm", "outcome"))
    )
    state = start(both, both.logit, ARMS, centre=-1.0, block=BLOCK, kin=CATEGORY)
    folded = start(log, log.logit, ARMS, centre=-1.0, block=BLOCK, kin=CATEGORY).overlay(
        Rows(few.basis[own], few.logit[own], few.arm[own], few.outcome[own])
    )
    assert state.cold[6] and state.count[6] == 60
    np.testing.assert_allclose(state.weights()[0][6], folded.weights()[0][6], atol=1e-6)


def test_keys_that_do_not_fit_are_refused():
    with pytest.raises(ShapeError, match="9 arms"):
        begun(CATEGORY[:-1])
    with pytest.raises(ShapeError, match="Lifts"):
        replace(begun(CATEGORY), lift=np.zeros((2, 3)))
