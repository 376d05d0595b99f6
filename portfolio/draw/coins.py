"""Nearly everybody is decided by coins: the likeliest option of a customer against all the others together.

A customer with many options needs one column of the basis per option. As a coin it needs one: the change in the
limits' rows when chance moves from its likeliest option to the mean of the others. Every toss moves the basis so that
the rows stand still (the cube method, as in `portfolio.draw.basis`). Whoever comes down on the likeliest option is
decided; whoever comes down on the others is a coin again, among these. By the law of total expectation every option
keeps its chance, and few customers are tossed twice: a policy that explores costs hardly more than one that does not.
"""

from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from allot.uniform_kernels import uniform
from portfolio.draw.basis import CORRECTIONS, Floats, Integers, answer, inexact, invert_columns, rounding
from portfolio.draw.basis_flight import Arrivals

CUSTOMER, CELL, REFERENCE, TURN = 0, 1, 2, 3  # Coins.who
_FREE, _PIVOTS = 0, 1  # Coins.tally
_COLUMN, _DIRECTION, _UP, _DOWN, _ASTRAY = 0, 1, 2, 3, 4  # Coins.aim


class Coins(NamedTuple):
    """m rows, m places in the basis, m + 1 seats (one is free for whoever comes), k offers.

    Args:
        inverse: (m, m) of the basis, transposed: inverse[q, j] says how place j answers row q.
        columns: (m, m) the columns themselves: columns[j] is how place j moves the rows.
        seat: (m,) who is at the place; -1 = the slack of row j, at place j.
        chance: (m,) that the customer at the place gets one of the others, not the reference.
        others: (m + 1, k + 1) chances among the others, 0 for the reference and for those that are out.
        money: (2, m + 1, k) cost and value, 0 where the chance is 0.
        who: (4, m + 1) row number of the customer, cell, the reference option, how often it was tossed.
        key: (m + 1,) uint64 of the customer's random numbers.
        aim: (5, m) the entering column in the rows, how fast the basis gives way to it, how far up and down each place
            lets it go, and how fast the rows move because the inverse is not exact.
        tally: (2,) the free seat, pivots since the last inverse.
    """

    inverse: Floats
    columns: Floats
    seat: Integers
    chance: Floats
    others: Floats
    money: Floats
    who: Integers
    key: NDArray[np.uint64]
    aim: Floats
    tally: Integers


def no_coins(m: int, k: int) -> Coins:
    """Nobody seated, all columns slacks."""
    return Coins(
        inverse=np.eye(m),
        columns=np.eye(m),
        seat=np.full(m, -1),
        chance=np.zeros(m),
        others=np.zeros((m + 1, k + 1)),
        money=np.zeros((2, m + 1, k)),
        who=np.zeros((4, m + 1), np.int64),
        key=np.zeros(m + 1, np.uint64),
        aim=np.zeros((5, m)),
        tally=np.zeros(2, np.int64),
    )


def undecided(coins: Coins) -> Arrivals:
    """Who is still in the air, with what chances."""
    place = np.flatnonzero(coins.seat >= 0)
    seat = coins.seat[place]
    chance = coins.others[seat] * coins.chance[place, None]
    chance[np.arange(len(seat)), coins.who[REFERENCE, seat]] = 1.0 - coins.chance[place]
    cost, value = coins.money[:, seat]
    return Arrivals(coins.who[CUSTOMER, seat], coins.key[seat], coins.who[CELL, seat], chance, cost, value)


@njit(cache=True, nogil=True)
def _sit_down(coins: Any, arrivals: Any, i: int, e: int) -> None:
    k = arrivals.cost.shape[1]
    for a in range(k):
        live = arrivals.chance[i, a] > 0.0
        coins.money[0, e, a] = arrivals.cost[i, a] if live else 0.0
        coins.money[1, e, a] = arrivals.value[i, a] if live else 0.0
        coins.others[e, a] = arrivals.chance[i, a]
    coins.others[e, k] = arrivals.chance[i, k]
    coins.who[CUSTOMER, e] = arrivals.customer[i]
    coins.who[CELL, e] = arrivals.cell[i]
    coins.who[TURN, e] = 0
    coins.key[e] = arrivals.key[i]


@njit(cache=True, nogil=True)
def _take_sides(others: Any, who: Any, e: int) -> float:
    """The likeliest option left becomes the reference; the chance of the others together, 0 where there are none."""
    mine = others[e]
    likeliest = 0
    most = -1.0
    total = 0.0
    for a in range(len(mine)):
        total += mine[a]
        likeliest = a if mine[a] > most else likeliest
        most = max(mine[a], most)
    mine[likeliest] = 0.0
    rest = 0.0
    for a in range(len(mine)):
        rest += mine[a]
    if rest > 0.0:
        by = 1.0 / rest
        for a in range(len(mine)):
            mine[a] *= by
    who[REFERENCE, e] = likeliest
    who[TURN, e] += 1
    return float(rest / total)


@njit(cache=True, nogil=True)
def _change(coins: Any, co: Any, e: int) -> None:
    """The column of a coin: how the rows move when the others gain on the reference."""
    column = coins.aim[_COLUMN]
    column[:] = 0.0
    k = coins.others.shape[1] - 1
    for a in range(k):
        share = -1.0 if a == coins.who[REFERENCE, e] else coins.others[e, a]
        if share != 0.0:
            at = coins.who[CELL, e] * k + a
            cost, value = coins.money[0, e, a], coins.money[1, e, a]
            for x in range(co.start[at], co.start[at + 1]):
                column[co.row[x]] += share * (co.factor[x, 0] + co.factor[x, 1] * cost + co.factor[x, 2] * value)


