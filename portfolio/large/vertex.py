"""From a plan that splits customers to one that splits at most one per limit, without touching what limits count.

The plan is pushed to a vertex as in the crossover of linear programming: every split option becomes a column, moved
against a basis of at most as many columns as there are limits until a share is used up.
(Bixby and Saltzman 1994, "Recovering an optimal LP basis from an interior point solution".)
"""

from typing import Any

import numpy as np
from numba import njit

from portfolio.dual import Floats
from portfolio.large.undecided import Undecided
from portfolio.limits import Rows

_SPLIT = 1e-9  # a share closer to 0 or 1 is whole
_TINY = 1e-7  # a coordinate this small is none: to pivot on it would drown the others in rounding
_CHUNK = 2_000  # customers after which the basis starts afresh: what has been left split is pushed once more
_CAREFUL, _DRIFT = 50, 1e-9  # the same where rounding has moved a row by more than this share of what flows through it


@njit(cache=True, nogil=True)
def _column(p: Any, q: Any, offer: Any, value: Any, cost: Any, g: Any, coefficient: Any, out: Any) -> None:
    """What moving a customer of cell g from option q to option p adds to every row."""
    k = coefficient.shape[2]
    out[:] = 0.0
    for sign, x in ((1.0, p), (-1.0, q)):
        a = offer[x]
        if a < k:
            for r in range(len(out)):
                c = coefficient[g, 0, a, r] + coefficient[g, 1, a, r] * cost[x] + coefficient[g, 2, a, r] * value[x]
                out[r] += sign * c


@njit(cache=True, nogil=True)
def _pivot(inverse: Any, z: Any, at: Any) -> None:
    """The column with coordinates z takes slot `at` of the basis."""
    m = len(z)
    scale = 1.0 / z[at]
    for c in range(m):
        inverse[at, c] *= scale
    for r in range(m):
        if r != at and z[r] != 0.0:
            for c in range(m):
                inverse[r, c] -= z[r] * inverse[at, c]


@njit(cache=True, nogil=True)
def _step(e: Any, ref: Any, z: Any, basis: Any, other: Any, rate: Any, sign: Any, share: Any) -> Any:
    """How far along the direction shares allow, and the option that is used up. `rate` (p,) is left filled."""
    rate[e] += sign
    rate[ref] -= sign
    for j in range(len(basis)):
        if basis[j] >= 0:
            rate[basis[j]] -= sign * z[j]
            rate[other[j]] += sign * z[j]
    far = np.inf
    stop = -1
    for j in range(-1, len(basis)):
        if j >= 0 and basis[j] < 0:
            continue
        for x in (e if j < 0 else basis[j], ref if j < 0 else other[j]):
            if rate[x] < -_TINY and share[x] < -far * rate[x]:
                far = share[x] / -rate[x]
                stop = x
    return far, stop


@njit(cache=True, nogil=True)
def _walk(e: Any, ref: Any, basis: Any, other: Any, rate: Any, far: Any, share: Any) -> None:
    """Moves the shares, and clears `rate`."""
    for j in range(-1, len(basis)):
        if j >= 0 and basis[j] < 0:
            continue
        for x in (e if j < 0 else basis[j], ref if j < 0 else other[j]):
            share[x] = max(share[x] + far * rate[x], 0.0)
            if share[x] < 1e-12:
                share[x] = 0.0
            rate[x] = 0.0


@njit(cache=True, nogil=True)
def _leave(stop: Any, z: Any, basis: Any, other: Any, inverse: Any) -> Any:
    """The slot to be freed after option `stop` was used up, and z in the basis that is then left; -1: none."""
    m = len(basis)
    slot = -1
    for j in range(m):
        if basis[j] == stop:
            return j
    for j in range(m):
        if basis[j] >= 0 and other[j] == stop:
            if slot < 0:
                slot = j
                continue
            # stop was what both columns were measured against: from now on the first of them is
            for c in range(m):
                inverse[slot, c] += inverse[j, c]
            z[slot] += z[j]
            other[j] = basis[slot]
    return slot


@njit(cache=True, nogil=True)
def _coordinates(inverse: Any, column: Any, z: Any) -> None:
    """z = inverse @ column; few rows of a column are not 0."""
    z[:] = 0.0
    for c in range(len(column)):
        if column[c] != 0.0:
            for r in range(len(z)):
                z[r] += inverse[r, c] * column[c]


@njit(cache=True, nogil=True)
def _vacant(z: Any, basis: Any) -> Any:
    """The empty slot that the column needs most; -1 when it needs none."""
    slot = -1
    largest = _TINY
    for j in range(len(z)):
        if basis[j] < 0 and abs(z[j]) > largest:
            largest = abs(z[j])
            slot = j
    return slot


