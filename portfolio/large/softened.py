"""A sample answering softly: choices by a soft maximum at a temperature, so that Newton's method finds prices.

Offer by offer in single precision, in tiles that stay in the cache, with vector instructions throughout. Good for
prices to a thousandth of a score; the rest is done exactly on those few who are nearly indifferent.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from portfolio.curvature import Touch
from portfolio.dual import Evaluate, Floats
from portfolio.large.population import Population
from portfolio.limits import Rows

_TILE = 128
_FAST = {"contract", "reassoc", "nsz", "nnan", "ninf"}
_SURE = np.float32(0.9999)  # who chooses with a higher probability does not react
_NEVER = np.float32(-1e30)
_LOG2E, _HALF = np.float32(1.4426950408889634), np.float32(0.5)
# 2^x on [-1/2, 1/2], the Taylor series to 1e-7
_E1, _E2, _E3 = np.float32(0.69314718), np.float32(0.24022651), np.float32(0.05550411)
_E4, _E5, _E6 = np.float32(0.00961813), np.float32(0.00133336), np.float32(0.00015404)


@njit(cache=True, nogil=True, fastmath=_FAST, error_model="numpy")
def _exponentials(x: Any, bits: Any, out: Any) -> None:
    """out = exp(x) for -80 <= x <= 0: a power of two made of its bits, times a polynomial."""
    power = bits.view(np.float32)
    for b in range(len(x)):
        y = max(x[b], np.float32(-80.0)) * _LOG2E
        whole = np.floor(y + _HALF)
        y -= whole
        bits[b] = (np.int32(whole) + np.int32(127)) << np.int32(23)
        out[b] = np.float32(1.0) + y * (_E1 + y * (_E2 + y * (_E3 + y * (_E4 + y * (_E5 + y * _E6)))))
    for b in range(len(x)):
        out[b] *= power[b]


@njit(cache=True, nogil=True, fastmath=_FAST, error_model="numpy")
def _chances(value: Any, cost: Any, charges: Any, chance: Any, none: Any, top: Any, bits: Any) -> None:
    """Probabilities (k, b) of a tile, of no offer (b,), and the best score (b,), all in temperatures."""
    keep, contact, per_cost = charges
    k, size = value.shape
    top[:] = 0.0
    for a in range(k):
        line, v, c = chance[a], value[a], cost[a]
        for b in range(size):
            x = v[b] * keep[a] - contact[a] - per_cost[a] * c[b]
            x = x if v[b] > _NEVER else _NEVER
            line[b] = x
            top[b] = max(top[b], x)
    for b in range(size):
        none[b] = -top[b]
    _exponentials(none, bits, none)
    mass = none.copy()
    for a in range(k):
        line = chance[a]
        for b in range(size):
            line[b] -= top[b]
        _exponentials(line, bits, line)
        for b in range(size):
            mass[b] += line[b]
    for b in range(size):
        top[b] += np.log(mass[b])
        mass[b] = np.float32(1.0) / mass[b]
        none[b] *= mass[b]
    for a in range(k):
        line = chance[a]
        for b in range(size):
            line[b] *= mass[b]


@njit(cache=True, nogil=True, fastmath=_FAST, error_model="numpy")
def _react(amount: Any, filled: Any, k: Any, out: Any) -> None:
    """Adds the covariance of what is chosen to `out` (t k, t k). amount (2, t k, b): expected amounts, amounts."""
    expected = amount[0, :, :filled]
    each = amount[1, :, :filled]
    width = len(out)
    for i in range(width):
        for j in range(i + 1):
            x, y = expected[i], expected[j]
            total: Any = np.float32(0.0)
            for b in range(filled):
                total += x[b] * y[b]
            out[i, j] -= total
            if i % k == j % k:
                z = each[j]
                total = np.float32(0.0)
                for b in range(filled):
                    total += x[b] * z[b]
                out[i, j] += total


@njit(cache=True, nogil=True, fastmath=_FAST, error_model="numpy")
def _soft_cell(value: Any, cost: Any, charges: Any, measures: Any, use: Any, out: Any) -> Any:
    """Adds the use (t, k) and the reaction (t k, t k) of one cell's customers; returns the softened value."""
    k, n = value.shape
    chance = np.empty((k, _TILE), np.float32)
    none, top = np.empty(_TILE, np.float32), np.empty(_TILE, np.float32)
    bits = np.empty(_TILE, np.int32)
    amount = np.ones((2, measures * k, _TILE), np.float32)
    filled = 0
    worth = 0.0
    total: Any
    for first in range(0, n, _TILE):
        size = min(_TILE, n - first)
        v, c = value[:, first : first + size], cost[:, first : first + size]
        p, sure, at = chance[:, :size], none[:size], top[:size]
        _chances(v, c, charges, p, sure, at, bits[:size])
        total = np.float32(0.0)
        for b in range(size):
            total += at[b]
        worth += total
        for a in range(k):
            line = p[a]
            count, paid, gained = np.float32(0.0), np.float32(0.0), np.float32(0.0)
            for b in range(size):
                x = line[b]
                count += x
                paid += x * c[a, b]
                gained += x * (v[a, b] if v[a, b] > _NEVER else np.float32(0.0))
                sure[b] = max(sure[b], x)
            use[0, a] += count
            use[1, a] += paid
            use[2, a] += gained
        for b in range(size):
            if sure[b] < _SURE:
                for a in range(k):
                    amount[0, a, filled] = p[a, b]
                    if measures > 1:
                        amount[1, k + a, filled] = c[a, b]
                        amount[0, k + a, filled] = p[a, b] * c[a, b]
                    if measures > 2:
                        x = v[a, b] if v[a, b] > _NEVER else np.float32(0.0)
                        amount[1, 2 * k + a, filled] = x
                        amount[0, 2 * k + a, filled] = p[a, b] * x
                filled += 1
                if filled == _TILE:
                    _react(amount, filled, k, out)
                    filled = 0
    _react(amount, filled, k, out)
    return worth


