"""A problem laid out for passes in double precision, where a customer may have any number of offers."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from portfolio.limits import Floats, Problem


@dataclass(frozen=True, slots=True)
class Shelf:
    """Customers and offers: (n, k) float64 arrays, and how many customers each row stands for.

    `counts` is whether value is what is maximised, as it is, or only what value limits speak of.
    """

    value: Floats
    cost: Floats
    eligible: NDArray[np.bool_]
    cell: NDArray[np.int64]
    weight: Floats
    n_cells: int
    counts: bool = True

    @classmethod
    def of(cls, problem: Problem) -> "Shelf":
        """The whole problem; pairs without a finite value and cost are not eligible."""
        value = np.ascontiguousarray(problem.value, np.float64)
        cost = np.ascontiguousarray(problem.cost, np.float64)
        eligible = np.ascontiguousarray(problem.eligible & np.isfinite(value) & np.isfinite(cost))
        cell = np.ascontiguousarray(problem.cell, np.int64)
        return cls(value, cost, eligible, cell, np.ones(len(value)), problem.n_cells)

    def sample(self, size: int) -> "Shelf":
        """About `size` rows, spread evenly over cells and values, each standing for its share."""
        n = len(self.value)
        if size >= n:
            return self
        best = np.where(self.eligible, self.value, -np.inf).max(1)
        order = np.lexsort((best, self.cell))
        edges = np.linspace(0, n, size + 1).astype(np.int64)
        pick = order[(edges[:-1] + edges[1:]) // 2]
        return replace(self.part(pick), weight=np.diff(edges).astype(np.float64))

    def part(self, some: NDArray[np.integer]) -> "Shelf":
        """Some of the rows."""
        arrays = (self.value[some], self.cost[some], self.eligible[some], self.cell[some], self.weight[some])
        return Shelf(*arrays, self.n_cells, self.counts)

    def offering(self, some: NDArray[np.integer]) -> "Shelf":
        """Only some of the offers."""
        value, cost = (np.ascontiguousarray(x[:, some]) for x in (self.value, self.cost))
        return replace(self, value=value, cost=cost, eligible=np.ascontiguousarray(self.eligible[:, some]))

    def typical_value(self) -> float:
        """Mean over customers of the largest absolute value that they could get; 1 where there is none."""
        best = np.where(self.eligible, np.abs(self.value), 0.0).max(1, initial=0.0)
        mean = float(np.average(best, weights=self.weight)) if len(best) else 0.0
        return mean if mean > 0 else 1.0

    def per_contact(self) -> Floats:
        """(3,) what an eligible pair counts in each measure on average, without its sign: 1, cost, value."""
        pairs = max(int(np.count_nonzero(self.eligible)), 1)
        amounts = (float(np.abs(np.where(self.eligible, x, 0.0)).sum()) / pairs for x in (self.cost, self.value))
        return np.array([1.0, *amounts])

    def without_value(self) -> "Shelf":
        """The same shelf where nothing is worth anything: only the limits speak."""
        return replace(self, counts=False)

    def arrays(self, charges: Floats) -> tuple[Any, ...]:
        """For kernels: value, cost, eligible, cell, weight; what charges (3, g, k) leave of a value, and the others."""
        keep = (1.0 if self.counts else 0.0) - charges[2]
        return self.value, self.cost, self.eligible, self.cell, self.weight, keep, charges[0], charges[1]
