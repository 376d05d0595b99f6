"""The undecided as one linear program: exact prices and shares where softening does not find them.

Customers who are alike are one column with a number, so ties make the program smaller instead of harder.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from allot.uniform_kernels import mix
from portfolio.dual import Floats
from portfolio.large.undecided import Undecided
from portfolio.limits import Rows

_STEPS = 20_000  # of the simplex method
_OPTIONS = 40_000  # a program with more is not tried
_WHOLE = 1e-9


@dataclass(frozen=True, slots=True)
class Kinds:
    """Customers that cannot be told apart.

    Args:
        one: (c,) the position of a customer of each kind; kind: (s,) of every customer.
        many: (c,) how many there are of each.
    """

    one: NDArray[np.int64]
    kind: NDArray[np.int64]
    many: NDArray[np.int64]

    @property
    def count(self) -> int:
        """Kinds."""
        return len(self.one)


@njit(cache=True, nogil=True)
def _fingerprint(cell: Any, first: Any, offer: Any, value_bits: Any, cost_bits: Any, out: Any) -> None:
    """A hash (s,) of each customer's cell, options, values and costs."""
    for i in range(len(out)):
        h = mix(np.uint64(cell[i]))
        for p in range(first[i], first[i + 1]):
            h = mix(h + np.uint64(offer[p]))
            h = mix(h + value_bits[p])
            h = mix(h + cost_bits[p])
        out[i] = h


def kinds_of(few: Undecided) -> Kinds:
    """Who shares a cell and the same options with the same values and costs, by a hash of 64 bits."""
    bits = [(x + 0.0).view(np.uint64) for x in (few.value, few.cost)]  # there is only one zero
    key = np.empty(len(few.customer), np.uint64)
    _fingerprint(few.cell, few.first, few.offer, bits[0], bits[1], key)
    _, one, kind, many = np.unique(key, return_index=True, return_inverse=True, return_counts=True)
    return Kinds(one.astype(np.int64), kind.astype(np.int64), many.astype(np.int64))


@dataclass(frozen=True, slots=True)
class Room:
    """(m,) what the others leave of the limits, and what a unit of breach costs; infinite = not to be had."""

    lower: Floats
    upper: Floats
    box: Floats

    @classmethod
    def of(cls, rows: Rows, box: Floats, fixed: Floats) -> "Room":
        """Where the others use `fixed` (3, g, k)."""
        used = rows.consumption(fixed)
        return cls(rows.lower - used, rows.upper - used, box)

    def sides(self) -> list[tuple[float, NDArray[np.intp], Floats]]:
        """Sign, rows and signed bounds of the maximums and of the minimums."""
        both = ((1.0, self.upper), (-1.0, self.lower))
        return [(sign, (r := np.nonzero(np.isfinite(bound))[0]), sign * bound[r]) for sign, bound in both]


