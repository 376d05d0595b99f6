"""Do predictions come true? A line on the scale of the scores that mends them, and the figures that show it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from bandit.laplace import Batch, Likelihood, mode

Floats: TypeAlias = NDArray[np.float64]

# How far calibration may move without evidence: standard deviations of the intercept and of the slope around 0 and 1,
# the intercept's in units of a logit, or of the noise of amounts.
_INTERCEPT_SD = 0.5
_SLOPE_SD = 0.25


@dataclass(frozen=True, slots=True)
class Calibration:
    """logit = intercept + slope · raw."""

    intercept: float = 0.0
    slope: float = 1.0

    def __call__(self, raw: NDArray[Any] | float) -> Floats:
        """Calibrated logits of raw scores, same shape, float64."""
        return self.intercept + self.slope * np.asarray(raw, np.float64)


@dataclass(frozen=True, slots=True)
class Bin:
    """Rows of similar prediction: mean predicted chance or amount, share of successes or mean amount, rows."""

    predicted: float
    observed: float
    rows: int


def fit_calibration(raw: NDArray[Any], outcome: NDArray[Any], weight: Floats | None = None) -> Calibration:
    """Platt's line (Platt 1999), shrunk to the identity by a Gaussian prior.

    Args:
        raw: (r,) scores on the logit scale, from rows the model was not fitted to.
        outcome: (r,) 0 or 1.
        weight: (r,) how much each row counts; None = 1.
    """
    score = np.asarray(raw, np.float64)
    counted = np.ones(len(score)) if weight is None else weight
    return fit_line(score, np.asarray(outcome, np.float64), counted, mode)


def fit_line(
    raw: Floats, outcome: Floats, weight: Floats, likelihood: Likelihood, unit: float = 1.0, centre: float = 0.0
) -> Calibration:
    """The line that makes outcomes likeliest, shrunk to the identity by a Gaussian prior.

    Args:
        raw: (r,) scores of rows that the model was not fitted to.
        outcome: (r,).
        weight: (r,) how much each row counts.
        likelihood: of outcomes, given scores.
        unit: of the scores; the intercept is shrunk in it.
        centre: the score at which the slope does not move the line.
    """
    off = raw - centre
    batch = Batch(basis=np.ones((len(raw), 1), np.float32), slope=off, offset=raw, outcome=outcome, weight=weight)
    w, _ = likelihood(batch, np.zeros(2), np.diag([(_INTERCEPT_SD * unit) ** -2, _SLOPE_SD**-2]))
    return Calibration(intercept=float(w[0] - w[1] * centre), slope=float(1.0 + w[1]))


def sigmoid(logit: NDArray[Any]) -> Floats:
    """Chance of a logit, float64."""
    z = np.asarray(logit, np.float64)
    small = np.exp(-np.abs(z))
    return np.where(z >= 0, 1.0, small) / (1.0 + small)


def log_losses(logit: NDArray[Any], outcome: NDArray[Any]) -> Floats:
    """−log P(outcome) of every row, nats."""
    z = np.asarray(logit, np.float64)
    return np.asarray(np.logaddexp(0.0, z) - np.asarray(outcome, np.float64) * z)


def log_loss(logit: NDArray[Any], outcome: NDArray[Any], weight: Floats | None = None) -> float:
    """Mean of −log P(outcome), nats; weighted where weights are given."""
    return float(np.average(log_losses(logit, outcome), weights=weight))


def brier(logit: NDArray[Any], outcome: NDArray[Any], weight: Floats | None = None) -> float:
    """Mean squared error of the chance; weighted where weights are given."""
    return float(np.average((sigmoid(logit) - np.asarray(outcome, np.float64)) ** 2, weights=weight))


def calibration_table(
    score: NDArray[Any],
    outcome: NDArray[Any],
    weight: Floats | None = None,
    *,
    bins: int = 10,
    of_score: Callable[[NDArray[Any]], Floats] = sigmoid,
) -> tuple[Bin, ...]:
    """Predicted against observed, in bins of equally many rows from the lowest prediction to the highest.

    `of_score` gives the mean outcome that a score predicts: of a logit, the chance.
    """
    order = np.argsort(np.asarray(score, np.float64), kind="stable")
    predicted, outcomes = of_score(score), np.asarray(outcome, np.float64)
    counted = np.ones(len(outcomes)) if weight is None else weight

    def mean(values: Floats, part: NDArray[np.intp]) -> float:
        return float(np.average(values[part], weights=counted[part]))

    parts = [part for part in np.array_split(order, bins) if len(part)]
    return tuple(Bin(mean(predicted, part), mean(outcomes, part), len(part)) for part in parts)
