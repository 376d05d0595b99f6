"""From customers split between bundles of offers to whole ones, as `portfolio.large.vertex` does for single offers.

Every owner divides one whole among a few columns. As long as more columns are split than there are rows, some
direction leaves all rows where they are; one of its two senses does not lower the worth, and it ends when a share is
used up. What remains is a vertex: at most as many columns beside the owners' largest ones as there are rows. An
inverse of the standing columns is kept up to date, so a step costs O(rows²).
"""

from typing import Any

import numpy as np
from numba import njit

from portfolio.dual import Floats

_CHUNK = 4_000  # owners at a time; what is left of a chunk joins the next, and the inverse starts afresh
_PIVOT = 1e-7  # smaller entries of a column, in units of the row's largest, are no pivots
_GONE = 1e-11  # a share below this is used up
SPLIT = 1e-9  # an owner whose largest share misses 1 by more is split


@njit(cache=True, nogil=True)
def _enter(effect: Any, i: Any, b: Any, top: Any, inverse: Any, owner_of: Any, d: Any) -> Any:
    """Writes the coordinates d (m,) of owner i's column b less column `top` in the standing ones.

    Returns the best free row to pivot on; -1 when the column depends on the standing ones.
    """
    m = len(d)
    for p in range(m):
        d[p] = 0.0
    for r in range(m):
        x = effect[i, b, r] - effect[i, top, r]
        if x != 0.0:
            for p in range(m):
                d[p] += inverse[p, r] * x
    at = -1
    for p in range(m):
        if owner_of[p] < 0 and abs(d[p]) > _PIVOT and (at < 0 or abs(d[p]) > abs(d[at])):
            at = p
    return at


@njit(cache=True, nogil=True)
def _pivot(d: Any, at: Any, inverse: Any) -> None:
    """The column with coordinates d becomes the standing column of row `at`."""
    for r in range(len(d)):
        scale = inverse[at, r] / d[at]
        inverse[at, r] = scale
        if scale != 0.0:
            for p in range(len(d)):
                if p != at:
                    inverse[p, r] -= d[p] * scale


@njit(cache=True, nogil=True)
def _walk(move: Any, owner: Any, column: Any, count: Any, share: Any, top: Any, pull: Any) -> None:
    """Along `move` until a share is used up; the owners' largest columns give and take the rest.

    `pull` (owners,) is zero before and after.
    """
    step = np.inf
    for c in range(count):
        pull[owner[c]] -= move[c]
        if move[c] < -1e-14:
            step = min(step, share[owner[c], column[c]] / -move[c])
    for c in range(count):
        if pull[owner[c]] < -1e-14:
            step = min(step, share[owner[c], top[owner[c]]] / -pull[owner[c]])
    for c in range(count):
        share[owner[c], column[c]] += step * move[c]
        if share[owner[c], column[c]] < _GONE:
            share[owner[c], column[c]] = 0.0
        share[owner[c], top[owner[c]]] += step * pull[owner[c]]
        pull[owner[c]] = 0.0


@njit(cache=True, nogil=True)
def _release(share: Any, top: Any, owner_of: Any, column_of: Any, todo: Any, waiting: Any, now: Any) -> Any:
    """Frees the rows of used-up columns; an owner whose largest column is used up begins again, on the stack.

    Returns the stack's new height and whether the owner being worked on (`now`) is on it.
    """
    again = share[now, top[now]] < _GONE
    if again:
        share[now, top[now]] = 0.0
        todo[waiting] = now
        waiting += 1
    for p in range(len(owner_of)):
        i = owner_of[p]
        if i >= 0 and i != now and share[i, top[i]] < _GONE:
            share[i, top[i]] = 0.0
            todo[waiting] = i
            waiting += 1
            for q in range(len(owner_of)):
                if owner_of[q] == i:
                    owner_of[q] = -1
        elif i >= 0 and (share[i, column_of[p]] == 0.0 or (again and i == now)):
            owner_of[p] = -1
    return waiting, again


@njit(cache=True, nogil=True)
def _settle(share: Any, worth: Any, effect: Any, todo: Any, waiting: Any) -> None:
    """See `settle`; `todo` (owners,) is a stack, its first `waiting` entries filled, every owner at most once."""
    m = effect.shape[2]
    inverse, d = np.zeros((m, m)), np.zeros(m)
    owner_of, column_of = np.zeros(m, np.int64), np.zeros(m, np.int64)
    for p in range(m):
        inverse[p, p] = 1.0
        owner_of[p] = -1
    top = np.zeros(len(share), np.int64)
    pull = np.zeros(len(share))
    move = np.empty(m + 1)
    owner, column = np.empty(m + 1, np.int64), np.empty(m + 1, np.int64)
    while waiting > 0:
        waiting -= 1
        i = todo[waiting]
        for b in range(share.shape[1]):
            if share[i, b] > share[i, top[i]]:
                top[i] = b
        b = 0
        while b < share.shape[1]:
            if b == top[i] or share[i, b] == 0.0:
                b += 1
                continue
            at = _enter(effect, i, b, top[i], inverse, owner_of, d)
            if at >= 0:
                _pivot(d, at, inverse)
                owner_of[at] = i
                column_of[at] = b
                b += 1
                continue
            owner[0], column[0], move[0] = i, b, 1.0
            gain = worth[i, b] - worth[i, top[i]]
            count = 1
            for p in range(m):
                if owner_of[p] >= 0 and abs(d[p]) > 1e-13:
                    owner[count], column[count], move[count] = owner_of[p], column_of[p], -d[p]
                    gain -= d[p] * (worth[owner_of[p], column_of[p]] - worth[owner_of[p], top[owner_of[p]]])
                    count += 1
            for c in range(count if gain < 0.0 else 0):
                move[c] *= -1.0
            _walk(move, owner, column, count, share, top, pull)
            waiting, again = _release(share, top, owner_of, column_of, todo, waiting, i)
            if again:
                break


def settle(share: Floats, worth: Floats, effect: Floats) -> Floats:
    """Fewest split owners at no less worth and the same sums of all effects.

    Args:
        share: (s, b) shares of each owner's columns, rows sum to 1; unused columns 0.
        worth: (s, b) currency units per whole column.
        effect: (s, b, m) what a whole column adds to each row.

    Returns:
        (s, b) shares; at most m columns beside the owners' largest ones are positive.
    """
    share = np.where(share > _GONE, share, 0.0)
    share /= share.sum(1, keepdims=True)
    if not effect.shape[2]:
        return np.asarray(np.eye(share.shape[1])[np.where(share > 0, worth, -np.inf).argmax(1)])
    largest = np.abs(effect).max((0, 1), initial=0.0)
    scaled = effect / np.where(largest > 0, largest, 1.0)
    left = np.zeros(0, np.int64)
    for at in range(0, len(share), _CHUNK):
        here = np.concatenate([left, np.arange(at, min(at + _CHUNK, len(share)))])
        part, todo = share[here], np.zeros(len(here), np.int64)
        split = np.flatnonzero(part.max(1) < 1.0)
        todo[: len(split)] = split
        _settle(part, worth[here], scaled[here], todo, len(split))
        share[here] = part / part.sum(1, keepdims=True)
        left = here[share[here].max(1) < 1.0 - SPLIT]
    return share
