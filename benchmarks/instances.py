"""Made-up problems of any size for the optimizer: known scores, or beliefs, under limits of every kind.

Offers, segments and limits are alike at every size: only the customers differ, and limits grow with their number.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bandit import Beliefs, mean_success
from portfolio import Limit, Measure, Problem, Selection, Share

SEGMENTS: Final = np.array([0.20, 0.18, 0.15, 0.13, 0.12, 0.10, 0.07, 0.05])
GROUPS: Final = 2
CELLS: Final = len(SEGMENTS) * GROUPS
CHANNELS: Final = 4
_BLOCK: Final = 65_536  # customers drawn at a time, each block from a stream of its own
_OFFERS_SEED: Final = 12_345
_PARITY: Final = 0.01  # how far a group's share of contacts may lie from its share of customers


@dataclass(frozen=True, slots=True)
class Expected:
    """A problem for the random policy: beliefs (n, k), `margin` (k,) and the problem in posterior means."""

    beliefs: Beliefs
    margin: NDArray[np.float64]
    problem: Problem


@dataclass(frozen=True, slots=True)
class _Market:
    """What does not depend on the customers: of k offers, and of k offers in every cell."""

    logit: NDArray[np.float64]
    margin: NDArray[np.float64]
    cost: NDArray[np.float64]
    taste: NDArray[np.float64]
    closed: NDArray[np.bool_]

    @classmethod
    def of(cls, k: int) -> "_Market":
        r = np.random.default_rng(_OFFERS_SEED)
        logit, margin, cost = r.normal(-3, 0.7, k), r.uniform(20, 200, k), r.uniform(0.3, 8, k)
        return cls(logit, margin, cost, r.normal(0, 0.5, (CELLS, k)), r.random((CELLS, k)) < 0.08)


@dataclass(frozen=True, slots=True)
class _Crowd:
    """Logits, costs (n, k) float32, eligible pairs (n, k) and cells (n,) of customers in no order."""

    logit: NDArray[np.float32]
    cost: NDArray[np.float32]
    eligible: NDArray[np.bool_]
    cell: NDArray[np.int64]

    @classmethod
    def of(cls, market: _Market, n: int, seed: int) -> "_Crowd":
        k = len(market.margin)
        logit, cost = np.empty((n, k), np.float32), np.empty((n, k), np.float32)
        out = cls(logit, cost, np.empty((n, k), np.bool_), np.empty(n, np.int64))
        for first in range(0, n, _BLOCK):
            some = slice(first, min(first + _BLOCK, n))
            out._draw(market, some, np.random.default_rng((seed, first)))
        return out

    def _draw(self, market: _Market, some: slice, r: np.random.Generator) -> None:
        size, k = some.stop - some.start, len(market.margin)
        cell = r.choice(len(SEGMENTS), size, p=SEGMENTS) * GROUPS + r.integers(0, GROUPS, size)
        person = r.normal(0, 0.6, (size, 1))
        logit = market.logit + market.taste[cell] + person + 0.8 * r.standard_normal((size, k), np.float32)
        spread = np.exp(0.3 * r.standard_normal((size, 1), np.float32) + 0.1 * r.standard_normal((size, k), np.float32))
        eligible = ~market.closed[cell] & (r.random((size, k), np.float32) >= 0.25)
        self.cell[some] = cell
        self.logit[some] = logit
        self.eligible[some] = eligible
        self.cost[some] = np.where(eligible, market.cost * spread, 0.0)


def make_problem(n: int, k: int = 20, limits: int = 31, seed: int = 0, tightness: float = 1.0) -> Problem:
    """Known scores: the problem of the deterministic solver.

    Args:
        n: customers, in 16 cells and in no order.
        k: offers.
        limits: how many, see `limits_over`.
        seed: of the customers.
        tightness: maximums are so many times their usual size.

    Returns:
        Problem with C-contiguous float32 value and cost, 0 where not eligible.
    """
    market = _Market.of(k)
    crowd = _Crowd.of(market, n, seed)
    margin = market.margin.astype(np.float32)
    value = crowd.logit
    for first in range(0, n, _BLOCK):
        some = slice(first, first + _BLOCK)
        value[some] = np.where(crowd.eligible[some], margin / (1 + np.exp(-value[some])), 0.0)
    return _limited(value, crowd, limits, tightness)


def make_beliefs(n: int, k: int = 20, limits: int = 31, seed: int = 0, tightness: float = 1.0) -> Expected:
    """Uncertain scores: beliefs about every logit, and the same limits in posterior means. Arguments as above."""
    market = _Market.of(k)
    crowd = _Crowd.of(market, n, seed)
    sd = np.empty_like(crowd.logit)
    for first in range(0, n, _BLOCK):
        r = np.random.default_rng((seed, first, 1))
        some = slice(first, first + _BLOCK)
        sd[some] = np.exp(-1.3 + 0.5 * r.standard_normal(sd[some].shape, np.float32))
    value = mean_success(crowd.logit, sd).astype(np.float32)
    value *= market.margin.astype(np.float32)
    value *= crowd.eligible
    return Expected(Beliefs(crowd.logit, sd), market.margin, _limited(value, crowd, limits, tightness))


def _limited(value: NDArray[np.float32], crowd: _Crowd, limits: int, tightness: float) -> Problem:
    free = np.zeros((2, CELLS, value.shape[1]))
    for first in range(0, len(value), _BLOCK):
        some = slice(first, first + _BLOCK)
        best = value[some].argmax(1)
        who = np.arange(len(best))
        got = crowd.eligible[some][who, best]
        where = (crowd.cell[some][got], best[got])
        np.add.at(free[0], where, 1.0)
        np.add.at(free[1], where, crowd.cost[some][who, best][got].astype(np.float64))
    stated = limits_over(free, np.bincount(crowd.cell, minlength=CELLS), limits, tightness)
    return Problem(value, crowd.cost, crowd.eligible, crowd.cell, stated)


def limits_over(
    free: NDArray[np.float64], customers: NDArray[np.integer], limits: int, tightness: float
) -> tuple[Limit | Share, ...]:
    """So many limits of every kind, as shares of what the customers would take freely.

    31: a budget, a cap on each of 20 offers (the four least wanted have minimums as well), caps on three channels,
    budgets of four segments, a minimum of one offer in one segment, exposure (at least a share of one segment's
    contacts) and parity of two groups. 12: fewer of the same. More: first budgets of the other segments, caps on every
    channel of every segment, budgets per channel and offer, then caps on offers within segments, groups and cells.

    Args:
        free: (2, g, k) contacts and cost where every customer gets the most valuable offer.
        customers: (g,) how many there are in each cell.
        limits: from 0 to about 600 with 20 offers.
        tightness: maximums are so many times their usual size.

    Raises:
        ValueError: there are not so many.
    """
    wanted = np.argsort(-free[0].sum(0), kind="stable")
    make = _Makers(free, customers, tightness)
    few: list[Limit | Share] = [make.budget(), *make.caps(wanted[:5]), *make.channels(2), *make.segment_budgets(0, 3)]
    few.append(make.least(int(wanted[-3])))
    base: list[Limit | Share] = [make.budget(), *make.caps(wanted), *make.channels(3), *make.segment_budgets(0, 4)]
    base += [make.segment_minimum(5, int(wanted[len(wanted) // 2])), make.exposure(2, int(wanted[-2])), make.parity()]
    more = make.many(wanted) if limits > len(base) else []
    stated = few if limits <= len(few) else base + more
    if limits > len(stated):
        raise ValueError(f"{limits} limits are more than the {len(stated)} there are for {len(wanted)} offers.")
    return tuple(stated[:limits])


@dataclass(frozen=True, slots=True)
class _Makers:
    """One function per family of limits."""

    free: NDArray[np.float64]
    customers: NDArray[np.integer]
    tightness: float

    def _most(self, name: str, measure: Measure, share: float, where: Selection) -> Limit:
        table = self.free[0 if measure == "count" else 1]
        rows = np.arange(CELLS) if where.cells is None else np.array(where.cells)
        columns = np.arange(table.shape[1]) if where.offers is None else np.array(where.offers)
        bound = share * self.tightness * float(table[np.ix_(rows, columns)].sum())
        if measure == "count":
            return Limit(name, "count", maximum=float(max(np.floor(bound), 10)), offers=where.offers, cells=where.cells)
        return Limit(name, "cost", maximum=max(bound, 1.0), offers=where.offers, cells=where.cells)

    def budget(self) -> Limit:
        return self._most("budget", "cost", 0.35, Selection())

    def caps(self, offers: NDArray[np.intp]) -> list[Limit]:
        """The least wanted four, if there are more than five, also have a minimum; it never exceeds the maximum."""
        n, free = float(self.customers.sum()), self.free[0].sum(0)
        out = []
        for place, a in enumerate(offers.tolist()):
            top = max(np.floor(self.tightness * max(0.4 * free[a], 0.015 * n)), 10)
            bottom = np.floor(min(self.tightness, 1) * 0.008 * n) if place >= max(len(offers) - 4, 5) else None
            out.append(Limit(f"offer {a}", "count", minimum=bottom, maximum=top, offers=(a,)))
        return out

    def channels(self, many: int) -> list[Limit]:
        return [self._most(f"channel {c}", "count", 0.42 + 0.02 * c, self._channel(c)) for c in range(many)]

    def segment_budgets(self, first: int, last: int) -> list[Limit]:
        shares = (0.33 - 0.01 * s if s < 4 else 0.45 for s in range(first, last))
        return [
            self._most(f"budget of segment {s}", "cost", share, Selection(cells=_segment(s)))
            for s, share in zip(range(first, last), shares, strict=True)
        ]

    def least(self, offer: int) -> Limit:
        bottom = np.floor(min(self.tightness, 1) * 0.01 * float(self.customers.sum()))
        return Limit(f"at least offer {offer}", "count", minimum=bottom, offers=(offer,))

    def segment_minimum(self, segment: int, offer: int) -> Limit:
        cells = _segment(segment)
        bottom = np.floor(min(self.tightness, 1) * 0.01 * float(self.customers[list(cells)].sum()))
        name = f"segment {segment} takes offer {offer}"
        return Limit(name, "count", minimum=bottom, offers=(offer,), cells=cells)

    def exposure(self, segment: int, offer: int) -> Share:
        part, whole = Selection((offer,), _segment(segment)), Selection(cells=_segment(segment))
        return Share(f"segment {segment} sees offer {offer}", "count", part, whole, minimum=0.04)

    def parity(self) -> Share:
        first = tuple(range(0, CELLS, GROUPS))
        even = float(self.customers[list(first)].sum() / max(1, self.customers.sum()))
        low, high = even - _PARITY, even + _PARITY
        return Share("parity", "count", Selection(cells=first), Selection(), minimum=low, maximum=high)

    def many(self, wanted: NDArray[np.intp]) -> list[Limit | Share]:
        """What comes after the first 31, in this order."""
        order = wanted.tolist()
        share = np.random.default_rng(7).uniform(0.42, 0.5, 1_000).tolist()
        out: list[Limit | Share] = [*self.segment_budgets(4, len(SEGMENTS))]
        for s in range(len(SEGMENTS)):
            for c in range(CHANNELS):
                where = Selection(self._channel(c).offers, _segment(s))
                out.append(self._most(f"segment {s}, channel {c}", "count", share[len(out)], where))
        out += [self._most(f"budget of channel {c}", "cost", 0.38, self._channel(c)) for c in range(CHANNELS)]
        out += [self._most(f"budget of offer {a}", "cost", 0.5, Selection((a,))) for a in order[:16]]
        places = [(f"segment {s}", _segment(s), order[:10]) for s in range(len(SEGMENTS))]
        places += [(f"group {h}", tuple(range(h, CELLS, GROUPS)), order[:16]) for h in range(GROUPS)]
        places += [(f"cell {g}", (g,), order[:16]) for g in range(CELLS)]
        for name, cells, offers in places:
            for a in offers:
                where = Selection((a,), cells)
                out.append(self._most(f"{name}, offer {a}", "count", share[len(out)] + 0.04, where))
        return out

    def _channel(self, channel: int) -> Selection:
        return Selection(tuple(range(channel, self.free.shape[2], CHANNELS)))


def _segment(segment: int) -> tuple[int, ...]:
    return tuple(range(GROUPS * segment, GROUPS * (segment + 1)))
