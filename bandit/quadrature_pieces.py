"""Rows that no single grid certifies: the range is cut where scores end, and every piece bisected.

A wide belief has nearly an atom at the lowest and at the highest score that it can have: σ saturates, and there
`t − L` or `L + W − t` rounds what is apart into steps, or bends over ever smaller distances. Where such a score lies
inside the range, no grid converges soon. Here the range starts at the highest of the lowest scores (or at the certain
floor, where that is higher) and is cut at every highest one that scores come near. Each piece [A, B] has a coordinate
of its own, `t = A + (B − A)·σ(y)`. No live arm starts inside a piece or ends sharply there, so that the distances of a
score from both ends of such an arm are sums of positive numbers, which keep all their digits. Wide or narrow, beliefs
need no special treatment. It takes about as many panels per piece as bisection takes for a range in which nothing ends.
"""

from typing import Any, Final

import numpy as np
from numba import njit

from bandit.quadrature_panel import (
    ALL,
    FALL,
    LOOSE,
    MEAN,
    PANEL,
    PRECISION,
    RISE,
    SD,
    SHIFT,
    SMALLEST,
    TOP,
    UP,
    VALUE,
    add_panel,
    evaluate,
)

COARSEST: Final = 1e-6  # accepted from rows at the limits of float64, where a smaller tolerance was asked for
_FARTHEST: Final = 300.0  # where a piece's coordinate starts and ends: no belief has logits beyond ±290
_USUAL: Final = 14.0  # within which nearly all happens that does: least work on wide beliefs
_PANELS: Final = ((_USUAL, _FARTHEST), (0.0, _USUAL), (-_USUAL, 0.0), (-_FARTHEST, -_USUAL))  # the first one last
_CLOSE: Final = 0.003  # of what an arm is worth: scores that stay farther from its highest end smoothly
_RESOLUTION: Final = 1e-8  # of the range; see `place` in `bandit.quadrature_range`
_MOST_PANELS: Final = 1500  # of one piece
_DEPTH: Final = 46  # halvings
_FINE: Final = 1e-4 * SMALLEST
_ROUNDING: Final = 1e-13  # of a bound, relative to what it is made of


@njit(cache=True, nogil=True)
def add_floor(n: Any, scratch: Any) -> None:
    """What the floor gives to each live arm for a little more score: the density at the start of the range."""
    for j in range(n):
        scratch.cross[j, j] += scratch.table[ALL, 0] * scratch.hazards[scratch.starts[j]]


@njit(cache=True, nogil=True)
def clear(n: Any, curved: Any, scratch: Any) -> None:
    """Forget what panels have added to the live arms."""
    chance, cross = scratch.chance, scratch.cross
    for j in range(n):
        chance[j] = 0.0
        if curved:
            for other in range(j + 1):
                cross[j, other] = 0.0


@njit(cache=True, nogil=True)
def _gather(floor: Any, best: Any, scratch: Any) -> Any:
    """Put the uncertain arms that may win into `scratch.live`, highest tops first.

    Returns how many they are and where the range starts.
    """
    row, live, bounds = scratch.row, scratch.live, scratch.bounds
    n, start = 0, floor
    for a in range(bounds.shape[1]):
        shift, value = row[SHIFT, a], row[VALUE, a]
        top = shift + value
        slack = _ROUNDING * (abs(shift) + value)
        if row[SD, a] > 0.0 and top > max(shift, floor) and bounds[UP, a] >= best - slack:
            start = max(start, shift)
            j = n
            while j > 0 and row[SHIFT, live[j - 1]] + row[VALUE, live[j - 1]] < top:
                live[j] = live[j - 1]
                j -= 1
            live[j] = a
            n += 1
    for j in range(n):
        a = live[j]
        scratch.constants[MEAN, j], scratch.constants[PRECISION, j] = row[MEAN, a], 1.0 / row[SD, a]
        top = row[SHIFT, a] + row[VALUE, a]
        scratch.constants[VALUE, j] = top - row[SHIFT, a]  # as far apart as the ends are in float64
        scratch.constants[TOP, j] = np.inf  # dropped arms' small errors would keep panels from being believed
    return n, start


