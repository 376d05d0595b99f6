"""The posterior: a fold over windows whose state, beliefs and discount can be said in closed form."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.integrate import quad

from allot import ShapeError
from bandit import beliefs as beliefs_module
from bandit import posterior as posterior_module
from bandit.basis import INTERCEPT, NUMERICS, SLOPE
from bandit.posterior import Posterior, Rows
from bandit.posterior_start import ArrivalShare, arrival_share, start

BLOCK = (INTERCEPT, NUMERICS, NUMERICS, SLOPE)
ARMS = 6  # 0..3 warm, 4 cold, 5 no offer


def rows_of(seed: int, size: int, arms: tuple[int, ...] = (0, 1, 2, 3, 5), lift: float = 0.0) -> Rows:
    r = np.random.default_rng(seed)
    basis = np.column_stack([np.ones(size), r.normal(size=(size, 2))]).astype(np.float32)
    arm = r.choice(arms, size)
    logit = r.normal(-1, 1, size)
    z = logit + 0.4 * (arm - 2) + 0.5 * basis[:, 1] * (arm % 2) + lift
    return Rows(basis, logit, arm, (r.random(size) < 1 / (1 + np.exp(-z))).astype(float))


def none() -> Rows:
    return rows_of(1, 0)


@pytest.fixture(scope="module")
def begun() -> Posterior:
    log = rows_of(1, 4000)
    as_cold = log.logit + np.random.default_rng(2).normal(size=4000)
    return start(log, as_cold, ARMS, centre=-1.0, block=BLOCK, discount=0.9)


def query(seed: int, n: int) -> tuple[np.ndarray, np.ndarray]:
    r = np.random.default_rng(seed)
    basis = np.column_stack([np.ones(n), r.normal(size=(n, 2))]).astype(np.float32)
    return basis, r.normal(-1, 1, (n, ARMS)).astype(np.float32)


def test_beliefs_are_the_moments_of_the_linear_form(begun):
    basis, logit = query(3, 300)
    beliefs = begun.beliefs(basis, logit)
    weight, covariance = begun.weights()
    for a in range(ARMS):
        psi = np.column_stack([basis, logit[:, a] + 1.0]).astype(float)
        np.testing.assert_allclose(beliefs.mean[:, a], logit[:, a] + psi @ weight[a], atol=2e-6)
        np.testing.assert_allclose(
            beliefs.sd[:, a], np.sqrt(np.einsum("ni,ij,nj->n", psi, covariance[a], psi)), rtol=2e-6
        )


@pytest.mark.parametrize("weighted", [False, True])
def test_threads_change_no_bit_of_an_update(begun, monkeypatch, weighted):
    rows = rows_of(5, 3_000)
    rows = replace(rows, weight=np.random.default_rng(6).random(3_000)) if weighted else rows
    one = begun.update(rows, window=3).to_arrays()
    monkeypatch.setattr(posterior_module, "_WORTH_THREADS", 0)
    several = begun.update(rows, window=3).to_arrays()
    assert all(one[name].tobytes() == several[name].tobytes() for name in one)


def test_threads_and_blocks_change_no_bit(begun, monkeypatch):
    basis, logit = query(4, 9001)
    one = begun.beliefs(basis, logit, threads=1)
    three = begun.beliefs(basis, logit, threads=3)
    monkeypatch.setattr(beliefs_module, "_BLOCK", beliefs_module.TILE)
    small = begun.beliefs(basis, logit, threads=2)
    rows = begun.beliefs(basis[7:8], logit[7:8])
    assert one.mean.tobytes() == three.mean.tobytes() == small.mean.tobytes()
    assert one.sd.tobytes() == three.sd.tobytes() == small.sd.tobytes()
    assert rows.mean.tobytes() == one.mean[7:8].tobytes() and rows.sd.tobytes() == one.sd[7:8].tobytes()


def test_beliefs_asked_before_an_update_do_not_linger(begun):
    """A state keeps what its beliefs need; the next state must not."""
    basis, logit = query(20, 5)
    begun.beliefs(basis, logit)
    warm = begun.update(rows_of(21, 400), window=1).beliefs(basis, logit)
    cold = Posterior.from_arrays(begun.to_arrays()).update(rows_of(21, 400), window=1).beliefs(basis, logit)
    assert warm.mean.tobytes() == cold.mean.tobytes() and warm.sd.tobytes() == cold.sd.tobytes()
    assert np.any(warm.mean != begun.beliefs(basis, logit).mean)
    doubled = replace(begun, precision=2.0 * begun.precision)
    assert np.all(doubled.beliefs(basis, logit).sd[:, :4] < begun.beliefs(basis, logit).sd[:, :4])


def test_one_weight_agrees_with_numerical_integration():
    """All logits are the mean logit, so the slope says nothing, and the exact posterior has one dimension."""
    r = np.random.default_rng(5)
    outcome = (r.random(150) < 0.55).astype(float)
    none = Rows(np.ones((0, 1), np.float32), np.zeros(0), np.zeros(0, int), np.zeros(0))
    state = start(none, np.zeros(0), 2, centre=-0.4, block=(INTERCEPT, SLOPE))
    rows = Rows(np.ones((150, 1), np.float32), np.full(150, -0.4), np.zeros(150, int), outcome)
    beliefs = state.overlay(rows).beliefs(np.ones((1, 1), np.float32), np.full((1, 2), -0.4))

    def density(w: float) -> float:
        z = -0.4 + w
        return float(np.exp(-0.5 * w**2 + outcome.sum() * z - 150 * np.logaddexp(0, z) + 100))

    mass = quad(density, -2, 3)[0]
    mean = quad(lambda w: w * density(w), -2, 3)[0] / mass
    sd = np.sqrt(quad(lambda w: (w - mean) ** 2 * density(w), -2, 3)[0] / mass)
    assert abs(beliefs.mean[0, 0] - (-0.4 + mean)) < 0.02 * sd
    assert abs(beliefs.sd[0, 0] - sd) < 0.01 * sd
    assert beliefs.mean[0, 1] == np.float32(-0.4) and beliefs.sd[0, 1] == 1.0


def test_two_weights_agree_with_numerical_integration():
    """A level and a taste, on a grid of both; the slope still says nothing."""
    r = np.random.default_rng(19)
    taste = r.normal(size=200).astype(np.float32)
    basis = np.column_stack([np.ones(200, np.float32), taste])
    outcome = (r.random(200) < 1 / (1 + np.exp(0.8 - 0.7 * taste))).astype(float)
    none = Rows(basis[:0], np.zeros(0), np.zeros(0, int), np.zeros(0))
    state = start(none, np.zeros(0), 2, centre=-0.4, block=(INTERCEPT, NUMERICS, SLOPE))
    rows = Rows(basis, np.full(200, -0.4), np.zeros(200, int), outcome)
    mean, covariance = (a[0, :2] for a in state.overlay(rows).weights())
    a, b = np.meshgrid(np.linspace(-2, 2, 161), np.linspace(-1, 2, 161), indexing="ij")
    z = -0.4 + a[..., None] + b[..., None] * taste
    log_density = -0.5 * a**2 - 0.5 * (b / 0.3) ** 2 + (outcome * z - np.logaddexp(0, z)).sum(2)
    mass = np.exp(log_density - log_density.max())
    mass /= mass.sum()
    exact = np.array([(mass * a).sum(), (mass * b).sum()])
    spread = np.sqrt([(mass * (a - exact[0]) ** 2).sum(), (mass * (b - exact[1]) ** 2).sum()])
    np.testing.assert_allclose(mean, exact, atol=0.1 * spread.min())
    np.testing.assert_allclose(np.sqrt(np.diag(covariance[:, :2])), spread, rtol=0.02)


def test_a_cold_arm_is_less_certain_than_a_warm_one(begun):
    basis, logit = query(6, 500)
    beliefs = begun.beliefs(basis, logit)
    assert begun.cold.tolist() == [False] * 4 + [True, False]
    assert np.all(beliefs.sd[:, 4][:, None] > 1.5 * beliefs.sd[:, [0, 1, 2, 3, 5]])


def test_a_state_comes_back_bit_for_bit(begun):
    basis, logit = query(7, 50)
    for state in (begun, begun.update(rows_of(8, 100), window=-3)):
        again = Posterior.from_arrays(state.to_arrays())
        assert again.window == state.window
        one, two = state.beliefs(basis, logit), again.beliefs(basis, logit)
        assert one.mean.tobytes() == two.mean.tobytes() and one.sd.tobytes() == two.sd.tobytes()
        later, same = state.update(rows_of(9, 100), window=4), again.update(rows_of(9, 100), window=4)
        assert all(v.tobytes() == same.to_arrays()[k].tobytes() for k, v in later.to_arrays().items())
    arrays = begun.to_arrays()
    del arrays["shift"]
    with pytest.raises(ShapeError, match="shift"):
        Posterior.from_arrays(arrays)


def test_evidence_is_discounted_by_the_days_between_windows_and_never_after(begun):
    rows = rows_of(10, 300)
    first = begun.update(rows, window=100)
    gap = first.update(none(), window=107)
    np.testing.assert_allclose(gap.precision, 0.9**7 * first.precision, rtol=1e-12)
    np.testing.assert_allclose(gap.count, 0.9**7 * first.count, rtol=1e-12)
    fresh = begun.update(rows, window=5)
    assert fresh.precision.tobytes() == first.precision.tobytes()
    assert np.all(np.linalg.eigvalsh(first.precision - begun.precision) > -1e-9)
    np.testing.assert_allclose(first.count, begun.count + np.bincount(rows.arm, minlength=ARMS))


def test_the_window_after_the_log_is_discounted_when_the_log_has_a_date(begun):
    dated = replace(begun, window=90)
    np.testing.assert_allclose(dated.update(none(), window=100).precision, 0.9**10 * begun.precision)


def test_one_gap_is_as_good_as_many_empty_windows(begun):
    first = begun.update(rows_of(10, 300), window=0)
    jump = first.update(none(), window=12)
    steps = first
    for day in range(1, 13):
        steps = steps.update(none(), window=day)
    np.testing.assert_allclose(steps.precision, jump.precision, rtol=1e-10)
    np.testing.assert_allclose(steps.shift, jump.shift, rtol=1e-10)


def test_an_arm_with_rows_keeps_its_mean_through_a_gap_and_an_idle_one_returns(begun):
    state = begun.update(rows_of(11, 2000, lift=1.0), window=0)
    before, _ = state.weights()
    whisper = Rows(np.ones((1, 3), np.float32), np.array([-40.0]), np.array([0]), np.array([0.0]))
    after = replace(state.update(whisper, window=25), mean=state.mean, variance=state.variance)
    weight, _ = after.weights()
    np.testing.assert_allclose(weight[0], before[0], atol=1e-6)
    distance = np.abs(weight[1:4] - state.mean[0]).max(1) / np.abs(before[1:4] - state.mean[0]).max(1)
    assert np.all(distance < 0.95)


def test_four_hundred_windows_of_idling_leave_everything_bounded(begun):
    state = begun
    for day in range(400):
        state = state.update(rows_of(1000 + day, 20, arms=(0, 5), lift=0.5), window=day)
        assert np.all(state.variance < 4 * begun.variance) and np.all(state.variance > begun.variance / 20)
        assert np.all(np.abs(state.mean - begun.mean) < 8 * np.sqrt(begun.variance))
    weight, _ = state.weights()
    assert np.abs(weight).max() < 5
    np.testing.assert_allclose(weight[[1, 2, 3]], np.tile(state.mean[0], (3, 1)), atol=1e-6)
    for day in range(400, 800):
        state = state.update(none(), window=day)
    weight, covariance = state.weights()
    np.testing.assert_allclose(weight, state.mean[state.cold.astype(int)], atol=1e-6)
    spread = np.sqrt(np.einsum("aii->ai", covariance))
    np.testing.assert_allclose(spread, np.sqrt(state.variance)[state.cold.astype(int)], rtol=1e-6)
    np.testing.assert_allclose(state.mean, begun.anchor_mean, atol=1e-9)
    np.testing.assert_allclose(state.variance, begun.anchor_variance, rtol=1e-9)


def test_arms_without_data_do_not_move_their_group(begun):
    state = begun
    for day in range(60):
        state = state.update(rows_of(2000 + day, 50), window=day)
    np.testing.assert_allclose(state.mean[1], begun.mean[1], rtol=1e-12)
    np.testing.assert_allclose(state.variance[1], begun.variance[1], rtol=1e-12)
    assert np.abs(state.mean[0] - begun.mean[0]).max() > 1e-3


def test_windows_must_increase(begun):
    state = begun.update(none(), window=5)
    for window in (5, 4):
        with pytest.raises(ShapeError, match="does not come after"):
            state.update(none(), window=window)


def test_an_overlay_counts_immature_rows_and_leaves_the_state_alone(begun):
    state = begun.update(rows_of(12, 500), window=0)
    kept = {name: array.copy() for name, array in state.to_arrays().items()}
    rows = rows_of(13, 300, lift=2.0)
    weighted = state.overlay(replace(rows, weight=np.where(rows.outcome > 0, 1.0, 0.3)))
    nothing = state.overlay(replace(rows, weight=np.zeros(300)))
    assert all(array.tobytes() == kept[name].tobytes() for name, array in state.to_arrays().items())
    assert weighted.window == state.window and np.array_equal(weighted.mean, state.mean)
    np.testing.assert_allclose(nothing.weights()[0], state.weights()[0], atol=1e-8)
    arm = np.arange(ARMS) != 4
    assert np.all((weighted.weights()[0] - state.weights()[0])[arm, 0] > 0)
    full = state.overlay(rows)
    assert np.all((full.weights()[0] - weighted.weights()[0])[arm, 0] < 0)


def test_the_temperature_falls_with_experience(begun):
    np.testing.assert_allclose(begun.temperature(), 0.25 + 0.45 * 300 / (300 + begun.count))
    assert begun.temperature()[4] == 0.7


def test_below_three_warm_offers_a_new_offer_has_the_initial_scales():
    log = rows_of(14, 1500, arms=(0, 1, 5))
    state = start(log, log.logit, ARMS, centre=-1.0, block=BLOCK)
    np.testing.assert_allclose(np.sqrt(state.variance[1]), [1.0, 0.3, 0.3, 0.25])
    assert not state.mean[1].any()
    with_three = rows_of(14, 1500, arms=(0, 1, 2))
    assert start(with_three, with_three.logit, ARMS, centre=-1.0, block=BLOCK).mean[1].any()


def test_a_few_rows_of_a_cold_arm_are_not_thrown_away():
    log = rows_of(15, 2000)
    few = rows_of(16, 100, arms=(4,), lift=2.0)
    both = Rows(*(np.concatenate([getattr(log, n), getattr(few, n)]) for n in ("basis", "logit", "arm", "outcome")))
    state = start(both, both.logit, ARMS, centre=-1.0, block=BLOCK)
    assert state.cold[4] and state.count[4] == 100
    assert state.weights()[0][4, 0] > state.mean[1, 0] + 0.5


def test_an_empty_log_gives_the_initial_scales():
    state = start(none(), np.zeros(0), ARMS, centre=0.0, block=BLOCK)
    assert state.cold.all() and not state.weights()[0].any()


def test_arrivals_follow_the_delays_seen():
    r = np.random.default_rng(17)
    delays = r.exponential(4.0, 20_000)
    share = arrival_share(delays, 14)
    ages = np.array([-1.0, 0.0, 2.0, 6.5, 13.9, 14.0, 99.0])
    inside = delays[delays <= 14]
    expected = [0, 0, (inside <= 2).mean(), (inside <= 6.5).mean(), (inside <= 13.9).mean(), 1, 1]
    np.testing.assert_allclose(share(ages), expected, atol=1e-3)
    assert isinstance(share, ArrivalShare)
    np.testing.assert_allclose(arrival_share(np.zeros(0), 10)(np.array([0.0, 5.0, 10.0])), [0, 0.5, 1])
    with pytest.raises(ShapeError):
        arrival_share(np.array([-1.0]), 10)
    with pytest.raises(ShapeError):
        arrival_share(np.array([1.0]), 0)


def test_rows_that_do_not_fit_are_refused(begun):
    rows = rows_of(18, 10)
    with pytest.raises(ShapeError, match="one row each"):
        replace(rows, logit=rows.logit[:-1])
    with pytest.raises(ShapeError, match="neither 0 nor 1"):
        begun.update(replace(rows, outcome=rows.outcome + 0.5), window=1)
    with pytest.raises(ShapeError, match="outcome is not finite"):
        replace(rows, outcome=np.full(10, np.nan))
    with pytest.raises(ShapeError, match="logit is not finite"):
        replace(rows, logit=np.full(10, np.nan))
    with pytest.raises(ShapeError, match="weight"):
        replace(rows, weight=np.full(10, -1.0))
    with pytest.raises(ShapeError, match="arm"):
        begun.update(replace(rows, arm=np.full(10, ARMS)), window=1)
    with pytest.raises(ShapeError, match="columns"):
        begun.overlay(replace(rows, basis=rows.basis[:, :2]))
    with pytest.raises(ShapeError, match="fit"):
        begun.beliefs(rows.basis, np.zeros((10, ARMS - 1)))
    with pytest.raises(ShapeError, match="discount"):
        replace(begun, discount=1.5)
