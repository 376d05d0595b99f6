"""The even share of exploration: as uniform as the limits allow, and known to the last digit."""

from typing import TypeAlias

import numpy as np
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
    n, k = problem.eligible.shape
    chance = problem.eligible / (1.0 + problem.eligible.sum(1, keepdims=True))
    use = expected_use(problem, np.concatenate([chance, np.zeros((n, 1))], 1))
    scale = np.ones((problem.n_cells, k))
    for _ in range(_ROUNDS):
        before = scale.copy()
        for r in range(len(rows.names)):
            _shrink(scale, rows.coefficient[r] * use, rows.lower[r], rows.upper[r], share)
        if np.array_equal(before, scale):
            break
    else:
        scale[:] = 0.0  # shares that chase each other: playing nothing satisfies them all
    chance = chance * scale[problem.cell]
    probability = np.concatenate([chance, 1.0 - chance.sum(1, keepdims=True)], 1)
    return probability, use * scale


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
