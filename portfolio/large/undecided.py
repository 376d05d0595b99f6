"""The customers whose lead is small, with the few options that are worth considering, as given and in double precision.

Everybody else keeps the best offer. Softened at falling temperatures, these few give the exact prices, and a plan in
which only customers who are indifferent are split.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from portfolio.curvature import Touch
from portfolio.dual import Evaluate, Floats
from portfolio.large.population import Population
from portfolio.limits import Rows

_FADED = 40.0  # exp(-40) < 1e-17: options this many temperatures below the best count for nothing
_PAIRS = 600_000  # of options whose reaction is counted; where more react, some customers stand for all of them


@njit(cache=True, nogil=True)
def _options(some: Any, crowd: Any, charges: Any, width: Any, reach: Any, first: Any, offer: Any, fill: Any) -> None:
    """Options that may come within `reach` of the best of each customer in `some`: counts into `first`, or offers.

    Scores are known to within width[0] + width[1] * cost + width[2] * |value|.
    """
    value, cost, eligible, cell = crowd
    k = value.shape[1]
    high = np.empty(k)
    for j in range(len(some)):
        i = some[j]
        g = cell[i]
        best = 0.0
        for a in range(k):
            if eligible[i, a]:
                v = np.float64(value[i, a])
                net = v - charges[0, g, a] - charges[1, g, a] * cost[i, a] - charges[2, g, a] * v
                wide = width[0, g, a] + width[1, g, a] * abs(cost[i, a]) + width[2, g, a] * abs(v)
                high[a] = net + wide
                best = max(best, net - wide)
        at = first[j] if fill else 0
        for a in range(k + 1):
            here = best <= reach if a == k else eligible[i, a] and high[a] >= best - reach
            if here:
                if fill:
                    offer[at] = a
                at += 1
        if not fill:
            first[j + 1] = at


@njit(cache=True, nogil=True)
def _soften(crowd: Any, charges: Any, tau: Any, use: Any, share: Any) -> Any:
    """Adds use (3, g, k), sets shares; returns softened, exact and reached value, and how many pairs react."""
    first, offer, value, cost, cell = crowd
    k = charges.shape[2]
    soft = 0.0
    exact = 0.0
    reached = 0.0
    pairs = 0
    for j in range(len(first) - 1):
        g = cell[j]
        top = -np.inf
        for p in range(first[j], first[j + 1]):
            a = offer[p]
            share[p] = 0.0
            if a < k:
                share[p] = value[p] - charges[0, g, a] - charges[1, g, a] * cost[p] - charges[2, g, a] * value[p]
            top = max(top, share[p])
        mass = 0.0
        live = 0
        for p in range(first[j], first[j + 1]):
            share[p] = np.exp((share[p] - top) / tau) if top - share[p] < _FADED * tau else 0.0
            mass += share[p]
            live += share[p] > 0.0
        soft += top + tau * np.log(mass)
        exact += top
        pairs += live * live if live > 1 else 0
        for p in range(first[j], first[j + 1]):
            if share[p] == 0.0:
                continue
            share[p] /= mass
            a = offer[p]
            if a < k:
                use[0, g, a] += share[p]
                use[1, g, a] += share[p] * cost[p]
                use[2, g, a] += share[p] * value[p]
                reached += share[p] * value[p]
    return soft, exact, reached, pairs


@njit(cache=True, nogil=True)
def _react(crowd: Any, share: Any, asked: Any, scale: Any, k: Any, reaction: Any) -> None:
    """Adds scale * the reaction (g, t k, t k) of a part `asked` of the split customers, spread evenly among them."""
    first, offer, value, cost, cell = crowd
    measures = reaction.shape[1] // k
    weight = np.ones(3)
    other = np.ones(3)
    turn = 0.0
    for j in range(len(first) - 1):
        begin, end = first[j], first[j + 1]
        if share[begin:end].max() >= 1.0:
            continue
        turn += asked
        if turn < 1.0:
            continue
        turn -= 1.0
        g = cell[j]
        for p in range(begin, end):
            a = offer[p]
            if a < k and share[p] > 0.0:
                weight[1] = cost[p]
                weight[2] = value[p]
                for q in range(begin, end):
                    b = offer[q]
                    if b < k and share[q] > 0.0:
                        other[1] = cost[q]
                        other[2] = value[q]
                        pull = scale * share[p] * ((1.0 if p == q else 0.0) - share[q])
                        for s in range(measures):
                            for t in range(measures):
                                reaction[g, s * k + a, t * k + b] += pull * weight[s] * other[t]


@dataclass(frozen=True, slots=True)
class Softened:
    """What the undecided do at a temperature: values (currency units), use (3, g, k) and shares (p,) of their options.

    `soft` and `exact` are sums of softened and of exact best scores net of charges, `reached` the value of the shares.
    """

    soft: float
    exact: float
    reached: float
    use: Floats
    share: Floats


@dataclass(frozen=True, slots=True)
class Undecided:
    """Customers with the options that each may still take.

    Args:
        customer: (s,) of the population.
        cell: (s,) int64.
        first: (s + 1,) where each customer's options begin.
        offer: (p,) ascending within a customer; k = no offer.
        value, cost: (p,) float64, 0 for no offer.
        shape: (g, k).
    """

    customer: NDArray[np.int64]
    cell: NDArray[np.int64]
    first: NDArray[np.int64]
    offer: NDArray[np.int64]
    value: Floats
    cost: Floats
    shape: tuple[int, int]

    @classmethod
    def of(
        cls, population: Population, charges: Floats, width: Floats, some: NDArray[np.int64], reach: float
    ) -> "Undecided":
        """These customers with all options that may come within `reach` of their best; charges are sure to `width`."""
        k = population.value.shape[1]
        crowd = (population.value, population.cost, population.eligible, population.cell)
        first = np.zeros(len(some) + 1, np.int64)
        none = np.empty(0, np.int64)
        _options(some, crowd, charges, width, reach, first, none, False)
        first = np.cumsum(first)
        offer = np.empty(int(first[-1]), np.int64)
        _options(some, crowd, charges, width, reach, first, offer, True)
        owner = np.repeat(some, np.diff(first))
        column = np.minimum(offer, k - 1)
        value, cost = (
            np.where(offer < k, x[owner, column].astype(np.float64), 0.0) for x in (population.value, population.cost)
        )
        return cls(some, population.cell[some], first, offer, value, cost, (population.n_cells, k))

    def position(self, choice: NDArray[np.int64]) -> NDArray[np.int64]:
        """(s,) where in `offer` each customer's choice stands; the first option where it is not among them."""
        hit = self.offer == choice[self.owner()]
        at = np.where(hit, np.arange(len(self.offer)), -1)
        last = np.maximum.reduceat(at, self.first[:-1]) if len(at) else at
        return np.where(last >= 0, last, self.first[:-1])

    def owner(self) -> NDArray[np.int64]:
        """(p,) the position in `customer` that each option belongs to."""
        return np.repeat(np.arange(len(self.customer)), np.diff(self.first))

    def use_of(self, share: Floats) -> Floats:
        """What shares (p,) of the options use (3, g, k)."""
        g, k = self.shape
        real = self.offer < k
        where = (self.cell[self.owner()] * k + self.offer)[real]
        amounts = (share, share * self.cost, share * self.value)
        return np.stack([np.bincount(where, x[real], g * k).reshape(g, k) for x in amounts])

    def soften(self, charges: Floats, temperature: float, measures: int = 0) -> tuple[Softened, Floats]:
        """Choices at charges (3, g, k), and with measures > 0 the reaction (g, t k, t k) of their use.

        Where very many react, the reaction is counted on some of them, evenly spread; all else is exact.
        """
        g, k = self.shape
        use, reaction = np.zeros((3, g, k)), np.zeros((g, measures * k, measures * k))
        share = np.empty(len(self.offer))
        crowd = (self.first, self.offer, self.value, self.cost, self.cell)
        soft, exact, reached, pairs = _soften(crowd, charges, temperature, use, share)
        if measures:
            asked = min(1.0, _PAIRS / max(pairs, 1))
            _react(crowd, share, asked, 1.0 / (asked * temperature), k, reaction)
        return Softened(soft, exact, reached, use, share), reaction

    def evaluator(self, rows: Rows, touch: Touch, temperature: float, fixed: Floats) -> Evaluate:
        """Value, use of the rows (m,) and Hessian (m, m) at prices (m,), where others use `fixed` (3, g, k)."""
        others, worth = rows.consumption(fixed), float(fixed[2].sum())

        def evaluate(price: Floats) -> tuple[float, Floats, Floats]:
            at, reaction = self.soften(rows.charges(price), temperature, touch.measures)
            value = at.soft + worth - float(price @ others)
            return value, rows.consumption(at.use) + others, touch.hessian(reaction)

        return evaluate
