"""Exact passes over everybody: who takes what at given charges, counted to the bit.

Costs and values are summed as whole multiples of a power of two that the whole population fixes. Sums of integers do
not depend on order, so neither threads nor the way customers are cut into parts change a bit.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from typing import Any, TypeAlias

import numpy as np
from numba import njit
from numpy.typing import NDArray

from allot import ShapeError
from portfolio.large.population import Population
from portfolio.large.reaction import react, reaction_scales
from portfolio.limits import Floats
from portfolio.prices import Response, Stand

Table: TypeAlias = NDArray[np.int64]

_ALONE = 65_536  # fewer customers are not worth a second thread
_FAST = {"contract", "reassoc", "nsz", "nnan"}  # whatever is not finite is not eligible, and never selected
_REST = np.int32(2**31 - 1)  # all bits but the sign
_SIGN = np.int32(31)
_NOTHING = np.int32(-2139095041)  # the bits of minus infinity, turned over
_TILE = 512  # customers whose choices are made before they are counted: stores between them would hold up the next
_BITS, _OFFER = np.int64(32), np.int64(2**32 - 1)


@njit(cache=True, nogil=True, fastmath=_FAST, error_model="numpy")
def _choose_single(crowd: Any, charges: Any, first: Any, choice: Any, score: Any) -> None:
    """The first best offer of some customers (k = no offer) at value * keep - contact - per_cost * cost, its score.

    Positive numbers in single precision are ordered like their bits. With the offer in the bits below, the best offer
    is one maximum of whole numbers, for which the compiler uses vector instructions.
    """
    value, cost, eligible, cell = crowd
    keep, contact, per_cost = charges
    k = value.shape[1]
    for j in range(len(choice)):
        i = first + j
        g = np.uint64(cell[i])
        best = np.int64(0)
        for a in range(k):
            x = value[i, a] * keep[g, a] - contact[g, a] - per_cost[g, a] * cost[i, a]
            key = (np.int64(np.float32(x).view(np.int32)) << _BITS) | np.int64(k - a)
            best = max(best, key if eligible[i, a] else np.int64(0))
        bits = np.int32(best >> _BITS)
        choice[j] = k - (best & _OFFER) if bits > 0 else k
        score[j] = bits.view(np.float32)


@njit(cache=True, nogil=True, fastmath=_FAST, error_model="numpy")
def _choose_double(crowd: Any, charges: Any, first: Any, choice: Any, score: Any) -> None:
    """The same in double precision: scores have no bits to spare, so that a row is scanned three times."""
    value, cost, eligible, cell = crowd
    keep, contact, per_cost = charges
    k = value.shape[1]
    net = np.empty(k)
    for j in range(len(choice)):
        i = first + j
        g = np.uint64(cell[i])
        for a in range(k):
            x = value[i, a] * keep[g, a] - contact[g, a] - per_cost[g, a] * cost[i, a]
            net[a] = x if eligible[i, a] else -np.inf
        best = 0.0
        for a in range(k):
            best = max(best, net[a])
        at = _REST
        for a in range(k):
            at = min(at, np.int32(a) if net[a] == best else _REST)
        choice[j] = at if best > 0.0 else k
        score[j] = best


@njit(cache=True, nogil=True, fastmath=_FAST, error_model="numpy")
def _tally(crowd: Any, scale: Any, first: Any, choice: Any, out: Any) -> None:
    """Adds contacts, cost and value of these choices to the table (g, k + 1, 3)."""
    value, cost, _, cell = crowd
    last = value.shape[1] - 1
    for j in range(len(choice)):
        i = first + j
        at = choice[j]
        u = np.uint64(min(at, last))
        line = out[np.uint64(cell[i]), np.uint64(at)]
        line[0] += 1
        line[1] += np.int64(np.float64(cost[i, u] if at <= last else 0.0) * scale[0])
        line[2] += np.int64(np.float64(value[i, u] if at <= last else 0.0) * scale[1])


@njit(cache=True, nogil=True)
def _count(crowd: Any, charges: Any, scale: Any) -> Any:
    """Table (g, k, 3) of contacts, cost and value of everybody's best offers."""
    n, k = crowd[0].shape
    out = np.zeros((len(charges[0]), k + 1, 3), np.int64)
    choice = np.empty(_TILE, np.int16)
    score = np.empty(_TILE, crowd[0].dtype)
    single = crowd[0].itemsize == 4
    for first in range(0, n, _TILE):
        size = min(_TILE, n - first)
        if single:
            _choose_single(crowd, charges, first, choice[:size], score[:size])
        else:
            _choose_double(crowd, charges, first, choice[:size], score[:size])
        _tally(crowd, scale, first, choice[:size], out)
    return out[:, :k]


@njit(cache=True, nogil=True, fastmath=_FAST, error_model="numpy")
def _less_second_single(crowd: Any, high: Any, first: Any, choice: Any, lead: Any) -> None:
    """Takes the best score at charges `high` of all options but the chosen one from `lead`.

    With all bits but the sign turned over, negative numbers too are ordered like whole ones.
    """
    value, cost, eligible, cell = crowd
    keep, contact, per_cost = high
    k = value.shape[1]
    for j in range(len(choice)):
        i = first + j
        g, at = np.uint64(cell[i]), np.int32(choice[j])
        best = np.int32(0) if at < k else _NOTHING
        for a in range(k):
            x = value[i, a] * keep[g, a] - contact[g, a] - per_cost[g, a] * cost[i, a]
            bits = np.float32(x).view(np.int32)
            bits = np.int32(bits ^ ((bits >> _SIGN) & _REST))
            bits = bits if eligible[i, a] else _NOTHING
            best = max(best, bits if np.int32(a) != at else _NOTHING)
        lead[j] -= np.int32(best ^ ((best >> _SIGN) & _REST)).view(np.float32)


