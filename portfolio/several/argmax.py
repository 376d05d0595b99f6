"""Passes over all customers at given charges: who takes what, exactly or softened by a temperature."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from portfolio.dual import Floats
from portfolio.limits import Problem, Rows
from portfolio.prices import Response

_FADED = 40.0  # exp(-40) < 1e-17: options this many temperatures below the best count for nothing


@dataclass(frozen=True, slots=True)
class Shelf:
    """A problem laid out for passes: (n, k) float64 arrays, and how many customers each row stands for.

    `value` is the score that is maximised, `worth` what value limits count: the same, unless only limits shall speak.
    """

    value: Floats
    worth: Floats
    cost: Floats
    eligible: NDArray[np.bool_]
    cell: NDArray[np.int64]
    weight: Floats
    n_cells: int

    @classmethod
    def of(cls, problem: Problem) -> "Shelf":
        """The whole problem; pairs without a finite value and cost are not eligible."""
        value = np.ascontiguousarray(problem.value, np.float64)
        cost = np.ascontiguousarray(problem.cost, np.float64)
        eligible = np.ascontiguousarray(problem.eligible & np.isfinite(value) & np.isfinite(cost))
        cell = np.ascontiguousarray(problem.cell, np.int64)
        return cls(value, value, cost, eligible, cell, np.ones(len(value)), problem.n_cells)

    def sample(self, size: int) -> "Shelf":
        """About `size` rows, spread evenly over cells and values, each standing for its share."""
        n = len(self.value)
        if size >= n:
            return self
        best = np.where(self.eligible, self.value, -np.inf).max(1)
        order = np.lexsort((best, self.cell))
        edges = np.linspace(0, n, size + 1).astype(np.int64)
        pick = order[(edges[:-1] + edges[1:]) // 2]
        share = np.diff(edges).astype(np.float64)
        return Shelf(
            self.value[pick],
            self.worth[pick],
            self.cost[pick],
            self.eligible[pick],
            self.cell[pick],
            share,
            self.n_cells,
        )

    def typical_value(self) -> float:
        """Mean over customers of the largest absolute value that they could get; 1 where there is none."""
        best = np.where(self.eligible, np.abs(self.value), 0.0).max(1, initial=0.0)
        mean = float(best.mean()) if len(best) else 0.0
        return mean if mean > 0 else 1.0

    def without_value(self) -> "Shelf":
        """The same shelf where nothing is worth anything: only the limits speak."""
        return replace(self, value=np.zeros_like(self.value))


@njit(cache=True, nogil=True)
def _soft_pass(shelf: Any, charges: Any, tau: Any, use: Any, tables: Any, totals: Any) -> None:
    """Adds use (3, g, k), tables (0, 1, 3 or 6, g, k, k) and totals (softened value, exact value, value reached)."""
    value, worth, cost, eligible, cell, weight = shelf
    n, k = value.shape
    chance = np.empty(k)
    live = np.empty(k, np.int64)
    for i in range(n):
        g = cell[i]
        top = 0.0
        for a in range(k):
            if eligible[i, a]:
                chance[a] = (
                    value[i, a] - charges[0, g, a] - charges[1, g, a] * cost[i, a] - charges[2, g, a] * worth[i, a]
                )
                top = max(top, chance[a])
        mass = np.exp(-top / tau) if top < _FADED * tau else 0.0
        count = 0
        for a in range(k):
            if eligible[i, a] and top - chance[a] < _FADED * tau:
                chance[a] = np.exp((chance[a] - top) / tau)
                mass += chance[a]
                live[count] = a
                count += 1
        totals[0] += weight[i] * (top + tau * np.log(mass))
        totals[1] += weight[i] * top
        for j in range(count):
            a = live[j]
            chance[a] /= mass
            x = weight[i] * chance[a]
            totals[2] += x * value[i, a]
            use[0, g, a] += x
            use[1, g, a] += x * cost[i, a]
            use[2, g, a] += x * worth[i, a]
        for j in range(count if len(tables) else 0):
            a = live[j]
            pull = weight[i] * chance[a] / tau
            for h in range(count):
                b = live[h]
                x = -pull * chance[b]
                if j == h:
                    x += pull
                tables[0, g, a, b] += x
                if len(tables) > 1:
                    tables[1, g, a, b] += x * cost[i, b]
                    tables[2, g, a, b] += x * cost[i, a] * cost[i, b]
                if len(tables) > 3:
                    tables[3, g, a, b] += x * worth[i, b]
                    tables[4, g, a, b] += x * cost[i, a] * worth[i, b]
                    tables[5, g, a, b] += x * worth[i, a] * worth[i, b]


@njit(cache=True, nogil=True)
def _leads(value: Any, cost: Any, eligible: Any, cell: Any, charges: Any, worth: Any, choice: Any, lead: Any) -> None:
    """Best option of each customer (k = no offer) and how far it is ahead of the second."""
    n, k = value.shape
    for i in range(n):
        g = cell[i]
        best = 0.0
        second = -np.inf
        at = k
        for a in range(k):
            if eligible[i, a]:
                r = value[i, a] - charges[0, g, a] - charges[1, g, a] * cost[i, a] - charges[2, g, a] * worth[i, a]
                if r > best:
                    second = best
                    best = r
                    at = a
                elif r > second:
                    second = r
        choice[i] = at
        lead[i] = best - second


@njit(cache=True, nogil=True)
def _chances(value: Any, cost: Any, eligible: Any, cell: Any, charges: Any, worth: Any, tau: Any, out: Any) -> None:
    """The softened plan (n, k + 1); the last column is no offer."""
    n, k = value.shape
    for i in range(n):
        g = cell[i]
        top = 0.0
        for a in range(k):
            if eligible[i, a]:
                r = value[i, a] - charges[0, g, a] - charges[1, g, a] * cost[i, a] - charges[2, g, a] * worth[i, a]
                out[i, a] = r
                top = max(top, r)
        out[i, k] = 0.0
        mass = 0.0
        for a in range(k + 1):
            if a == k or eligible[i, a]:
                out[i, a] = np.exp((out[i, a] - top) / tau) if top - out[i, a] < _FADED * tau else 0.0
                mass += out[i, a]
        for a in range(k + 1):
            out[i, a] /= mass


@dataclass(frozen=True, slots=True)
class SoftAnswer:
    """What a softened pass finds: `exact` is the true argmax net of charges, `reached` the softened plan's value."""

    response: Response
    exact: float
    reached: float


