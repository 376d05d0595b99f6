"""A value with its interval. Every estimator is a mean plus a ratio, so errors, parts and comparisons live here.

value = mean(base) + mean(numerator) / mean(denominator). Its influence values (the delta method for the ratio) have
mean zero, and their spread between customers is the standard error.
"""

from dataclasses import dataclass, replace
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from allot import ShapeError
from offline_eval.log import Floats, Integers

LEVEL = 0.95


@dataclass(frozen=True, slots=True, eq=False)
class Terms:
    """Per-row ingredients of an estimate; all (n,) float64 to be read only, except cluster (n,) int64 or None.

    Args:
        base: averaged plainly: what a reward model expects of the target; 0 without a model.
        numerator: the weighted rewards, or weighted errors of the model.
        denominator: 1, or the weights where the estimator normalises by their mean.
        weight: the raw weights, for diagnosis only.
        cluster: the customer of each row.
    """

    base: Floats
    numerator: Floats
    denominator: Floats
    weight: Floats
    cluster: Integers | None


@dataclass(frozen=True, slots=True, eq=False)
class Estimate:
    """What a policy would have earned per decision, and how sure we are.

    Where no logged action has any probability under the target, a self-normalised estimate is 0/0: its value is NaN and
    its interval is the whole line. With fewer than two customers the interval is the whole line, too.

    Args:
        estimator: its name, e.g. "dr".
        value: mean reward per decision, in the rewards' unit.
        std_error: of the value, between customers.
        low, high: an interval that holds the truth in a share `level` of all logs.
        ess: effective sample size of the raw weights (Kish 1965), in customers where the log names them, else in rows.
        largest_weight: of the raw weights.
        influence: (n,) each row's pull on the value; mean 0.
        contributions: (n,) what each row puts in; their mean is the value.
        cluster: (n,) the customer of each row, or None.
        terms: what it was made of; None for a difference.
        level: of the interval.
        interval: how it was made: "normal" unless `interval` or `evaluate` chose another.
    """

    estimator: str
    value: float
    std_error: float
    low: float
    high: float
    ess: float
    largest_weight: float
    influence: Floats
    contributions: Floats
    cluster: Integers | None
    terms: Terms | None = None
    level: float = LEVEL
    interval: str = "normal"

    def at(self, level: float) -> "Estimate":
        """The same estimate with a normal interval of another level, e.g. 0.9.

        Raises:
            ShapeError: the level is not between 0 and 1.
        """
        low, high = normal_interval(self.value, self.std_error, level)
        return replace(self, low=low, high=high, level=level, interval="normal")

    def named(self, estimator: str) -> "Estimate":
        """The same estimate under another name."""
        return replace(self, estimator=estimator)


def by_cluster(values: Floats, cluster: Integers | None) -> Floats:
    """Sums of (n,) values per customer that has rows, or the values themselves where no customers are named."""
    if cluster is None:
        return values
    sums: Floats = np.bincount(cluster, values).astype(np.float64)
    present = np.bincount(cluster) > 0  # a part of a log leaves gaps in the numbering
    return sums[present]


def effective_size(weight: Floats, cluster: Integers | None) -> float:
    """How many equally weighted customers (or rows) these weights are worth: (sum w)^2 / sum w^2; 0 without weight."""
    total = by_cluster(weight, cluster)
    squares = float(np.square(total).sum())
    return float(total.sum()) ** 2 / squares if squares > 0 else 0.0


def standard_error(influence: Floats, cluster: Integers | None) -> float:
    """Standard error of a mean whose (n,) influence values sum to 0, rows of one customer being dependent.

    The sandwich of cluster sums with the factor m / (m - 1) for m customers; infinite for fewer than two.
    """
    sums = by_cluster(influence, cluster)
    m = len(sums)
    if m < 2:
        return np.inf
    return float(np.sqrt(m / (m - 1) * np.square(sums).sum()) / len(influence))


def normal_interval(value: float, std_error: float, level: float) -> tuple[float, float]:
    """The normal interval around a value."""
    if not 0 < level < 1:
        raise ShapeError(f"the level {level:g} of an interval is not between 0 and 1.", remedy="0.95 is usual.")
    if not np.isfinite(std_error):
        return -np.inf, np.inf
    half = NormalDist().inv_cdf(0.5 + level / 2) * std_error
    return value - half, value + half


def estimate(name: str, terms: Terms) -> Estimate:
    """The value, influence and interval that follow from an estimator's terms."""
    scale = float(terms.denominator.mean())
    n = len(terms.base)
    if scale > 0:
        contributions = terms.base + terms.numerator / scale
        ratio = float(terms.numerator.mean()) / scale
        value = float(contributions.mean())
        influence = contributions - value
        influence -= (ratio / scale) * (terms.denominator - scale)
        std_error = standard_error(influence, terms.cluster)
    else:
        contributions = influence = np.full(n, np.nan)
        value, std_error = np.nan, np.inf
    low, high = normal_interval(value, std_error, LEVEL)
    return Estimate(
        estimator=name,
        value=value,
        std_error=std_error,
        low=low,
        high=high,
        ess=effective_size(terms.weight, terms.cluster),
        largest_weight=float(terms.weight.max()),
        influence=influence,
        contributions=contributions,
        cluster=terms.cluster,
        terms=terms,
    )


def part(of: Estimate, rows: NDArray[np.bool_]) -> Estimate:
    """The same estimator on some of the rows, e.g. one segment; self-normalised estimators normalise within the part.

    Args:
        of: an estimate over n rows, not a difference (take the difference of the parts).
        rows: (n,) bool, at least one True.

    Raises:
        ShapeError: rows does not fit, is empty, or the estimate is a difference.
    """
    if of.terms is None:
        raise ShapeError("a difference cannot be cut.", where=of.estimator, remedy="Cut both sides, then compare.")
    if rows.shape != of.influence.shape or rows.dtype != np.bool_ or not rows.any():
        raise ShapeError(f"rows must be ({len(of.influence)},) bool with at least one True.", where=of.estimator)
    t = of.terms
    cluster = None if t.cluster is None else t.cluster[rows]
    cut = Terms(t.base[rows], t.numerator[rows], t.denominator[rows], t.weight[rows], cluster)
    return estimate(of.estimator, cut).at(of.level)


def difference(first: Estimate, second: Estimate) -> Estimate:
    """first - second on the same rows: paired, so that what the two share cancels.

    Args:
        first, second: estimates from one log, e.g. of two policies by one estimator.

    Returns:
        The difference, at the level of the first; ess is the smaller, largest_weight the larger of the two.

    Raises:
        ShapeError: the two do not come from the same rows and customers.
    """
    one, other = first.cluster, second.cluster
    same = (one is None) == (other is None) and (one is None or other is None or np.array_equal(one, other))
    if first.influence.shape != second.influence.shape or not same:
        raise ShapeError(
            f"{first.estimator} has {len(first.influence):,} rows, {second.estimator} {len(second.influence):,}, "
            "or their customers differ.",
            remedy="Compare estimates that come from one log.",
        )
    influence = first.influence - second.influence
    value = first.value - second.value
    std_error = standard_error(influence, one) if np.isfinite(value) else np.inf
    low, high = normal_interval(value, std_error, first.level)
    return Estimate(
        estimator=f"{first.estimator} - {second.estimator}",
        value=value,
        std_error=std_error,
        low=low,
        high=high,
        ess=min(first.ess, second.ess),
        largest_weight=max(first.largest_weight, second.largest_weight),
        influence=influence,
        contributions=first.contributions - second.contributions,
        cluster=one,
        level=first.level,
    )
