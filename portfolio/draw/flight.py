"""The first two parts of a balanced draw: nearly everybody is decided while every limit's row stands still.

First cell by cell, in the few dimensions that limits span within the cell; then whoever is left, over all rows. Each
time customers are tossed as coins (`portfolio.draw.coins`), and only the last of them seated option by option. What
remains is at most as many customers as there are rows. The third part is `portfolio.draw.landing`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from allot import LimitError, ShapeError
from allot.uniforms import stream
from portfolio.draw.basis import (
    CELL,
    CHANCE,
    COST,
    CUSTOMER,
    VALUE,
    Coefficients,
    Floats,
    Integers,
    State,
    compile_coefficients,
    empty_state,
)
from portfolio.draw.basis_flight import Arrivals, fly, scatter
from portfolio.draw.coins import no_coins, toss, undecided
from portfolio.limits import Problem, Rows

_BLOCK = 32_768  # customers gathered at a time
_SCALED_BY = 256  # customers of a cell whose largest cost sets the scale of its money rows
_SUM_TOLERANCE = 1e-3  # a row of probabilities that sums to 1 no better than this is refused


@dataclass(frozen=True, slots=True)
class Flight:
    """A draw before its landing.

    Args:
        choice: (n,) offer, k = no offer, -1 for those left.
        left: customers still undecided, with their remaining chances (in `state` and here) and data.
        rank: number of columns that the landing has to decide.
        state: basis over all rows, rows divided by `unit`.
        coefficients: the rows, divided by `unit`.
        unit: (m,) largest coefficient of each row among those left.
        expected: (3, g, k) what the probabilities use.
        decided: (3, g, k) what the decided customers use.
        standing: (m,) rows now, decided customers plus the others' remaining chances: where the probabilities put them,
            but for rounding.
    """

    choice: Integers
    left: Arrivals
    state: State
    coefficients: Coefficients
    unit: Floats
    expected: Floats
    decided: Floats
    standing: Floats


def _independent_rows(table: Floats) -> Floats:
    """The same row space in the fewest rows: reduced row echelon form of (m, c)."""
    out: Floats = table / np.maximum(np.abs(table).max(1, initial=0.0, keepdims=True), 1e-300)
    rank = 0
    for c in range(out.shape[1]):
        if rank == len(out):
            break
        p = rank + int(np.argmax(np.abs(out[rank:, c])))
        if abs(out[p, c]) < 1e-9:
            continue
        out[[rank, p]] = out[[p, rank]]
        out[rank] /= out[rank, c]
        others = np.arange(len(out)) != rank
        out[others] -= np.outer(out[others, c], out[rank])
        out[np.abs(out) < 1e-12] = 0.0
        rank += 1
    independent: Floats = out[:rank]
    return independent


def _customer_order(problem: Problem, keys: NDArray[np.uint64], of: np.uint64) -> Integers:
    """By cell, then by a hash of the key: the same whatever the order of the input."""
    scattered = np.empty(len(keys), np.uint64)
    scatter(keys, of, scattered)
    order = np.argsort(scattered)
    if len(keys) > 1 and (np.diff(scattered[order]) == 0).any():
        raise ShapeError(
            "two customers have the same key.", where="keys", remedy="Give each customer a key of its own."
        )
    cell = problem.cell[order]
    return order[np.argsort(cell.astype(np.uint16) if problem.n_cells < 65536 else cell, kind="stable")]


def _check_shapes(probability: NDArray[np.floating], problem: Problem, keys: NDArray[np.uint64]) -> None:
    n, k = problem.value.shape
    if probability.shape != (n, k + 1):
        raise ShapeError(f"probability has shape {probability.shape}, not ({n}, {k + 1}).")
    if keys.shape != (n,) or keys.dtype != np.uint64:
        raise ShapeError(f"keys are {keys.dtype} of shape {keys.shape}, not uint64 of shape ({n},).")
    if problem.most != 1:
        raise LimitError(
            f"{problem.most} offers per customer cannot be drawn.", remedy="Draw one, or use the deterministic solver."
        )


@njit(cache=True, nogil=True)
def _inspect(chance: Any, cost: Any, value: Any, eligible: Any, expected: Any) -> int:
    """Add what customers of one cell use to expected (3, k); 0, or what is wrong with one of them.

    Returns:
        1: not a distribution; 2: a chance where not eligible; 3, 4: cost, value not finite where there is a chance.
    """
    n, k = cost.shape
    for i in range(n):
        total = 0.0
        for a in range(k + 1):
            if not chance[i, a] >= 0.0:
                return 1
            total += chance[i, a]
        if not abs(total - 1.0) <= _SUM_TOLERANCE:
            return 1
        for a in range(k):
            p = chance[i, a] / total
            if p > 0.0:
                if not eligible[i, a]:
                    return 2
                if not np.isfinite(cost[i, a]):
                    return 3
                if not np.isfinite(value[i, a]):
                    return 4
                expected[0, a] += p
                expected[1, a] += p * cost[i, a]
                expected[2, a] += p * value[i, a]
    return 0


_WRONG = (
    ("a row of probabilities is negative, not a number, or does not sum to 1.", "probability"),
    ("an offer that is not eligible has a probability above 0.", "probability"),
    ("the cost of an offer with a probability above 0 is not finite.", "cost"),
    ("the value of an offer with a probability above 0 is not finite.", "value"),
)


def _gather(
    probability: NDArray[np.floating],
    problem: Problem,
    keys: NDArray[np.uint64],
    who: Integers,
    measures: NDArray[np.bool_],
) -> tuple[Arrivals, Floats]:
    """Some customers of one cell: their stored float32 probabilities, the data that rows need, expected use (3, k)."""
    k = problem.value.shape[1]
    chance = np.ascontiguousarray(probability[who].astype(np.float32, copy=False), np.float64)
    money = [
        np.ascontiguousarray(measure[who], np.float64) if used else np.zeros((len(who), k))
        for used, measure in zip(measures[1:], (problem.cost, problem.value), strict=True)
    ]
    expected = np.zeros((3, k))
    wrong = _inspect(chance, *money, np.ascontiguousarray(problem.eligible[who]), expected)
    if wrong:
        message, where = _WRONG[wrong - 1]
        raise ShapeError(message, where=where)
    return Arrivals(who, keys[who], np.zeros(len(who), np.int64), chance, *money), expected


def _seated(state: State, keys: NDArray[np.uint64]) -> Arrivals:
    """Who is still undecided, with what chances."""
    seats = np.unique(state.seat[state.seat >= 0])
    customer = state.who[CUSTOMER, seats]
    return Arrivals(
        customer,
        keys[customer],
        state.who[CELL, seats],
        state.seated[CHANCE, seats],
        state.seated[COST, seats, :-1],
        state.seated[VALUE, seats, :-1],
    )


def _arrivals(arrays: list[Any]) -> Arrivals:
    return Arrivals(*(np.ascontiguousarray(array) for array in arrays))


def _joined(parts: list[Arrivals], k: int) -> Arrivals:
    if not parts:
        none = np.zeros(0, np.int64)
        return Arrivals(none, np.zeros(0, np.uint64), none, np.zeros((0, k + 1)), np.zeros((0, k)), np.zeros((0, k)))
    return _arrivals([np.concatenate(arrays) for arrays in zip(*parts, strict=True)])


class _Cells:
    """Independent rows of each cell; cells with the same limits share them."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows
        self._known: dict[bytes, Floats] = {}

    def of(self, cell: int) -> Floats:
        """(rank, 3, 1, k)."""
        slab = np.ascontiguousarray(self._rows.coefficient[:, :, cell])
        m, _, k = slab.shape
        name = slab.tobytes()
        if name not in self._known:
            self._known[name] = _independent_rows(slab.reshape(m, 3 * k)).reshape(-1, 3, 1, k)
        return self._known[name]


