"""Whole numbers for the last customers: those whom the vertex leaves split, and their nearest neighbours, exactly."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from portfolio.certificate import judge
from portfolio.dual import Floats
from portfolio.large.counted import nearest, solve_counted
from portfolio.large.linear import kinds_of
from portfolio.large.polish import Exchange
from portfolio.large.settle import Market, Settled
from portfolio.large.undecided import Undecided
from portfolio.large.vertex import split

_NEIGHBOURS = (500, 2_000)  # how many neighbours may change: first, and where that does not suffice
_OF_A_KIND = 8
_OPTIONS = 600  # beside the best, for whose sake farther ones are looked at
_PAIRS, _NODES = 600, 30  # options and nodes of the integer program
_BOARD = 12_000  # options on the board of an exchange: its pairs grow with their square
_SHORT = 30.0  # times the goal that exchanges may leave before the integer program is asked
_BAND = 0.02  # offers within this share of a typical value may be exchanged
_SMALL = 20_000  # customers up to whom the value of one is worth a longer search
_TRIES, _KICKS = 3_000_000, 4_000_000  # pairs of changes


@dataclass(frozen=True, slots=True)
class Whole:
    """A whole plan: choice (n,), -1 = no offer; its value less penalties; whether all hard limits are kept."""

    choice: NDArray[np.int64]
    value: float
    kept: bool


def whole_plan(market: Market, settled: Settled, goal: float) -> Whole:
    """Whole numbers for the split customers and their neighbours, everybody else fixed.

    Args:
        market: the customers and limits, counts rounded inwards.
        settled: shares pushed to a vertex, and prices at which neighbours are judged.
        goal: lost value, currency units, that does not matter.
    """
    few, rows, scale = settled.few, market.rows, market.population.typical
    charges = rows.charges(settled.price)
    plan = _plan(settled.stand.choice, few, _largest(few, settled.share))
    order, lead = _neighbours(market, settled, charges)
    parted = int(split(few, settled.share).sum())
    best = Whole(plan, -np.inf, False)
    room = max(int(np.searchsorted(np.cumsum(np.diff(few.first)[order]), _BOARD, "right")), parted)
    for many in _NEIGHBOURS:
        wanted = order[: min(parted + many, room)]
        reach = min(max(4.0 * float(lead[wanted].max(initial=0.0)), _BAND * scale), 10.0 * _BAND * scale)
        some = _widened(market, charges, few.customer[np.sort(wanted)], reach, _OPTIONS)
        found = _exchanged(market, settled, best.choice, some, goal)
        if (found.kept, found.value) > (best.kept, best.value):
            best = found
        if best.kept or len(wanted) < parted + many:
            break
    if not best.kept or settled.dual - best.value > _SHORT * goal:
        best = _better(best, _counted(market, settled, best, order, goal))
    return best


def _better(old: Whole, new: Whole) -> Whole:
    return new if (new.kept, new.value) > (old.kept, old.value) else old


def _widened(market: Market, charges: Floats, who: NDArray[np.int64], reach: float, most: int) -> Undecided:
    """These customers with their options within reach, or farther as long as these are no more than `most`."""
    sure = np.zeros_like(charges)
    some = Undecided.of(market.population, charges, sure, who, reach)
    while np.isfinite(reach):
        reach = _farther(market, reach)
        more = Undecided.of(market.population, charges, sure, who, reach)
        if len(more.offer) > most + len(who):
            break
        some = more
    return some


def _farther(market: Market, reach: float) -> float:
    return 2.0 * reach if reach < 100.0 * market.population.typical else np.inf


def _neighbours(market: Market, settled: Settled, charges: Floats) -> tuple[NDArray[np.int64], Floats]:
    """Positions of the undecided, the split first, then by lead (s,), with few of every kind.

    A kind is a cell and the two best options: where values tie, thousands of one kind would leave no room for others.
    """
    few = settled.few
    lead, kind = _leads(few, charges)
    key = market.population.key[few.customer]
    lead = np.where(split(few, settled.share), -1.0, np.round(lead / market.population.typical, 9))
    order = np.lexsort((key, lead, kind))
    place = np.arange(len(order))
    fresh = np.concatenate(([True], kind[order][1:] != kind[order][:-1]))
    rank = np.empty(len(order), np.int64)
    rank[order] = place - np.maximum.accumulate(np.where(fresh, place, 0))
    order = np.lexsort((key, lead, (rank >= _OF_A_KIND) & (lead >= 0)))
    return order, np.maximum(lead, 0.0) * market.population.typical


def _used(market: Market, settled: Settled, plan: NDArray[np.int64]) -> Floats:
    """What a plan uses (3, g, k) that differs from where everybody stood only in the choice of the undecided."""
    population, who = market.population, settled.few.customer
    g, k = settled.few.shape
    who = who[plan[who] >= 0]
    offer = plan[who]
    where = population.cell[who] * k + offer
    amounts = (None, population.cost[who, offer].astype(np.float64), population.value[who, offer].astype(np.float64))
    return settled.fixed + np.stack([np.bincount(where, x, g * k).reshape(g, k) for x in amounts])


def _exchanged(market: Market, settled: Settled, plan: NDArray[np.int64], some: Undecided, goal: float) -> Whole:
    """The plan after exchanges among some of the undecided."""
    rows, k = market.rows, some.shape[1]
    before = np.where(plan[some.customer] < 0, k, plan[some.customer])
    at = some.position(before)
    out = _plan(plan, some, at)
    consumption = rows.consumption(_used(market, settled, out))
    kicks = _KICKS if len(plan) <= _SMALL else 0
    exchange = Exchange(some, rows, market.domain.unit, settled.price, consumption)
    out = _plan(out, some, exchange.improved(at, goal, tries=_TRIES, kicks=kicks))
    return Whole(out, *judge(rows, _used(market, settled, out)))


def _plan(choice: NDArray[np.integer], few: Undecided, at: NDArray[np.int64]) -> NDArray[np.int64]:
    """(n,) the choice with the options `at` (s,) of these customers; -1 = no offer."""
    out = choice.astype(np.int64)
    out[few.customer] = few.offer[at]
    out[out == few.shape[1]] = -1
    return out


def _largest(few: Undecided, share: Floats) -> NDArray[np.int64]:
    """(s,) the option with the largest share of each customer, the first of several."""
    if not len(few.customer):
        return np.zeros(0, np.int64)
    top = np.repeat(np.maximum.reduceat(share, few.first[:-1]), np.diff(few.first))
    at = np.where(share == top, np.arange(len(share)), len(share))
    return np.asarray(np.minimum.reduceat(at, few.first[:-1]))


@njit(cache=True, nogil=True)
def _two_best(first: Any, net: Any, best: Any, second: Any) -> None:
    """The best option of each customer and the next best, the earlier of equals; the best again where it is alone."""
    for i in range(len(best)):
        top, next_top = first[i], first[i]
        for p in range(first[i] + 1, first[i + 1]):
            if net[p] > net[top]:
                top, next_top = p, top
            elif next_top == top or net[p] > net[next_top]:
                next_top = p
        best[i] = top
        second[i] = next_top


def _leads(few: Undecided, charges: Floats) -> tuple[Floats, NDArray[np.int64]]:
    """(s,) how far the best option is ahead of the second, infinite when it is the only one, and what kind it makes."""
    k = few.shape[1]
    owner = few.owner()
    cell, column = few.cell[owner], np.minimum(few.offer, k - 1)
    paid = charges[0, cell, column] + charges[1, cell, column] * few.cost + charges[2, cell, column] * few.value
    net = np.where(few.offer < k, few.value - paid, 0.0)
    best, second = np.empty(len(few.customer), np.int64), np.empty(len(few.customer), np.int64)
    _two_best(few.first, net, best, second)
    lead = np.where(best != second, net[best] - net[second], np.inf)
    low, high = np.minimum(few.offer[best], few.offer[second]), np.maximum(few.offer[best], few.offer[second])
    return lead, (few.cell * (k + 1) + low) * (k + 1) + high


def _counted(market: Market, settled: Settled, plan: Whole, order: NDArray[np.int64], goal: float) -> Whole:
    """The integer program over the kinds of customers that come first in `order`."""
    population, few = market.population, settled.few
    charges = market.rows.charges(settled.price)
    alike = kinds_of(few)
    near = nearest(few, alike, order, _PAIRS)
    who, typical = few.customer[near], few.customer[alike.one[np.unique(alike.kind[near])]]
    reach, sure = _BAND * population.typical, np.zeros_like(charges)
    some = Undecided.of(population, charges, sure, who, reach)
    alike = kinds_of(some)
    while np.isfinite(reach):
        reach = _farther(market, reach)
        if len(Undecided.of(population, charges, sure, typical, reach).offer) > 2 * _PAIRS:
            break
        more = Undecided.of(population, charges, sure, who, reach)
        finer = kinds_of(more)
        if int(np.diff(more.first)[finer.one].sum()) > 2 * _PAIRS:
            break
        some, alike = more, finer
    fixed = plan.choice.copy()
    fixed[some.customer] = -1
    others = _used(market, settled, fixed)
    at = solve_counted(some, alike, market.rows, others, goal, _NODES)
    if at is None:
        return plan
    fixed = _plan(fixed, some, at)
    return Whole(fixed, *judge(market.rows, _used(market, settled, fixed)))
