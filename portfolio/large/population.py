"""Everybody, as given: the arrays of a problem, a fingerprint of every customer, and fair samples.

Samples are drawn by the fingerprint, a hash of the customer's numbers. So they, and with them every price, do not
depend on the order in which customers were given.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from allot.uniform_kernels import mix
from portfolio.limits import Floats, Problem, check_finite

_ODD = np.uint64(0x9E3779B97F4A7C15)
_LEAST = 64  # customers of every cell in a sample, where there are so many
_SUM_BITS = 61  # sums of fixed-point numbers stay inside 64 bits


@njit(cache=True, nogil=True)
def _survey(value_bits: Any, cost_bits: Any, eligible: Any, odd: Any, ends: Any, key: Any, largest: Any) -> None:
    """Hashes rows into `key`; `largest` (2, n) becomes each row's largest magnitudes, as bits: ordered like numbers.

    `ends` is 0 and the mask of all bits but the sign.
    """
    n, k = eligible.shape
    zero, magnitude = ends[0], ends[1]
    for i in range(n):
        h = zero
        v = zero
        c = zero
        for a in range(k):
            x = value_bits[i, a] if eligible[i, a] else zero
            y = cost_bits[i, a] if eligible[i, a] else zero
            h += x * odd[0, a] + y * odd[1, a] + (odd[2, a] if eligible[i, a] else zero)
            v = max(v, x & magnitude)
            c = max(c, y & magnitude)
        key[i] = mix(np.uint64(h))
        largest[0, i] = v
        largest[1, i] = c


@njit(cache=True, nogil=True)
def _drawn(key: Any, cell: Any, highest: Any, some: Any) -> int:
    """Writes the customers whose key is at most the highest of their cell into `some`; how many they are."""
    many = 0
    for i in range(len(key)):
        some[many] = i
        many += key[i] <= highest[cell[i]]
    return many


@dataclass(frozen=True, slots=True)
class Population:
    """Customers as they were given; nothing is copied that need not be.

    Args:
        value, cost: (n, k) C-contiguous float32 or float64; finite where eligible.
        eligible: (n, k) bool.
        cell: (n,) int64.
        n_cells: how many cells there are.
        key: (n,) uint64 fingerprints.
        largest: the largest absolute value and cost of the whole population that this is (a part of).
        size: customers of that whole population.
        typical: mean over customers of the largest absolute value that each could get; 1 where there is none.
    """

    value: NDArray[np.floating]
    cost: NDArray[np.floating]
    eligible: NDArray[np.bool_]
    cell: NDArray[np.int64]
    n_cells: int
    key: NDArray[np.uint64]
    largest: tuple[float, float]
    size: int
    typical: float

    @classmethod
    def of(cls, problem: Problem) -> "Population":
        """Everybody of a problem.

        Raises:
            ShapeError: an eligible value or cost is not finite.
        """
        value, cost = _plain(problem.value, problem.cost)
        eligible = np.ascontiguousarray(problem.eligible)
        word = np.uint32 if value.dtype == np.float32 else np.uint64
        n, k = value.shape
        key, largest = np.empty(n, np.uint64), np.zeros((2, n), word)
        odd = (_ODD * (2 * np.arange(3 * k, dtype=np.uint64) + np.uint64(1))).reshape(3, k)
        ends = np.array([0, np.iinfo(word).max // 2], word)
        _survey(value.view(word), cost.view(word), eligible, odd.astype(word), ends, key, largest)
        size = largest.view(value.dtype)
        if not np.isfinite(size).all():
            check_finite(problem)
        top = size.max(1, initial=0.0).astype(np.float64)
        mean = _ordered_mean(size[0])
        cell = np.ascontiguousarray(problem.cell, np.int64)
        typical = mean if mean > 0 else 1.0
        return cls(value, cost, eligible, cell, problem.n_cells, _told_apart(key), (top[0], top[1]), n, typical)

    def sample(self, size: int) -> tuple[NDArray[np.int64], Floats]:
        """About `size` customers, of every cell the share that they are of it.

        Returns:
            Customers (s,) in the order of cells and keys, and how many each of a cell stands for (n_cells,).
        """
        n = len(self.cell)
        count = np.bincount(self.cell, minlength=self.n_cells)
        share = np.minimum(1.0, np.maximum(size / max(n, 1), _LEAST / np.maximum(count, 1)))
        highest = np.full(self.n_cells, ~np.uint64(0))
        highest[share < 1.0] = share[share < 1.0] * 2.0**64
        some = np.empty(n, np.int64)
        inside = some[: _drawn(self.key, self.cell, highest, some)]
        some = inside[np.argsort(self.key[inside])]  # equal keys are equal customers
        some = some[np.argsort(self.cell[some].astype(np.min_scalar_type(self.n_cells)), kind="stable")]
        return some, count / np.maximum(np.bincount(self.cell[some], minlength=self.n_cells), 1)

    def over(self, n_cells: int) -> "Population":
        """The same among more cells, the new ones empty."""
        return replace(self, n_cells=n_cells)

    def part(self, rows: slice) -> "Population":
        """Some of the customers, to be counted together with the others."""
        return replace(
            self,
            value=self.value[rows],
            cost=self.cost[rows],
            eligible=self.eligible[rows],
            cell=self.cell[rows],
            key=self.key[rows],
        )

    def scales(self) -> tuple[float, float]:
        """Powers of two that make values and costs whole numbers whose sums over the population fit into 64 bits.

        They depend on the whole population alone, so sums over parts add up to the same bits as the sum over it.
        """
        bits = _SUM_BITS - int(np.ceil(np.log2(max(self.size, 1))))
        cost, value = (2.0 ** (bits - int(np.ceil(np.log2(x)))) if x > 0 else 1.0 for x in reversed(self.largest))
        return cost, value


def _told_apart(key: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Fingerprints that differ between equal customers too, where they are many: else a sample takes all or none."""
    crowd = np.bincount((key >> np.uint64(48)).astype(np.int64), minlength=1 << 16)
    usual = len(key) / (1 << 16)
    if crowd.max(initial=0) <= 32 + usual + 8 * np.sqrt(usual):
        return key
    order = np.argsort(key, kind="stable")
    ordered = key[order]
    first = np.concatenate(([True], ordered[1:] != ordered[:-1]))
    at = np.arange(len(key))
    which = at - np.maximum.accumulate(np.where(first, at, 0))
    out = np.empty_like(key)
    _remix(ordered, which.astype(np.uint64))
    out[order] = ordered
    return out


@njit(cache=True, nogil=True)
def _remix(key: Any, which: Any) -> None:
    for i in range(len(key)):
        key[i] = mix(key[i] + which[i] * _ODD)


def _plain(value: NDArray[np.floating], cost: NDArray[np.floating]) -> tuple[NDArray[np.floating], ...]:
    """Both C-contiguous, both float32 or both float64: themselves if they are."""
    single = value.dtype == np.float32 and cost.dtype == np.float32
    kind = np.float32 if single else np.float64
    return np.ascontiguousarray(value, kind), np.ascontiguousarray(cost, kind)


def _ordered_mean(size: NDArray[np.floating]) -> float:
    """Mean that does not depend on the order: the largest is scaled to 32 bits, and whole numbers are summed."""
    top = float(size.max(initial=0.0))
    if top == 0.0:
        return 0.0
    whole = np.rint(size.astype(np.float64) * (2.0**31 / top)).astype(np.int64)
    return float(whole.sum()) * top / 2.0**31 / len(size)
