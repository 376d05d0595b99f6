"""Experts: the same fold three times, mixed by foresight, with an interface that hides it."""

from dataclasses import replace

import numpy as np
import pytest

from allot import ShapeError
from bandit.basis import INTERCEPT, NUMERICS, SLOPE
from bandit.experts import Experts, start_experts
from bandit.fourier import fit_fourier
from bandit.learnt import learnt_from_arrays
from bandit.posterior import Posterior, Rows
from bandit.posterior_start import start

BLOCK = (INTERCEPT, NUMERICS, NUMERICS, SLOPE)
ARMS = 5  # 0..3 offers, 4 no offer


def rows_of(seed: int, size: int, *, curve: float = 0.0, level: float = 0.0) -> Rows:
    r = np.random.default_rng(seed)
    basis = np.column_stack([np.ones(size), r.normal(size=(size, 2))]).astype(np.float32)
    arm, logit = r.integers(0, ARMS, size), r.normal(-0.5, 0.5, size)
    z = logit + level + 0.5 * basis[:, 1] * (arm % 2) + curve * np.cos(2.0 * basis[:, 2])
    return Rows(basis, logit, arm, (r.random(size) < 1 / (1 + np.exp(-z))).astype(float))


def begin(log: Rows) -> Experts:
    return start_experts(log, log.logit, ARMS, centre=-0.5, block=BLOCK, seed=3)


@pytest.fixture(scope="module")
def begun() -> Experts:
    return begin(rows_of(1, 3000))


def query(seed: int, n: int) -> tuple[np.ndarray, np.ndarray]:
    rows = rows_of(seed, n)
    return rows.basis, np.random.default_rng(seed).normal(-0.5, 0.5, (n, ARMS)).astype(np.float32)


def test_beliefs_have_the_moments_of_the_mixture(begun):
    """Against draws: first an expert, then a logit of his."""
    state = replace(begun.update(rows_of(2, 300), window=0), score=np.log([0.5, 0.2, 0.3]))
    basis, logit = query(3, 4)
    r = np.random.default_rng(4)
    own = [m.beliefs(state.waves(basis) if m is state.curved else basis, logit) for m in state.members]
    who = r.choice(3, 40_000, p=[0.5, 0.2, 0.3])
    mean, sd = np.stack([b.mean for b in own]), np.stack([b.sd for b in own])
    drawn = mean[who] + sd[who] * r.normal(size=(40_000, 4, ARMS))
    found = state.beliefs(basis, logit)
    assert np.all(np.abs(found.mean - drawn.mean(0)) < 4.5 * found.sd / 200)
    np.testing.assert_allclose(found.sd, drawn.std(0), rtol=0.02)


@pytest.mark.parametrize("shares", [(0.5, 0.2, 0.3), (0.0005, 0.6, 0.3995), (0.7, 0.3, 0.0)])
def test_beliefs_weigh_each_ones_beliefs(begun, shares):
    """By hand, also where somebody is worthless and not asked."""
    with np.errstate(divide="ignore"):
        state = replace(begun.update(rows_of(2, 300), window=0), score=np.log(shares))
    basis, logit = query(3, 200)
    own = [m.beliefs(state.waves(basis) if m is state.curved else basis, logit) for m in state.members]
    kept = np.where(np.array(shares) < 0.001, 0.0, shares)
    kept = (kept / kept.sum())[:, None, None]
    mean, sd = np.stack([b.mean for b in own]).astype(float), np.stack([b.sd for b in own]).astype(float)
    expected = (kept * mean).sum(0)
    found = state.beliefs(basis, logit)
    np.testing.assert_allclose(found.mean, expected, atol=3e-6)
    np.testing.assert_allclose(found.sd, np.sqrt((kept * (sd**2 + (mean - expected) ** 2)).sum(0)), rtol=2e-5)
    np.testing.assert_allclose(list(state.shares.values()), kept[:, 0, 0])