@dataclass(frozen=True, slots=True)
class SoftCrowd:
    """An oracle: every customer takes a soft maximum of scores net of charges, at a temperature (currency units).

    `measures` is how many measures the limits speak of: 1, 2 or 3.
    """

    shelf: Shelf
    temperature: float
    measures: int

    def answer(self, charges: Floats, *, curvature: bool) -> SoftAnswer:
        """One pass at charges (3, g, k)."""
        s = self.shelf
        k = s.value.shape[1]
        use = np.zeros((3, s.n_cells, k))
        tables = np.zeros(((0, 1, 3, 6)[self.measures if curvature else 0], s.n_cells, k, k))
        totals = np.zeros(3)
        arrays = (s.value, s.worth, s.cost, s.eligible, s.cell, s.weight)
        _soft_pass(arrays, charges, self.temperature, use, tables, totals)
        full = np.zeros((6, s.n_cells, k, k)) if curvature else None
        if full is not None:
            full[: len(tables)] = tables
        return SoftAnswer(Response(float(totals[0]), use, full), float(totals[1]), float(totals[2]))

    def __call__(self, charges: Floats, *, curvature: bool) -> Response:
        """See `portfolio.prices.Oracle`."""
        return self.answer(charges, curvature=curvature).response

    def plan(self, charges: Floats) -> Floats:
        """The softened plan (n, k + 1)."""
        s = self.shelf
        out = np.zeros((len(s.value), s.value.shape[1] + 1))
        _chances(s.value, s.cost, s.eligible, s.cell, charges, s.worth, self.temperature, out)
        return out


def measures_of(rows: Rows) -> int:
    """How many measures rows speak of, in the order count, cost, value."""
    used = [t for t in range(3) if np.any(rows.coefficient[:, t])]
    return max(used, default=0) + 1


def leads(shelf: Shelf, charges: Floats) -> tuple[NDArray[np.int64], Floats]:
    """Each customer's best option (k = no offer) at charges (3, g, k), and its lead over the second, currency units."""
    choice = np.empty(len(shelf.value), np.int64)
    lead = np.empty(len(shelf.value))
    _leads(shelf.value, shelf.cost, shelf.eligible, shelf.cell, charges, shelf.worth, choice, lead)
    return choice, lead