@njit(cache=True, nogil=True)
def _gain(e: Any, ref: Any, z: Any, basis: Any, other: Any, value: Any) -> Any:
    """Value per unit of the direction that brings in option e."""
    gain = value[e] - value[ref]
    for j in range(len(z)):
        if basis[j] >= 0:
            gain -= z[j] * (value[basis[j]] - value[other[j]])
    return gain


@njit(cache=True, nogil=True)
def _push(first: Any, some: Any, cells: Any, offer: Any, value: Any, cost: Any, coef: Any, share: Any) -> None:
    """Pushes the shares of the customers `some` to a vertex. coef (g, 3, k, m); cells (p,)."""
    m = coef.shape[3]
    inverse = np.zeros((m, m))
    basis, other = np.empty(m, np.int64), np.empty(m, np.int64)
    for j in range(m):
        inverse[j, j] = 1.0
        basis[j] = -1
    column, z, rate = np.empty(m), np.empty(m), np.zeros(len(share))
    for i in some:
        ref = first[i]
        for p in range(first[i], first[i + 1]):
            if share[p] > share[ref]:
                ref = p
        for e in range(first[i], first[i + 1]):
            if e == ref or share[e] == 0.0:
                continue
            _column(e, ref, offer, value, cost, cells[e], coef, column)
            _coordinates(inverse, column, z)
            slot = _vacant(z, basis)
            if slot < 0:
                sign = 1.0 if _gain(e, ref, z, basis, other, value) >= 0 else -1.0
                far, stop = _step(e, ref, z, basis, other, rate, sign, share)
                if stop < 0:
                    far, stop = 0.0, e
                _walk(e, ref, basis, other, rate, far, share)
                share[stop] = 0.0
                slot = _leave(stop, z, basis, other, inverse)
                if stop == ref and slot >= 0:  # e is now measured against the option in that slot
                    z[slot] -= 1.0
                    ref = basis[slot]
                elif stop == ref:
                    ref = e
                if stop == e or slot < 0 or abs(z[slot]) <= _TINY:
                    continue
            _pivot(inverse, z, slot)
            basis[slot] = e
            other[slot] = ref


def split(few: Undecided, share: Floats) -> Any:
    """(s,) bool: who is split."""
    return np.maximum.reduceat(share, few.first[:-1]) < 1 - _SPLIT if len(few.customer) else np.zeros(0, bool)


def to_vertex(few: Undecided, rows: Rows, share: Floats, room: Floats) -> Floats:
    """Shares of no less value and the same use of every limit that could be broken; few customers stay split.

    Args:
        few: the customers and their options.
        rows: the limits.
        share: (p,) of the options, at least 0, adding up to 1 for each customer.
        room: (m,) distance of the plan's use from the nearest bound of each row.

    Returns:
        (p,).
    """
    share = np.where(share > 1e-11, share, 0.0)
    share /= np.repeat(np.add.reduceat(share, few.first[:-1]), np.diff(few.first)) if len(share) else 1.0
    some = np.nonzero(split(few, share))[0]
    if not len(some):
        return share
    coefficient = np.ascontiguousarray(rows.coefficient.transpose(2, 1, 3, 0))
    owner = few.owner()
    inside = np.isin(owner, some) & (share > 0) & (few.offer < few.shape[1])
    reach = np.zeros((3, *few.shape))
    where = (few.cell[owner[inside]], few.offer[inside])
    for t, amount in enumerate((np.ones(len(share)), few.cost, few.value)):
        np.add.at(reach[t], where, np.abs(amount[inside]))
    flow = np.einsum("rtga,tga->r", np.abs(rows.coefficient), reach)
    movable = flow >= room
    size = np.abs(coefficient).max((0, 1, 2))
    coefficient = np.ascontiguousarray(coefficient[..., movable] / np.where(size > 0, size, 1.0)[movable])
    cells = few.cell[owner]
    for size in (_CHUNK, max(_CAREFUL, 4 * coefficient.shape[3])):
        pushed, left = share.copy(), some
        while len(left):
            chunks = np.array_split(left, -(-len(left) // size))
            for chunk in chunks:
                _push(few.first, chunk, cells, few.offer, few.value, few.cost, coefficient, pushed)
            before, left = len(left), np.nonzero(split(few, pushed))[0]
            if len(chunks) == 1 or len(left) == before:
                break
        moved = np.abs(rows.consumption(few.use_of(pushed) - few.use_of(share)))[movable]
        if not (moved > _DRIFT * flow[movable]).any():
            break
    return pushed
