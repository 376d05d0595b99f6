"""A sample answering softly: choices by a soft maximum at a temperature, so that Newton's method finds prices.

In single precision, in tiles that stay in the cache: a tile is a few customers of one cell, one lane each, offer by
offer, so that everything is done by vector instructions. Good for prices to a thousandth of a score; the rest is done
exactly on those few who are nearly indifferent.
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

_TILE = 64
_BATCH = 256  # customers whose reaction is added up at once
_FAST = {"contract", "reassoc", "nsz", "nnan", "ninf"}
_SURE = np.float32(0.9999)  # who chooses with a higher probability does not react
_ABSENT = np.float32(-1e30)  # the value of an offer that is not eligible, or of nobody
_ZERO, _ONE = np.float32(0.0), np.float32(1.0)
_LOG2E, _HALF, _LOWEST = np.float32(1.4426950408889634), np.float32(0.5), np.float32(-80.0)
# 2^x on [-1/2, 1/2], the Taylor series to 1e-7
_E1, _E2, _E3 = np.float32(0.69314718), np.float32(0.24022651), np.float32(0.05550411)
_E4, _E5, _E6 = np.float32(0.00961813), np.float32(0.00133336), np.float32(0.00015404)


@njit(cache=True, nogil=True, fastmath=_FAST, error_model="numpy")
def _exponential(x: Any) -> Any:
    """exp(x) for x <= 0, at least exp(-80): a power of two made of its bits, times a polynomial."""
    y = max(x, _LOWEST) * _LOG2E
    whole = np.floor(y + _HALF)
    y -= whole
    power = np.int32((np.int32(whole) + np.int32(127)) << np.int32(23)).view(np.float32)
    return power * (_ONE + y * (_E1 + y * (_E2 + y * (_E3 + y * (_E4 + y * (_E5 + y * _E6))))))


@njit(cache=True, nogil=True, fastmath=_FAST, error_model="numpy")
def _weigh(value: Any, cost: Any, keep: Any, contact: Any, per_cost: Any, weight: Any, none: Any, mass: Any) -> Any:
    """Weights (k, b) of a tile's offers, their sum's inverse (b,), and the probability of no offer (b,).

    Returns the sum of the soft maxima, in temperatures.
    """
    top = none
    top[:] = _ZERO
    for a in range(len(value)):
        line, v, c = weight[a], value[a], cost[a]
        kept, paid, rate = keep[a], contact[a], per_cost[a]
        for b in range(_TILE):
            x = v[b] * kept - paid - rate * c[b]
            x = x if v[b] > _ABSENT else _ABSENT
            line[b] = x
            top[b] = max(top[b], x)
    worth: Any = _ZERO
    for b in range(_TILE):
        worth += top[b]
        mass[b] = _exponential(-top[b])
    for a in range(len(value)):
        line = weight[a]
        for b in range(_TILE):
            x = _exponential(line[b] - top[b])
            line[b] = x
            mass[b] += x
    product = 1.0  # at most (k + 1)^64: one logarithm for all
    for b in range(_TILE):
        product *= mass[b]
    for b in range(_TILE):
        mass[b] = _ONE / mass[b]
        none[b] = _exponential(-top[b]) * mass[b]
    return worth + np.log(product)


@njit(cache=True, nogil=True, fastmath=_FAST, error_model="numpy")
def _choose(value: Any, cost: Any, chance: Any, inverse: Any, sure: Any, use: Any) -> None:
    """From weights to probabilities; adds their use (3, k); `sure` (b,) becomes the largest, no offer's included."""
    for a in range(len(value)):
        line, v, c = chance[a], value[a], cost[a]
        count, paid, gained = _ZERO, _ZERO, _ZERO
        for b in range(_TILE):
            x = line[b] * inverse[b]
            line[b] = x
            count += x
            paid += x * c[b]
            gained += x * (v[b] if v[b] > _ABSENT else _ZERO)
        for b in range(_TILE):
            sure[b] = max(sure[b], line[b])
        use[0, a] += count
        use[1, a] += paid
        use[2, a] += gained