@dataclass(frozen=True, slots=True)
class SoftSample:
    """A sample in tiles, in units of a typical value and of the largest cost.

    Args:
        value, cost: (k, s) float32, -inf and 0 where not eligible.
        start: (g + 1,) where each cell begins.
        weight: (g,) how many customers each stands for.
        unit: (typical value, largest cost), currency units.
    """

    value: NDArray[np.float32]
    cost: NDArray[np.float32]
    start: NDArray[np.int64]
    weight: Floats
    unit: tuple[float, float]

    @classmethod
    def of(cls, population: Population, size: int) -> "SoftSample":
        """About `size` customers of a population."""
        some = population.sample(size)
        unit = (population.typical, population.largest[1] if population.largest[1] > 0 else 1.0)
        value = np.where(some.eligible, some.value, -np.inf) / unit[0]
        cost = np.where(some.eligible, some.cost, 0.0) / unit[1]
        start = np.concatenate(([0], np.cumsum(np.bincount(some.cell, minlength=some.n_cells))))
        across = [np.ascontiguousarray(x.T, np.float32) for x in (value, cost)]
        return cls(across[0], across[1], start, some.weight, unit)

    @property
    def size(self) -> int:
        """Customers in the sample."""
        return int(self.start[-1])

    def over(self, n_cells: int) -> "SoftSample":
        """The same among more cells, the new ones empty."""
        more = n_cells - len(self.weight)
        start = np.concatenate((self.start, np.full(more, self.start[-1])))
        return replace(self, start=start, weight=np.concatenate((self.weight, np.ones(more))))

    def per_pair(self) -> tuple[float, float]:
        """Mean absolute cost and value of an eligible pair, currency units."""
        there = np.isfinite(self.value)
        pairs = max(int(np.count_nonzero(there)), 1)
        cost, value = (
            float(np.abs(self.cost).sum(dtype=np.float64)),
            float(np.abs(self.value[there]).sum(dtype=np.float64)),
        )
        return cost / pairs * self.unit[1], value / pairs * self.unit[0]

    def answer(self, charges: Floats, temperature: float, measures: int) -> tuple[float, Floats, Floats]:
        """Softened value, use (3, g, k) and reaction (g, t k, t k) of the population, in currency units.

        Args:
            charges: (3, g, k).
            temperature: currency units.
            measures: t, how many measures the limits speak of.
        """
        k, g = len(self.value), len(self.weight)
        heat = temperature / self.unit[0]
        keep = ((1.0 - charges[2]) / heat).astype(np.float32)
        contact = (charges[0] / temperature).astype(np.float32)
        per_cost = (charges[1] * self.unit[1] / temperature).astype(np.float32)
        use, out = np.zeros((g, 3, k)), np.zeros((g, measures * k, measures * k))
        worth = 0.0
        for cell in range(g):
            some = slice(self.start[cell], self.start[cell + 1])
            if some.stop > some.start:
                paid = (keep[cell], contact[cell], per_cost[cell])
                total = _soft_cell(self.value[:, some], self.cost[:, some], paid, measures, use[cell], out[cell])
                worth += self.weight[cell] * total * temperature
        unit = np.array([1.0, self.unit[1], self.unit[0]])
        use *= self.weight[:, None, None] * unit[:, None]
        scale = np.repeat(unit[:measures], k)
        out += np.tril(out, -1).transpose(0, 2, 1)
        out *= scale[:, None] * scale[None, :] * (self.weight / temperature)[:, None, None]
        return worth, use.transpose(1, 0, 2), out

    def evaluator(self, rows: Rows, touch: Touch, temperature: float) -> Evaluate:
        """Value, use of the rows (m,) and Hessian (m, m) at prices (m,)."""

        def evaluate(price: Floats) -> tuple[float, Floats, Floats]:
            value, use, reaction = self.answer(rows.charges(price), temperature, touch.measures)
            return value, rows.consumption(use), touch.hessian(reaction)

        return evaluate
