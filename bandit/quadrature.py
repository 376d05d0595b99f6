"""The chance that each arm has the highest score, certified row by row.

An arm's score is `shift + value·σ(mean + sd·z)`, z standard normal and independent between arms; no offer is an arm
like the others. With F the cdfs, f the densities and G = ΠF,

    P(a) = ∫ f_a Π_{b≠a} F_b dt = ∫ h_a G dt,   h_a = f_a / F_a,   E max = t₀ + ∫ (1 − G) dt.

All arms of a customer share one grid of Gauss–Lobatto nodes, in a coordinate y in which `t = L + W·σ(y)`: L lies under
and L + W over every score that matters, so that both ends keep their digits and an arm that fills the range is a
normal cdf. What certifies a grid is integration by parts, `∫φ dG = [φG] − ∫φ' G` for φ = 1, x and 2x² − 1 on the same
nodes (and for φ = t, which vouches for E max); the first alone, that probabilities sum to one, also holds on grids that
are wrong. They speak of all arms together: that a probability far below one is right, its own integrand has to show, by
changing little from node to node. A grid that fails is refined and then bisected, panel by panel; where an arm ends
sharply inside the range, or rounding stands in the way, the range is cut into pieces (`bandit.quadrature_pieces`).

Where only sums over many customers are wanted, a tolerance of `LOOSE` or more asks for less: a shorter range, a coarser
first grid, no look at small chances.
"""

from typing import Any, Final, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from bandit.quadrature_panel import ALL, FALL, LEVELS, LOOSE, PANEL, TOP, add_panel, evaluate, make_scratch, resolved
from bandit.quadrature_pieces import add_floor, bisect, clear, ends_sharply, fine_enough, solve_in_pieces
from bandit.quadrature_range import bound_scores, collect, copy_row, find_bottom, find_floor, place, score_range

# How many standard deviations an arm is followed: Φ(−6.3) = 2e-10, Φ(−5.2) = 1e-7.
_REACH: Final = 6.3
_REACH_LOOSELY: Final = 5.2
_CLOSELY: Final = 1e-6  # asked for where a loose answer does not meet its own tolerance
# Up to what sharpness (see `score_range`) each level is tried first: least work on random posteriors.
_SHARPEST: Final = (8.0, 10.9, 11.3, 17.4, 22.0, 26.0, 31.0, 52.0)
_SHARPEST_LOOSELY: Final = (9.8, 15.0, 20.0, 24.0, 40.0, 60.0, 90.0, 150.0)
_TRIES: Final = 2  # of levels, the second time two further, before bisection
_SAFETY: Final = 0.1  # a grid is believed when its residual is below this share of the tolerance


class Draws(NamedTuple):
    """What the kernel is told about consumption, and where it puts what it finds; see `bandit.consumption`."""

    cost: NDArray[np.float64]  # (rows, k)
    worth: NDArray[np.float64]  # (rows, k)
    cell: NDArray[np.int64]  # (rows,)
    weight: NDArray[np.float64]  # (rows,)
    curvature: NDArray[np.int64]  # (cells, k, k, 2t) coarse, then fine parts of t = 1, 3 or 6 tables; no cells: none
    scale: NDArray[np.float64]  # (8,) of the six tables, how much finer the fine part is, the steepest rate counted


