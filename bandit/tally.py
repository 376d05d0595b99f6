"""Sums over customers that are equal to the bit whatever the order, the blocks, the threads or the partition.

Every customer's contribution is rounded to a multiple of a power of two, and multiples are added as integers. The power
follows from what is known before anybody is asked: how large contributions can be at most, and of how many customers.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from bandit.scores import Floats, Outside, Scores

STEEPEST = 2.0**24
"""Beyond this many per largest value of a success, a customer's reaction to charges counts as no steeper."""

FINER = 2.0**30
"""What curvature leaves of a whole unit is counted in so many parts."""

PAIRS = ((0, 0), (0, 1), (1, 1), (0, 2), (1, 2), (2, 2))
"""The measures (contacts, cost, worth) that the tables of curvature are weighted by."""

_WEIGHT_UNITS = 1024  # weights are bounded in whole parts of 1: a bound that does not depend on the order either
_BITS = 61  # of 63: sums stay far from overflowing, rounding included


@dataclass(frozen=True, slots=True)
class Extent:
    """How large one customer's contributions can be, and of how many customers.

    Attributes:
        score: largest size of a score before charges, currency units.
        margin: largest size of what a success is worth, currency units.
        cost, worth: largest size of what an eligible pair consumes.
        weight: an upper bound of the sum of weights, in parts of 1/1024.
    """

    score: float
    margin: float
    cost: float
    worth: float
    weight: int

    @staticmethod
    def joined(parts: "Sequence[Extent]") -> "Extent":
        """The extent of several partitions together."""
        score, margin, cost, worth = np.array([(x.score, x.margin, x.cost, x.worth) for x in parts]).max(0).tolist()
        return Extent(score, margin, cost, worth, sum(x.weight for x in parts))


@dataclass(frozen=True, slots=True)
class Scale:
    """The powers of two that contributions are multiplied by before they are rounded.

    Attributes:
        value: of expected maxima.
        use: (3,) of contacts, cost and worth.
        curvature: (6,) of the pairs of measures, and `steepest`, at which rates are cut off.
    """

    value: float
    use: NDArray[np.float64]
    curvature: NDArray[np.float64]
    steepest: float


@dataclass(frozen=True, slots=True)
class Tally:
    """Exact sums over some customers, in units of 1 / scale; `bandit.consumption.Consumption` says of what.

    Attributes:
        value: whole number.
        use: (3, g, k) int64.
        curvature: (12, g, k, k) int64 or None: six tables in units of 1 / scale, then what is left, finer by `FINER`.
        residual: the largest error that a customer's certificate leaves.
        scale: the same for all that are added.
    """

    value: int
    use: NDArray[np.int64]
    curvature: NDArray[np.int64] | None
    residual: float
    scale: Scale

    def plus(self, other: "Tally") -> "Tally":
        """The sums over both."""
        curved = None
        if self.curvature is not None and other.curvature is not None:
            curved = self.curvature + other.curvature
        worst = max(self.residual, other.residual)
        return Tally(self.value + other.value, self.use + other.use, curved, worst, self.scale)


def extent_of(scores: Scores, cost: Floats, worth: Floats, weight: Floats | None) -> Extent:
    """What contributions of these customers are bounded by.

    Args:
        scores: (n, k).
        cost, worth: (n, k) what a contact consumes.
        weight: (n,) how many customers each row stands for; None = 1.
    """
    outside = scores.outside
    none = outside.value if isinstance(outside, Outside) else outside
    margin = max(_largest(scores.value, scores.eligible), _size(none) if isinstance(outside, Outside) else 0.0)
    score = margin + _largest(scores.fee, scores.eligible) + _size(none)
    units = len(cost) * _WEIGHT_UNITS if weight is None else int(np.ceil(weight * _WEIGHT_UNITS).sum(dtype=np.int64))
    return Extent(score, margin, _largest(cost, scores.eligible), _largest(worth, scores.eligible), units)


def _size(x: Floats | float) -> float:
    return float(np.abs(x).max(initial=0.0)) if np.ndim(x) else abs(float(x))


def _largest(table: Floats, eligible: NDArray[np.bool_]) -> float:
    """Largest size among eligible pairs."""
    return _size(table) if table.ndim == 1 else float(_largest_eligible(table, eligible))


@njit(cache=True, nogil=True)
def _largest_eligible(table: Any, eligible: Any) -> Any:
    largest = 0.0
    for i in range(len(table)):
        for a in range(table.shape[1]):
            size = abs(table[i, a])
            if eligible[i, a] and (size > largest or np.isnan(size)):  # what is not a number stays
                largest = size
    return largest


def scale_of(extent: Extent, charges: NDArray[np.float64]) -> Scale:
    """The scale of sums at these charges (3, g, k)."""
    weight = max(extent.weight, 1) / _WEIGHT_UNITS
    per_contact, per_cost, per_worth = np.abs(charges).max((1, 2), initial=0.0)
    score = extent.score + per_contact + per_cost * extent.cost + per_worth * extent.worth
    measures = np.array([1.0, extent.cost, extent.worth])
    steepest = STEEPEST / extent.margin if extent.margin > 0 else STEEPEST
    steepest_sum = weight * steepest * charges.shape[2]  # a customer's reaction to an offer goes to all the others
    pairs = [measures[a] * measures[b] for a, b in PAIRS]
    return Scale(
        value=_power(weight * score),
        use=np.array([_power(weight * x) for x in measures]),
        curvature=np.array([_power(steepest_sum * x) for x in pairs]),
        steepest=steepest,
    )


def _power(bound: float) -> float:
    """The largest power of two that keeps integers of this size in range; 1 where there is nothing to bound."""
    if not (0.0 < bound < math.inf):
        return 1.0
    return 2.0 ** min(max(_BITS - math.frexp(bound)[1], -900), 900)