@dataclass(frozen=True, slots=True)
class Columns:
    """Options of kinds as the columns of a program; m more stand for breaches of the rows.

    Args:
        start: (kinds + 1,) where the options of each kind begin.
        value: (c,) of the options. effect: (m, c) sparse, what they add to every row, in row sizes.
        size: (m,) the largest effect on every row.
    """

    start: NDArray[np.int64]
    value: Floats
    effect: Any
    size: Floats

    @classmethod
    def of(cls, few: Undecided, alike: Kinds, rows: Rows) -> "Columns":
        """The options of one customer of each kind."""
        from scipy import sparse

        options = np.diff(few.first)[alike.one]
        start = np.concatenate(([0], np.cumsum(options)))
        here = np.arange(start[-1]) + np.repeat(few.first[alike.one] - start[:-1], options)
        cell, offer = np.repeat(few.cell[alike.one], options), few.offer[here]
        tables = rows.coefficient[:, :, cell, np.minimum(offer, few.shape[1] - 1)]
        effect = tables[:, 0] + tables[:, 1] * few.cost[here] + tables[:, 2] * few.value[here]
        effect = np.where(offer < few.shape[1], effect, 0.0)
        size = np.abs(effect).max(1, initial=0.0)
        size = np.where(size > 0, size, 1.0)
        return cls(start, few.value[here], sparse.csr_matrix(effect / size[:, None]), size)

    def limits(self, room: Room) -> tuple[Any, Floats]:
        """A sparse matrix over options and breaches (r, c + m), and what it may count at most (r,)."""
        from scipy import sparse

        m, blocks = len(self.size), []
        for sign, r, _ in room.sides():
            over = sparse.csr_matrix((-np.ones(len(r)), (np.arange(len(r)), r)), shape=(len(r), m))
            blocks.append(sparse.hstack([sign * self.effect[r], over]))
        return sparse.vstack(blocks).tocsr(), np.concatenate([bound / self.size[r] for _, r, bound in room.sides()])

    def whose(self, width: int) -> Any:
        """A sparse matrix (kinds, width) that adds up the options of every kind."""
        from scipy import sparse

        many = len(self.start) - 1
        kind = np.repeat(np.arange(many), np.diff(self.start))
        return sparse.csr_matrix((np.ones(len(kind)), (kind, np.arange(len(kind)))), shape=(many, width))

    def handed_out(self, few: Undecided, alike: Kinds, taken: Floats) -> Floats:
        """(p,) shares of the options where `taken` (c,) of each are: one after the other, so that few are split."""
        order = np.argsort(alike.kind, kind="stable")
        first = np.concatenate(([0], np.cumsum(alike.many)))
        turn = np.empty(len(order), np.int64)
        turn[order] = np.arange(len(order)) - np.repeat(first[:-1], alike.many)
        size, owner = np.diff(few.first), few.owner()
        at = np.arange(len(few.offer)) - np.repeat(few.first[:-1], size) + self.start[alike.kind[owner]]
        near = np.rint(taken)
        taken = np.where(np.abs(taken - near) <= _WHOLE * np.maximum(near, 1.0), near, np.maximum(taken, 0.0))
        running = np.concatenate(([0.0], np.cumsum(taken)))
        until = running[1:] - np.repeat(running[self.start[:-1]], np.diff(self.start))
        mine = turn[owner].astype(np.float64)
        share = np.minimum(until[at], mine + 1.0) - np.maximum((until - taken)[at], mine)
        return np.asarray(np.maximum(share, 0.0))


def solve_linear(few: Undecided, alike: Kinds, rows: Rows, box: Floats, fixed: Floats) -> tuple[Floats, Floats] | None:
    """Shares (p,) of the options and prices (m,) of the undecided's linear program, everybody else fixed.

    A limit may be broken at the price at the end of its box, so that there always is an answer. At most as many
    customers are split as there are limits.

    Args:
        few: the undecided, and which of them are alike.
        rows: the limits. box: (m,) the ends of their prices.
        fixed: (3, g, k) what everybody else uses.

    Returns:
        None when there are more than 40,000 options, or HiGHS ends without an optimum.
    """
    from scipy.optimize import linprog

    if not alike.count or int(np.diff(few.first)[alike.one].sum()) > _OPTIONS:
        return None
    columns, room = Columns.of(few, alike, rows), Room.of(rows, box, fixed)
    matrix, bound = columns.limits(room)
    answer = linprog(
        np.concatenate((-columns.value, box * columns.size)),
        A_ub=matrix,
        b_ub=bound,
        A_eq=columns.whose(matrix.shape[1]),
        b_eq=alike.many,
        method="highs-ds",
        options={"maxiter": _STEPS},
    )
    if answer.status != 0:
        return None
    price, at = np.zeros(len(box)), 0
    for sign, r, _ in room.sides():
        price[r] += sign * np.maximum(-answer.ineqlin.marginals[at : at + len(r)], 0.0) / columns.size[r]
        at += len(r)
    return columns.handed_out(few, alike, answer.x[: len(columns.value)]), np.clip(price, -box, box)