@njit(cache=True, nogil=True)
def _integrate(
    ends: Any, width: Any, n: Any, sharpness: Any, grid: Any, tolerance: Any, curved: Any, scratch: Any
) -> Any:
    """Probabilities of the live arms into `scratch.chance`; return G at the start, ∫ (1 − G) dt and the residual.

    It is infinite where an arm ends sharply inside the range, so that no panel would be certified in reasonable time.
    """
    loose, last = tolerance >= LOOSE, len(LEVELS) - 1
    limit = 0.5 * tolerance if loose else _SAFETY * tolerance
    at = 0
    while at < last and sharpness > (_SHARPEST_LOOSELY[at] if loose else _SHARPEST[at]):
        at += 1
    for _ in range(_TRIES):
        residual = evaluate(ends, width, n, (grid, 1 + at, LEVELS[at]), scratch)
        if residual <= limit:
            clear(n, curved, scratch)
            if curved:
                add_floor(n, scratch)
            floor, gain = scratch.table[ALL, 0], add_panel(n, LEVELS[at], curved, scratch)
            if loose or resolved(n, sharpness / LEVELS[at], residual, scratch):
                return floor, gain, residual
        if at == last:
            break
        at = min(at + 2, last)
    for j in range(n):
        if scratch.constants[FALL, j] < 0.0 and ends_sharply(scratch.live[j], width, scratch):
            return 0.0, 0.0, np.inf
    scratch.constants[TOP, :n] = np.inf  # where an arm is dropped, small errors would keep panels from being believed
    scratch.stack[0, 0], scratch.stack[0, 1] = ends
    clear(n, curved, scratch)
    return bisect(1, width, n, (grid, 0, PANEL), fine_enough(tolerance), True, curved, scratch)


@njit(cache=True, nogil=True, error_model="numpy")
def _solve_row(arms: Any, i: Any, grid: Any, tolerance: Any, curved: Any, scratch: Any) -> Any:
    """One customer: the number of live arms, the certain arm that is the floor (−1: none), its probability, E max and
    the residual. The live arms' probabilities stand in `scratch.chance`, in the order of `scratch.live`.
    """
    reach = _REACH if tolerance < LOOSE else _REACH_LOOSELY
    copy_row(arms, i, scratch.row)
    best = bound_scores(reach, scratch)
    owner, floor, blurred = find_floor(arms.mean.shape[1] - 1, best, scratch)
    start = find_bottom(reach, best, scratch.row)
    n = collect(scratch.bounds, start, scratch.live)
    if n == 0 and not blurred:
        return 0, owner, 1.0, floor, 0.0
    rest = gain = 0.0
    residual = np.inf
    lower, width, rounded = place(n, start, scratch)
    for cut in range(2):
        if cut:
            n, start, rest, gain, residual = solve_in_pieces(floor, best, grid, tolerance, curved, scratch)
        elif not (blurred or rounded):
            first, last, sharpness = score_range(start, (lower, width), n, reach, scratch)
            rest, gain, residual = _integrate((first, last), width, n, sharpness, grid, tolerance, curved, scratch)
        total = rest = rest if floor >= start else 0.0
        for j in range(n):
            total += scratch.chance[j]
        residual = max(residual, abs(total - 1.0))
        if residual <= tolerance:
            break
    if not residual < 1.0:  # not a number, above all
        residual = np.inf
    for j in range(n):
        scratch.chance[j] /= total
    return n, owner if floor >= start else -1, rest / total, start + gain, residual


@njit(cache=True, nogil=True)
def _add_curvature(draws: Any, tables: Any, i: Any, n: Any, owner: Any, scratch: Any) -> None:
    """Add one customer's Laplacian, weighted by what its offers consume, to its cell's six tables.

    Mass moves between two arms at a rate: both diagonals rise by it, both cross entries fall; no offer has none.
    `tables` is `draws.curvature`, flat: with four indices a table takes twice as long.
    """
    k = draws.cost.shape[1]
    cross, live, moved = scratch.cross, scratch.live, scratch.chance  # probabilities have been read
    steepest, weight = draws.scale[7], draws.weight[i]
    floor = owner if owner >= 0 else k
    to_floor = 0.0
    for j in range(n):
        rate = min(cross[j, j], steepest) * weight
        moved[j] = rate
        to_floor += rate
        if live[j] < k and floor < k:
            _add_between(draws, tables, i, live[j], floor, -rate)
    for j in range(n):
        for other in range(j):
            rate = min(cross[j, other], steepest) * weight
            moved[j] += rate
            moved[other] += rate
            if live[j] < k and live[other] < k:
                _add_between(draws, tables, i, live[j], live[other], -rate)
    for j in range(n):
        if live[j] < k:
            _add_within(draws, tables, i, live[j], moved[j])
    if floor < k:
        _add_within(draws, tables, i, floor, to_floor)


