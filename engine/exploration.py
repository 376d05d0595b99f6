"""The even share of exploration: as uniform as the limits allow, and known to the last digit."""

from typing import Any, TypeAlias

import numpy as np
from numba import njit
from numpy.typing import NDArray

from portfolio import Problem, Rows, expected_use

Floats: TypeAlias = NDArray[np.float64]

LARGEST_PART = 0.1
"""Exploration may take at most this part of any maximum."""

_ROUNDS = 200


def even_policy(problem: Problem, rows: Rows, share: float) -> tuple[Floats, Floats]:
    """The policy U that is played with probability `share`.

    It starts uniform over the eligible offers and no offer, and is scaled down per (cell, offer) until its use is at
    most a tenth of every maximum and it satisfies every share limit by itself. The mass removed goes to no offer.

    Args:
        problem: who is eligible for what, and in which cell.
        rows: the limits as linear rows.
        share: exploration share, in [0, 1).

    Returns:
        probability (n, k + 1) and its use (3, g, k).
    """
    scale, use = even_scale(problem, rows, share)
    return _spread_over(problem, scale), use


def even_scale(problem: Problem, rows: Rows, share: float) -> tuple[Floats, Floats]:
    """How far `even_policy` is scaled down per cell and offer (g, k), and its use (3, g, k)."""
    scale = np.ones((problem.n_cells, problem.eligible.shape[1]))
    use = expected_use(problem, _spread_over(problem, scale))
    for _ in range(_ROUNDS):
        before = scale.copy()
        for r in range(len(rows.names)):
            _shrink(scale, rows.coefficient[r] * use, rows.lower[r], rows.upper[r], share)
        if np.array_equal(before, scale):
            break
    else:
        scale[:] = 0.0  # shares that chase each other: playing nothing satisfies them all
    return scale, use * scale


def _spread_over(problem: Problem, scale: Floats) -> Floats:
    eligible, cell = np.array(problem.eligible, order="C"), np.array(problem.cell, np.int64)  # copies: one compilation
    probability = np.empty((eligible.shape[0], eligible.shape[1] + 1))
    _spread(eligible, cell, scale, probability)
    return probability


@njit(cache=True, nogil=True)
def _spread(eligible: Any, cell: Any, scale: Any, probability: Any) -> None:
    """Fill in what every eligible offer and no offer have alike, times the scale of its cell; no offer has the rest."""
    n, k = eligible.shape
    for i in range(n):
        options = 1
        for a in range(k):
            options += eligible[i, a]
        rest = 1.0
        for a in range(k):
            chance = scale[cell[i], a] / options if eligible[i, a] else 0.0
            probability[i, a] = chance
            rest -= chance
        probability[i, k] = rest


def _shrink(scale: Floats, weight: Floats, lower: float, upper: float, share: float) -> None:
    """Scale down in place until one row holds: maxima to their part, shares (bound 0) to their side of zero."""
    table = weight.sum(0)
    positive, negative = table > 0, table < 0
    up, down = float((scale * table)[positive].sum()), -float((scale * table)[negative].sum())
    slack = 1e-12 * (up + down)
    if upper == 0.0 and negative.any():
        if up > down + slack:
            scale[positive] *= down / up
    elif 0.0 <= upper < np.inf and share * up > LARGEST_PART * upper + slack:
        scale[positive] *= LARGEST_PART * upper / (share * up)
    if lower == 0.0 and down > up + slack:
        scale[negative] *= up / down
