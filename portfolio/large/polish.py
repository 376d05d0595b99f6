"""Whole numbers by exchange: one or two customers change their option as long as that is worth more than it breaks.

A breach costs more than its price, so the search ends inside the limits wherever exchanges lead there. What a pair of
changes can still bring is bounded by the slack that priced limits leave, so only cheap changes are tried.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from portfolio.dual import Floats
from portfolio.large.undecided import Undecided
from portfolio.limits import Rows

_FAST = {"contract", "reassoc", "nsz"}
_FORCES = (2.0, 20.0, 200.0, 2e4, 2e6)  # what a breach costs beyond its price, in units of a price that matters
_DUST = 1e-10  # sums are not more exact
_FIRM, _RESCUE = 200.0, 1_000_000  # from this force on, pairs to try with forced changes where limits stay broken
_WORTH = 0.003  # share of the goal that makes an exchange worth while


@njit(cache=True, nogil=True, fastmath=_FAST)
def _cost_of(use: Any, more: Any, lower: Any, upper: Any, fine: Any) -> float:
    """What the breaches of use + more cost."""
    total = 0.0
    for r in range(len(use)):
        x = use[r] + more[r]
        total += fine[r] * max(0.0, max(x - upper[r], lower[r] - x))
    return total


@njit(cache=True, nogil=True)
def _take(p: Any, owner: Any, now: Any, use: Any, effect: Any, gain: Any, loss: Any, first: Any, change: Any) -> None:
    """Option p is taken; gains and losses of its customer's options are measured against it from now on."""
    i = owner[p]
    m = len(use)
    for r in range(m):
        use[r] += effect[p, r] - effect[now[i], r]
    now[i] = p
    gained, lost = gain[p], loss[p]
    for q in range(first[i], first[i + 1]):
        gain[q] -= gained
        loss[q] -= lost
        for r in range(m):
            change[q, r] = effect[q, r] - effect[p, r]


@njit(cache=True, nogil=True, fastmath=_FAST)
def _partner(p: Any, order: Any, owner: Any, lists: Any, use: Any, bounds: Any, room: Any, least: Any) -> Any:
    """The change that goes best with change p, what both gain, and how many were tried. -1: p alone."""
    gain, loss, change = lists
    lower, upper, fine, before = bounds
    with_p = use + change[p]
    best = gain[p] + before[0] - _cost_of(with_p, change[p] * 0.0, lower, upper, fine)
    at = -1
    tried = 0
    for q in order:
        if loss[p] + loss[q] >= room:
            break
        if owner[q] != owner[p]:
            tried += 1
            both = gain[p] + gain[q] + before[0]
            if both > best and both > least:
                total = both - _cost_of(with_p, change[q], lower, upper, fine)
                if total > best:
                    best = total
                    at = q
    return at, best, tried


@njit(cache=True, nogil=True)
def _measure(first: Any, now: Any, value: Any, net: Any, effect: Any, lists: Any) -> Any:
    """Fills what every option would gain, lose in score and change, against `now` (s,); returns the score lost."""
    gain, loss, change = lists
    lost = 0.0
    for i in range(len(first) - 1):
        top = -np.inf
        for p in range(first[i], first[i + 1]):
            top = max(top, net[p])
            gain[p] = value[p] - value[now[i]]
            loss[p] = net[now[i]] - net[p]
            for r in range(effect.shape[1]):
                change[p, r] = effect[p, r] - effect[now[i], r]
        lost += top - net[now[i]]
    return lost


@njit(cache=True, nogil=True)
def _slack(limits: Any, broken: Any) -> Any:
    """What unused room of priced limits and breaches are worth together."""
    use, lower, upper, _, price = limits
    total = broken
    for r in range(len(use)):
        if price[r] > 0.0:
            total += price[r] * (upper[r] - use[r])
        elif price[r] < 0.0:
            total += price[r] * (lower[r] - use[r])
    return total


@njit(cache=True, nogil=True)
def _sweep(few: Any, order: Any, now: Any, effect: Any, lists: Any, limits: Any, lost: Any, goal: Any) -> Any:
    """Tries every change, cheapest first, alone and with its best partner. Returns the score lost, whether anything
    changed, whether the goal is reached, and how many pairs were tried."""
    first, owner = few
    gain, loss, change = lists
    use, lower, upper, fine, _ = limits
    before = np.zeros(1)
    bounds = (lower, upper, fine, before)
    nothing = np.zeros(len(use))
    improved = False
    pairs = 0
    for p in order:
        if now[owner[p]] == p:
            continue
        before[0] = _cost_of(use, nothing, lower, upper, fine)
        slack = _slack(limits, before[0])
        if lost + slack <= goal:
            return lost, improved, True, pairs
        if loss[p] + loss[order[0]] >= slack:
            break
        q, best, tried = _partner(p, order, owner, lists, use, bounds, slack, _WORTH * goal)
        pairs += tried
        if best > _WORTH * goal:
            lost += loss[p]
            _take(p, owner, now, use, effect, gain, loss, first, change)
            if q >= 0:
                lost += loss[q]
                _take(q, owner, now, use, effect, gain, loss, first, change)
            improved = True
    return lost, improved, False, pairs