@njit(cache=True, nogil=True, fastmath=_FAST, error_model="numpy")
def _less_second_double(crowd: Any, high: Any, first: Any, choice: Any, lead: Any) -> None:
    """The same in double precision, where a row is scanned twice."""
    value, cost, eligible, cell = crowd
    keep, contact, per_cost = high
    k = value.shape[1]
    net = np.empty(k + 1)
    for j in range(len(choice)):
        i = first + j
        g = np.uint64(cell[i])
        for a in range(k):
            x = value[i, a] * keep[g, a] - contact[g, a] - per_cost[g, a] * cost[i, a]
            net[a] = x if eligible[i, a] else -np.inf
        net[k] = 0.0
        net[np.uint64(choice[j])] = -np.inf
        second = -np.inf
        for a in range(k + 1):
            second = max(second, net[a])
        lead[j] -= second


@njit(cache=True, nogil=True)
def _less_own(crowd: Any, width: Any, first: Any, choice: Any, lead: Any) -> None:
    """Takes what the chosen offers' scores may be off from `lead`."""
    _, cost, _, cell = crowd
    for j in range(len(choice)):
        a = choice[j]
        if a < cost.shape[1]:
            lead[j] -= width[0, cell[first + j], a] + width[1, cell[first + j], a] * cost[first + j, a]


@njit(cache=True, nogil=True)
def _lead(crowd: Any, charges: Any, scale: Any, width: Any, choice: Any, lead: Any) -> Any:
    """As `_count`; writes the best option (k = no offer) and how far it is surely ahead of the next best.

    Scores are known to within width[0, g, a] + width[1, g, a] * cost.
    """
    n, k = crowd[0].shape
    out = np.zeros((len(charges[0]), k + 1, 3), np.int64)
    single = crowd[0].itemsize == 4
    high = (charges[0], charges[1] - width[0], charges[2] - width[1])
    for first in range(0, n, _TILE):
        some = slice(first, min(first + _TILE, n))
        if single:
            _choose_single(crowd, charges, first, choice[some], lead[some])
            _less_second_single(crowd, high, first, choice[some], lead[some])
        else:
            _choose_double(crowd, charges, first, choice[some], lead[some])
            _less_second_double(crowd, high, first, choice[some], lead[some])
        _less_own(crowd, width, first, choice[some], lead[some])
        _tally(crowd, scale, first, choice[some], out)
    return out[:, :k]


@dataclass(frozen=True, slots=True)
class ArgmaxOracle:
    """Everybody takes the best score net of charges: one population, or the parts of one, counted together.

    Equal to the bit for any order, any cut into parts and any number of threads, because parts of one population agree
    on its size and its largest numbers.

    Args:
        parts: of one population.
        threads: how many count at once.
        temperature: currency units. An exact maximum has no curvature; on request the oracle answers with that of the
            maximum softened by this temperature. Value and use stay exact.
    """

    parts: Sequence[Population]
    threads: int = 2
    temperature: float | None = None

    def __call__(self, charges: Floats, *, curvature: bool) -> Response:
        """See `portfolio.prices.Oracle`.

        Raises:
            ShapeError: curvature is asked for without a positive temperature.
        """
        heat = self.temperature
        if curvature and (heat is None or not 0.0 < heat < np.inf):
            raise ShapeError("an exact maximum has no curvature.", remedy="Give the oracle a positive temperature.")
        tables = [self._summed(part, charges, _counted) for part in self.parts]
        found = _response(self.parts[0], sum(tables[1:], start=tables[0]), charges)
        return replace(found, curvature=self._curvature(charges, heat)) if curvature and heat is not None else found

    def _curvature(self, charges: Floats, temperature: float) -> Floats:
        """Tables (6, g, k, k) of the softened maximum."""
        scale = reaction_scales(self.parts[0], temperature)
        kernel = partial(_reacted, scale, temperature)
        tables = [self._summed(part, charges, kernel) for part in self.parts]
        return np.asarray(sum(tables[1:], start=tables[0]) / scale[:, None, None, None])

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
        tables = ((1.0 - charges[2]).astype(kind), charges[0].astype(kind), charges[1].astype(kind))
        scale = np.array(part.scales())

        def run(rows: slice) -> Table:
            crowd = (part.value[rows], part.cost[rows], part.eligible[rows], part.cell[rows])
            return kernel((crowd, tables, scale), *(x[rows] for x in out))

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


def _reacted(scale: Floats, temperature: float, some: tuple[Any, ...]) -> Table:
    return np.asarray(react(some[0], some[1], scale, temperature))


def _led(width: NDArray[np.floating], some: tuple[Any, ...], choice: NDArray[Any], lead: NDArray[Any]) -> Table:
    return np.asarray(_lead(*some, width, choice, lead))


def _response(population: Population, table: Table, charges: Floats) -> Response:
    """Back to numbers. The dual value follows from the table: each offer's value less what its use is charged."""
    cost, value = population.scales()
    use = np.stack([table[:, :, 0], table[:, :, 1] / cost, table[:, :, 2] / value]).astype(np.float64)
    return Response(float(use[2].sum() - np.sum(charges * use)), use)
