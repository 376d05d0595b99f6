"""What proves a plan: a bound that follows from the prices alone, and every limit recounted from the choice."""

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from portfolio.dual import Floats
from portfolio.limits import Problem, Rows, use_of

_BLOCK = 4096  # rows are summed in blocks of fixed size, blocks in order
RELATIVE = 1e-9  # a limit is kept when it is broken by no more than this share of what it counts: rounding of sums


@njit(cache=True, nogil=True)
def _best_sum(value: Any, cost: Any, eligible: Any, cell: Any, charges: Any) -> float:
    total = 0.0
    for i in range(len(value)):
        g = cell[i]
        best = 0.0
        for a in range(value.shape[1]):
            if eligible[i, a]:
                charge = charges[0, g, a] + charges[1, g, a] * cost[i, a] + charges[2, g, a] * value[i, a]
                best = max(best, value[i, a] - charge)
        total += best
    return total


def bound_of(problem: Problem, rows: Rows, price: Floats) -> float:
    """Upper bound on the value, less penalties, of every plan inside the limits: weak duality at these prices.

    Args:
        problem: at most one offer per customer.
        rows: its limits as linear rows.
        price: (m,) of any origin; wrong signs give an infinite bound.

    Returns:
        currency units, summed in float64 in fixed order.
    """
    wrong = ((price > 0) & ~np.isfinite(rows.upper)) | ((price < 0) & ~np.isfinite(rows.lower))
    if wrong.any() or (np.abs(price) > rows.penalty * (1 + 1e-12)).any():
        return float("inf")
    charges = rows.charges(price)
    value = np.asarray(problem.value)
    total = 0.0
    for at in range(0, len(value), _BLOCK):
        part = slice(at, at + _BLOCK)
        block = np.ascontiguousarray(value[part], np.float64)
        cost = np.ascontiguousarray(problem.cost[part], np.float64)
        eligible = problem.eligible[part] & np.isfinite(block) & np.isfinite(cost)
        total += _best_sum(block, cost, eligible, problem.cell[part].astype(np.int64), charges)
    upper = np.where(price > 0, price * np.where(price > 0, rows.upper, 0.0), 0.0)
    lower = np.where(price < 0, price * np.where(price < 0, rows.lower, 0.0), 0.0)
    return float(total + np.sum(upper + lower))


def breaches(rows: Rows, use: Floats) -> Floats:
    """(m,) by how much each row is broken, in its own unit; 0 where only rounding breaks it."""
    consumption = rows.consumption(use)
    gross = np.einsum("rtga,tga->r", np.abs(rows.coefficient), np.abs(use))
    breach = np.maximum(np.maximum(consumption - rows.upper, rows.lower - consumption), 0.0)
    return np.where(breach > RELATIVE * gross, breach, 0.0)


def recount(problem: Problem, rows: Rows, choice: NDArray[np.integer]) -> tuple[float, bool]:
    """A plan's value less its penalties, and whether every hard limit is kept, recounted in float64.

    Args:
        problem: the problem.
        rows: its limits as linear rows.
        choice: (n,) or (n, most), -1 = no offer.
    """
    use = use_of(problem, choice)
    breach = breaches(rows, use)
    elastic = np.isfinite(rows.penalty)
    value = float(use[2].sum()) - float(np.sum(rows.penalty[elastic] * breach[elastic]))
    return value, not breach[~elastic].any()
