"""Exponential, logarithm and normal tail in forms that the compiler can turn into vector instructions.

Library calls and branches would keep a loop over nodes scalar, three to five times slower. Each function says how
accurate it is; tests compare them with scipy.
"""

from typing import Any

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba import njit, types
from numba.extending import intrinsic
from numpy.typing import NDArray

# Reassociation and flags for infinities stay off: masks rely on comparisons, and sums on their order.
FAST = {"nsz", "arcp", "contract"}
SUMS = {"nsz", "arcp", "contract", "reassoc"}

SQRT_HALF = 0.7071067811865476
DENSITY_AT_ZERO = 0.3989422804014327  # of the standard normal
KNEE, SQUEEZE = 18.0, 6.0  # logits beyond 18 may be squeezed into the next 6, see `bounded`
FARTHEST = 8.5  # standard normal quantiles are clamped here: the density is 8e-17

_LOG2_E = 1.4426950408889634
_LN2_HIGH = 0.693147180369123816490
_LN2_LOW = 1.90821492927058770002e-10
_ROUND = 6755399441055744.0  # 1.5 * 2^52: adding it rounds to an integer, which then stands in the low bits
_SQRT_HALF_BITS = int(np.float64(SQRT_HALF).view(np.int64))
_MANTISSA = (1 << 52) - 1
_TWO_52 = 2.0**52
_TWO_52_BITS = int(np.float64(_TWO_52).view(np.int64))

_MILLS = (
    0.40358084553705303,
    0.4707795295493662,
    0.2530206068401603,
    0.09798323241834488,
    0.02527962258209557,
    0.0031582474679904436,
    -0.00033332633392859506,
    -0.00016536000353117042,
    3.0671560547838037e-06,
    8.172963237393443e-06,
    -1.0585230575623368e-07,
    -3.950446694663203e-07,
)


@intrinsic
def _bits(typing_context: Any, x: Any) -> Any:  # noqa: ARG001 (numba prescribes the arguments)
    """The float64's bits as int64."""

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:  # noqa: ARG001
        return builder.bitcast(arguments[0], ir.IntType(64))

    return types.int64(types.float64), build


@intrinsic
def _float(typing_context: Any, x: Any) -> Any:  # noqa: ARG001
    """The float64 with these int64 bits."""

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:  # noqa: ARG001
        return builder.bitcast(arguments[0], ir.DoubleType())

    return types.float64(types.int64), build


@njit(nogil=True, fastmath=FAST, error_model="numpy")
def exponential(x: Any) -> Any:
    """exp(x) for |x| ≤ 700, relative error below 1e-14: x = k ln 2 + r, Taylor series in r."""
    shifted = x * _LOG2_E + _ROUND
    k = shifted - _ROUND
    r = (x - k * _LN2_HIGH) - k * _LN2_LOW
    r2 = r * r
    high = (1 / 40320 + r * (1 / 362880)) + r2 * (1 / 3628800 + r * (1 / 39916800))
    middle = (1 / 24 + r * (1 / 120)) + r2 * (1 / 720 + r * (1 / 5040))
    series = ((1.0 + r) + r2 * (0.5 + r * (1 / 6))) + r2 * r2 * (middle + r2 * r2 * high)
    return _float(_bits(series) + (_bits(shifted) << 52))


@njit(nogil=True, fastmath=FAST, error_model="numpy")
def logarithm(x: Any) -> Any:
    """log(x) for positive normal x, error below 1e-15 (relative to max(1, |log x|)): inverse hyperbolic tangent."""
    bits = _bits(x) - _SQRT_HALF_BITS + (1 << 62)
    exponent = _float((bits >> 52) | _TWO_52_BITS) - (_TWO_52 + 1024.0)
    f = _float((bits & _MANTISSA) + _SQRT_HALF_BITS) - 1.0
    s = f / (2.0 + f)
    t = s * s
    t2 = t * t
    low = (2 / 3 + t * (2 / 5)) + t2 * (2 / 7 + t * (2 / 9))
    high = (2 / 11 + t * (2 / 13)) + t2 * (2 / 15 + t * (2 / 17))
    return exponent * _LN2_HIGH + (2.0 * s + (s * t * (low + t2 * t2 * high) + exponent * _LN2_LOW))


@njit(nogil=True, fastmath=FAST, error_model="numpy")
def mills(x: Any) -> Any:
    """Mills' ratio (1 − Φ(x)) / φ(x) for 0 ≤ x ≤ 9, relative error below 1e-10.

    A polynomial of degree 11 in 1 / (x + 4), mapped to [−1, 1], fitted to scipy.special.erfcx at 4,000 Chebyshev
    points.
    """
    u = (1.0 / (x + 4.0)) * (104.0 / 9.0) - 17.0 / 9.0
    u2 = u * u
    u4 = u2 * u2
    low = (_MILLS[0] + u * _MILLS[1]) + u2 * (_MILLS[2] + u * _MILLS[3])
    middle = (_MILLS[4] + u * _MILLS[5]) + u2 * (_MILLS[6] + u * _MILLS[7])
    high = (_MILLS[8] + u * _MILLS[9]) + u2 * (_MILLS[10] + u * _MILLS[11])
    return low + u4 * (middle + u4 * high)


@njit(nogil=True, fastmath=FAST, error_model="numpy")
def sigmoid(x: Any) -> Any:
    """1 / (1 + exp(−x)) with x clamped to ±300: positive, and 1 only where float64 has nothing nearer to 1."""
    x = x if x > -300.0 else -300.0
    x = x if x < 300.0 else 300.0
    return 1.0 / (1.0 + exponential(-x))


@njit(nogil=True, fastmath=FAST, error_model="numpy")
def normal_cdf(x: Any) -> Any:
    """Φ(x), error below 2e-11; x is clamped to ±8.5."""
    x = x if x < FARTHEST else FARTHEST
    x = x if x > -FARTHEST else -FARTHEST
    distance = x if x > 0.0 else -x
    tail = DENSITY_AT_ZERO * exponential(-0.5 * x * x) * mills(distance)
    return 1.0 - tail if x > 0.0 else tail


@njit(nogil=True, fastmath=FAST, error_model="numpy")
def bounded(x: Any, low: Any, high: Any) -> Any:
    """A logit squeezed by at most 6 beyond its knees −low and high, unchanged between them.

    Between value·σ(37) and value, float64 holds no score; a wide belief may have much of its mass there. Squeezed
    beyond ±18, that mass keeps its order and stays apart; no score moves by more than 2e-8 of its value.
    """
    excess = x - high if x > 0.0 else -x - low
    excess = excess if excess > 0.0 else 0.0
    less = excess - excess / (1.0 + excess * (1.0 / SQUEEZE))
    return x - less if x > 0.0 else x + less


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