@njit(cache=True, nogil=True)
def bisect(waiting: Any, width: Any, n: Any, rule: Any, tolerance: Any, lowest: Any, curved: Any, scratch: Any) -> Any:
    """Halve the panels that wait, the first on top, until each meets the tolerance.

    Returns G at their start, ∫ (1 − G) dt and the residuals' sum: infinite where too many panels were needed, and so
    rounding stands in the way, not the grid.
    """
    stack, panels = scratch.stack, 0
    first = stack[waiting - 1, 0]
    floor = gain = residual = 0.0
    while waiting > 0:
        waiting -= 1
        start, end = stack[waiting, 0], stack[waiting, 1]
        error = evaluate((start, end), width, n, rule, scratch)
        panels += 1
        if panels > _MOST_PANELS:
            return 0.0, 0.0, np.inf
        if error <= tolerance or waiting >= _DEPTH:
            if start == first:
                floor = scratch.table[ALL, 0]
                if lowest and curved:
                    add_floor(n, scratch)
            gain += add_panel(n, rule[2], curved, scratch)
            residual += error
            continue
        middle = 0.5 * (start + end)
        stack[waiting, 0], stack[waiting, 1] = middle, end
        stack[waiting + 1, 0], stack[waiting + 1, 1] = start, middle
        waiting += 2
    return floor, gain, residual


@njit(cache=True, nogil=True)
def ends_sharply(a: Any, span: Any, scratch: Any) -> Any:
    """Whether an arm's scores come so near the highest that it can have that it seems to end there."""
    row = scratch.row
    room = row[SHIFT, a] + row[VALUE, a] - scratch.bounds[UP, a]
    return room < _CLOSE * row[VALUE, a] or min(row[SD, a], 1.0) * room < _RESOLUTION * span


@njit(cache=True, nogil=True)
def fine_enough(tolerance: Any) -> Any:
    """What a bisected panel may miss, so that all together do not spoil a small probability, where those count."""
    return 0.1 * tolerance if tolerance >= LOOSE else min(0.01 * tolerance, _FINE)


@njit(cache=True, nogil=True)
def _next_cut(start: Any, n: Any, scratch: Any) -> Any:
    """The live arm at whose highest score the next piece ends: the lowest that ends sharply, at last the highest."""
    row, live = scratch.row, scratch.live
    span = row[SHIFT, live[0]] + row[VALUE, live[0]] - start
    last = n - 1
    while last > 0 and not ends_sharply(live[last], span, scratch):
        last -= 1
    return last


@njit(cache=True, nogil=True)
def _cut(start: Any, n: Any, rule: Any, tolerance: Any, curved: Any, scratch: Any) -> Any:
    """Piece by piece, from below; return G at the start, ∫ (1 − G) dt and the residuals' sum."""
    row, live, constants = scratch.row, scratch.live, scratch.constants
    floor = gain = residual = 0.0
    bottom = start
    clear(n, curved, scratch)
    while n > 0:
        last = _next_cut(start, n, scratch)
        end = row[SHIFT, live[last]] + row[VALUE, live[last]]
        for j in range(n):
            shift = row[SHIFT, live[j]]
            constants[RISE, j], constants[FALL, j] = bottom - shift, (shift + row[VALUE, live[j]]) - end
        if end > bottom:
            lowest = bottom == start
            for each in range(len(_PANELS)):
                scratch.stack[each, 0], scratch.stack[each, 1] = _PANELS[each]
            below, more, missed = bisect(len(_PANELS), end - bottom, n, rule, tolerance, lowest, curved, scratch)
            if lowest:
                floor = below
            gain += more
            residual += missed
        bottom = end
        n = last
    return floor, gain, residual


@njit(cache=True, nogil=True)
def solve_in_pieces(floor: Any, best: Any, grid: Any, tolerance: Any, curved: Any, scratch: Any) -> Any:
    """Probabilities of the live arms into `scratch.chance`; return their number, where the range starts, G there,
    ∫ (1 − G) dt and the residual.

    Small probabilities want small errors. Where rounding forbids them, less must do, at worst COARSEST.
    """
    n, start = _gather(floor, best, scratch)
    if n == 0:
        return 0, floor, 1.0, 0.0, 0.0
    coarsest = max(tolerance, COARSEST)
    below = gain = residual = 0.0
    for each, goal in (
        (fine_enough(tolerance), tolerance),
        (0.1 * tolerance, tolerance),
        (0.1 * coarsest, coarsest),
    ):
        below, gain, residual = _cut(start, n, (grid, 0, PANEL), each, curved, scratch)
        if residual <= goal:
            break
    return n, start, below, gain, residual
