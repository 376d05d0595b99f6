"""Exact passes over everybody: who takes what at given charges, counted to the bit.

Costs and values are summed as whole multiples of a power of two that the whole population fixes. Sums of integers do
not depend on order, so neither threads nor the way customers are cut into parts change a bit.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any, TypeAlias

import numpy as np
from numba import njit
from numpy.typing import NDArray

from allot import ShapeError
from portfolio.limits import Floats
from portfolio.population import Population
from portfolio.prices import Response

Table: TypeAlias = NDArray[np.int64]

_ALONE = 65_536  # fewer customers are not worth a second thread
_FAST = {"contract", "reassoc", "nsz", "nnan"}  # whatever is not finite is not eligible, and never selected
_NEVER = np.int32(2**31 - 1)


@njit(cache=True, nogil=True, fastmath=_FAST, error_model="numpy")
def _count(crowd: Any, charges: Any, ends: Any, scale: Any) -> Any:
    """Table (g, k, 3) of contacts, cost and value of the best offers at value * keep - contact - per_cost * cost.

    Scans along a row are written as separate loops, which is what makes the compiler use vector instructions.
    """
    value, cost, eligible, cell = crowd
    keep, contact, per_cost = charges
    n, k = value.shape
    out = np.zeros((len(keep), k, 3), np.int64)
    net = np.empty(k, value.dtype)
    priced = len(per_cost) > 0
    low = ends[0]
    for i in range(n):
        g = cell[i]
        if priced:
            for a in range(k):
                x = value[i, a] * keep[g, a] - contact[g, a] - per_cost[g, a] * cost[i, a]
                net[a] = x if eligible[i, a] else low
        else:
            for a in range(k):
                x = value[i, a] * keep[g, a] - contact[g, a]
                net[a] = x if eligible[i, a] else low
        best = ends[1]
        for a in range(k):
            best = max(best, net[a])
        if best > 0:
            at = _NEVER
            for a in range(k):
                at = min(at, np.int32(a) if net[a] == best else _NEVER)
            out[g, at, 0] += 1
            out[g, at, 1] += np.int64(np.float64(cost[i, at]) * scale[0])
            out[g, at, 2] += np.int64(np.float64(value[i, at]) * scale[1])
    return out


@njit(cache=True, nogil=True, fastmath=_FAST, error_model="numpy")
def _lead(crowd: Any, charges: Any, ends: Any, scale: Any, width: Any, choice: Any, lead: Any) -> Any:
    """As `_count`; writes the best option (k = no offer) and how far it is surely ahead of the next best.

    Scores are known to within width[0, g, a] + width[1, g, a] * cost.
    """
    value, cost, eligible, cell = crowd
    keep, contact, per_cost = charges
    n, k = value.shape
    out = np.zeros((len(keep), k, 3), np.int64)
    net = np.empty(k, value.dtype)
    priced = len(per_cost) > 0
    low = ends[0]
    for i in range(n):
        g = cell[i]
        if priced:
            for a in range(k):
                x = value[i, a] * keep[g, a] - contact[g, a] - per_cost[g, a] * cost[i, a]
                net[a] = x if eligible[i, a] else low
        else:
            for a in range(k):
                x = value[i, a] * keep[g, a] - contact[g, a]
                net[a] = x if eligible[i, a] else low
        best = ends[1]
        for a in range(k):
            best = max(best, net[a])
        at = np.int32(k)
        second = low
        if best > 0:
            at = _NEVER
            for a in range(k):
                at = min(at, np.int32(a) if net[a] == best else _NEVER)
            net[at] = low
            best -= width[0, g, at] + width[1, g, at] * cost[i, at]
            second = ends[1]
            out[g, at, 0] += 1
            out[g, at, 1] += np.int64(np.float64(cost[i, at]) * scale[0])
            out[g, at, 2] += np.int64(np.float64(value[i, at]) * scale[1])
        for a in range(k):
            second = max(second, net[a] + width[0, g, a] + width[1, g, a] * cost[i, a])
        choice[i] = at
        lead[i] = best - second
    return out


@dataclass(frozen=True, slots=True)
class Stand:
    """Where everybody stands at some charges.

    Args:
        choice: (n,) best option, k = no offer.
        lead: (n,) how far it is surely ahead of the next best, currency units; negative when it may not be.
        response: what all of them count.
    """

    choice: NDArray[np.int16]
    lead: NDArray[np.floating]
    response: Response


@dataclass(frozen=True, slots=True)
class ArgmaxOracle:
    """Everybody takes the best score net of charges: one population, or the parts of one, counted together.

    Equal to the bit for any order, any cut into parts and any number of threads, because parts of one population agree
    on its size and its largest numbers.
    """

    parts: Sequence[Population]
    threads: int = 2

    def __call__(self, charges: Floats, *, curvature: bool) -> Response:
        """See `portfolio.prices.Oracle`; the exact maximum has no curvature."""
        if curvature:
            raise ShapeError("an exact maximum has no curvature.", remedy="Ask a softened oracle.")
        tables = [self._summed(part, charges, _counted) for part in self.parts]
        return _response(self.parts[0], sum(tables[1:], start=tables[0]), charges)

    def stand(self, charges: Floats, width: Floats) -> Stand:
        """Choices and leads as well, the parts one after the other; charges are sure to within `width` (3, g, k)."""
        n = sum(len(part.cell) for part in self.parts)
        choice, lead = np.empty(n, np.int16), np.empty(n, self.parts[0].value.dtype)
        tables, first = [], 0
        for part in self.parts:
            here = slice(first, first + len(part.cell))
            mine = (choice[here], lead[here])
            wide = (width[:2] + np.stack([width[2] * part.largest[0], 0.0 * width[2]])).astype(part.value.dtype)
            tables.append(self._summed(part, charges, partial(_led, wide), mine))
            first = here.stop
        return Stand(choice, lead, _response(self.parts[0], sum(tables[1:], start=tables[0]), charges))

    def _summed(
        self,
        part: Population,
        charges: Floats,
        kernel: Callable[..., Table],
        out: tuple[NDArray[Any], ...] = (),
    ) -> Table:
        """The kernel over halves of a part, one thread each."""
        kind = part.value.dtype.type
        tables = (
            (1.0 - charges[2]).astype(kind),
            charges[0].astype(kind),
            charges[1].astype(kind) if charges[1].any() else np.zeros((0, 0), kind),
        )
        ends = np.array([-np.inf, 0.0], kind)
        scale = np.array(part.scales())

        def run(rows: slice) -> Table:
            crowd = (part.value[rows], part.cost[rows], part.eligible[rows], part.cell[rows])
            return kernel((crowd, tables, ends, scale), *(x[rows] for x in out))

        n = len(part.cell)
        if self.threads < 2 or n < _ALONE:
            return run(slice(0, n))
        edges = np.linspace(0, n, self.threads + 1).astype(int)
        halves = [slice(a, b) for a, b in pairwise(edges)]
        with ThreadPoolExecutor(self.threads) as pool:
            done = list(pool.map(run, halves))
        return sum(done[1:], start=done[0])


def _counted(some: tuple[Any, ...]) -> Table:
    return np.asarray(_count(*some))


def _led(width: NDArray[np.floating], some: tuple[Any, ...], choice: NDArray[Any], lead: NDArray[Any]) -> Table:
    return np.asarray(_lead(*some, width, choice, lead))


def _response(population: Population, table: Table, charges: Floats) -> Response:
    """Back to numbers. The dual value follows from the table: each offer's value less what its use is charged."""
    cost, value = population.scales()
    use = np.stack([table[:, :, 0], table[:, :, 1] / cost, table[:, :, 2] / value]).astype(np.float64)
    return Response(float(use[2].sum() - np.sum(charges * use)), use)
