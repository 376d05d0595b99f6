"""One martingale step of the basis: how far a column can move, moving it, and what leaves the basis for it."""

from typing import Any

import numpy as np
from numba import njit

from portfolio.draw.basis import (
    CHANCE,
    COLUMNS,
    CUSTOMER,
    DIRECTION,
    FREE,
    FREE_SEATS,
    HIGH,
    LOW,
    MARKED,
    NOW,
    PIVOTS,
    REFERENCE,
    TOUCHED,
    TOUCHED_SEATS,
    pivot,
    rounding,
)

BY_ENTERING, BY_COLUMN, BY_REFERENCE, BY_BOUND = 0, 1, 2, 3  # what stops a step


@njit(cache=True, nogil=True)
def room(st: Any, seat: int, option: int) -> Any:
    """How far the entering column can go up and down, and what stops it.

    Returns (up, its kind, its index, down, its kind, its index). Fills the rates of the touched seats' references;
    `clear` empties them.
    """
    up, up_kind, up_at = np.inf, -1, -1
    down, down_kind, down_at = np.inf, -1, -1
    least = rounding(st.aim[DIRECTION])
    n = 0
    if seat >= 0:
        st.rate[seat] = 1.0
        st.scratch[MARKED, seat] = 1
        st.scratch[TOUCHED, 0] = seat
        n = 1
        down, down_kind = st.seated[CHANCE, seat, option], BY_ENTERING
    else:
        up, up_kind = st.slack[HIGH, option] - st.slack[NOW, option], BY_BOUND
        down, down_kind = st.slack[NOW, option] - st.slack[LOW, option], BY_BOUND
    for j in range(len(st.seat)):
        d = -st.aim[DIRECTION, j]
        if abs(d) <= least:
            continue
        s = st.seat[j]
        if s >= 0:
            if st.scratch[MARKED, s] == 0:
                st.scratch[MARKED, s] = 1
                st.scratch[TOUCHED, n] = s
                n += 1
            st.rate[s] += d
            x = st.seated[CHANCE, s, st.option[j]] / abs(d)
            if d > 0.0 and x < down:
                down, down_kind, down_at = x, BY_COLUMN, j
            elif d < 0.0 and x < up:
                up, up_kind, up_at = x, BY_COLUMN, j
        else:
            r = st.option[j]
            rise = max(0.0, (st.slack[HIGH, r] - st.slack[NOW, r]) / abs(d))
            fall = max(0.0, (st.slack[NOW, r] - st.slack[LOW, r]) / abs(d))
            if d < 0.0:
                rise, fall = fall, rise
            if rise < up:
                up, up_kind, up_at = rise, BY_COLUMN, j
            if fall < down:
                down, down_kind, down_at = fall, BY_COLUMN, j
    for t in range(n):
        s = st.scratch[TOUCHED, t]
        d = -st.rate[s]
        if abs(d) <= least:
            continue
        x = st.seated[CHANCE, s, st.who[REFERENCE, s]] / abs(d)
        if d > 0.0 and x < down:
            down, down_kind, down_at = x, BY_REFERENCE, s
        elif d < 0.0 and x < up:
            up, up_kind, up_at = x, BY_REFERENCE, s
    st.tally[TOUCHED_SEATS] = n
    return up, up_kind, up_at, down, down_kind, down_at


@njit(cache=True, nogil=True)
def clear(st: Any) -> None:
    """Forget the rates that `room` left."""
    for t in range(st.tally[TOUCHED_SEATS]):
        s = st.scratch[TOUCHED, t]
        st.rate[s] = 0.0
        st.scratch[MARKED, s] = 0
    st.tally[TOUCHED_SEATS] = 0


@njit(cache=True, nogil=True)
def _move(st: Any, by: float, seat: int, option: int) -> None:
    if seat >= 0:
        st.seated[CHANCE, seat, option] = max(0.0, st.seated[CHANCE, seat, option] + by)
    else:
        st.slack[NOW, option] += by
    least = rounding(st.aim[DIRECTION])
    for j in range(len(st.seat)):
        d = st.aim[DIRECTION, j]
        if abs(d) <= least:
            continue
        s = st.seat[j]
        if s >= 0:
            st.seated[CHANCE, s, st.option[j]] = max(0.0, st.seated[CHANCE, s, st.option[j]] - by * d)
        else:
            st.slack[NOW, st.option[j]] -= by * d
    for t in range(st.tally[TOUCHED_SEATS]):
        s = st.scratch[TOUCHED, t]
        st.seated[CHANCE, s, st.who[REFERENCE, s]] = max(
            0.0, st.seated[CHANCE, s, st.who[REFERENCE, s]] - by * st.rate[s]
        )


