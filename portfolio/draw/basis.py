"""One basis of fractional customers, kept up to date step by step: the engine room of the balanced draw.

A customer with chances strictly between 0 and 1 sits on a *seat*. One of the options is the seat's *reference*; every
other option is a column, the change in the limits' rows when chance moves from the reference to it. The basis holds m
columns, those of seats or slacks of rows. A column that enters moves together with the basis so that every row stays
where it is: the cube method (Deville and Tillé, Biometrika 91, 2004) with a rank-one update of the inverse per step,
O(m²), in place of an elimination per step, O(m³). Updates pile up rounding, above all where customers or limits nearly
depend on each other, so each direction is checked against the columns themselves, O(m²) too, and corrected from a fresh
inverse where rows would move. The move itself is in `portfolio.draw.basis_step`.

The state is a named tuple of few arrays because compiled kernels take those, and every array costs compile time; the
kernels change the arrays in place.
"""

from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numba import njit
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float64]
Integers: TypeAlias = NDArray[np.int64]

CHANCE, COST, VALUE = 0, 1, 2  # State.seated
REFERENCE, COLUMNS, CUSTOMER, CELL = 0, 1, 2, 3  # State.who
NOW, LOW, HIGH = 0, 1, 2  # State.slack
COLUMN, DIRECTION, ASTRAY = 0, 1, 2  # State.aim
FREE, TOUCHED, MARKED = 0, 1, 2  # State.scratch
FREE_SEATS, TOUCHED_SEATS, PIVOTS = 0, 1, 2  # State.count

CORRECTIONS = 2  # of a direction, from a fresh inverse
_ACCURATE = 1e-11  # by so much may rows move that should stand still, relative to the largest part of the direction
_ROUNDING = 1e-9  # a part of a direction within this of zero, relative to the largest, is rounding
_SINGULAR = 1e-13


class Coefficients(NamedTuple):
    """Rows by (cell, offer): entries start[q]:start[q + 1] of q = cell * k + offer.

    A row's coefficient is factor[e, 0] + factor[e, 1] * cost + factor[e, 2] * value.
    """

    start: Integers
    row: Integers
    factor: Floats


class State(NamedTuple):
    """m rows, s = m + 2 seats, k offers.

    Args:
        inverse: (m, m) of the basis, transposed: inverse[q, j] says how column j answers row q.
        seat, option: (m,) whose column it is and which option's; seat -1 = the slack of row `option`.
        seated: (3, s, k + 1) chance, cost and value of the seated customers; the last column is no offer.
        who: (4, s) the reference option, number of columns in the basis, row number of the customer, cell.
        slack: (3, m) how far a row has fallen since the landing began, and its bounds.
        frozen: (m,) bool; the row's slack stands at a bound.
        aim: (3, m) the entering column in the rows, how fast the basis gives way to it, and how fast the rows move
            because the inverse is not exact.
        rate: (s,) how fast the reference gives way.
        scratch, tally: (3, s) free seats, touched seats, marks; (3,) how many of these, pivots since the last inverse.
    """

    inverse: Floats
    seat: Integers
    option: Integers
    seated: Floats
    who: Integers
    slack: Floats
    frozen: NDArray[np.bool_]
    aim: Floats
    rate: Floats
    scratch: Integers
    tally: Integers

    def copied(self) -> "State":
        """The same state in arrays of its own."""
        arrays: list[Any] = [array.copy() for array in self]
        return State(*arrays)


def empty_state(m: int, k: int) -> State:
    """Nobody seated, all columns slacks, no bounds."""
    s = m + 2
    slack = np.zeros((3, m))
    slack[LOW], slack[HIGH] = -np.inf, np.inf
    scratch = np.zeros((3, s), np.int64)
    scratch[FREE] = np.arange(s)[::-1]
    return State(
        inverse=np.eye(m),
        seat=np.full(m, -1),
        option=np.arange(m),
        seated=np.zeros((3, s, k + 1)),
        who=np.zeros((4, s), np.int64),
        slack=slack,
        frozen=np.zeros(m, np.bool_),
        aim=np.zeros((3, m)),
        rate=np.zeros(s),
        scratch=scratch,
        tally=np.array([s, 0, 0]),
    )


def compile_coefficients(table: Floats) -> Coefficients:
    """Rows (m, 3, g, k) by (cell, offer)."""
    m, _, g, k = table.shape
    by_pair = np.ascontiguousarray(table.transpose(2, 3, 0, 1)).reshape(g * k, m, 3)
    pair, row = np.nonzero((by_pair != 0).any(2))
    start = np.concatenate([[0], np.cumsum(np.bincount(pair, minlength=g * k))]).astype(np.int64)
    return Coefficients(start, row.astype(np.int64), np.ascontiguousarray(by_pair[pair, row], np.float64))


@njit(cache=True, nogil=True)
def _add_column(st: Any, co: Any, seat: int, option: int, sign: float, into: Any) -> None:
    k = st.seated.shape[2] - 1
    if option == k:
        return
    at = st.who[CELL, seat] * k + option
    for e in range(co.start[at], co.start[at + 1]):
        into[co.row[e]] += sign * (
            co.factor[e, 0]
            + co.factor[e, 1] * st.seated[COST, seat, option]
            + co.factor[e, 2] * st.seated[VALUE, seat, option]
        )


@njit(cache=True, nogil=True)
def _subtract(row: Any, times: float, other: Any) -> None:
    for c in range(len(row)):
        row[c] -= times * other[c]


