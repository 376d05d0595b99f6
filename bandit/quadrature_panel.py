"""One panel of the quadrature: all live arms at its nodes, what they add up to, and whether it may be believed."""

from typing import Any, Final, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from bandit.quadrature_lanes import WIDTH, load, spread, store, total, where
from bandit.quadrature_math import (
    FARTHEST,
    FAST,
    cdf_and_hazard,
    exponential,
    lobatto,
    logarithm,
)

LEVELS: Final = (16, 24, 32, 40, 48, 56, 64, 80, 96)  # nodes of the grids that are tried before bisection
PANEL: Final = 32  # nodes of a bisected panel
_MOST: Final = max(LEVELS)

# Small probabilities: each is right within a thousandth of itself, or of SMALLEST where it is smaller.
SMALLEST: Final = 1e-6
LOOSE: Final = 1e-5  # from this tolerance on, sums over many customers are wanted: small chances are not looked at
_DOUBTFUL: Final = 1e-4  # residuals below this share of a probability leave it in no doubt
_MORE_DOUBTFUL: Final = 9e-4
_VERY_DOUBTFUL: Final = 1e-2
# Mean change from node to node that is still resolved; exp(Δ²) for a normal density at nodes Δ apart, when Δ is not
# small. Where an arm ends at once, two nodes may by chance lie in the fall: much doubt allows but little change, and
# arms that may end so, no more than smooth ones have at this distance of nodes.
_STEEP: Final = 10.0
_LESS_STEEP: Final = 2.2
_SMOOTH: Final = 23.0  # times sharpness per node, squared: how much steeper than 1 smooth arms are at most
_STEEPEST: Final = 3000.0  # one step counts as no steeper

# Rows of the table of nodes and columns of the live arms' constants.
STEP, ABOVE, BELOW, ALL, HAZARD = range(5)
LOW, UP = range(2)  # rows of the table of bounds
MEAN, PRECISION, VALUE, SHIFT, RISE, FALL, TOP = range(7)
SD: Final = PRECISION  # in a row that is not yet placed


class Grid(NamedTuple):
    """Lobatto nodes and weights of the bisected panel and of each level, (1 + levels, 96)."""

    nodes: NDArray[np.float64]
    weights: NDArray[np.float64]


class Scratch(NamedTuple):
    """One row's workspace, made once per block."""

    row: NDArray[np.float64]  # (4, arms in whole vectors) mean, sd, value and shift of all arms
    bounds: NDArray[np.float64]  # (2, arms in whole vectors)
    constants: NDArray[np.float64]  # (7, arms in whole vectors) by live arm
    table: NDArray[np.float64]  # (5, 104) what the live arms have in common at the nodes
    starts: NDArray[np.int64]  # (arms + 1,) where each live arm's nodes begin in the next two
    cdf: NDArray[np.float64]  # (arms · 96,) quantiles, then cdfs
    hazards: NDArray[np.float64]  # (arms · 96,) the quantiles' derivatives, then hazards
    live: NDArray[np.int64]  # (arms in whole vectors,) the live arms
    chance: NDArray[np.float64]  # (arms in whole vectors,) by live arm
    cross: NDArray[np.float64]  # (arms, arms) by live arm: ∫ h_a h_b G dt for b < a; the floor's part on the diagonal
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
    return (count + WIDTH - 1) & ~(WIDTH - 1)


@njit(cache=True, nogil=True)
def make_scratch(arms: Any) -> Any:
    """Workspace for rows of so many arms."""
    return Scratch(
        np.zeros((4, whole_vectors(arms))),
        np.zeros((2, whole_vectors(arms))),
        np.ones((7, whole_vectors(arms))),
        np.zeros((5, _MOST + WIDTH)),
        np.zeros(arms + 1, np.int64),
        np.zeros(arms * _MOST),
        np.zeros(arms * _MOST),
        np.zeros(whole_vectors(arms), np.int64),
        np.zeros(whole_vectors(arms)),
        np.zeros((arms, arms)),
        np.zeros((64, 2)),
    )


@njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy")
def _nodes(first: Any, half: Any, width: Any, rule: Any, table: Any) -> None:
    """Place the nodes: the step dt·weight and the distances t − L and L + W − t."""
    grid, row, count = rule
    for q in range(0, count, WIDTH):
        odds = exponential((load(grid.nodes, (row, q)) + 1.0) * half + first)
        share = 1.0 / (odds + 1.0)
        rest = share * width
        above = odds * rest
        store(table, (BELOW, q), rest)
        store(table, (ABOVE, q), above)
        store(table, (STEP, q), above * share * (load(grid.weights, (row, q)) * half))
        store(table, (ALL, q), spread(1.0))
        store(table, (HAZARD, q), spread(0.0))


@njit(cache=True, nogil=True)
def _reached(top: Any, rule: Any) -> Any:
    """How many nodes an arm matters at: those up to its top, in whole vectors."""
    grid, row, count = rule
    reach = WIDTH
    while reach < count and grid.nodes[row, reach] < top:
        reach += WIDTH
    return reach


@njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy")
def _quantiles(j: Any, first: Any, reach: Any, scratch: Any) -> None:
    """One arm's standard normal quantile at its nodes, and its derivative with respect to the score."""
    constants, table, z, slope = scratch.constants, scratch.table, scratch.cdf, scratch.hazards
    mean, precision, value = constants[MEAN, j], constants[PRECISION, j], constants[VALUE, j]
    rise, fall = constants[RISE, j], constants[FALL, j]
    tiny, steepness = value * 1e-140, precision * value
    for q in range(0, reach, WIDTH):
        won, lost = load(table, (ABOVE, q)) + rise, load(table, (BELOW, q)) + fall
        won, lost = where(won > tiny, won, tiny), where(lost > tiny, lost, tiny)
        inverse = 1.0 / (won * lost)
        x = (logarithm(won * won * inverse) - mean) * precision
        x = where(x < FARTHEST, x, FARTHEST)
        store(z, first + q, where(x > -FARTHEST, x, -FARTHEST))
        store(slope, first + q, inverse * steepness)


@njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy")
def _normal(count: Any, z: Any, hazards: Any) -> None:
    """Turn quantiles into cdfs, and their derivatives into hazards f / F, of all arms at once."""
    for q in range(0, count, WIDTH):
        x = load(z, q)
        cdf, hazard = cdf_and_hazard(x)
        store(z, q, cdf)
        store(hazards, q, where(abs(x) < FARTHEST, hazard * load(hazards, q), 0.0))


@njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy")
def _join(first: Any, reach: Any, scratch: Any) -> None:
    """One more arm in the product of cdfs and in the sum of hazards."""
    table, cdf, hazards = scratch.table, scratch.cdf, scratch.hazards
    for q in range(0, reach, WIDTH):
        store(table, (ALL, q), load(table, (ALL, q)) * load(cdf, first + q))
        store(table, (HAZARD, q), load(table, (HAZARD, q)) + load(hazards, first + q))


@njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy")
def _residual(width: Any, rule: Any, table: Any) -> Any:
    """The largest error of ∫φ dG = [φ](G − G_end) + ∫φ' (G_end − G) on one panel, φ = 1, x, 2x² − 1 and (t − L) / W."""
    grid, row, count = rule
    last = table[ALL, count - 1]
    r0 = r1 = r2 = r3 = spread(0.0)
    for q in range(0, count, WIDTH):
        x, step, together = load(grid.nodes, (row, q)), load(table, (STEP, q)), load(table, (ALL, q))
        mass, missing = step * together * load(table, (HAZARD, q)), last - together
        area = load(grid.weights, (row, q)) * missing
        r0 = r0 + mass
        r1 = r1 + (mass * x - area)
        r2 = r2 + (mass * (2.0 * x * x - 1.0) - 4.0 * x * area)
        r3 = r3 + (mass * load(table, (ABOVE, q)) - step * missing)
    gain = last - table[ALL, 0]
    money = (total(r3) - table[ABOVE, 0] * gain) / width
    return max(abs(total(r0) - gain), abs(total(r1) + gain), abs(total(r2) - gain), abs(money))


@njit(cache=True, nogil=True, error_model="numpy")
def evaluate(panel: Any, width: Any, n: Any, rule: Any, scratch: Any) -> Any:
    """Evaluate all live arms on one panel (its ends), each where it matters; return the residual.

    The rule is a grid, its row and its number of nodes. In several short passes: a long one would leave the processor
    waiting for its own results. Without slices: each would count references.
    """
    constants, starts = scratch.constants, scratch.starts
    half = 0.5 * (panel[1] - panel[0])
    _nodes(panel[0], half, width, rule, scratch.table)
    for j in range(n):
        reach = _reached((constants[TOP, j] - panel[0]) / half - 1.0, rule)
        _quantiles(j, starts[j], reach, scratch)
        starts[j + 1] = starts[j] + reach
    _normal(starts[n], scratch.cdf, scratch.hazards)
    for j in range(n):
        _join(starts[j], starts[j + 1] - starts[j], scratch)
    return _residual(width, rule, scratch.table)


@njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy")
def _weigh(j: Any, row: Any, scratch: Any) -> Any:
    """∫ (a row of the table) · h_a on the panel."""
    table, hazards = scratch.table, scratch.hazards
    first = scratch.starts[j]
    weighed = spread(0.0)
    for q in range(0, scratch.starts[j + 1] - first, WIDTH):
        weighed = weighed + load(table, (row, q)) * load(hazards, first + q)
    return total(weighed)


@njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy")
def _integrand(j: Any, scratch: Any) -> Any:
    """h_a G dt of one arm at its nodes, in place of the sum of hazards, no longer needed; 0 at all further nodes."""
    table, hazards = scratch.table, scratch.hazards
    first = scratch.starts[j]
    reach = scratch.starts[j + 1] - first
    for q in range(0, reach, WIDTH):
        store(table, (HAZARD, q), load(table, (ABOVE, q)) * load(hazards, first + q))
    for q in range(reach, table.shape[1], WIDTH):
        store(table, (HAZARD, q), spread(0.0))
    return reach


@njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy")
def add_panel(n: Any, count: Any, curved: Any, scratch: Any) -> Any:
    """Add one certified panel to the probabilities (and to the cross terms); return its ∫ (1 − G) dt."""
    table = scratch.table
    area, end = table[ABOVE, count - 1] - table[ABOVE, 0], table[ALL, count - 1]
    missing = spread(0.0)  # ∫ (G_end − G) dt, for which the residual vouches: ∫ dt alone the nodes may get wrong
    for q in range(0, count, WIDTH):
        step, below = load(table, (STEP, q)), load(table, (ALL, q))
        missing = missing + step * (end - below)
        store(table, (ABOVE, q), step * below)  # t − L is no longer needed
    for j in range(n):
        scratch.chance[j] += _weigh(j, ABOVE, scratch)
        if curved:
            _integrand(j, scratch)
            for other in range(j):
                scratch.cross[j, other] += _weigh(other, HAZARD, scratch)
    return area * (1.0 - end) + total(missing)


@njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy")
def _steepness(j: Any, scratch: Any) -> Any:
    """How many times larger one arm's integrand is at a node than at the next or the one before, weighed by mass."""
    table = scratch.table
    reach = _integrand(j, scratch)
    table[HAZARD, reach] = table[HAZARD, reach - 1]
    steepness = spread(0.0)
    for q in range(0, reach, WIDTH):
        here, there = load(table, (HAZARD, q)), load(table, (HAZARD, q + 1))
        high, low = where(here > there, here, there), where(here > there, there, here)
        least = high * (1.0 / _STEEPEST) + 1e-300
        steepness = steepness + high * high / where(low > least, low, least)
    return total(steepness)


@njit(cache=True, nogil=True)
def resolved(n: Any, spacing: Any, residual: Any, scratch: Any) -> Any:
    """Whether small probabilities are right too, after `add_panel` of a panel that is the whole range.

    The residual is that of all arms together: what is large beside it is right. What is not is right where the nodes
    resolve the arm's integrand. They fail where its score comes near the most that it can be: there it ends at once.
    `spacing` is the range's sharpness by the number of nodes.
    """
    constants, bounds = scratch.constants, scratch.bounds
    for j in range(n):
        chance = scratch.chance[j]
        doubt = residual / max(chance, SMALLEST)
        if chance > 0.5 * SMALLEST and doubt > _DOUBTFUL:
            steep = _STEEP if doubt < _VERY_DOUBTFUL else _LESS_STEEP
            room = constants[SHIFT, j] + constants[VALUE, j] - bounds[UP, scratch.live[j]]
            if doubt > _MORE_DOUBTFUL and room < -0.1 * constants[FALL, j]:
                steep = min(steep, 1.0 + _SMOOTH * spacing * spacing)
            if _steepness(j, scratch) > steep * chance:
                return False
    return True