@njit(cache=True, nogil=True)
def _sum_of_columns(st: Any, q: int, seat: int) -> float:
    total = 0.0
    for j in range(len(st.seat)):
        if st.seat[j] == seat:
            total += st.inverse[q, j]
    return total


@njit(cache=True, nogil=True)
def _change_entering_reference(st: Any, seat: int, option: int) -> None:
    """The reference of the entering customer is used up: the entering option becomes it (Sherman and Morrison)."""
    st.seated[CHANCE, seat, st.who[REFERENCE, seat]] = 0.0
    if st.who[COLUMNS, seat] > 0:
        for q in range(len(st.seat)):
            x = _sum_of_columns(st, q, seat) / st.rate[seat]
            if x != 0.0:
                for j in range(len(st.seat)):
                    st.inverse[q, j] += st.aim[DIRECTION, j] * x
        st.tally[PIVOTS] += 1
    st.who[REFERENCE, seat] = option


@njit(cache=True, nogil=True)
def _change_reference(st: Any, seat: int) -> int:
    """The reference of a seated customer is used up: the likeliest of its columns becomes it. Returns that column."""
    best = -1
    most = -1.0
    total = 0.0
    for j in range(len(st.seat)):
        if st.seat[j] == seat:
            total += st.aim[DIRECTION, j]
            if st.seated[CHANCE, seat, st.option[j]] > most:
                most = st.seated[CHANCE, seat, st.option[j]]
                best = j
    st.seated[CHANCE, seat, st.who[REFERENCE, seat]] = 0.0
    for q in range(len(st.seat)):
        st.inverse[q, best] = -_sum_of_columns(st, q, seat)
    st.aim[DIRECTION, best] = -total
    st.who[REFERENCE, seat] = st.option[best]
    return best


@njit(cache=True, nogil=True)
def stand_up(st: Any, seat: int, choice: Any) -> None:
    """The customer is decided: the reference is all that is left."""
    choice[st.who[CUSTOMER, seat]] = st.who[REFERENCE, seat]
    st.scratch[FREE, st.tally[FREE_SEATS]] = seat
    st.tally[FREE_SEATS] += 1


@njit(cache=True, nogil=True)
def _leave(st: Any, kind: int, index: int, seat: int, option: int, choice: Any) -> None:
    """What stopped the step leaves the basis and the entering column takes its place."""
    if kind == BY_ENTERING:
        st.seated[CHANCE, seat, option] = 0.0
        return
    if kind == BY_BOUND:
        st.frozen[option] = True
        return
    if kind == BY_REFERENCE and index == seat:
        _change_entering_reference(st, seat, option)
        return
    at = index
    if kind == BY_REFERENCE:
        at = _change_reference(st, index)
    elif st.seat[at] >= 0:
        st.seated[CHANCE, st.seat[at], st.option[at]] = 0.0
    else:
        st.frozen[st.option[at]] = True
    before = st.seat[at]
    pivot(st, at)
    st.seat[at] = seat
    st.option[at] = option
    if seat >= 0:
        st.who[COLUMNS, seat] += 1
    if before >= 0:
        st.who[COLUMNS, before] -= 1
        if st.who[COLUMNS, before] == 0 and before != seat:
            stand_up(st, before, choice)


@njit(cache=True, nogil=True)
def step(st: Any, u: float, seat: int, option: int, choice: Any) -> bool:
    """One martingale step along the direction: up with probability down / (up + down).

    So nothing moves on average. False when nothing stops the column, which rounding alone can cause: nothing has moved
    then.
    """
    up, up_kind, up_at, down, down_kind, down_at = room(st, seat, option)
    if up_kind < 0 or down_kind < 0 or up == np.inf or down == np.inf:
        clear(st)
        return False
    if u * (up + down) < down or up + down == 0.0:
        _move(st, up, seat, option)
        _leave(st, up_kind, up_at, seat, option, choice)
    else:
        _move(st, -down, seat, option)
        _leave(st, down_kind, down_at, seat, option, choice)
    clear(st)
    return True