@dataclass(frozen=True, slots=True)
class _Board:
    """What a search moves on: options (p,) of customers (s,), rows (m,) that could be broken, what breaches cost."""

    few: Undecided
    owner: NDArray[np.int64]
    effect: Floats
    net: Floats
    lower: Floats
    upper: Floats
    fine: Floats
    price: Floats

    def limits(self, use: Floats) -> tuple[Floats, ...]:
        return use, self.lower, self.upper, self.fine, self.price

    def lists(self, now: NDArray[np.int64]) -> tuple[float, tuple[Floats, Floats, Floats]]:
        lists = (np.empty(len(self.owner)), np.empty(len(self.owner)), np.empty_like(self.effect))
        return _measure(self.few.first, now, self.few.value, self.net, self.effect, lists), lists

    def descend(self, state: "_State", lists: tuple[Floats, Floats, Floats], goal: float, tries: int) -> int:
        """Sweeps until nothing improves; the state moves along. Returns the tries that are left."""
        improved, done = True, False
        ends = (self.few.first, self.owner)
        while improved and not done and tries > 0:
            order = np.argsort(lists[1], kind="stable")
            state.lost, improved, done, pairs = _sweep(
                ends, order, state.now, self.effect, lists, self.limits(state.use), state.lost, goal
            )
            tries -= pairs + len(order)
        return tries

    def keeps(self, state: "_State", elastic: NDArray[np.bool_]) -> bool:
        """Whether no hard limit is broken."""
        over = np.maximum(state.use - self.upper, self.lower - state.use) > 0
        return not over[~elastic].any()

    def worse_by(self, state: "_State") -> float:
        """Value lost against the bound, with breaches."""
        limits = self.limits(state.use)
        broken = _cost_of(state.use, np.zeros(len(state.use)), self.lower, self.upper, self.fine)
        return float(state.lost + _slack(limits, broken))


@dataclass(slots=True)
class _State:
    """Options taken (s,), use of the rows (m,), and the score lost: moved in place by a search."""

    now: NDArray[np.int64]
    use: Floats
    lost: float


def _kicked(board: _Board, state: _State, goal: float, tries: int) -> _State:
    """Forces one change after the other, cheapest first, lets the others answer, and keeps what has become better."""
    first, owner = board.few.first, board.owner
    least = board.worse_by(state)
    order = np.argsort(board.lists(state.now)[1][1], kind="stable")
    at = 0
    while at < len(order) and tries > 0 and least > goal:
        p = order[at]
        at += 1
        if state.now[owner[p]] == p:
            continue
        trial = _State(state.now.copy(), state.use.copy(), state.lost)
        _, (gain, loss, change) = board.lists(trial.now)
        trial.lost += float(loss[p])
        _take(p, owner, trial.now, trial.use, board.effect, gain, loss, first, change)
        loss[first[owner[p]] : first[owner[p] + 1]] = np.inf  # the forced change stays
        tries = board.descend(trial, (gain, loss, change), goal, tries)
        found = board.worse_by(trial)
        if found < least - _WORTH * goal:
            state, least, at = trial, found, 0
            order = np.argsort(board.lists(state.now)[1][1], kind="stable")
    return state


@dataclass(frozen=True, slots=True)
class Exchange:
    """What is being improved.

    Args:
        few: the customers and options that may change.
        rows: the limits.
        unit: (m,) a price that matters, per row.
        price: (m,) at which losses are judged.
        consumption: (m,) of the whole plan before.
    """

    few: Undecided
    rows: Rows
    unit: Floats
    price: Floats
    consumption: Floats

    def improved(self, now: NDArray[np.int64], goal: float, *, tries: int, kicks: int) -> NDArray[np.int64]:
        """Options (s,), positions in `few.offer`, after exchanges.

        Args:
            now: (s,) options before; other customers keep theirs.
            goal: lost value, currency units, at which the search ends.
            tries: pairs of changes to try at most.
            kicks: pairs to try at most where one change is forced and others answer.
        """
        board, near = self._board()
        elastic = np.isfinite(self.rows.penalty[near])
        state = _State(now.copy(), self.consumption[near], 0.0)
        for force in _FORCES:
            fine = np.where(elastic, self.rows.penalty[near], np.abs(board.price) + force * self.unit[near])
            board = replace(board, fine=fine)
            state.lost, lists = board.lists(state.now)
            tries = board.descend(state, lists, goal, tries)
            if force >= _FIRM and not board.keeps(state, elastic):
                state = _kicked(board, state, goal, _RESCUE)
            if board.keeps(state, elastic):
                break
        return _kicked(board, state, goal, kicks).now

    def _board(self) -> tuple[_Board, NDArray[np.intp]]:
        """The board with the rows that these customers could break, and which rows those are."""
        few, rows = self.few, self.rows
        owner, k = few.owner(), few.shape[1]
        real, column = few.offer < k, np.minimum(few.offer, k - 1)
        tables = rows.coefficient[:, :, few.cell[owner], column]
        effect = np.where(real, tables[:, 0] + tables[:, 1] * few.cost + tables[:, 2] * few.value, 0.0)
        moved = np.maximum.reduceat(np.abs(effect), few.first[:-1], axis=1).sum(1)
        room = np.minimum(rows.upper - self.consumption, self.consumption - rows.lower)
        near = np.nonzero(2.0 * moved >= room)[0]
        lower, upper = (b[near] + sign * _DUST * np.abs(b[near]) for sign, b in ((-1, rows.lower), (1, rows.upper)))
        net, price = few.value - self.price @ effect, self.price[near]
        return _Board(few, owner, np.ascontiguousarray(effect[near].T), net, lower, upper, 0.0 * price, price), near
