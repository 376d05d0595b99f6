"""What proves a plan: a bound that follows from the prices alone, and every limit recounted from the choice."""

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from portfolio.dual import Floats
from portfolio.limits import Problem, Rows, use_of

_FAST = {"contract", "reassoc", "nsz", "nnan"}  # whatever is not finite is not eligible, and never selected
_BLOCK = 4096  # rows are summed in blocks of fixed size, blocks in order
RELATIVE = 1e-9  # a limit is kept when it is broken by no more than this share of what it counts: rounding of sums


@njit(cache=True, nogil=True, fastmath=_FAST, error_model="numpy")
def _best_sum(value: Any, cost: Any, eligible: Any, cell: Any, charges: Any) -> float:
    """Sum of best scores net of charges, in double precision whatever the arrays are, rows in order."""
    n, k = value.shape
    keep, contact, per_cost = charges
    net = np.empty(k)
    total = 0.0
    for i in range(n):
        g = cell[i]
        for a in range(k):
            x = np.float64(value[i, a]) * keep[g, a] - contact[g, a] - per_cost[g, a] * np.float64(cost[i, a])
            net[a] = x if eligible[i, a] else -np.inf
        best = 0.0
        for a in range(k):
            best = max(best, net[a])
        total += best
    return total


def bound_of(problem: Problem, rows: Rows, price: Floats) -> float:
    """Upper bound on the value, less penalties, of every plan inside the limits: weak duality at these prices.

    Args:
        problem: at most one offer per customer; eligible values and costs are finite.
        rows: its limits as linear rows.
        price: (m,) of any origin; wrong signs give an infinite bound.

    Returns:
        currency units, summed in float64 in fixed order.
    """
    wrong = ((price > 0) & ~np.isfinite(rows.upper)) | ((price < 0) & ~np.isfinite(rows.lower))
    if wrong.any() or (np.abs(price) > rows.penalty * (1 + 1e-12)).any():
        return float("inf")
    contact, per_cost, per_value = rows.charges(price)
    charges = (1.0 - per_value, contact, per_cost)
    total = 0.0
    for at in range(0, len(problem.value), _BLOCK):
        part = slice(at, at + _BLOCK)
        value, cost = (np.ascontiguousarray(x[part], _kind(x)) for x in (problem.value, problem.cost))
        eligible = np.ascontiguousarray(problem.eligible[part])
        total += _best_sum(value, cost, eligible, problem.cell[part].astype(np.int64), charges)
    upper = np.where(price > 0, price * np.where(price > 0, rows.upper, 0.0), 0.0)
    lower = np.where(price < 0, price * np.where(price < 0, rows.lower, 0.0), 0.0)
    return float(total + np.sum(upper + lower))


def least_forbidding(problem: Problem, rows: Rows, price: Floats) -> Floats:
    """Prices (m,) of the same bound, those of hard maxima of 0 as low as keeps everybody away.

    Any price above that forbids as well; the lowest is what one more unit of room would be worth.

    Args:
        problem: at most one offer per customer.
        rows: its limits as linear rows.
        price: (m,) of any origin.
    """
    out = price.copy()
    forbids = (rows.upper == 0.0) & np.isinf(rows.penalty) & (price > 0) & (rows.coefficient.min(axis=(1, 2, 3)) >= 0)
    for r in np.flatnonzero(forbids):
        out[r] = 0.0
        contact, per_cost, per_value = rows.charges(out)
        table = rows.coefficient[r]
        least = 0.0
        for at in range(0, len(problem.value), _BLOCK):
            part = slice(at, at + _BLOCK)
            cell, value, cost = problem.cell[part], problem.value[part].astype(float), problem.cost[part].astype(float)
            with np.errstate(invalid="ignore"):  # what is not eligible may hold anything
                net = (1.0 - per_value[cell]) * value - contact[cell] - per_cost[cell] * cost
                takes = table[0][cell] + table[1][cell] * cost + table[2][cell] * value
            net = np.where(problem.eligible[part], net, -np.inf)
            inside = problem.eligible[part] & (takes != 0)
            if (takes[inside] < 0).any():  # something makes room: the row forbids nothing
                least = np.inf
                break
            rival = np.where(inside, 0.0, net).max(1, initial=0.0)
            gain = (net - rival[:, None])[inside] / takes[inside]
            least = max(least, float(gain.max(initial=0.0)))
        out[r] = min(least, price[r])
    return out


def _kind(array: NDArray[np.floating]) -> Any:
    return array.dtype if array.dtype in (np.float32, np.float64) else np.float64


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
    return judge(rows, use_of(problem, choice))


def judge(rows: Rows, use: Floats) -> tuple[float, bool]:
    """Value less penalties, and whether every hard limit is kept, of whatever uses this (3, g, k)."""
    breach = breaches(rows, use)
    elastic = np.isfinite(rows.penalty)
    value = float(use[2].sum()) - float(np.sum(rows.penalty[elastic] * breach[elastic]))
    return value, not breach[~elastic].any()
