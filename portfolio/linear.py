"""The undecided as one linear program: exact prices and shares where softening does not find them.

Customers who are alike are one column with a number, so ties make the program smaller instead of harder.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from portfolio.dual import Domain, Floats
from portfolio.limits import Rows
from portfolio.undecided import Undecided

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


def kinds_of(few: Undecided) -> Kinds:
    """Who shares a cell and the same options with the same values and costs."""
    size = np.diff(few.first)
    width = int(size.max(initial=0))
    inside = np.arange(width) < size[:, None]
    table = np.zeros((len(size), 1 + 3 * width))
    table[:, 0] = few.cell
    for t, amount in enumerate((few.offer + 1.0, few.value, few.cost)):
        table[:, 1 + t * width : 1 + (t + 1) * width][inside] = amount
    table += 0.0  # there is only one zero
    packed = np.ascontiguousarray(table).view([("", np.void, table.itemsize * table.shape[1])]).ravel()
    _, one, kind, many = np.unique(packed, return_index=True, return_inverse=True, return_counts=True)
    return Kinds(one.astype(np.int64), kind.astype(np.int64), many.astype(np.int64))


def solve_linear(few: Undecided, alike: Kinds, rows: Rows, domain: Domain, fixed: Floats) -> tuple[Floats, Floats] | None:
    """Shares (p,) of the options and prices (m,) of the undecided's linear program, everybody else fixed.

    A limit may be broken at the price at the end of its box, so that there always is an answer. At most as many
    customers are split as there are limits.

    Args:
        few: the undecided, and which of them are alike.
        rows: the limits. domain: the ends of their prices.
        fixed: (3, g, k) what everybody else uses.

    Returns:
        None when that are more than 40,000 options, or HiGHS ends without an optimum.
    """
    size = np.diff(few.first)
    options = size[alike.one]
    if not len(options) or int(options.sum()) > _OPTIONS:
        return None
    start = np.concatenate(([0], np.cumsum(options)))
    here = np.arange(start[-1]) - np.repeat(start[:-1], options) + np.repeat(few.first[alike.one], options)
    effect = _effects(few, rows, here, np.repeat(few.cell[alike.one], options))
    column = np.repeat(np.arange(len(options)), options)
    answer = _program(few.value[here], effect, (column, alike.many), _Room.of(rows, domain, fixed))
    if answer is None:
        return None
    taken, price = answer
    return _handed_out(few, alike, start, taken), price


def _handed_out(few: Undecided, alike: Kinds, start: NDArray[np.int64], taken: Floats) -> Floats:
    """(p,) shares of the options: those of a kind take its options one after the other, so that few are split."""
    order = np.argsort(alike.kind, kind="stable")
    first = np.concatenate(([0], np.cumsum(alike.many)))
    turn = np.empty(len(order), np.int64)
    turn[order] = np.arange(len(order)) - np.repeat(first[:-1], alike.many)
    size = np.diff(few.first)
    mine = alike.kind[few.owner()]
    at = np.arange(len(few.offer)) - np.repeat(few.first[:-1], size) + start[mine]
    near = np.rint(taken)
    taken = np.where(np.abs(taken - near) <= _WHOLE * np.maximum(near, 1.0), near, np.maximum(taken, 0.0))
    running = np.cumsum(taken)
    until = running - np.concatenate(([0.0], running))[start[:-1]][np.repeat(np.arange(alike.count), np.diff(start))]
    ahead = until - taken
    turn_of = turn[few.owner()].astype(np.float64)
    share = np.minimum(until[at], turn_of + 1.0) - np.maximum(ahead[at], turn_of)
    return np.asarray(np.maximum(share, 0.0))


def _effects(few: Undecided, rows: Rows, here: NDArray[np.int64], cell: NDArray[np.int64]) -> Floats:
    """(m, c) what these options add to every row."""
    k = few.shape[1]
    offer = few.offer[here]
    tables = rows.coefficient[:, :, cell, np.minimum(offer, k - 1)]
    effect = tables[:, 0] + tables[:, 1] * few.cost[here] + tables[:, 2] * few.value[here]
    return np.asarray(np.where(offer < k, effect, 0.0))


@dataclass(frozen=True, slots=True)
class _Room:
    """(m,) what the others leave of the limits, and what a breach costs at most."""

    lower: Floats
    upper: Floats
    box: Floats

    @classmethod
    def of(cls, rows: Rows, domain: Domain, fixed: Floats) -> "_Room":
        used = rows.consumption(fixed)
        return cls(domain.lower - used, domain.upper - used, domain.box)


def _program(
    value: Floats, effect: Floats, kinds: tuple[NDArray[np.int64], NDArray[np.int64]], room: _Room
) -> tuple[Floats, Floats] | None:
    """How many customers take each option (c,), and prices (m,).

    Args:
        value: (c,) of the options. effect: (m, c).
        kinds: whose option each is (c,), and how many customers every kind has.
        room: of the limits.
    """
    from scipy import sparse
    from scipy.optimize import linprog

    m, width = effect.shape
    size = np.abs(effect).max(1, initial=0.0)
    size = np.where(size > 0, size, 1.0)
    scaled = sparse.csr_matrix(effect / size[:, None])
    sides = [
        (sign, np.nonzero(np.isfinite(bound))[0], sign * bound) for sign, bound in ((1.0, room.upper), (-1.0, room.lower))
    ]
    over = [sparse.csr_matrix((-np.ones(len(r)), (np.arange(len(r)), r)), shape=(len(r), m)) for _, r, _ in sides]
    above = sparse.vstack([sparse.hstack([sign * scaled[r], o]) for (sign, r, _), o in zip(sides, over, strict=True)])
    column, many = kinds
    whose = sparse.csr_matrix((np.ones(width), (column, np.arange(width))), shape=(len(many), width + m))
    answer = linprog(
        np.concatenate((-value, room.box * size)),
        A_ub=above.tocsr(),
        b_ub=np.concatenate([bound[r] / size[r] for _, r, bound in sides]),
        A_eq=whose,
        b_eq=many,
        method="highs-ds",
        options={"maxiter": _STEPS},
    )
    if answer.status != 0:
        return None
    price, at = np.zeros(m), 0
    for sign, r, _ in sides:
        price[r] += sign * np.maximum(-answer.ineqlin.marginals[at : at + len(r)], 0.0) / size[r]
        at += len(r)
    return np.asarray(answer.x[:width]), np.clip(price, -room.box, room.box)
