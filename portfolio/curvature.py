"""From how choices react to charges, cell by cell, to how the use of limits reacts to their prices."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from portfolio.limits import Floats, Rows


@njit(cache=True, nogil=True)
def _hessian(first: Any, row: Any, column: Any, coefficient: Any, reaction: Any, out: Any) -> None:
    """out (m, m) += sum over cells of F R F', F (m, t k) sparse by rows within cells, R (t k, t k) symmetric."""
    across = np.empty(reaction.shape[1])
    for g in range(len(first) - 1):
        at = first[g]
        while at < first[g + 1]:
            r = row[at]
            across[:] = 0.0
            while at < first[g + 1] and row[at] == r:
                c, line = coefficient[at], reaction[g, column[at]]
                for j in range(len(across)):
                    across[j] += c * line[j]
                at += 1
            p = first[g]
            while p < at:
                s = row[p]
                total = 0.0
                while p < at and row[p] == s:
                    total += coefficient[p] * across[column[p]]
                    p += 1
                out[r, s] += total
    for r in range(len(out)):
        for s in range(r):
            out[s, r] = out[r, s]


@dataclass(frozen=True, slots=True)
class Touch:
    """Which limits touch which offers of which cells: the entries of the coefficient table that are not 0, by cell.

    Args:
        first: (g + 1,) where each cell's entries begin; row, column, coefficient: of every entry, rows ascending.
            Columns count measure * k + offer.
        measures: how many measures the limits speak of, in the order count, cost, value.
        limits: how many rows there are.
    """

    first: NDArray[np.int64]
    row: NDArray[np.int64]
    column: NDArray[np.int64]
    coefficient: Floats
    measures: int
    limits: int

    @classmethod
    def of(cls, rows: Rows) -> "Touch":
        """Index the rows."""
        used = [t for t in range(3) if np.any(rows.coefficient[:, t])]
        measures = max(used, default=0) + 1
        m, _, g, k = rows.coefficient.shape
        by_cell = rows.coefficient[:, :measures].transpose(2, 0, 1, 3).reshape(g, m, measures * k)
        cell, row, column = np.nonzero(by_cell)
        first = np.concatenate(([0], np.cumsum(np.bincount(cell, minlength=g)))).astype(np.int64)
        return cls(first, row, column, by_cell[cell, row, column], measures, m)

    def hessian(self, reaction: Floats) -> Floats:
        """(m, m) change of the rows' use with their prices.

        Args:
            reaction: (g, t k, t k) symmetric change of use with charges (minus sign left out), t measures.
        """
        out = np.zeros((self.limits, self.limits))
        _hessian(self.first, self.row, self.column, self.coefficient, reaction, out)
        return out
