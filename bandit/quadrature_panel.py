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

LEVELS: Final = (24, 32, 40, 48, 64, 96)  # nodes of the grids that are tried before bisection
PANEL: Final = 32  # nodes of a bisected panel
_MOST: Final = max(LEVELS)

# Small probabilities: each is right within a thousandth of itself, or of SMALLEST where it is smaller.
SMALLEST: Final = 1e-6
_DOUBTFUL: Final = 1e-4  # residuals below this share of a probability leave it in no doubt
_STEEP: Final = (
    10.0  # mean change from node to node; exp(Δ²) for a normal density at nodes Δ apart, when Δ is not small
)
_STEEPEST: Final = 3000.0  # one step counts as no steeper

LANES: Final = 8  # float64 numbers in the widest vector; loops over whole vectors leave no scalar rest

# Rows of the table of nodes and columns of the live arms' constants.
STEP, ABOVE, BELOW, ALL, HAZARD = range(5)
MEAN, PRECISION, VALUE, SHIFT, RISE, FALL, TOP = range(7)
SD: Final = PRECISION  # in a row that is not yet placed


class Grid(NamedTuple):
    """Lobatto nodes and weights of the bisected panel and of each level, (1 + levels, 96)."""

    nodes: NDArray[np.float64]
    weights: NDArray[np.float64]


class Scratch(NamedTuple):
    """One row's workspace, made once per block."""

    row: NDArray[np.float64]  # (4, arms in whole vectors) mean, sd, value and shift of all arms
    bounds: NDArray[np.float64]  # (6, arms in whole vectors)
    constants: NDArray[np.float64]  # (7, arms in whole vectors) by live arm
    table: NDArray[np.float64]  # (5, 96) what the live arms have in common at the nodes
    starts: NDArray[np.int64]  # (arms + 1,) where each live arm's nodes begin in the next three
    z: NDArray[np.float64]  # (arms · 96,) odds, then logits, quantiles and cdfs
    density: NDArray[np.float64]  # (arms · 96,)
    hazards: NDArray[np.float64]  # (arms · 96,)
    live: NDArray[np.int64]  # (arms in whole vectors,) the live arms
    chance: NDArray[np.float64]  # (arms in whole vectors,) by live arm
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
def whole_vectors(count: Any) -> Any:
    """So many, rounded up to whole vectors."""
    return (count + LANES - 1) & ~(LANES - 1)


@njit(cache=True, nogil=True)
def make_scratch(arms: Any) -> Any:
    """Workspace for rows of so many arms."""
    return Scratch(
        np.zeros((4, whole_vectors(arms))),
        np.zeros((6, whole_vectors(arms))),
        np.ones((7, whole_vectors(arms))),
        np.zeros((5, _MOST)),
        np.zeros(arms + 1, np.int64),
        np.zeros(arms * _MOST),
        np.zeros(arms * _MOST),
        np.zeros(arms * _MOST),
        np.zeros(whole_vectors(arms), np.int64),
        np.zeros(whole_vectors(arms)),
        np.zeros((arms, arms)),
        np.zeros(2),
        np.zeros((64, 2)),
    )


@njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy")
def _nodes(x: Any, w: Any, first: Any, half: Any, width: Any, table: Any) -> None:
    """Place the nodes: the step dt·weight and the distances t − L and L + W − t."""
    for q in range(len(x)):
        odds = exponential(first + half * (1.0 + x[q]))
        rest = width / (1.0 + odds)
        table[BELOW, q] = rest
        table[ABOVE, q] = odds * rest
        table[STEP, q] = (odds * rest) * (rest / width) * (half * w[q])
        table[ALL, q] = 1.0
        table[HAZARD, q] = 0.0


@njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy")
def _odds(j: Any, constants: Any, table: Any, own: Any, odds: Any, slope: Any) -> None:
    """One arm's odds of success at its nodes, and the logit's derivative with respect to the score, divided by sd."""
    value, rise, fall = constants[VALUE, j], constants[RISE, j], constants[FALL, j]
    tiny = value * 1e-140
    steepness = constants[PRECISION, j] * value
    first, count = own
    for q in range(count):
        won = table[ABOVE, q] + rise
        lost = table[BELOW, q] + fall
        won = won if won > tiny else tiny
        lost = lost if lost > tiny else tiny
        inverse = 1.0 / (won * lost)
        odds[first + q] = won * won * inverse
        slope[first + q] = steepness * inverse


@njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy")
def _logits(count: Any, odds: Any) -> None:
    """Turn odds into logits, of all arms at once."""
    for q in range(count):
        odds[q] = logarithm(odds[q])


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
def _standardise(mean: Any, precision: Any, own: Any, logit: Any) -> None:
    first, count = own
    for q in range(count):
        x = (logit[first + q] - mean) * precision
        x = x if x < FARTHEST else FARTHEST
        logit[first + q] = x if x > -FARTHEST else -FARTHEST


@njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy")
def _densities(count: Any, z: Any, density: Any) -> None:
    for q in range(count):
        density[q] = DENSITY_AT_ZERO * exponential(-0.5 * z[q] * z[q])


@njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy")
def _normal(count: Any, density: Any, z: Any, hazards: Any) -> None:
    """Turn quantiles into cdfs, and slopes into hazards f / F, of all arms at once."""
    for q in range(count):
        x = z[q]
        distance = abs(x)
        ratio = mills(distance)
        tail = density[q] * ratio
        cdf = 1.0 - tail if x > 0.0 else tail
        numerator = density[q] if x > 0.0 else 1.0
        denominator = cdf if x > 0.0 else ratio
        hazard = numerator / denominator * hazards[q]
        hazards[q] = hazard if distance < FARTHEST else 0.0
        z[q] = cdf


@njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy")
def _join(own: Any, cdf: Any, hazard: Any, table: Any) -> None:
    """One more arm in the product of cdfs and in the sum of hazards."""
    first, count = own
    for q in range(count):
        table[ALL, q] *= cdf[first + q]
        table[HAZARD, q] += hazard[first + q]


@njit(cache=True, nogil=True)
def _reached(x: Any, top: Any) -> Any:
    """How many nodes an arm matters at: those up to its top, in whole vectors of 8."""
    below = 0
    for q in range(len(x)):
        below += 1 if x[q] < top else 0
    return min(whole_vectors(below + 1), len(x))


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
def _own(j: Any, starts: Any) -> Any:
    """Where an arm's nodes begin and how many it has: unsigned, or each index would be asked whether it is negative."""
    return np.uint64(starts[j]), np.uint64(starts[j + 1] - starts[j])


@njit(cache=True, nogil=True, error_model="numpy")
def evaluate(panel: Any, width: Any, n: Any, rule: Any, scratch: Any) -> Any:
    """Evaluate all live arms on one panel (its ends), each where it matters; return the residual.

    In many short passes: a long one would leave the processor waiting for its own results. Without slices: each would
    count references.
    """
    x, w = rule
    table, constants, starts = scratch.table, scratch.constants, scratch.starts
    z, density, hazards = scratch.z, scratch.density, scratch.hazards
    half = 0.5 * (panel[1] - panel[0])
    _nodes(x, w, panel[0], half, width, table)
    for j in range(n):
        starts[j + 1] = starts[j] + _reached(x, (constants[TOP, j] - panel[0]) / half - 1.0)
        _odds(j, constants, table, _own(j, starts), z, hazards)
    count = np.uint64(starts[n])
    _logits(count, z)
    for j in range(n):
        mean, precision = constants[MEAN, j], constants[PRECISION, j]
        if abs(mean) + FARTHEST / precision > KNEE:
            _stretch(scratch.knees, z[starts[j] : starts[j + 1]], hazards[starts[j] : starts[j + 1]])
        _standardise(mean, precision, _own(j, starts), z)
    _densities(count, z, density)
    _normal(count, density, z, hazards)
    for j in range(n):
        _join(_own(j, starts), z, hazards, table)
    return _residual(x, w, width, table)


@njit(cache=True, nogil=True, fastmath=SUMS, error_model="numpy")
def _weigh(own: Any, hazard: Any, table: Any) -> Any:
    """∫ h_a G dt on the panel; the integrand stays behind in the row of the sum of hazards, no longer needed."""
    first, count = own
    total = 0.0
    for q in range(count):
        mass = table[ABOVE, q] * hazard[first + q]
        table[HAZARD, q] = mass
        total += mass
    return total


@njit(cache=True, nogil=True, fastmath=SUMS, error_model="numpy")
def _weigh_both(own: Any, hazard: Any, table: Any) -> Any:
    """∫ h_a h_b G dt on the panel, after `_weigh` of a."""
    first, count = own
    total = 0.0
    for q in range(count):
        total += table[HAZARD, q] * hazard[first + q]
    return total


@njit(cache=True, nogil=True, fastmath=SUMS, error_model="numpy")
def add_panel(n: Any, count: Any, curved: Any, scratch: Any) -> Any:
    """Add one certified panel to the probabilities (and to the cross terms); return its ∫ (1 − G) dt."""
    table, starts, hazards = scratch.table, scratch.starts, scratch.hazards
    gain = table[ABOVE, count - 1] - table[ABOVE, 0]
    for q in range(count):
        mass = table[STEP, q] * table[ALL, q]
        gain -= mass
        table[ABOVE, q] = mass  # t − L is no longer needed
    for j in range(n):
        first, reach = _own(j, starts)
        scratch.chance[j] += _weigh((first, reach), hazards, table)
        if curved:
            for k in range(j):
                other, both = _own(k, starts)
                scratch.cross[j, k] += _weigh_both((other, min(reach, both)), hazards, table)
    return gain


@njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy")
def _steepness(own: Any, hazard: Any, table: Any) -> Any:
    """How many times larger one arm's integrand is at a node than at the next or the one before, weighed by mass."""
    first, count = own
    one = np.uint64(1)
    steepness = 0.0
    for q in range(count - one):
        here, there = table[ABOVE, q] * hazard[first + q], table[ABOVE, q + one] * hazard[first + q + one]
        high, low = max(here, there), min(here, there)
        steepness += high * high / max(low, high / _STEEPEST, 1e-300)
    return steepness


@njit(cache=True, nogil=True)
def resolved(n: Any, residual: Any, scratch: Any) -> Any:
    """Whether small probabilities are right too, after `add_panel` of a panel that is the whole range.

    The residual is that of all arms together: what is large beside it is right. What is not is right where the nodes
    resolve the arm's integrand. They fail where its score comes near the most that it can be: there it ends at once.
    """
    for j in range(n):
        chance = scratch.chance[j]
        doubtful = chance > 0.5 * SMALLEST and residual > _DOUBTFUL * max(chance, SMALLEST)
        if doubtful and _steepness(_own(j, scratch.starts), scratch.hazards, scratch.table) > _STEEP * chance:
            return False
    return True