@njit(cache=True, nogil=True, fastmath=_FAST, error_model="numpy")
def _collect(value: Any, cost: Any, chance: Any, some: Any, measures: Any, amount: Any, out: Any) -> None:
    """Expected amounts (t k, s) of the lanes `some`; adds to `out` (t k, t k) what comes of each offer by itself."""
    k = len(value)
    weight = np.ones((3, _TILE), np.float32)
    total: Any
    for a in range(k):
        for j in range(len(some)):
            v = value[a, some[j]]
            weight[1, j] = cost[a, some[j]]
            weight[2, j] = v if v > _ABSENT else _ZERO
        for s in range(measures):
            line, w = amount[s * k + a], weight[s]
            for j in range(len(some)):
                line[j] = chance[a, some[j]] * w[j]
            for t in range(s + 1):
                w = weight[t]
                total = _ZERO
                for j in range(len(some)):
                    total += line[j] * w[j]
                out[s * k + a, t * k + a] += total


@njit(cache=True, nogil=True, fastmath=_FAST, error_model="numpy")
def _react(amount: Any, filled: Any, out: Any) -> None:
    """Takes amount (w, s) times itself from `out` (w, w), w a multiple of 4; only what is below the diagonal counts.

    Four rows by two: eight sums at a time, so that numbers are read once for several products.
    """
    for i in range(0, len(amount), 4):
        x0, x1, x2, x3 = amount[i], amount[i + 1], amount[i + 2], amount[i + 3]
        for j in range(0, i + 4, 2):
            y0, y1 = amount[j], amount[j + 1]
            s00, s10, s20, s30 = _ZERO, _ZERO, _ZERO, _ZERO
            s01, s11, s21, s31 = _ZERO, _ZERO, _ZERO, _ZERO
            for b in range(filled):
                y, z = y0[b], y1[b]
                s00 += x0[b] * y
                s10 += x1[b] * y
                s20 += x2[b] * y
                s30 += x3[b] * y
                s01 += x0[b] * z
                s11 += x1[b] * z
                s21 += x2[b] * z
                s31 += x3[b] * z
            for row, (y, z) in enumerate(((s00, s01), (s10, s11), (s20, s21), (s30, s31))):
                out[i + row, j] -= y
                out[i + row, j + 1] -= z


@njit(cache=True, nogil=True)
def _soften(tiles: Any, charges: Any, measures: Any, worth: Any, use: Any, out: Any) -> None:
    """Adds softened value (g,), use (g, 3, k) and reaction (g, w, w) of every tile to those of its cell."""
    value, cost, cell = tiles
    keep, contact, per_cost = charges
    chance = np.empty(value.shape[1:], np.float32)
    none, mass = np.empty(_TILE, np.float32), np.empty(_TILE, np.float32)
    some = np.empty(_TILE, np.int64)
    amount = np.zeros((out.shape[1], _BATCH), np.float32)
    filled = 0
    for tile in range(len(cell)):
        g = cell[tile]
        v, c = value[tile], cost[tile]
        worth[g] += _weigh(v, c, keep[g], contact[g], per_cost[g], chance, none, mass)
        _choose(v, c, chance, mass, none, use[g])
        many = 0
        for b in range(_TILE):
            some[many] = b
            many += none[b] < _SURE
        _collect(v, c, chance, some[:many], measures, amount[:, filled:], out[g])
        filled += many
        if filled > _BATCH - _TILE or tile + 1 == len(cell) or cell[tile + 1] != g:
            _react(amount, filled, out[g])
            filled = 0


@njit(cache=True, nogil=True, error_model="numpy")
def _lay(crowd: Any, some: Any, place: Any, per_unit: Any, value: Any, cost: Any) -> None:
    """Puts the customers `some` into lanes `place`, values and costs in units."""
    for j in range(len(some)):
        v, c, eligible = crowd[0][some[j]], crowd[1][some[j]], crowd[2][some[j]]
        tile, lane = place[j] // _TILE, place[j] % _TILE
        for a in range(len(v)):
            value[tile, a, lane] = v[a] * per_unit[0] if eligible[a] else _ABSENT
            cost[tile, a, lane] = c[a] * per_unit[1] if eligible[a] else _ZERO


