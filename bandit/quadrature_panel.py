"""One panel of the quadrature: all live arms at its nodes, what they add up to, and whether it may be believed."""

from typing import Any, Final, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from bandit.quadrature_math import (
    DENSITY_AT_ZERO,
    FARTHEST,
    FAST,
    KNEE,
    SQUEEZE,
    SUMS,
    exponential,
    lobatto,
    logarithm,
    mills,
)

LEVELS: Final = (32, 48, 64)  # nodes of the grids that are tried before bisection
PANEL: Final = 16  # nodes of a bisected panel
_MOST: Final = 64

# Rows of the table of nodes and columns of the live arms' constants.
STEP, ABOVE, BELOW, ALL, HAZARD = range(5)
MEAN, PRECISION, VALUE, RISE, FALL = range(5)


class Grid(NamedTuple):
    """Lobatto nodes and weights of the bisected panel and of each level, (1 + levels, 64)."""

    nodes: NDArray[np.float64]
    weights: NDArray[np.float64]


class Scratch(NamedTuple):
    """One row's workspace, made once per block."""

    bounds: NDArray[np.float64]  # (4, arms)
    constants: NDArray[np.float64]  # (arms, 5) by live arm
    table: NDArray[np.float64]  # (5, 64) what the live arms have in common at the nodes
    z: NDArray[np.float64]  # (arms · 64,) live arm after live arm: quantiles, then cdfs
    hazards: NDArray[np.float64]  # (arms · 64,) live arm after live arm
    live: NDArray[np.int64]  # (arms,) the live arms
    chance: NDArray[np.float64]  # (arms,) by live arm
    cross: NDArray[np.float64]  # (arms, arms) by live arm: ∫ h_a h_b G dt for b < a; the floor's part on the diagonal
    knees: NDArray[np.float64]  # (2,) where the row's logits are squeezed, see `bounded`
    stack: NDArray[np.float64]  # (64, 2) panels that wait


def make_grid() -> Grid:
    """The rules that the kernels use."""
    counts = (PANEL, *LEVELS)
    nodes, weights = np.zeros((2, len(counts), _MOST))
    for row, count in enumerate(counts):
        nodes[row, :count], weights[row, :count] = lobatto(count)
    return Grid(nodes, weights)


@njit(cache=True, nogil=True)
def make_scratch(arms: Any) -> Any:
    """Workspace for rows of so many arms."""
    return Scratch(
        np.zeros((4, arms)),
        np.zeros((arms, 5)),
        np.zeros((5, _MOST)),
        np.zeros(arms * _MOST),
        np.zeros(arms * _MOST),
        np.zeros(arms, np.int64),
        np.zeros(arms),
        np.zeros((arms, arms)),
        np.zeros(2),
        np.zeros((64, 2)),
    )


@njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy")
def _nodes(x: Any, w: Any, first: Any, half: Any, width: Any, table: Any) -> None:
    """Place the nodes: the step dt·weight and the distances t − L and L + W − t."""
    step, above, below, together, hazard = table[STEP], table[ABOVE], table[BELOW], table[ALL], table[HAZARD]
    for q in range(len(x)):
        odds = exponential(first + half * (1.0 + x[q]))
        rest = width / (1.0 + odds)
        below[q] = rest
        above[q] = odds * rest
        step[q] = (odds * rest) * (rest / width) * (half * w[q])
        together[q] = 1.0
        hazard[q] = 0.0


@njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy")
def _logits(one: Any, above: Any, below: Any, logit: Any, slope: Any) -> None:
    """One arm's logit at all nodes and its derivative with respect to the score, divided by its sd."""
    value, rise, fall = one[VALUE], one[RISE], one[FALL]
    tiny = value * 1e-140
    steepness = one[PRECISION] * value
    for q in range(len(logit)):
        won = above[q] + rise
        lost = below[q] + fall
        won = won if won > tiny else tiny
        lost = lost if lost > tiny else tiny
        inverse = 1.0 / (won * lost)
        logit[q] = logarithm(won * won * inverse)
        slope[q] = steepness * inverse


@njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy")
def _stretch(knees: Any, logit: Any, slope: Any) -> None:
    """Undo `bounded` on one arm's logits."""
    for q in range(len(logit)):
        excess = logit[q] - knees[1] if logit[q] > 0.0 else -logit[q] - knees[0]
        excess = excess if excess > 0.0 else 0.0
        excess = excess if excess < 0.9999 * SQUEEZE else 0.9999 * SQUEEZE
        growth = 1.0 / (1.0 - excess * (1.0 / SQUEEZE))
        more = excess * growth - excess
        logit[q] += more if logit[q] > 0.0 else -more
        slope[q] *= growth * growth


@njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy")
def _standardise(one: Any, logit: Any) -> None:
    mean, precision = one[MEAN], one[PRECISION]
    for q in range(len(logit)):
        logit[q] = (logit[q] - mean) * precision


@njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy")
def _normal(z: Any, hazards: Any) -> None:
    """Turn quantiles into cdfs, and slopes into hazards f / F, of all arms at all nodes."""
    for q in range(len(z)):
        x = z[q]
        x = x if x < FARTHEST else FARTHEST
        x = x if x > -FARTHEST else -FARTHEST
        distance = abs(x)
        ratio = mills(distance)
        density = DENSITY_AT_ZERO * exponential(-0.5 * x * x)
        tail = density * ratio
        cdf = 1.0 - tail if x > 0.0 else tail
        numerator = density if x > 0.0 else 1.0
        denominator = cdf if x > 0.0 else ratio
        hazard = numerator / denominator * hazards[q]
        hazards[q] = hazard if distance < FARTHEST else 0.0
        z[q] = cdf


@njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy")
def _join(cdf: Any, hazard: Any, product: Any, total: Any) -> None:
    for q in range(len(cdf)):
        product[q] *= cdf[q]
        total[q] += hazard[q]


@njit(cache=True, nogil=True, fastmath=SUMS, error_model="numpy")
def _residual(x: Any, w: Any, width: Any, table: Any) -> Any:
    """The largest error of the identities ∫φ dG = [φG] − ∫φ' G on one panel, for φ = 1, x, 2x² − 1 and (t − L) / W."""
    step, above, together, hazard = table[STEP], table[ABOVE], table[ALL], table[HAZARD]
    r0 = r1 = r2 = r3 = 0.0
    for q in range(len(x)):
        mass = step[q] * together[q] * hazard[q]
        area = w[q] * together[q]
        r0 += mass
        r1 += mass * x[q] + area
        r2 += mass * (2.0 * x[q] * x[q] - 1.0) + 4.0 * x[q] * area
        r3 += mass * above[q] + step[q] * together[q]
    last = len(x) - 1
    start, end = together[0], together[last]
    money = (r3 - (above[last] * end - above[0] * start)) / width
    return max(abs(r0 - (end - start)), abs(r1 - (end + start)), abs(r2 - (end - start)), abs(money))


@njit(cache=True, nogil=True)
def evaluate(panel: Any, width: Any, n: Any, rule: Any, scratch: Any) -> Any:
    """Evaluate all live arms on one panel (its ends); return the residual.

    In several short passes: a long one would leave the processor waiting for its own results.
    """
    x, w = rule
    count = len(x)
    table, constants, z, hazards = scratch.table, scratch.constants, scratch.z, scratch.hazards
    _nodes(x, w, panel[0], 0.5 * (panel[1] - panel[0]), width, table)
    above, below = table[ABOVE, :count], table[BELOW, :count]
    for j in range(n):
        one, own = constants[j], slice(j * count, (j + 1) * count)
        _logits(one, above, below, z[own], hazards[own])
        if abs(one[MEAN]) + FARTHEST / one[PRECISION] > KNEE:
            _stretch(scratch.knees, z[own], hazards[own])
        _standardise(one, z[own])
    _normal(z[: n * count], hazards[: n * count])
    for j in range(n):
        own = slice(j * count, (j + 1) * count)
        _join(z[own], hazards[own], table[ALL, :count], table[HAZARD, :count])
    return _residual(x, w, width, table)


@njit(cache=True, nogil=True, fastmath=SUMS, error_model="numpy")
def add_panel(n: Any, count: Any, curved: Any, scratch: Any) -> Any:
    """Add one certified panel to the probabilities (and to the cross terms); return its ∫ (1 − G) dt."""
    step, together = scratch.table[STEP, :count], scratch.table[ALL, :count]
    mass = scratch.table[ABOVE, :count]  # t − L until it is overwritten
    gain = mass[count - 1] - mass[0]
    for q in range(count):
        gain -= step[q] * together[q]
        mass[q] = step[q] * together[q]
    weighted = scratch.table[HAZARD, :count]  # no longer needed for what it held
    for j in range(n):
        own = scratch.hazards[j * count : (j + 1) * count]
        total = 0.0
        for q in range(count):
            weighted[q] = mass[q] * own[q]
            total += weighted[q]
        scratch.chance[j] += total
        if curved:
            for k in range(j):
                other = scratch.hazards[k * count : (k + 1) * count]
                total = 0.0
                for q in range(count):
                    total += weighted[q] * other[q]
                scratch.cross[j, k] += total
    return gain
