"""The end of a balanced draw: limits are given up one by one until the last customers are decided.

A row that is given up moves by one step that is still right on average; while any other row can be given up, none
moves past its limit. A landing that breaks a limit all the same is landed again from the same flight with other random
numbers.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from allot import LimitError
from allot.uniform_kernels import uniform
from allot.uniforms import stream
from portfolio.draw.basis import COLUMN, CUSTOMER, DIRECTION, HIGH, LOW, NOW, Floats, Integers, aim, rounding
from portfolio.draw.basis_step import BY_BOUND, BY_COLUMN, clear, room, step
from portfolio.draw.flight import Flight, tally
from portfolio.limits import Problem, Rows

_SLACK = 1e-9  # money may miss a bound by this share of the sums involved
_FLOAT32 = 1e-7  # stored probabilities are rounded by this share
_CANDIDATES = 8  # rows with the most room of their own, of which the best is given up
_BLOCKED = 1e3  # counts against giving up a row that another limit would stop


@dataclass(frozen=True, slots=True)
class Landing:
    """One attempt.

    Args:
        choice: (l,) offers of the customers who were left, k = no offer.
        use: (3, g, k) what the whole plan uses, recounted from the choices.
        broken: (m,) bool; a limit that must hold does not.
        finished: everybody is decided.
    """

    choice: Integers
    use: Floats
    broken: NDArray[np.bool_]
    finished: bool

    @property
    def accepted(self) -> bool:
        """The plan may be released."""
        return self.finished and not bool(self.broken.any())


@njit(inline="always")
def _slack() -> Any:
    """Not a seat. A plain -1 would compile every kernel once more for the literal."""
    return np.int64(-1)


@njit(cache=True, nogil=True)
def _point(st: Any, row: int) -> None:
    """Aim the direction at the slack of a row."""
    for j in range(len(st.seat)):
        st.aim[DIRECTION, j] = st.inverse[row, j]


@njit(cache=True, nogil=True)
def _worst_room(st: Any, row: int) -> float:
    """Room left to the nearest limit after giving up the row, whichever way the step goes, in units of coefficients."""
    up, up_kind, up_at, down, down_kind, down_at = room(st, _slack(), row)
    clear(st)
    worst = min(st.slack[NOW, row] - down - st.slack[LOW, row], st.slack[HIGH, row] - st.slack[NOW, row] - up)
    least = rounding(st.aim[DIRECTION])
    for j in range(len(st.seat)):
        d = -st.aim[DIRECTION, j]
        if st.seat[j] >= 0 or abs(d) <= least:
            continue
        q = st.option[j]
        one, other = st.slack[NOW, q] + up * d, st.slack[NOW, q] - down * d
        worst = min(worst, min(one, other) - st.slack[LOW, q], st.slack[HIGH, q] - max(one, other))
    if up_kind == BY_BOUND or (up_kind == BY_COLUMN and st.seat[up_at] < 0):
        worst -= _BLOCKED
    if down_kind == BY_BOUND or (down_kind == BY_COLUMN and st.seat[down_at] < 0):
        worst -= _BLOCKED
    return float(worst)


@njit(cache=True, nogil=True)
def _overshoot(st: Any, row: int) -> float:
    """How far past its limit the row would go if nothing but customers stopped it."""
    low, high = st.slack[LOW, row], st.slack[HIGH, row]
    st.slack[LOW, row], st.slack[HIGH, row] = -np.inf, np.inf
    up, _, _, down, _, _ = room(st, _slack(), row)
    clear(st)
    st.slack[LOW, row], st.slack[HIGH, row] = low, high
    return float(max(0.0, low - (st.slack[NOW, row] - down), st.slack[NOW, row] + up - high))


@njit(cache=True, nogil=True)
def _next_row(st: Any, held: Any) -> int:
    """The row whose release leaves most room; when all stand at a limit, the one that would overshoot least, freed."""
    best = -1
    most = -np.inf
    for _ in range(_CANDIDATES):
        r = -1
        widest = -np.inf
        for q in range(len(st.seat)):
            own = min(st.slack[NOW, q] - st.slack[LOW, q], st.slack[HIGH, q] - st.slack[NOW, q])
            if held[q] and not st.frozen[q] and own > widest:
                widest = own
                r = q
        if r < 0:
            break
        held[r] = False
        _point(st, r)
        score = _worst_room(st, r)
        if score > most or best < 0:
            most = score
            best = r
    if best >= 0:
        return best
    for r in range(len(st.seat)):
        if held[r]:
            _point(st, r)
            score = -_overshoot(st, r)
            if score > most or best < 0:
                most = score
                best = r
    if best >= 0:
        st.slack[LOW, best], st.slack[HIGH, best] = -np.inf, np.inf
        st.frozen[best] = False
    return best


@njit(cache=True, nogil=True)
def _land(st: Any, co: Any, of: Any, attempt: Any, choice: Any) -> bool:
    """Give up row after row; True when everybody is decided."""
    m = len(st.seat)
    held = np.ones(m, np.bool_)
    for n in range(20 * m + 1000):
        held[:] = True
        flying = False
        for j in range(m):
            if st.seat[j] < 0:
                held[st.option[j]] = False
            else:
                flying = True
        if not flying:
            return True
        row = _next_row(st, held)
        if row < 0:
            return False
        st.aim[COLUMN, :] = 0.0
        st.aim[COLUMN, row] = 1.0
        aim(st, co)
        if not step(st, uniform(of, attempt, np.uint64(n)), _slack(), row, choice):
            return False
    return False


def broken(rows: Rows, use: Floats) -> NDArray[np.bool_]:
    """Which rows a use table (3, g, k) breaks: counts exactly, money within 1e-9 of the sums. Elastic rows never."""
    sums = np.einsum("rtga,tga->r", np.abs(rows.coefficient), np.abs(use))
    level = rows.consumption(use)
    slack = _SLACK * sums
    kept = (level <= rows.upper + slack) & (level >= rows.lower - slack)
    out: NDArray[np.bool_] = np.isinf(rows.penalty) & ~kept
    return out


def whole_rows(rows: Rows) -> NDArray[np.bool_]:
    """(m,) rows that count in whole contacts, so that only whole bounds matter."""
    money = (rows.coefficient[:, 1:] != 0).any((1, 2, 3))
    whole: NDArray[np.bool_] = (rows.coefficient[:, 0] == np.round(rows.coefficient[:, 0])).all((1, 2))
    out: NDArray[np.bool_] = ~money & whole
    return out


def tight_bounds(rows: Rows) -> tuple[Floats, Floats]:
    """Bounds that a plan must keep: whole where the row is, infinite where the limit is elastic."""
    whole, hard = whole_rows(rows), np.isinf(rows.penalty)
    lower = np.where(whole, np.ceil(rows.lower - 1e-9), rows.lower)
    upper = np.where(whole, np.floor(rows.upper + 1e-9), rows.upper)
    return np.where(hard, lower, -np.inf), np.where(hard, upper, np.inf)


def land(flight: Flight, problem: Problem, rows: Rows, *, of: np.uint64, attempt: int) -> Landing:
    """One attempt at landing; the flight itself is left as it is.

    Args:
        flight: of the same problem and rows.
        of: the stream of landings.
        attempt: which of them; another attempt has other random numbers.
    """
    state = flight.state.copied()
    lower, upper = tight_bounds(rows)
    state.slack[LOW, :] = np.minimum(0.0, (flight.standing - upper) / flight.unit)
    state.slack[HIGH, :] = np.maximum(0.0, (flight.standing - lower) / flight.unit)
    state.slack[NOW, :] = 0.0
    who = flight.left.customer
    state.who[CUSTOMER, np.unique(state.seat[state.seat >= 0])] = np.arange(len(who))
    choice = np.full(len(who), -1)
    if not _land(state, flight.coefficients, of, np.uint64(attempt), choice):
        return Landing(choice, flight.decided, np.zeros(len(rows.names), np.bool_), False)
    use = flight.decided + tally(who, choice, problem)
    return Landing(choice, use, broken(rows, use), True)


def require_inside(rows: Rows, use: Floats) -> None:
    """Refuse a policy whose expected use (3, g, k) breaks a limit that must hold.

    Raises:
        LimitError: the limit that is missed by the largest share of the sums involved, and by how much.
    """
    level = rows.consumption(use)
    miss = np.maximum(level - rows.upper, rows.lower - level)
    sums = np.einsum("rtga,tga->r", np.abs(rows.coefficient), np.abs(use))
    relative = np.where(np.isinf(rows.penalty), miss / np.maximum(sums, 1e-300), -np.inf)
    if len(miss) and relative.max() > _FLOAT32 and miss[relative.argmax()] > 1e-9:
        r = int(relative.argmax())
        raise LimitError(
            f"the policy's expected use misses it by {miss[r]:g} (use {level[r]:g}, from {rows.lower[r]:g} to"
            f" {rows.upper[r]:g}).",
            where=f"limit {rows.names[r]!r}",
            remedy="Price the policy so that its expected use keeps every limit less its headroom.",
        )


def landing_stream(seed: int, purpose: str) -> np.uint64:
    """The random numbers of landings; key = attempt, counter = step."""
    return stream(seed, purpose, "landing")
