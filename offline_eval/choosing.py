"""Which estimator, which interval? Chosen by the data, in ways that keep what an interval promises."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from allot import ShapeError
from offline_eval.estimate import Estimate, by_cluster, difference, effective_size
from offline_eval.intervals import FewSuccesses, Normal, Skewed, few_successes, interval, next_success, skewness
from offline_eval.log import Floats, Log

SUCCESS_FLOOR = 50.0  # weighted ones, below which nothing is supported
FEW_SUCCESSES = 100.0  # weighted ones; other intervals were measured to cover .76 at three, .939 at seventy
NEARLY = 1.2  # errors within this ratio are taken for equal
CHOICE = 1.02  # choosing by the same data costs up to three thousandths of coverage, measured: this pays for it
SKEWED = 0.05  # skewness of the value from which the normal interval is a hundredth of its level off


def choose(estimates: Sequence[Estimate], successes: float, log: Log) -> tuple[Estimate, str]:
    """The estimate to judge by, its interval, and why, in a sentence.

    Args:
        estimates: snips and, with a reward model, dr; others are passed over.
        successes: of `weighted_successes`.
        log: what they come from.
    """
    found = {e.estimator: e for e in estimates}
    snips = found["snips"]
    if successes < FEW_SUCCESSES and countable(snips):
        why = f"there are {successes:,.1f} weighted successes, on which no model can be checked"
        few, _ = fitted(snips, successes, log)
        return few, f"snips with the interval for few successes, because {why}."
    taken, why = _dr_or_snips(found.get("dr"), snips)
    if not np.isfinite(taken.std_error):
        return taken, f"{why}."
    taken, which = by_skewness(taken)
    return taken, f"{why}; {which}."


def weighted_successes(weight: Floats, log: Log) -> float:
    """How many equally weighted successes a log's weighted rewards other than 0 are worth.

    (sum w)^2 / sum w^2 over the successes, and at most what the weights of all rows make of so large a share of
    successes, share times effective sample size. The first alone is largest where no heavy row happened to succeed: a
    floor under it would let just those logs pass whose value is too low.

    Args:
        weight: (n,) of all rows.
        log: what they come from.
    """
    won = np.where(log.reward != 0, weight, 0.0)
    total = float(weight.sum())
    share = float(won.sum()) / total if total > 0 else 0.0
    return min(effective_size(won, log.cluster), share * effective_size(weight, log.cluster))


def fitted(of: Estimate, successes: float, log: Log) -> tuple[Estimate, str]:
    """An estimate with the interval that its successes and its skewness call for, and which it is, in words.

    Args:
        of: an estimate of a policy.
        successes: of `weighted_successes` under that policy.
        log: what they come from.
    """
    if successes < FEW_SUCCESSES and countable(of):
        enough = SUCCESS_FLOOR / successes if successes >= SUCCESS_FLOOR else 0.0
        return interval(of, FewSuccesses(largest_reward(log), enough)), "the interval for few successes"
    return by_skewness(of)


def reaching(of: Estimate, other: Estimate) -> Estimate:
    """An estimate whose interval holds that of another, too.

    For a reward model in a log without a success: it knows of none either, and would call its ignorance certainty.
    """
    return replace(of, low=min(of.low, other.low), high=max(of.high, other.high), interval=other.interval)


def by_skewness(of: Estimate) -> tuple[Estimate, str]:
    """An estimate or a difference with the normal interval or, where its value is skewed, with Hall's; and why."""
    skew = skewness(of)
    how, name = (Normal(), "normal") if abs(skew) <= SKEWED else (Skewed(), "skewed")
    return interval(of, how), f"the {name} interval, because the value's skewness is {skew:.2f}"


def countable(of: Estimate) -> bool:
    """Whether an estimate is a weighted count of successes: no model, and rewards of at least 0."""
    return of.terms is not None and not of.terms.base.any() and not (of.terms.numerator < 0).any()


def largest_reward(log: Log) -> float:
    """What one success may bring: the largest reward of the log; 1 where nothing was earned."""
    return float(log.reward.max()) or 1.0


def compare(first: Estimate, second: Estimate, log: Log) -> tuple[Estimate, str]:
    """first - second, paired, with the interval that the difference calls for, and why, in a sentence.

    What counts are the successes in which the two differ. Where they are few, no reward model can be checked: those in
    favour of the first and those in favour of the second are two weighted Poisson counts, and each end of the interval
    is as far away as their own ends together (method of variance estimates recovery, Zou and Donner 2008).

    Args:
        first, second: estimates from one log, e.g. of two policies by one estimator.
        log: what they come from.

    Raises:
        ShapeError: the two do not come from the same rows and customers.
    """
    gap = difference(first, second)
    if not np.isfinite(gap.std_error):
        return gap, "one of the two has no value."
    weight = _normalised(first) - _normalised(second)
    successes = effective_size(np.abs(weight * log.reward), gap.cluster)
    if successes >= FEW_SUCCESSES or log.reward.min() < 0:
        found, which = by_skewness(gap)
        return found, f"{which}."
    below, above = _distances(weight, log, gap.level)
    few = replace(gap, low=gap.value - below, high=gap.value + above, interval="few_successes")
    return few, f"the interval for few successes, because the two differ in {successes:,.1f} weighted ones."


def _normalised(of: Estimate) -> Floats:
    """(n,) what one unit of reward in each row adds to n times the value."""
    if of.terms is None:
        raise ShapeError("a difference cannot be compared.", where=of.estimator, remedy="Compare two policies.")
    return of.terms.weight / float(of.terms.denominator.mean())


def _distances(weight: Floats, log: Log, level: float) -> tuple[float, float]:
    """How far the ends of a difference lie from it: two counts, of successes with weights above and below 0."""
    n = len(weight)
    earned = by_cluster(weight * log.reward, log.cluster) / n
    ends = []
    for sign in (1.0, -1.0):
        brought = np.maximum(sign * earned, 0.0)
        next_one = next_success(np.maximum(sign * weight, 0.0)) * largest_reward(log) / n
        low, high = few_successes(brought, next_one, level)
        ends.append((float(brought.sum()) - low, high - float(brought.sum())))
    (less_for, more_for), (less_against, more_against) = ends
    return float(np.hypot(less_for, more_against)), float(np.hypot(more_for, less_against))


def _dr_or_snips(dr: Estimate | None, snips: Estimate) -> tuple[Estimate, str]:
    """DR unless it is clearly noisier; where there was a choice, with an error that pays for it.

    Taking the narrower of two nearly equal intervals means taking the one whose error is underestimated: measured,
    that costs up to a hundredth of coverage. Between nearly equal ones dr is taken with the wider error of the two.
    """
    if dr is None:
        return snips, "snips, because there is no reward model"
    ratio = dr.std_error / snips.std_error if snips.std_error > 0 else 1.0 if dr.std_error == 0 else np.inf
    if not np.isfinite(dr.std_error) or ratio > NEARLY:
        why = f"snips, because the reward model makes the interval of dr {ratio:.2f} times as wide"
        return replace(snips, std_error=CHOICE * snips.std_error), why
    if ratio < 1 / NEARLY:
        why = f"dr, because the reward model makes the interval {ratio:.2f} times as wide as that of snips"
        return replace(dr, std_error=CHOICE * dr.std_error), why
    wider = replace(dr, std_error=CHOICE * max(dr.std_error, snips.std_error))
    return wider, "dr with the wider error of dr and snips, because the two are within a fifth of each other"
