"""Laws of the fold that hold whatever the rows: finite, at the mode, never less certain with more data."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from bandit.basis import INTERCEPT, NUMERICS, SLOPE
from bandit.laplace import Batch, mode
from bandit.posterior import Rows
from bandit.posterior_start import start

BLOCK = (INTERCEPT, NUMERICS, NUMERICS, SLOPE)


def rows_of(seed: int, size: int, scale: float, separable: bool) -> Rows:
    r = np.random.default_rng(seed)
    basis = np.column_stack([np.ones(size), np.clip(scale * r.normal(size=(size, 2)), -4, 4)]).astype(np.float32)
    logit = scale * r.normal(size=size)
    noise = 0.0 if separable else r.logistic(size=size)
    outcome = (logit + basis[:, 1] + noise > 0).astype(float)
    return Rows(basis, logit, r.integers(0, 3, size), outcome)


batches = st.builds(
    rows_of, seed=st.integers(0, 10_000), size=st.integers(0, 300), scale=st.floats(0.01, 20), separable=st.booleans()
)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.floats(-12, 12), st.floats(0.3, 100), st.floats(0, 1))
def test_the_mode_is_where_the_gradient_vanishes_even_far_from_the_start(seed, offset, sd, rate):
    """Separable rows far from the prior: full Newton steps would jump from one flat end to the other."""
    r = np.random.default_rng(seed)
    basis = np.column_stack([np.ones(60), r.normal(size=60)]).astype(np.float32)
    outcome = (np.arange(60) < rate * 61).astype(float)
    batch = Batch(basis, r.normal(size=60), np.full(60, offset), outcome, np.ones(60))
    precision = np.eye(3) / sd**2
    w, curvature = mode(batch, np.zeros(3), precision)
    z = offset + basis @ w[:2] + batch.slope * w[2]
    error = 1 / (1 + np.exp(-z)) - outcome
    psi = np.column_stack([basis, batch.slope])
    assert np.abs(psi.T @ error + precision @ w).max() < 1e-5
    chance = 1 / (1 + np.exp(-z))
    np.testing.assert_allclose(curvature, (psi * (chance * (1 - chance))[:, None]).T @ psi, rtol=1e-6, atol=1e-9)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10_000), st.integers(0, 2), st.floats(-15, 15), st.floats(1, 30))
def test_the_mode_of_separable_and_nearly_separable_rows_is_found(seed, astray, offset, sd):
    """A plane parts the outcomes, but for at most two rows: without the prior some weights would be infinite."""
    r = np.random.default_rng(seed)
    basis = np.column_stack([np.ones(80), r.normal(size=(80, 2))]).astype(np.float32)
    slope = r.normal(size=80)
    outcome = (basis @ r.normal(size=3) + slope * r.normal() > 0).astype(float)
    outcome[:astray] = 1.0 - outcome[:astray]
    batch = Batch(basis, slope, slope + offset, outcome, np.ones(80))
    w, _ = mode(batch, np.zeros(4), np.eye(4) / sd**2)
    psi = np.column_stack([basis, slope])
    error = 1 / (1 + np.exp(-np.clip(slope + offset + psi @ w, -700, 700))) - outcome
    assert np.abs(psi.T @ error + w / sd**2).max() < 1e-5


@settings(max_examples=30, deadline=None)
@given(st.lists(batches, min_size=1, max_size=4))
def test_no_batch_makes_the_state_infinite(windows):
    state = start(rows_of(0, 0, 1.0, False), np.zeros(0), 3, centre=0.0, block=BLOCK, discount=1.0)
    for day, rows in enumerate(windows):
        state = state.update(rows, window=day)
    basis = np.array([[1, 4, -4], [1, 0, 0]], np.float32)
    beliefs = state.beliefs(basis, np.array([[30.0, 0, -30], [0, 0, 0]]))
    assert np.isfinite(beliefs.mean).all() and np.isfinite(beliefs.sd).all() and (beliefs.sd > 0).all()


@settings(max_examples=30, deadline=None)
@given(batches, batches)
def test_more_data_never_widens_a_direction(first, second):
    """Without discount, and with the hierarchy as it is."""
    state = start(rows_of(0, 0, 1.0, False), np.zeros(0), 3, centre=0.0, block=BLOCK, discount=1.0)
    one = state.update(first, window=0)
    two = one.update(second, window=1)
    slack = 1e-9 * max(1.0, np.abs(two.precision).max())
    assert np.linalg.eigvalsh(two.precision - one.precision).min() > -slack
    r = np.random.default_rng(1)
    basis = np.column_stack([np.ones(20), r.normal(size=(20, 2))]).astype(np.float32)
    logit = r.normal(size=(20, 3))
    assert np.all(one.overlay(second).beliefs(basis, logit).sd <= one.beliefs(basis, logit).sd * (1 + 1e-5))


@settings(max_examples=20, deadline=None)
@given(batches, st.integers(0, 1000))
def test_permuting_the_rows_of_a_window_changes_nothing_but_rounding(rows, seed):
    state = start(rows_of(0, 0, 1.0, False), np.zeros(0), 3, centre=0.0, block=BLOCK)
    order = np.random.default_rng(seed).permutation(len(rows.arm))
    mixed = Rows(rows.basis[order], rows.logit[order], rows.arm[order], rows.outcome[order])
    one, two = state.update(rows, window=0), state.update(mixed, window=0)
    for mine, other in zip(one.weights(), two.weights(), strict=True):
        np.testing.assert_allclose(mine, other, atol=1e-6)


@settings(max_examples=20, deadline=None)
@given(batches, st.integers(0, 1000))
def test_interleaving_the_arms_changes_no_bit(rows, seed):
    """Only the order within an arm counts, and callers fix it by decision id."""
    state = start(rows_of(0, 0, 1.0, False), np.zeros(0), 3, centre=0.0, block=BLOCK)
    order = np.argsort(np.random.default_rng(seed).permutation(3)[rows.arm], kind="stable")
    mixed = Rows(rows.basis[order], rows.logit[order], rows.arm[order], rows.outcome[order])
    one, two = state.update(rows, window=0).to_arrays(), state.update(mixed, window=0).to_arrays()
    assert all(one[name].tobytes() == two[name].tobytes() for name in one)