@pytest.mark.parametrize("score", [np.zeros(3), np.array([0.0, 1.0, -np.inf]), np.array([0.0, 0.0, 900.0])])
def test_what_each_says_adds_up_to_the_weights_that_beliefs_stand_on(begun, score):
    state = replace(begun, score=score)
    mean, covariance = state.weights()
    basis, logit = query(3, 50)
    assert state.voices().shape == (len(state.shares), ARMS, state.seen(basis).shape[1] + 1)
    np.testing.assert_array_equal(state.voices().sum(0), mean)
    found = state.beliefs(basis, logit)
    for arm in range(ARMS):
        psi = np.column_stack([state.seen(basis), logit[:, arm] - state.centre]).astype(float)
        np.testing.assert_allclose(found.mean[:, arm], logit[:, arm] + psi @ mean[arm], atol=2e-5)
        variance = np.einsum("ni,ij,nj->n", psi, covariance[arm], psi)
        np.testing.assert_allclose(found.sd[:, arm], np.sqrt(variance), rtol=1e-4)


def test_a_newcomer_changes_nobody_else_whenever_it_appears(begun):
    rows, (basis, logit) = rows_of(6, 400), query(3, 50)
    rows = replace(rows, arm=np.minimum(rows.arm, 3))
    plain, wide = begun.update(rows, window=2), begun.widened(1).update(rows, window=2)
    other = plain.widened(1).to_arrays()
    assert all(np.array_equal(array, other[name]) for name, array in wide.to_arrays().items())
    own, found = plain.beliefs(basis, logit), wide.beliefs(basis, np.insert(logit, 4, -0.5, axis=1))
    np.testing.assert_array_equal(np.delete(found.mean, 4, axis=1), own.mean)
    np.testing.assert_array_equal(np.delete(found.sd, 4, axis=1), own.sd)
    assert wide.temperature()[4] == 0.7 and np.array_equal(wide.count[[0, 1, 2, 3, 5]], plain.count)


def test_one_who_has_proved_right_alone_is_handed_on_bit_for_bit(begun):
    basis, logit = query(5, 30)
    for at, (member, seen) in enumerate(zip(begun.members, (basis, basis, begun.waves(basis)), strict=True)):
        found = replace(begun, score=1000.0 * np.eye(3)[at]).beliefs(basis, logit)
        alone = member.beliefs(seen, logit)
        assert found.mean.tobytes() == alone.mean.tobytes() and found.sd.tobytes() == alone.sd.tobytes()


def test_the_plain_expert_is_the_posterior(begun):
    log, later = rows_of(1, 3000), rows_of(6, 400)
    plain = start(log, log.logit, ARMS, centre=-0.5, block=BLOCK).update(later, window=2).overlay(rows_of(7, 50))
    mine = begun.update(later, window=2).overlay(rows_of(7, 50))
    assert mine.window == 2 and np.array_equal(mine.temperature(), plain.temperature())
    assert all(mine.plain.to_arrays()[name].tobytes() == array.tobytes() for name, array in plain.to_arrays().items())


def test_who_foresees_curves_is_believed_where_there_are_curves():
    straight, curved = begin(rows_of(8, 3000)), begin(rows_of(9, 3000, curve=2.0))
    for day in range(5):
        straight = straight.update(rows_of(100 + day, 500), window=day)
        curved = curved.update(rows_of(200 + day, 500, curve=2.0), window=day)
    assert curved.shares["curved"] > 0.99 > 0.5 > straight.shares["curved"]
    basis, logit = query(10, 400)
    truth = logit + 0.5 * basis[:, [1]] * (np.arange(ARMS) % 2) + 2.0 * np.cos(2.0 * basis[:, [2]])
    near = np.abs(basis[:, 2]) < 1.5
    ours, lines = curved.beliefs(basis, logit).mean, curved.plain.beliefs(basis, logit).mean
    assert np.square(ours - truth)[near].mean() < 0.2 * np.square(lines - truth)[near].mean()


def test_who_forgets_is_believed_after_everything_changed(begun):
    state = begun
    for day in range(12):
        state = state.update(rows_of(300 + day, 600, level=1.5 * (day > 4)), window=day)
        if day == 4:
            assert state.shares["quick"] < 0.7
    assert state.shares["quick"] > 0.95


