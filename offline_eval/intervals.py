"""How far may the truth be from the estimate? One word for each way to answer, and one function that applies it."""

from dataclasses import dataclass, replace
from statistics import NormalDist
from typing import Final, TypeAlias

import numpy as np

from allot import ShapeError
from offline_eval.bootstrap import REPLICATES, percentiles
from offline_eval.estimate import Estimate, by_cluster, normal_interval
from offline_eval.log import Floats

SMALLEST: Final = 0.01  # a lower end below this part of the floor is shown as 0
TINY: Final = 1e-300
HALVINGS: Final = 50


@dataclass(frozen=True, slots=True)
class Normal:
    """value -+ z standard errors: right when no few customers carry the estimate."""


@dataclass(frozen=True, slots=True)
class Skewed:
    """The normal interval after the cubic transformation that takes the skewness out (Hall 1992).

    Rare successes and large weights are skewed to the right: then it reaches further up and less far down. The
    transformation is monotone, so that the interval stays one however large the skewness.
    """


@dataclass(frozen=True, slots=True)
class Bootstrap:
    """The middle of the values on customers drawn again; see `bootstrap.replicates`."""

    seed: int
    replicates: int = REPLICATES


@dataclass(frozen=True, slots=True)
class Bernstein:
    """Holds at every sample size if each row puts in a value from `lowest` to `highest` (Maurer and Pontil 2009).

    Exact for independent rows; with customers, for customers of equally many rows. Not for self-normalised estimators.
    """

    lowest: float
    highest: float


@dataclass(frozen=True, slots=True)
class FewSuccesses:
    """For weighted counts of rare successes without a model: ips, clipped ips, snips (Fay and Feuer 1997).

    Each success is a Poisson event that brings its weight times its reward; with equal weights this is the exact
    interval of Garwood (1936), the Clopper-Pearson interval of a rare event. The upper end asks what one more success
    might have weighed. Fay and Feuer take the largest weight, so that one row far from all others sets the interval;
    the mean weight covers too little. Here it is sum w^3 / sum w^2, which was measured to cover .96 to .99.

    A value that is only shown if its successes are enough was picked for its luck where they are barely so: of the logs
    that one in a hundred gets over a floor, measured, plain intervals held the truth in three of four. The lower end
    then asks how likely so many successes are *among logs that pass*, as tests after a selection do (Fithian, Sun and
    Taylor 2014). At the floor itself it is 0, at twice the floor it is the plain one.

    Args:
        largest_reward: what one success may bring at most; decides how far up an interval reaches without successes.
        enough: the share of the successes found that would have been enough to show the value; 0 if it is always shown.
    """

    largest_reward: float = 1.0
    enough: float = 0.0


@dataclass(frozen=True, slots=True)
class AnyLook:
    """Holds at every look at once, whenever one stops (asymptotically: Waudby-Smith, Arbour, Sinha and Kennedy 2024).

    Args:
        planned: the number of customers at which it shall be narrowest.
    """

    planned: int


How: TypeAlias = Normal | Skewed | Bootstrap | Bernstein | FewSuccesses | AnyLook


def interval(of: Estimate, how: How, level: float | None = None) -> Estimate:
    """The estimate with another interval.

    Args:
        of: any estimate; a difference, too, where `how` needs no terms.
        how: Normal(), Skewed(), Bootstrap(seed), Bernstein(lowest, highest), FewSuccesses() or AnyLook(planned).
        level: share of logs whose interval holds the truth; that of the estimate unless given.

    Returns:
        The same value and standard error with low, high, level and the interval's name. The whole line where the value
        is NaN or there are fewer than two customers.

    Raises:
        ShapeError: the level is not between 0 and 1, or the interval does not fit the estimate.
    """
    level = of.level if level is None else level
    low, high = normal_interval(of.value, of.std_error, level)
    if np.isfinite(of.std_error):
        match how:
            case Normal():
                pass
            case Skewed():
                low, high = _skewed(of, level)
            case Bootstrap(seed, count):
                low, high = percentiles(of, level, seed=seed, count=count)
            case Bernstein():
                low, high = _bernstein(of, level, how)
            case FewSuccesses():
                low, high = _few_successes(of, level, how)
            case AnyLook():
                low, high = _any_look(of, level, how)
    return replace(of, low=low, high=high, level=level, interval=_NAMES[type(how)])


_NAMES: Final = {
    Normal: "normal",
    Skewed: "skewed",
    Bootstrap: "bootstrap",
    Bernstein: "bernstein",
    FewSuccesses: "few_successes",
    AnyLook: "any_look",
}


def skewness(of: Estimate) -> float:
    """Skewness of the value: that of customers' influence over the square root of their number; 0 without spread."""
    sums = by_cluster(of.influence, of.cluster)
    second = float(np.square(sums).sum())
    return float(np.sum(sums**3)) / second**1.5 if second > 0 else 0.0


def _skewed(of: Estimate, level: float) -> tuple[float, float]:
    low, high = skewed_quantiles(skewness(of), level)
    return of.value - high * of.std_error, of.value - low * of.std_error


