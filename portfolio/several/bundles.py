"""From offers' shares to whole bundles of offers, for customers who may have several.

The shares of one customer lie in an integral polytope (groups inside a total), so they are a mixture of bundles that
the customer may have: cut one line of all shares, group beside group, at every whole step. Bundles are options like any
other, between which `portfolio.large.vertex` moves until few customers are split.
"""

from dataclasses import replace
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from portfolio.dual import Floats
from portfolio.large.undecided import Undecided
from portfolio.large.vertex import to_vertex
from portfolio.limits import Rows
from portfolio.several.crowd import Taste
from portfolio.several.shelf import Shelf

_CUT = 1e-9  # pieces of the line shorter than this are rounding
_SPLIT = 1e-9  # an offer whose share is this far from 0 and 1 is split
_GONE = 1e-11  # a share below this counts for nothing
_CHUNK = 20_000  # split customers at a time: bounds memory


@njit(cache=True, nogil=True)
def _cut(share: Any, order: Any, edge: Any) -> Any:
    """Ends in (0, 1] of the pieces that one customer's line falls into: `edge`, ascending; returns how many."""
    total = 0.0
    count = 0
    for a in order:
        if share[a] > 0.0:
            total += share[a]
            part = total - np.floor(total)
            if _CUT < part < 1.0 - _CUT:
                at = count
                while at > 0 and edge[at - 1] > part:
                    edge[at] = edge[at - 1]
                    at -= 1
                edge[at] = part
                count += 1
    kept = 0
    for c in range(count):
        if kept == 0 or edge[c] - edge[kept - 1] > _CUT:
            edge[kept] = edge[c]
            kept += 1
    edge[kept] = 1.0
    return kept + 1


@njit(cache=True, nogil=True)
def _bundles(plan: Any, order: Any, weight: Any, offers: Any) -> None:
    """Bundles of customers with shares plan (s, k): weight (s, k + 1) and offers (s, k + 1, most), -1 where none."""
    edge = np.empty(plan.shape[1] + 1)
    for i in range(len(plan)):
        pieces = _cut(plan[i], order, edge)
        start = 0.0
        for b in range(pieces):
            weight[i, b] = edge[b] - start
            middle = 0.5 * (start + edge[b])
            start = edge[b]
            total = 0.0
            count = 0
            for a in order:
                if plan[i, a] > 0.0:
                    first = total
                    total += plan[i, a]
                    if np.floor(total - middle) > np.floor(first - middle) and count < offers.shape[2]:
                        offers[i, b, count] = a
                        count += 1


@njit(cache=True, nogil=True)
def _weigh(
    offers: Any, owner: Any, value: Any, cost: Any, cell: Any, coefficient: Any, worth: Any, effect: Any
) -> None:
    """What each bundle is worth (p,) and adds to each row (p, m)."""
    for p in range(len(offers)):
        i = owner[p]
        g = cell[i]
        for a in offers[p]:
            if a < 0:
                break
            worth[p] += value[i, a]
            for r in range(len(coefficient)):
                x = coefficient[r, 0, g, a] + coefficient[r, 1, g, a] * cost[i, a]
                effect[p, r] += x + coefficient[r, 2, g, a] * value[i, a]


def to_bundles(
    shelf: Shelf, taste: Taste, rows: Rows, plan: Floats, room: Floats
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """A plan of whole bundles, and which customers are left split: about one per row.

    Args:
        shelf: the customers.
        taste: how many offers they may have.
        rows: the limits; those that split customers could break stay where the plan has them.
        plan: (n, k) shares; changed where customers are split.
        room: (m,) distance of the plan's use from the nearest bound of each row.

    Returns:
        Choice (n, most), -1 = no offer, where split customers have their largest bundle; and the split customers.
    """
    choice = np.full((len(plan), taste.most), -1, np.int64)
    fill(choice, *np.nonzero(plan > 1.0 - _SPLIT))
    split = np.flatnonzero(((plan > _SPLIT) & (plan < 1.0 - _SPLIT)).any(1))
    left = np.zeros(0, np.int64)
    for at in range(0, len(split), _CHUNK):
        some = np.concatenate([left, split[at : at + _CHUNK]])
        offers, share = _settled(shelf, taste, rows, plan[some], some, room)
        choice[some] = offers[np.arange(len(some)), share.argmax(1)]
        parted = np.flatnonzero(share.max(1) < 1.0 - _SPLIT)
        left = some[parted]
        plan[left] = 0.0
        i, b, j = np.nonzero(offers[parted] >= 0)
        np.add.at(plan, (left[i], offers[parted][i, b, j]), share[parted][i, b])
    return choice, np.sort(left)


def _settled(
    shelf: Shelf, taste: Taste, rows: Rows, plan: Floats, some: NDArray[np.int64], room: Floats
) -> tuple[NDArray[np.int64], Floats]:
    """Bundles (s, b, most) of some customers with shares plan (s, k), and the bundles' shares (s, b) at a vertex."""
    plan = np.where(plan > _GONE, plan, 0.0)
    width = int((plan > 0).sum(1).max()) + 1
    share, offers = np.zeros((len(some), width)), np.full((len(some), width, taste.most), -1, np.int64)
    _bundles(plan, np.argsort(taste.group, kind="stable"), share, offers)
    there = share > 0
    few, effects = _as_options(shelf, rows, some, np.count_nonzero(there, axis=1), offers[there])
    share[there] = to_vertex(few, effects, share[there], room)
    return offers, share


def _as_options(
    shelf: Shelf, rows: Rows, some: NDArray[np.int64], many: NDArray[np.intp], offers: NDArray[np.int64]
) -> tuple[Undecided, Rows]:
    """Bundles as customers' options: each an offer of its own in one cell, and the rows that say what it counts.

    Args:
        some: (s,) the customers; many: (s,) how many bundles each has; offers: (p, most) of all bundles in order.
    """
    owner = np.repeat(some, many)
    worth, effect = np.zeros(len(owner)), np.zeros((len(owner), len(rows.names)))
    _weigh(offers, owner, shelf.value, shelf.cost, shelf.cell, rows.coefficient, worth, effect)
    coefficient = np.zeros((len(rows.names), 3, 1, len(owner)))
    coefficient[:, 0, 0] = effect.T
    first, cell = np.concatenate(([0], np.cumsum(many))), np.zeros(len(some), np.int64)
    few = Undecided(some, cell, first, np.arange(len(owner)), worth, np.zeros(len(owner)), (1, len(owner)))
    return few, replace(rows, coefficient=coefficient)


def fill(choice: NDArray[np.int64], row: NDArray[np.intp], offer: NDArray[np.integer]) -> None:
    """Writes offers, listed customer by customer, into the rows of a choice (n, most)."""
    first = np.searchsorted(row, row, side="left")
    choice[row, np.arange(len(row)) - first] = offer
