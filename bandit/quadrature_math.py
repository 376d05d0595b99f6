"""Exponential, logarithm and normal tail without calls and branches, of one number or of eight (`Lanes`).

Each function says how accurate it is; tests compare them with scipy.
"""

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from bandit.quadrature_lanes import split, times_power, where

# Reassociation and flags for infinities stay off: masks rely on comparisons, and sums on their order.
FAST = {"nsz", "arcp", "contract"}
SUMS = {"nsz", "arcp", "contract", "reassoc"}

FARTHEST = 8.5  # standard normal quantiles are clamped here: the density is 8e-17

_LOG2_E = 1.4426950408889634
_LN2_HIGH = 0.693147180369123816490
_LN2_LOW = 1.90821492927058770002e-10
_ROUND = 6755399441055744.0  # 1.5 * 2^52: adding it rounds to an integer, which then stands in the low bits

# φ(x) = 2^k · Σ _DENSITY r^i with k + r = −x² log2(e) / 2, |r| ≤ ½: relative error 4e-11.
_DENSITY = (
    0.39894228038624996,
    0.2765257169377739,
    0.09583651249522479,
    0.02214293350017971,
    0.0038370378069735567,
    0.0005319476455419471,
    6.171332490587465e-05,
    6.0621577235781205e-06,
)
# Mills' ratio (1 − Φ(x)) / φ(x) = Σ _TAIL x^i / Σ _BASE x^i, relative error 2e-11 for 0 ≤ x ≤ 8.6.
_TAIL = (
    1.253314137295657,
    1.222236411560131,
    0.5845314269581734,
    0.16057999303217121,
    0.025165276587474576,
    0.0018216898364479344,
)
_BASE = (
    1.0,
    1.7730881215516072,
    1.3811082669914485,
    0.6095065246909647,
    0.1624146063261599,
    0.025164735945945465,
    0.0018217002705945412,
)


@njit(nogil=True, fastmath=FAST, error_model="numpy")
def exponential(x: Any) -> Any:
    """exp(x) for |x| ≤ 700, relative error below 1e-14: x = k ln 2 + r, Taylor series in r."""
    shifted = x * _LOG2_E + _ROUND
    k = shifted - _ROUND
    r = (x - k * _LN2_HIGH) - k * _LN2_LOW
    r2 = r * r
    high = (r * (1 / 362880) + 1 / 40320) + r2 * (r * (1 / 39916800) + 1 / 3628800)
    middle = (r * (1 / 120) + 1 / 24) + r2 * (r * (1 / 5040) + 1 / 720)
    series = (r + 1.0) + r2 * (r * (1 / 6) + 0.5) + r2 * r2 * (middle + r2 * r2 * high)
    return times_power(series, shifted)


@njit(nogil=True, fastmath=FAST, error_model="numpy")
def logarithm(x: Any) -> Any:
    """log(x) for positive normal x, error below 1e-15 (relative to max(1, |log x|)): inverse hyperbolic tangent."""
    mantissa, exponent = split(x)
    f = mantissa - 1.0
    s = f / (f + 2.0)
    t = s * s
    t2 = t * t
    low = (t * (2 / 5) + 2 / 3) + t2 * (t * (2 / 9) + 2 / 7)
    high = (t * (2 / 13) + 2 / 11) + t2 * (t * (2 / 17) + 2 / 15)
    return exponent * _LN2_HIGH + (2.0 * s + (s * t * (low + t2 * t2 * high) + exponent * _LN2_LOW))


@njit(nogil=True, fastmath=FAST, error_model="numpy")
def _density(x: Any) -> Any:
    """φ(x), relative error below 1e-10."""
    power = x * x * (-0.5 * _LOG2_E)
    shifted = power + _ROUND
    r = power - (shifted - _ROUND)
    r2 = r * r
    low = (_DENSITY[0] + r * _DENSITY[1]) + r2 * (_DENSITY[2] + r * _DENSITY[3])
    high = (_DENSITY[4] + r * _DENSITY[5]) + r2 * (_DENSITY[6] + r * _DENSITY[7])
    return times_power(low + r2 * r2 * high, shifted)


@njit(nogil=True, fastmath=FAST, error_model="numpy")
def _mills(x: Any) -> Any:
    """Numerator and denominator of Mills' ratio, 0 ≤ x ≤ 8.5."""
    x2 = x * x
    x4 = x2 * x2
    tail = ((_TAIL[0] + x * _TAIL[1]) + x2 * (_TAIL[2] + x * _TAIL[3])) + x4 * (_TAIL[4] + x * _TAIL[5])
    low = (_BASE[0] + x * _BASE[1]) + x2 * (_BASE[2] + x * _BASE[3])
    return tail, low + x4 * ((_BASE[4] + x * _BASE[5]) + x2 * _BASE[6])


@njit(nogil=True, fastmath=FAST, error_model="numpy")
def cdf_and_hazard(x: Any) -> Any:
    """Φ(x) and φ(x) / Φ(x) for |x| ≤ 8.5, relative errors below 2e-10, with a single division."""
    distance = abs(x)
    density = _density(x)
    tail, base = _mills(distance)
    below = where(x > 0.0, base - density * tail, tail)
    inverse = 1.0 / (below * base)
    cdf = below * below * inverse * where(x > 0.0, 1.0, density)
    return cdf, base * base * inverse * where(x > 0.0, density, 1.0)


@njit(nogil=True, fastmath=FAST, error_model="numpy")
def sigmoid(x: Any) -> Any:
    """1 / (1 + exp(−x)) with x clamped to ±300: positive, and 1 only where float64 has nothing nearer to 1."""
    x = where(x > -300.0, x, -300.0)
    x = where(x < 300.0, x, 300.0)
    return 1.0 / (exponential(-x) + 1.0)


@njit(nogil=True, fastmath=FAST, error_model="numpy")
def normal_cdf(x: Any) -> Any:
    """Φ(x), error below 4e-11; x is clamped to ±8.5."""
    x = where(x < FARTHEST, x, FARTHEST)
    x = where(x > -FARTHEST, x, -FARTHEST)
    tail, base = _mills(abs(x))
    tail = _density(x) * tail / base
    return where(x > 0.0, 1.0 - tail, tail)


def lobatto(count: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Nodes and weights of the Gauss–Lobatto rule on [−1, 1], ends included.

    The inner nodes are the roots of P'_{count−1}, found by Newton steps from Chebyshev–Lobatto points; the rule is
    exact for polynomials up to degree 2 count − 3 (Abramowitz and Stegun 25.4.32).

    Returns:
        nodes (count,) ascending, weights (count,).
    """
    x = -np.cos(np.pi * np.arange(count) / (count - 1))
    last = count - 1
    for _ in range(60):
        before, legendre = np.ones(count), x
        for degree in range(2, count):
            before, legendre = legendre, ((2 * degree - 1) * x * legendre - (degree - 1) * before) / degree
        x = x - (x * legendre - before) / (count * legendre)
    x = 0.5 * (x - x[::-1])
    x[0], x[last] = -1.0, 1.0
    before, legendre = np.ones(count), x
    for degree in range(2, count):
        before, legendre = legendre, ((2 * degree - 1) * x * legendre - (degree - 1) * before) / degree
    return x, 2.0 / (last * count * legendre**2)