@dataclass(frozen=True, slots=True)
class SoftSample:
    """A sample in tiles, in units of a typical value and of the largest cost.

    Args:
        value, cost: (tiles, k, 64) float32; -1e30 and 0 where not eligible, and where there is nobody.
        cell: (tiles,) ascending.
        weight: (g,) how many customers each of a cell stands for.
        unit: (typical value, largest cost), currency units.
        size: customers in the sample.
    """

    value: NDArray[np.float32]
    cost: NDArray[np.float32]
    cell: NDArray[np.int64]
    weight: Floats
    unit: tuple[float, float]
    size: int

    @classmethod
    def of(cls, population: Population, size: int) -> "SoftSample":
        """About `size` customers of a population."""
        some, weight = population.sample(size)
        unit = (population.typical, population.largest[1] if population.largest[1] > 0 else 1.0)
        count = np.bincount(population.cell[some], minlength=population.n_cells)
        tiles = -(-count // _TILE)
        skipped = np.cumsum(_TILE * tiles - count) - (_TILE * tiles - count)  # lanes left empty before each cell
        place = np.arange(len(some)) + np.repeat(skipped, count)
        shape = (int(tiles.sum()), population.value.shape[1], _TILE)
        per_unit = (1.0 / unit[0], 1.0 / unit[1])
        value, cost = np.full(shape, _ABSENT, np.float32), np.zeros(shape, np.float32)
        _lay((population.value, population.cost, population.eligible), some, place, per_unit, value, cost)
        return cls(value, cost, np.repeat(np.arange(len(tiles)), tiles), weight, unit, len(some))

    def over(self, n_cells: int) -> "SoftSample":
        """The same among more cells, the new ones empty."""
        return replace(self, weight=np.concatenate((self.weight, np.ones(n_cells - len(self.weight)))))

    def per_pair(self) -> tuple[float, float]:
        """Mean absolute cost and value of an eligible pair, currency units."""
        there = self.value > _ABSENT
        pairs = max(int(np.count_nonzero(there)), 1)
        cost = float(np.abs(self.cost).sum(dtype=np.float64))
        value = float(np.abs(self.value[there]).sum(dtype=np.float64))
        return cost / pairs * self.unit[1], value / pairs * self.unit[0]

    def answer(self, charges: Floats, temperature: float, measures: int) -> tuple[float, Floats, Floats]:
        """Softened value, use (3, g, k) and reaction (g, t k, t k) of the population, in currency units.

        Args:
            charges: (3, g, k).
            temperature: currency units.
            measures: t, how many measures the limits speak of.
        """
        k, g = self.value.shape[1], len(self.weight)
        keep = (1.0 - charges[2]) * (self.unit[0] / temperature)
        per_cost = charges[1] * (self.unit[1] / temperature)
        paid = tuple(x.astype(np.float32) for x in (keep, charges[0] / temperature, per_cost))
        width = measures * k
        worth, use = np.zeros(g), np.zeros((g, 3, k))
        out = np.zeros((g, -4 * (-width // 4), -4 * (-width // 4)))
        _soften((self.value, self.cost, self.cell), paid, measures, worth, use, out)
        unit = np.array([1.0, self.unit[1], self.unit[0]])
        use *= self.weight[:, None, None] * unit[:, None]
        out = np.tril(out[:, :width, :width])
        out += np.tril(out, -1).transpose(0, 2, 1)
        scale = np.repeat(unit[:measures], k)
        out *= scale[:, None] * scale * (self.weight / temperature)[:, None, None]
        return float(np.sum(self.weight * worth)) * temperature, use.transpose(1, 0, 2), out

    def evaluator(self, rows: Rows, touch: Touch, temperature: float) -> Evaluate:
        """Value, use of the rows (m,) and Hessian (m, m) at prices (m,)."""

        def evaluate(price: Floats) -> tuple[float, Floats, Floats]:
            value, use, reaction = self.answer(rows.charges(price), temperature, touch.measures)
            return value, rows.consumption(use), touch.hessian(reaction)

        return evaluate