@njit(cache=True, nogil=True)
def _entry(draws: Any, i: Any, a: Any, b: Any) -> Any:
    """Where two offers' entries begin in the flat tables of a customer's cell: the coarse parts, then the fine ones."""
    k, width = draws.cost.shape[1], draws.curvature.shape[3]
    return np.uint64(((draws.cell[i] * k + a) * k + b) * width)


@njit(cache=True, nogil=True)
def _add_between(draws: Any, tables: Any, i: Any, a: Any, b: Any, rate: Any) -> None:
    """Two offers' entries. A symmetric table gets one of them: the one below its diagonal."""
    scale, count = draws.scale, draws.curvature.shape[3] // 2
    cost_a, cost_b = draws.cost[i, a], draws.cost[i, b]
    here, there = _entry(draws, i, a, b), _entry(draws, i, b, a)
    below = max(here, there)
    _add_exactly(tables, below, 0, rate, scale, count)
    if count > 1:
        _add_exactly(tables, here, 1, rate * cost_b, scale, count)
        _add_exactly(tables, there, 1, rate * cost_a, scale, count)
        _add_exactly(tables, below, 2, rate * cost_a * cost_b, scale, count)
    if count > 3:
        worth_a, worth_b = draws.worth[i, a], draws.worth[i, b]
        _add_exactly(tables, here, 3, rate * worth_b, scale, count)
        _add_exactly(tables, there, 3, rate * worth_a, scale, count)
        _add_exactly(tables, here, 4, rate * cost_a * worth_b, scale, count)
        _add_exactly(tables, there, 4, rate * cost_b * worth_a, scale, count)
        _add_exactly(tables, below, 5, rate * worth_a * worth_b, scale, count)


@njit(cache=True, nogil=True)
def _add_within(draws: Any, tables: Any, i: Any, a: Any, rate: Any) -> None:
    """One offer's entries, on the diagonals."""
    scale, count = draws.scale, draws.curvature.shape[3] // 2
    cost, worth = draws.cost[i, a], draws.worth[i, a]
    here = _entry(draws, i, a, a)
    _add_exactly(tables, here, 0, rate, scale, count)
    if count > 1:
        _add_exactly(tables, here, 1, rate * cost, scale, count)
        _add_exactly(tables, here, 2, rate * cost * cost, scale, count)
    if count > 3:
        _add_exactly(tables, here, 3, rate * worth, scale, count)
        _add_exactly(tables, here, 4, rate * cost * worth, scale, count)
        _add_exactly(tables, here, 5, rate * worth * worth, scale, count)


@njit(cache=True, nogil=True)
def _add_exactly(tables: Any, entry: Any, which: Any, x: Any, scale: Any, count: Any) -> None:
    """Whole units, and whole parts of what is left: reactions differ by so much that one integer is too short."""
    units = x * scale[which]
    whole = np.rint(units)
    at = entry + np.uint64(which)
    tables[at] += np.int64(whole)
    tables[at + np.uint64(count)] += np.int64(np.rint((units - whole) * scale[6]))


@njit(cache=True, nogil=True)
def solve_block(arms: Any, draws: Any, grid: Any, tolerance: Any, probability: Any, expected: Any) -> Any:
    """Every customer of a block: probabilities (rows, arms), expected maxima (rows,), curvature where asked for.

    Returns the largest residual and its row.
    """
    rows, count = arms.mean.shape
    scratch = make_scratch(count)
    curved, tables = draws.curvature.size > 0, draws.curvature.reshape(-1)
    worst, where = -1.0, 0
    for i in range(rows):
        n, owner, rest, maximum, residual = _solve_row(arms, i, grid, tolerance, curved, scratch)
        if tolerance >= LOOSE and not residual <= tolerance:  # what a shorter range leaves out may be too much
            n, owner, rest, maximum, residual = _solve_row(arms, i, grid, _CLOSELY, curved, scratch)
        probability[i] = 0.0
        expected[i] = maximum
        for j in range(n):
            probability[i, scratch.live[j]] = scratch.chance[j]
        if owner >= 0:
            probability[i, owner] = rest
        if curved and n > 0:
            _add_curvature(draws, tables, i, n, owner, scratch)
        if residual > worst:
            worst, where = residual, i
    return worst, where
