"""The basis: segments, standardised numbers, and nothing that a new customer could break."""

import numpy as np
import pytest

from allot import ShapeError
from bandit.basis import INTERCEPT, NUMERICS, SEGMENTS, SLOPE, Basis, Numeric, Segment, fit_basis
from bandit.columns import Columns

COLUMNS = Columns(("region", "age", "flat", "city", "spend"), ("offer",), (0, 3, 5))
LEVELS = {"region": 3, "city": 21}


@pytest.fixture(scope="module")
def log() -> np.ndarray:
    r = np.random.default_rng(1)
    out = np.column_stack(
        [r.integers(0, 3, 500), r.normal(40, 10, 500), np.full(500, 2.0), r.integers(0, 21, 500), r.exponential(3, 500)]
    )
    out[:50, 4] = np.nan
    return out


def test_categories_become_one_hots_and_numbers_are_standardised(log):
    basis = fit_basis(log, COLUMNS, levels=LEVELS)
    assert basis.blocks == (INTERCEPT, SEGMENTS, SEGMENTS, SEGMENTS, NUMERICS, NUMERICS, SLOPE)
    phi = basis(log)
    assert phi.dtype == np.float32 and phi.shape == (500, 6)
    assert np.array_equal(phi[:, 0], np.ones(500))
    assert np.array_equal(phi[:, 1:4], np.eye(3)[log[:, 0].astype(int)])
    np.testing.assert_allclose(phi[:, 4], (log[:, 1] - log[:, 1].mean()) / log[:, 1].std(), atol=1e-5)
    seen = log[50:, 4]
    np.testing.assert_allclose(phi[50:, 5], np.clip((seen - seen.mean()) / seen.std(), -4, 4), atol=1e-5)
    assert not phi[:50, 5].any()


def test_unseen_missing_and_extreme_values_stay_within_bounds(log):
    basis = fit_basis(log, COLUMNS, levels=LEVELS)
    odd = np.array([[7.0, 1e30, 0, 0, -1e30], [-1.0, np.inf, 0, 0, np.nan], [np.nan, -np.inf, np.nan, np.nan, np.nan]])
    phi = basis(odd)
    assert phi.tolist() == [[1, 0, 0, 0, 4, -4], [1, 0, 0, 0, 0, 0], [1, 0, 0, 0, 0, 0]]
    assert basis(odd[:0]).shape == (0, 6)


def test_the_highest_gains_come_first_when_columns_are_too_many(log):
    gain = {"spend": 5.0, "region": 3.0, "age": 1.0}
    assert fit_basis(log, COLUMNS, levels=LEVELS, gain=gain, most=5).blocks == (0, 1, 1, 1, 2, 3)
    kept = fit_basis(log, COLUMNS, levels=LEVELS, gain=gain, most=3)
    assert [number.column for number in kept.numerics] == [1, 4] and kept.segments == ()
    assert fit_basis(log, COLUMNS, levels=LEVELS, gain=gain, most=2).numerics[0].column == 4
    assert fit_basis(log, COLUMNS, levels=LEVELS, gain=gain, most=1).blocks == (INTERCEPT, SLOPE)


def test_a_customer_is_the_same_to_the_bit_alone_and_in_a_crowd(log):
    basis = fit_basis(log, COLUMNS, levels=LEVELS)
    crowd = np.tile(log, (20, 1))
    phi = basis(crowd)
    for rows in (slice(8191, 8193), slice(0, 1), slice(9999, 10_000)):
        assert basis(crowd[rows]).tobytes() == phi[rows].tobytes()


def test_json_brings_back_the_same_bits(log):
    basis = fit_basis(log, COLUMNS, levels=LEVELS)
    again = Basis.from_json(basis.to_json())
    assert again == basis
    assert again(log).tobytes() == basis(log).tobytes()


def test_a_matrix_of_other_columns_is_refused(log):
    basis = fit_basis(log, COLUMNS, levels=LEVELS)
    with pytest.raises(ShapeError, match="does not fit"):
        basis(log[:, :3])
    with pytest.raises(ShapeError, match="does not have 5"):
        fit_basis(log[:, :3], COLUMNS, levels=LEVELS)
    with pytest.raises(ShapeError, match="city"):
        fit_basis(log, COLUMNS, levels={"region": 3})


def test_the_layout_of_a_matrix_changes_no_bit(log):
    basis = fit_basis(log, COLUMNS, levels=LEVELS)
    fixed = log.copy()
    fixed.flags.writeable = False
    for other in (np.asfortranarray(log), fixed, np.repeat(log, 2, axis=0)[::2]):
        assert basis(other).tobytes() == basis(log).tobytes()


def test_a_code_beyond_a_segments_levels_touches_no_other_column():
    basis = Basis(3, (Segment(0, 2), Segment(1, 3)), (Numeric(2, 1.0, 2.0),))
    rows = np.array([[0.0, 0.0, 1.0], [1.0, 2.0, 5.0], [2.0, 1.0, 1.0], [1.0, 3.0, 1.0], [-1.0, -1.0, 1.0]])
    assert basis(rows).tolist() == [
        [1, 1, 0, 1, 0, 0, 0],
        [1, 0, 1, 0, 0, 1, 2],
        [1, 0, 0, 0, 1, 0, 0],
        [1, 0, 1, 0, 0, 0, 0],
        [1, 0, 0, 0, 0, 0, 0],
    ]
