"""Samples of the customers that prices are found on: few, and most of those whom the limits speak of."""

from typing import Any, TypeAlias

import numpy as np
from numba import njit
from numpy.typing import NDArray

from bandit import Use
from portfolio import Rows
from portfolio.dual import row_sizes

Floats: TypeAlias = NDArray[np.float64]
Picked: TypeAlias = tuple[NDArray[np.intp], Floats]
"""Row numbers, and how many rows of the population each stands for."""

_LEAST = 20  # rows of a stratum, or all it has
_STEPS = 32  # of the worth of the best offer, in whose order a stratum stands
_EVEN = 0.2  # of the mean interest: what a stratum is worth of which no limit speaks


def stratified(cell: NDArray[np.integer], size: int) -> Picked:
    """A systematic sample of each cell, in the order of the rows.

    Args:
        cell: (n,) the stratum of each row; rows come in an order that is as good as random.
        size: about how many rows are wanted; every cell gives at least one (at most all it has).
    """
    n = len(cell)
    count = np.bincount(cell)
    wanted = np.maximum(np.maximum(np.rint(size * count / n), np.minimum(count, 50)), count > 0)
    return _systematic(np.argsort(cell, kind="stable"), count, np.minimum(wanted, count).astype(np.int64))


def focused(use: Use, eligible: NDArray[np.bool_], charges: Floats, rows: Rows, size: int) -> Picked:
    """A sample that knows the use of every limit about as well as that of any other, relative to its size.

    Strata are the cell and the offer that is worth most after charges, within them the order of that worth. A stratum's
    share is its customers times what the limits make of one more contact there, each relative to its size.

    Args:
        use: what the contacts of n customers consume.
        eligible: (n, k).
        charges: (3, g, k) what limits charge, nearly.
        rows: the limits.
        size: about how many rows are wanted.
    """
    g, k = charges.shape[1:]
    stratum, lead = np.empty(len(eligible), np.int64), np.empty(len(eligible), np.float32)
    led = np.zeros((3, g, k + 1))
    _lead(use.cell, use.cost, use.worth, eligible, charges, stratum, lead, led)
    count = led[0].ravel().astype(np.int64)
    sizes = row_sizes(rows, led[:, :, :k])
    contact = np.einsum("rtga,tga->rga", rows.coefficient, led[:, :, :k] / np.maximum(led[0, :, :k], 1.0))
    interest = np.zeros((g, k + 1))
    interest[:, :k] = np.sqrt(((contact / sizes[:, None, None]) ** 2).sum(0))
    weight = count * (interest.ravel() + _EVEN * max(np.average(interest.ravel(), weights=count), 1e-300))
    wanted = np.clip(np.rint(size * weight / weight.sum()), np.minimum(count, _LEAST), count)
    step = np.floor(np.clip(lead / max(float(np.abs(lead).mean()), 1e-30), -2.0, 1.99) * (_STEPS / 4)) + _STEPS / 2
    order = np.empty(len(lead), np.int64)
    _in_order(stratum * _STEPS + step.astype(np.int64), np.zeros(g * (k + 1) * _STEPS + 1, np.int64), order)
    return _systematic(order, count, wanted.astype(np.int64))


def _systematic(order: NDArray[np.intp], count: NDArray[np.int64], wanted: NDArray[np.int64]) -> Picked:
    """Evenly spaced rows of each stratum: `count` of them stand one after the other in `order`, `wanted` are taken."""
    picked, weights, first = [], [], 0
    for members, want in zip(count.tolist(), wanted.tolist(), strict=True):
        at = ((np.arange(want) + 0.5) * members / max(want, 1)).astype(np.intp)
        picked.append(order[first + at])
        weights.append(np.full(want, members / max(want, 1)))
        first += members
    return np.concatenate(picked), np.concatenate(weights)


@njit(cache=True, nogil=True)
def _lead(cell: Any, cost: Any, worth: Any, eligible: Any, charges: Any, stratum: Any, lead: Any, led: Any) -> None:
    """Each customer's stratum, cell * (k + 1) + offer that is worth most after charges (k: none is eligible), and what
    it is worth; led (3, g, k + 1): who they are and what they would consume, by stratum.
    """
    n, k = eligible.shape
    for i in range(n):
        g, best, net = cell[i], k, 0.0
        for a in range(k):
            if eligible[i, a]:
                after = (1.0 - charges[2, g, a]) * worth[i, a] - charges[1, g, a] * cost[i, a] - charges[0, g, a]
                if np.isfinite(after) and (best == k or after > net):
                    best, net = a, after
        stratum[i], lead[i] = g * (k + 1) + best, net
        led[0, g, best] += 1.0
        if best < k:
            led[1, g, best] += cost[i, best]
            led[2, g, best] += worth[i, best]


@njit(cache=True, nogil=True)
def _in_order(key: Any, first: Any, order: Any) -> None:
    """Row numbers in the order of their keys, ties as they come; `first` is workspace, zeros, one more than keys."""
    for i in range(len(key)):
        first[key[i] + 1] += 1
    for j in range(1, len(first)):
        first[j] += first[j - 1]
    for i in range(len(key)):
        order[first[key[i]]] = i
        first[key[i]] += 1