def _blocks(order: Integers, cell: NDArray[np.integer]) -> Iterator[tuple[int, Integers]]:
    sorted_cell = cell[order]
    starts = np.flatnonzero(np.diff(sorted_cell, prepend=-1)).tolist()
    for first, last in pairwise([*starts, len(order)]):
        yield int(sorted_cell[first]), order[first:last]


def _money_scale(block: Arrivals) -> Floats:
    """(3,) so that a scaled coefficient is about 1 whatever the currency."""
    live = block.chance[:_SCALED_BY, :-1] > 0
    largest = [np.abs(x[:_SCALED_BY][live]).max(initial=0.0) for x in (block.cost, block.value)]
    return np.array([1.0, *(1.0 / x if x > 0 else 1.0 for x in largest)])


def take_off(
    probability: NDArray[np.floating],
    problem: Problem,
    rows: Rows,
    *,
    seed: int,
    keys: NDArray[np.uint64],
    purpose: str,
) -> Flight:
    """Decide nearly everybody, by chances that are each customer's own probabilities.

    Args:
        probability: (n, k + 1); the last column is no offer. Used as float32, made to sum to 1 in float64.
        problem: eligible, cost, value and cell of n customers.
        rows: m rows compiled from the problem's limits.
        seed: of the campaign's run.
        keys: (n,) uint64, one for each customer, all different; with the seed they name the random numbers.
        purpose: names the random numbers too: a rehearsal and the draw share none.

    Raises:
        ShapeError: arrays disagree, a row is not a distribution, an ineligible offer has a chance, keys repeat.
        LimitError: more than one offer per customer.
    """
    _check_shapes(probability, problem, keys)
    n, k = problem.value.shape
    order = _customer_order(problem, keys, stream(seed, purpose, "order"))
    measures = (rows.coefficient != 0).any((0, 2, 3))
    of = stream(seed, purpose, "cells")
    choice = np.full(n, -1)
    expected = np.zeros((3, problem.n_cells, k))
    parts = []
    cells = _Cells(rows)
    for cell, members in _blocks(order, problem.cell):
        table = cells.of(cell)
        coins, coefficients = no_coins(len(table), k), None
        for first in range(0, len(members), _BLOCK):
            block, use = _gather(probability, problem, keys, members[first : first + _BLOCK], measures)
            if coefficients is None:
                coefficients = compile_coefficients(table * _money_scale(block)[None, :, None, None])
            toss(coins, coefficients, block, of, choice)
            expected[:, cell] += use
        left = undecided(coins)
        parts.append(left._replace(cell=np.full(len(left.cell), cell)))
    streams = stream(seed, purpose, "crossing"), stream(seed, purpose, "boarding")
    return _cross(_joined(parts, k), order, (problem, rows, keys), choice, expected, streams)