def test_scores_fade_by_the_day_and_foresee_before_they_learn(begun):
    none = rows_of(11, 0)
    later = replace(begun.update(none, window=0), score=np.array([3.0, 2.0, 1.0])).update(none, window=10)
    np.testing.assert_allclose(later.score, 0.98**10 * np.array([3.0, 2.0, 1.0]))
    rows = rows_of(12, 4000, level=3.0)
    first = begun.update(rows, window=0)
    again = first.update(rows, window=1).score - 0.98 * first.score
    assert np.all(again > 0.6 * first.score) and np.all(first.score < 0)


def test_threads_and_company_change_no_bit(begun):
    basis, logit = query(13, 9000)
    one, two = begun.beliefs(basis, logit, threads=1), begun.beliefs(basis, logit, threads=3)
    alone = begun.beliefs(basis[4321:4322], logit[4321:4322])
    assert one.mean.tobytes() == two.mean.tobytes() and one.sd.tobytes() == two.sd.tobytes()
    assert alone.mean.tobytes() == one.mean[4321:4322].tobytes() and alone.sd.tobytes() == one.sd[4321:4322].tobytes()


def test_beliefs_about_the_arms_shown_are_those_of_the_grid(begun):
    rows = rows_of(14, 300)
    grid = begun.plain.beliefs(rows.basis, np.tile(rows.logit.astype(np.float32)[:, None], (1, ARMS)))
    mean, sd = begun.plain.shown(rows)
    at = np.arange(300), rows.arm
    assert np.array_equal(mean, grid.mean[at].astype(float)) and np.array_equal(sd, grid.sd[at].astype(float))


def test_experts_come_back_bit_for_bit(begun):
    state = begun.update(rows_of(15, 200), window=4)
    again = learnt_from_arrays(state.to_arrays())
    assert isinstance(again, Experts) and isinstance(learnt_from_arrays(state.quick.to_arrays()), Posterior)
    one, two = (s.update(rows_of(16, 200), window=6).to_arrays() for s in (state, again))
    assert all(one[name].tobytes() == two[name].tobytes() for name in one)
    for name in ("score", "waves.phase", "quick.shift"):
        with pytest.raises(ShapeError, match="missing"):
            Experts.from_arrays({key: array for key, array in one.items() if key != name})


def test_products_of_many_waves_are_a_gaussian_kernel():
    """Rahimi and Recht: E[2·cos(w·x + u)·cos(w·y + u)] = exp(−|x − y|²/2h²), h half the median distance."""
    r = np.random.default_rng(17)
    basis = np.column_stack([np.ones(500), r.normal(size=(500, 2))]).astype(np.float32)
    waves = fit_fourier(basis, seed=1, waves=20_000)
    raw = replace(waves, centre=np.zeros(20_000, np.float32))(basis[:5])[:, 3:].astype(float)
    square = ((basis[:5, None] - basis[None, :5]) ** 2).sum(2)
    pairs = ((basis[:, None].astype(float) - basis[None]) ** 2).sum(2)[np.triu_indices(500, 1)]
    length = 0.5 * np.median(np.sqrt(pairs))
    np.testing.assert_allclose(raw @ raw.T / 20_000, np.exp(-square / (2 * length**2)), atol=0.06)
    np.testing.assert_allclose(waves(basis)[:, 3:].mean(0), 0.0, atol=1e-5)


def test_waves_refuse_another_basis_and_stand_an_empty_log():
    waves = fit_fourier(np.ones((0, 3), np.float32), seed=1)
    assert np.isfinite(waves(np.ones((2, 3), np.float32))).all()
    with pytest.raises(ShapeError, match="columns of the waves"):
        waves(np.ones((2, 4), np.float32))


def test_every_expert_knows_a_newcomers_relatives():
    rows = rows_of(9, 3000)
    kin = np.append(1 + np.arange(ARMS - 1) % 2, 0).astype(np.uint64)[:, None]
    state = start_experts(rows, rows.logit, ARMS, centre=-0.5, block=BLOCK, seed=1, kin=kin)
    wide = Experts.from_arrays(state.widened(2, np.array([[1], [0]], np.uint64)).to_arrays())
    for member in wide.members:
        assert member.lift[-3].any() and not member.lift[-2:].any()
        np.testing.assert_array_equal(member.lift[-3], member.relatives.of(kin[:1])[0][0])
