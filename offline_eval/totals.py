"""Logs larger than memory: an estimate is sums over customers, sums of blocks add up."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import reduce

import numpy as np

from allot import ShapeError
from offline_eval.estimate import LEVEL, Estimate, by_cluster, normal_interval
from offline_eval.intervals import skewed_quantiles
from offline_eval.log import Floats


@dataclass(frozen=True, slots=True, eq=False)
class Totals:
    """What an estimator's rows come to; t is a customer's (base, numerator, denominator, rows).

    Args:
        estimator: its name.
        customers: with rows; rows themselves where no customers are named.
        first: (4,) sum of t.
        second: (4, 4) sum of t t'.
        third: (4, 4, 4) sum of t t' t''.
        weight, weight_square: sums of the customers' weights and of their squares.
        largest_weight: of a row.
    """

    estimator: str
    customers: int
    first: Floats
    second: Floats
    third: Floats
    weight: float
    weight_square: float
    largest_weight: float

    def __add__(self, other: "Totals") -> "Totals":
        """Both blocks together.

        Raises:
            ShapeError: they are of two estimators.
        """
        if self.estimator != other.estimator:
            raise ShapeError(f"{self.estimator} and {other.estimator} do not add up.", where="totals")
        return Totals(
            self.estimator,
            self.customers + other.customers,
            self.first + other.first,
            self.second + other.second,
            self.third + other.third,
            self.weight + other.weight,
            self.weight_square + other.weight_square,
            max(self.largest_weight, other.largest_weight),
        )


@dataclass(frozen=True, slots=True)
class Figures:
    """An estimate without its rows: see `Estimate`, and the value's skewness."""

    estimator: str
    value: float
    std_error: float
    low: float
    high: float
    ess: float
    largest_weight: float
    skewness: float
    rows: int


def totals(of: Estimate) -> Totals:
    """The sums of one block of a log. A customer's rows must all be in one block.

    Raises:
        ShapeError: the estimate is a difference.
    """
    if of.terms is None:
        raise ShapeError("a difference has no totals.", where=of.estimator, remedy="Take those of both sides.")
    t = of.terms
    parts = (t.base, t.numerator, t.denominator, np.ones_like(t.base))
    each = np.column_stack([by_cluster(p, t.cluster) for p in parts])
    products = (each[:, :, None] * each[:, None, :]).reshape(len(each), 16)
    weight = by_cluster(t.weight, t.cluster)
    return Totals(
        of.estimator,
        len(each),
        each.sum(axis=0),
        each.T @ each,
        (products.T @ each).reshape(4, 4, 4),
        float(weight.sum()),
        float(np.square(weight).sum()),
        of.largest_weight,
    )


def combined(blocks: Iterable[Totals], *, level: float = LEVEL, skewed: bool = False) -> Figures:
    """The estimate on all blocks together: what the whole log would have given, to rounding.

    Errors come from sums of squares: where the rewards' mean is more than a million times their spread, take the mean
    out first.

    Args:
        blocks: totals of one estimator.
        level: of the interval.
        skewed: the interval of `Skewed` instead of the normal one.

    Raises:
        ShapeError: no block, several estimators, or a level that is not between 0 and 1.
    """
    given = list(blocks)
    if not given:
        raise ShapeError("there are no blocks.", where="combined")
    t = reduce(Totals.__add__, given)
    base, numerator, denominator, rows = t.first
    scale = denominator / rows
    ess = t.weight**2 / t.weight_square if t.weight_square > 0 else 0.0
    if scale <= 0:
        return Figures(t.estimator, np.nan, np.inf, -np.inf, np.inf, ess, t.largest_weight, 0.0, int(rows))
    ratio = numerator / denominator
    value = float(base / rows + ratio)
    # A customer's influence is linear in t, so its squares and cubes are forms in their sums.
    pull = np.array([1.0, 1 / scale, -ratio / scale, -base / rows])
    second = max(float(pull @ t.second @ pull), 0.0)
    third = float(np.einsum("ijk,i,j,k->", t.third, pull, pull, pull))
    m = t.customers
    std_error = float(np.sqrt(m / (m - 1) * second) / rows) if m > 1 else np.inf
    skew = third / second**1.5 if second > 0 else 0.0
    low, high = normal_interval(value, std_error, level)
    if skewed and np.isfinite(std_error):
        below, above = skewed_quantiles(skew, level)
        low, high = value - above * std_error, value - below * std_error
    return Figures(t.estimator, value, std_error, low, high, ess, t.largest_weight, skew, int(rows))
