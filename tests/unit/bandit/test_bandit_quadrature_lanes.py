"""Eight numbers at once do what each would do alone."""

import numpy as np
from numba import njit

from bandit.quadrature_lanes import WIDTH, highest, load, split, spread, store, total, where
from bandit.quadrature_math import cdf_and_hazard, exponential, logarithm, sigmoid


@njit
def _operate(a, b, out):
    x, y = load(a, 0), load(b, 0)
    store(out, (0, 0), x + y * 2.0 - 1.0)
    store(out, (1, 0), -abs(x) / y)
    store(out, (2, 0), where((x > 0.0) & (y <= 0.5), x, y))
    store(out, (3, 0), where(x < y, spread(1.0), where(x >= 2.0, 2.0, 3.0)))
    return total(x), highest(x)


def test_operators_work_lane_by_lane():
    rng = np.random.default_rng(1)
    a, b, out = rng.normal(size=WIDTH), rng.uniform(0.1, 1, WIDTH), np.empty((4, WIDTH))
    a[3] = 2.5
    assert _operate(a, b, out) == (np.float64(a.reshape(2, 4).sum(0).reshape(2, 2).sum(0).sum()), a.max())
    np.testing.assert_allclose(out[0], a + 2 * b - 1, rtol=1e-15, atol=1e-15)
    np.testing.assert_allclose(out[1], -np.abs(a) / b, rtol=1e-15)
    np.testing.assert_array_equal(out[2], np.where((a > 0) & (b <= 0.5), a, b))
    np.testing.assert_array_equal(out[3], np.where(a < b, 1, np.where(a >= 2, 2, 3)))


@njit
def _eight(x, out):
    lanes = load(x, 0)
    cdf, hazard = cdf_and_hazard(lanes)
    mantissa, exponent = split(abs(lanes) + 0.001)
    store(out, (0, 0), exponential(lanes))
    store(out, (1, 0), logarithm(abs(lanes) + 0.001))
    store(out, (2, 0), sigmoid(lanes))
    store(out, (3, 0), cdf)
    store(out, (4, 0), hazard)
    store(out, (5, 0), mantissa)
    store(out, (6, 0), exponent)


@njit
def _one(x):
    cdf, hazard = cdf_and_hazard(x)
    mantissa, exponent = split(abs(x) + 0.001)
    return exponential(x), logarithm(abs(x) + 0.001), sigmoid(x), cdf, hazard, mantissa, exponent


def test_functions_of_eight_numbers_are_those_of_one():
    x, out = np.linspace(-8.4, 8.3, WIDTH), np.empty((7, WIDTH))
    _eight(x, out)
    np.testing.assert_allclose(out, np.array([_one(each) for each in x]).T, rtol=1e-13)
    np.testing.assert_array_equal(out[5] * 2.0 ** out[6], np.abs(x) + 0.001)
    assert ((out[5] >= np.sqrt(0.5)) & (out[5] < np.sqrt(2))).all()
