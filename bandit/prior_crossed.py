"""What the prior would have said of the rows of its own log, had it not seen them."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from bandit.calibration import Calibration, Lines, fit_lines
from bandit.folds import time_folds
from bandit.prior import Prior, pair_scores
from bandit.prior_trees import TrainingData

Floats: TypeAlias = NDArray[np.float64]
Progress: TypeAlias = Callable[[str, float], None]

_FOLDS = 5
_PAIRS_AT_ONCE = 200_000


@dataclass(frozen=True, slots=True, eq=False)
class Crossed:
    """Trees that each saw all folds of the log but one.

    `fold` (r,); `boosters` by fold, None where the other folds' outcomes are of one kind; `common` (r,) the logit of
    the arm that was shown, by the trees that did not see the row, in a calibration that all arms share.
    """

    fold: NDArray[np.int64]
    boosters: tuple[Any, ...]
    common: Floats


def cross_fit(data: TrainingData, trees: int, calibration: Calibration, say: Progress) -> Crossed:
    """Grow so many trees once without each fold."""
    log = data.log
    fold = time_folds(log.decided_at, log.customer_key, folds=_FOLDS)
    boosters: list[Any] = []
    common = np.empty(len(fold))
    for f in range(_FOLDS):
        say("cross-fitting", 0.3 + 0.7 * f / _FOLDS)
        inside, outside = np.flatnonzero(fold == f), np.flatnonzero(fold != f)
        alike = one_class(log.outcome[outside])
        boosters.append(None if alike else data.train(outside, trees))
        if alike:
            common[inside] = calibration(smoothed_logit(log.outcome[outside], log.weights[outside]))
        elif len(inside):
            common[inside] = calibration(boosters[f].predict(data.matrix[inside], raw_score=True))
    return Crossed(fold, tuple(boosters), common)


def arm_lines(data: TrainingData, crossed: Crossed, warm: NDArray[np.bool_], rows: NDArray[np.bool_]) -> Lines:
    """The warm arms' own lines, as some rows (r,) of the log tell them."""
    log = data.log
    return fit_lines(crossed.common[rows], log.outcome[rows], log.arm[rows], log.weights[rows], warm)


def with_lines(prior: Prior, calibration: Calibration, lines: Lines) -> Prior:
    """The prior with the arms' own lines over the common calibration."""
    level = lines.intercept + lines.slope * calibration.intercept
    return replace(prior, intercept=level, slope=lines.slope * calibration.slope)


def served(data: TrainingData, prior: Prior, calibration: Calibration, crossed: Crossed) -> tuple[Floats, Floats]:
    """Logits of every row as they would have been served by trees and lines that saw only the other folds.

    Returns:
        shown, as_cold (r,), see `FittedPrior`.
    """
    shown, as_cold = crossed.common.copy(), crossed.common.copy()
    for f, booster in enumerate(crossed.boosters):
        inside = np.flatnonzero(crossed.fold == f)
        if booster is None or not len(inside):
            continue
        blind = with_lines(prior, calibration, arm_lines(data, crossed, prior.warm, crossed.fold != f))
        size = max(1, _PAIRS_AT_ONCE // len(prior.scored))
        for first in range(0, len(inside), size):
            piece = inside[first : first + size]
            shown[piece], as_cold[piece] = as_served(data, blind, booster, piece)
    return shown, as_cold


def as_served(data: TrainingData, prior: Prior, booster: Any, rows: NDArray[np.int64]) -> tuple[Floats, Floats]:
    """Logits of the shown arm and of the other warm offers on average, as `Prior.logits` gives them."""
    scored, arm = prior.scored, data.log.arm[rows]
    threads = int(data.parameters["num_threads"])
    raw = pair_scores(booster, data.log.customers[rows], data.offers, data.columns, arms=scored, threads=threads)
    own = prior.intercept[scored] + prior.slope[scored] * raw
    offer = scored < len(data.offers) - 1
    total, count = own[:, offer].sum(1), int(offer.sum())
    mean = total / count
    place = np.full(len(data.offers), -1)
    place[scored] = np.arange(len(scored))
    mine = np.where(prior.warm[arm], own[np.arange(len(rows)), place[arm]], mean)
    counted = prior.warm[arm] & (arm < len(data.offers) - 1) & (count > 1)
    return mine, np.where(counted, (total - mine) / max(count - 1, 1), mean)


def smoothed_logit(outcome: Floats, weight: Floats) -> float:
    """Logit of the rate of successes with one success and one failure added."""
    successful = float((weight * outcome).sum()) + 1.0
    return float(np.log(successful / (float(weight.sum()) + 2.0 - successful)))


def one_class(outcome: Floats) -> bool:
    """Whether there are not successes and failures both."""
    return len(outcome) == 0 or bool(outcome.min() == outcome.max())