def _cross(
    left: Arrivals,
    order: Integers,
    setting: tuple[Problem, Rows, NDArray[np.uint64]],
    choice: Integers,
    expected: Floats,
    streams: tuple[np.uint64, np.uint64],
) -> Flight:
    """The same over all rows, for those whom the cells could not decide; the last are seated option by option."""
    problem, rows, keys = setting
    scattered = np.empty(len(left.key), np.uint64)
    scatter(left.key, streams[0], scattered)
    left = _arrivals([array[np.argsort(scattered)] for array in left])
    unit = _units(rows, left)
    coefficients = compile_coefficients(rows.coefficient / unit[:, None, None, None])
    coins = no_coins(len(unit), problem.value.shape[1])
    toss(coins, coefficients, left, streams[0], choice)
    state = empty_state(len(unit), problem.value.shape[1])
    fly(state, coefficients, _arrivals(list(undecided(coins))), streams[1], choice)
    remaining = _seated(state, keys)
    flown = order[choice[order] >= 0]
    decided = tally(flown, choice[flown], problem)
    standing = rows.consumption(decided + _remaining_use(remaining, problem.n_cells))
    return Flight(choice, remaining, state, coefficients, unit, expected, decided, standing)


def _remaining_use(left: Arrivals, g: int) -> Floats:
    k = left.cost.shape[1]
    out = np.zeros((3, g, k))
    chance = left.chance[:, :k]
    for t, x in enumerate((chance, chance * left.cost, chance * left.value)):
        np.add.at(out[t], left.cell, x)
    return out


def _units(rows: Rows, left: Arrivals) -> Floats:
    """(m,) largest coefficient of each row among the customers who are left; 1 where none touches it."""
    out = np.ones(len(rows.names))
    live = left.chance[:, :-1] > 0
    for r, table in enumerate(rows.coefficient):
        factor = table[:, left.cell]
        size = np.abs(factor[0] + factor[1] * left.cost + factor[2] * left.value)
        largest = np.where(live, size, 0.0).max(initial=0.0)
        out[r] = largest if largest > 0 else 1.0
    return out


def tally(who: Integers, choice: Integers, problem: Problem) -> Floats:
    """(3, g, k) what the choices (l,) of customers `who` (l,) use, summed in the order given; offer k is no offer."""
    k = problem.value.shape[1]
    some = choice < k
    who, offer = who[some], choice[some]
    where = problem.cell[who].astype(np.int64) * k + offer
    size = problem.n_cells * k
    weights = (None, problem.cost[who, offer].astype(np.float64), problem.value[who, offer].astype(np.float64))
    return np.stack([np.bincount(where, w, size).astype(np.float64).reshape(problem.n_cells, k) for w in weights])