def skewed_quantiles(skew: float, level: float) -> tuple[float, float]:
    """Where (value - truth) / error lies with chance `level` if the value's skewness is `skew`.

    Hall's cubic t + s t^2 / 3 + s^2 t^3 / 27 + s / 6 is nearly normal, s being the skewness of the value; this is its
    inverse.
    """
    z = NormalDist().inv_cdf(0.5 + level / 2)
    if abs(skew) < 1e-9:
        return -z, z
    low, high = (3 / skew * (np.cbrt(1 + skew * (y - skew / 6)) - 1) for y in (-z, z))
    return float(low), float(high)


def _bernstein(of: Estimate, level: float, how: Bernstein) -> tuple[float, float]:
    if of.terms is not None and np.ptp(of.terms.denominator) > 0:
        raise ShapeError(
            "a self-normalised estimator has no bounded rows.", where=of.estimator, remedy="Use ips or dr."
        )
    given = of.contributions
    if not (given.min() >= how.lowest and given.max() <= how.highest):
        raise ShapeError(
            f"rows put in {given.min():g} to {given.max():g}, not {how.lowest:g} to {how.highest:g}.",
            where=of.estimator,
            remedy="Give the bounds that hold for every row: the largest possible weight times the largest reward.",
        )
    values = by_cluster(given, of.cluster)
    rows = by_cluster(np.ones_like(given), of.cluster)
    m = len(values)
    scale = m / len(given)
    reach = (how.highest - how.lowest) * rows.max() * scale
    log_term = np.log(4 / (1 - level))  # two sides
    half = of.std_error * np.sqrt(2 * log_term) + 7 * reach * log_term / (3 * (m - 1))
    return of.value - half, of.value + half


def _few_successes(of: Estimate, level: float, how: FewSuccesses) -> tuple[float, float]:
    t = of.terms
    if t is None or t.base.any() or (t.numerator < 0).any():
        raise ShapeError(
            "only for rewards of at least 0 without a model.", where=of.estimator, remedy="Use ips or snips."
        )
    scale = float(t.denominator.sum())
    brought = by_cluster(t.numerator, of.cluster) / scale
    return few_successes(brought, next_success(t.weight) * how.largest_reward / scale, level, enough=how.enough)


def next_success(weight: Floats) -> float:
    """What one more success might weigh, given the weights (n,) of all rows: sum w^3 / sum w^2; 0 without weight."""
    squares = float(np.square(weight).sum())
    return float((weight**3).sum()) / squares if squares > 0 else 0.0


def few_successes(brought: Floats, next_one: float, level: float, *, enough: float = 0.0) -> tuple[float, float]:
    """The interval of Fay and Feuer (1997) around a sum of weighted Poisson events.

    Args:
        brought: (m,) what each customer's successes add to the value, at least 0.
        next_one: what one more success might add.
        level: of the interval.
        enough: see `FewSuccesses`.
    """
    from scipy.special import chdtri

    y, variance = float(brought.sum()), float(np.square(brought).sum())
    tail = (1 - level) / 2
    low = 0.0
    if y > 0:
        successes = y * y / variance
        low = y / successes * float(fewest_expected(np.array(successes), enough * successes, tail))
    up, spread = y + next_one, variance + next_one**2
    high = spread / (2 * up) * float(chdtri(2 * up * up / spread, tail)) if up > 0 else 0.0
    return low, high


def fewest_expected(successes: Floats, floor: Floats | float, tail: float) -> Floats:
    """The smallest mean of Poisson counts of which a share `tail` of those from `floor` on reaches `successes`.

    Counts need not be whole: P(count >= s) with mean m is the regularised incomplete gamma function P(s, m).

    Args:
        successes: (...) found, above 0.
        floor: (...) at most `successes`; 0 where any count is shown.
        tail: chance of so many, e.g. 0.025.
    """
    from scipy.special import gammainc, gammaincinv

    plain: Floats = gammaincinv(successes, tail)
    if not np.any(np.asarray(floor) > 0):
        return plain
    passed = np.maximum(floor, SMALLEST)
    low, high = np.log(SMALLEST * passed), np.log(np.maximum(plain, SMALLEST * passed))
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        share = gammainc(successes, np.exp(middle)) / np.maximum(gammainc(passed, np.exp(middle)), TINY)
        low, high = np.where(share < tail, middle, low), np.where(share < tail, high, middle)
    after = np.where(high > np.log(SMALLEST * passed) + 1e-9, np.exp(high), 0.0)
    return np.where(np.asarray(floor) > 0, after, plain)


def _any_look(of: Estimate, level: float, how: AnyLook) -> tuple[float, float]:
    if how.planned < 1:
        raise ShapeError(f"{how.planned} planned customers are none.", where="AnyLook")
    seen = len(by_cluster(of.influence, of.cluster))
    half = float(any_look_quantiles(np.array([seen]), how.planned, level)[0]) * of.std_error
    return of.value - half, of.value + half


def any_look_quantiles(seen: Floats, planned: float, level: float) -> Floats:
    """Half-widths in standard errors at each number of customers seen, for all looks at once.

    The mixture of normals of Robbins (1970), its spread chosen so that the interval is nearly narrowest at `planned`.
    """
    wrong = 1 - level
    information = (-2 * np.log(wrong) + np.log(-2 * np.log(wrong) + 1)) * seen / planned
    out: Floats = np.sqrt(2 * (information + 1) / information * np.log(np.sqrt(information + 1) / wrong))
    return out