@njit(cache=True, nogil=True)
def rounding(direction: Any) -> float:
    """The size up to which a part of the direction (m,) is taken for rounding and stands still.

    The rows move by that little instead. Many customers have chances far smaller than rounding: moved by it, one of
    these would stop the step and leave its place to a column that does not span it, so that the basis has no inverse.
    """
    largest = 1.0
    for j in range(len(direction)):
        largest = max(largest, abs(direction[j]))
    return _ROUNDING * largest


@njit(cache=True, nogil=True)
def answer(inverse: Any, column: Any, direction: Any) -> None:
    """Add to the direction (m,) how the basis with this inverse answers the column (m,)."""
    for q in range(len(column)):
        if column[q] != 0.0:
            _subtract(direction, -column[q], inverse[q])


@njit(cache=True, nogil=True)
def inexact(astray: Any, direction: Any) -> bool:
    """Whether what the direction (m,) leaves of its column, `astray` (m,), would move the rows."""
    most = 0.0
    for q in range(len(astray)):
        most = max(most, abs(astray[q]))
    return bool(most * _ROUNDING > _ACCURATE * rounding(direction))


@njit(cache=True, nogil=True)
def invert_columns(columns: Any, inverse: Any) -> bool:
    """Inverse of a basis, transposed, by Gauss-Jordan; False (and no change) where the columns are dependent.

    In loops, not array expressions, which take longer to compile than all the rest.

    Args:
        columns: (m, m), columns[j] is column j.
        inverse: (m, m), overwritten: inverse[q, j] says how column j answers row q.
    """
    m = len(columns)
    work = np.zeros((m, 2 * m))
    for j in range(m):
        for q in range(m):
            work[j, q] = columns[j, q]
        work[j, m + j] = 1.0
    for q in range(m):
        p = q
        for j in range(q + 1, m):
            if abs(work[j, q]) > abs(work[p, q]):
                p = j
        if abs(work[p, q]) < _SINGULAR:
            return False
        x = 1.0 / work[p, q]
        for c in range(2 * m):
            work[p, c], work[q, c] = work[q, c], x * work[p, c]
        for j in range(m):
            if j != q and work[j, q] != 0.0:
                _subtract(work[j, q:], work[j, q], work[q, q:])
    for q in range(m):
        for j in range(m):
            inverse[q, j] = work[q, m + j]
    return True


@njit(cache=True, nogil=True)
def invert(st: Any, co: Any) -> bool:
    """Inverse from the columns themselves; False (and no change) where they are dependent."""
    m = len(st.seat)
    columns = np.zeros((m, m))
    for j in range(m):
        if st.seat[j] < 0:
            columns[j, st.option[j]] = 1.0
        else:
            _add_column(st, co, st.seat[j], st.option[j], 1.0, columns[j])
            _add_column(st, co, st.seat[j], st.who[REFERENCE, st.seat[j]], -1.0, columns[j])
    if not invert_columns(columns, st.inverse):
        return False
    st.tally[PIVOTS] = 0
    return True


@njit(cache=True, nogil=True)
def _inexact(st: Any, co: Any) -> bool:
    """What the direction leaves of its column, and whether it is more than rounding."""
    astray = st.aim[ASTRAY]
    astray[:] = st.aim[COLUMN]
    for j in range(len(st.seat)):
        d = st.aim[DIRECTION, j]
        if st.seat[j] < 0:
            astray[st.option[j]] -= d
        elif d != 0.0:
            _add_column(st, co, st.seat[j], st.option[j], -d, astray)
            _add_column(st, co, st.seat[j], st.who[REFERENCE, st.seat[j]], d, astray)
    return bool(inexact(astray, st.aim[DIRECTION]))


@njit(cache=True, nogil=True)
def aim(st: Any, co: Any) -> None:
    """How the basis answers the entering column: exactly, however nearly its own columns depend on each other."""
    direction = st.aim[DIRECTION]
    direction[:] = 0.0
    answer(st.inverse, st.aim[COLUMN], direction)
    if not _inexact(st, co):
        return
    if st.tally[PIVOTS] > 0 and invert(st, co):
        direction[:] = 0.0
        answer(st.inverse, st.aim[COLUMN], direction)
    for _ in range(CORRECTIONS):
        if not _inexact(st, co):
            break
        answer(st.inverse, st.aim[ASTRAY], direction)


@njit(cache=True, nogil=True)
def enter(st: Any, co: Any, seat: int, option: int) -> bool:
    """Seat the column on an idle row, if it touches one: nothing moves. Else leaves the direction for `step`."""
    st.aim[COLUMN, :] = 0.0
    _add_column(st, co, seat, option, 1.0, st.aim[COLUMN])
    _add_column(st, co, seat, st.who[REFERENCE, seat], -1.0, st.aim[COLUMN])
    aim(st, co)
    at = -1
    most = rounding(st.aim[DIRECTION])
    for j in range(len(st.seat)):
        if st.seat[j] < 0 and abs(st.aim[DIRECTION, j]) > most:
            most = abs(st.aim[DIRECTION, j])
            at = j
    if at < 0:
        return False
    pivot(st, at)
    st.seat[at] = seat
    st.option[at] = option
    st.who[COLUMNS, seat] += 1
    return True


@njit(cache=True, nogil=True)
def pivot(st: Any, at: int) -> None:
    """The entering column, whose direction is known, takes the place of column `at`."""
    direction = st.aim[DIRECTION]
    x = 1.0 / direction[at]
    for q in range(len(direction)):
        row = st.inverse[q]
        y = row[at]
        if y != 0.0:
            y *= x
            _subtract(row, y, direction)
            row[at] = y
    st.tally[PIVOTS] += 1