@njit(cache=True, nogil=True)
def _inexact(coins: Any) -> bool:
    """What the direction leaves of the column, and whether it is more than rounding."""
    astray, direction = coins.aim[_ASTRAY], coins.aim[_DIRECTION]
    astray[:] = coins.aim[_COLUMN]
    for j in range(len(direction)):
        d = direction[j]
        if d != 0.0:
            column = coins.columns[j]
            for q in range(len(astray)):
                astray[q] -= d * column[q]
    return bool(inexact(astray, direction))


@njit(cache=True, nogil=True)
def _aim(coins: Any, co: Any, e: int) -> None:
    """The column of a coin, and how the basis answers it: exactly, however nearly its columns depend on each other."""
    _change(coins, co, e)
    column, direction = coins.aim[_COLUMN], coins.aim[_DIRECTION]
    direction[:] = 0.0
    answer(coins.inverse, column, direction)
    if not _inexact(coins):
        return
    if coins.tally[_PIVOTS] > 0 and invert_columns(coins.columns, coins.inverse):
        coins.tally[_PIVOTS] = 0
        direction[:] = 0.0
        answer(coins.inverse, column, direction)
    for _ in range(CORRECTIONS):
        if not _inexact(coins):
            break
        answer(coins.inverse, coins.aim[_ASTRAY], direction)


@njit(cache=True, nogil=True)
def _idle_place(seat: Any, direction: Any) -> int:
    """The slack that the coin touches most, or -1."""
    best = -1
    most = rounding(direction)
    for j in range(len(seat)):
        if seat[j] < 0 and abs(direction[j]) > most:
            most = abs(direction[j])
            best = j
    return best


@njit(cache=True, nogil=True, error_model="numpy")
def _reach(chance: Any, seat: Any, aim: Any, x: float) -> Any:
    """How far the coin can go up and down, and whose place stops it (-1: its own end)."""
    direction, rises, falls = aim[_DIRECTION], aim[_UP], aim[_DOWN]
    least = rounding(direction)
    for j in range(len(seat)):
        d = direction[j]
        by = 1.0 / abs(d)
        fall = chance[j] if d > 0.0 else 1.0 - chance[j]
        idle = seat[j] < 0 or abs(d) <= least
        rises[j] = np.inf if idle else fall * by
        falls[j] = np.inf if idle else (1.0 - fall) * by
    up, up_at, down, down_at = 1.0 - x, -1, x, -1
    for j in range(len(seat)):
        if rises[j] < up:
            up, up_at = rises[j], j
    for j in range(len(seat)):
        if falls[j] < down:
            down, down_at = falls[j], j
    return up, up_at, down, down_at


@njit(cache=True, nogil=True)
def _take_place(coins: Any, at: int, e: int, x: float) -> None:
    """The coin, whose direction is known, takes a place in the basis."""
    inverse, direction = coins.inverse, coins.aim[_DIRECTION]
    m = len(direction)
    by = 1.0 / direction[at]
    for q in range(m):
        row = inverse[q]
        y = row[at]
        if y != 0.0:
            y *= by
            for j in range(m):
                row[j] -= direction[j] * y
            row[at] = y
    for q in range(m):
        coins.columns[at, q] = coins.aim[_COLUMN, q]
    coins.seat[at] = e
    coins.chance[at] = x
    coins.tally[_PIVOTS] += 1


@njit(cache=True, nogil=True)
def _move(coins: Any, by: float) -> None:
    chance, direction = coins.chance, coins.aim[_DIRECTION]
    least = rounding(direction)
    for j in range(len(chance)):
        if abs(direction[j]) > least:
            chance[j] = min(1.0, max(0.0, chance[j] - by * direction[j]))


@njit(cache=True, nogil=True)
def _toss(coins: Any, e: int, x: float, u: float) -> Any:
    """One martingale step: up with probability down / (up + down), so that nothing moves on average.

    Returns the seat of whoever came down, and whether it is on one of the others.
    """
    up, up_at, down, down_at = _reach(coins.chance, coins.seat, coins.aim, x)
    rises = u * (up + down) < down or up + down == 0.0
    at = up_at if rises else down_at
    by = up if rises else -down
    _move(coins, by)
    if at < 0:
        return e, rises
    landed = coins.seat[at]
    others = rises == (coins.aim[_DIRECTION, at] < 0.0)
    _take_place(coins, at, e, x + by)
    return landed, others


@njit(cache=True, nogil=True)
def toss(coins: Any, co: Any, arrivals: Any, of: Any, choice: Any) -> None:
    """Toss the customers one by one; whoever is decided gets a choice, and nobody but those seated is not."""
    for i in range(len(arrivals.customer)):
        e = coins.tally[_FREE]
        _sit_down(coins, arrivals, i, e)
        while True:
            x = _take_sides(coins.others, coins.who, e)
            if x <= 0.0:
                choice[coins.who[CUSTOMER, e]] = coins.who[REFERENCE, e]
                break
            _aim(coins, co, e)
            at = _idle_place(coins.seat, coins.aim[_DIRECTION])
            if at >= 0:
                _take_place(coins, at, e, x)
                e = _empty_seat(coins.seat)
                break
            e, others = _toss(coins, e, x, uniform(of, coins.key[e], np.uint64(coins.who[TURN, e])))
            if not others:
                choice[coins.who[CUSTOMER, e]] = coins.who[REFERENCE, e]
                break
        coins.tally[_FREE] = e


@njit(cache=True, nogil=True)
def _empty_seat(seat: Any) -> int:
    """A seat that nobody holds: there is one more than there are places."""
    taken = np.zeros(len(seat) + 1, np.bool_)
    for j in range(len(seat)):
        if seat[j] >= 0:
            taken[seat[j]] = True
    for s in range(len(taken)):
        if not taken[s]:
            return s
    return -1
