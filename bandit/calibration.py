"""Do predicted chances come true? A line on the logit scale that mends them, and the figures that show it."""

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from bandit.laplace import Batch, mode

Floats: TypeAlias = NDArray[np.float64]

# How far calibration may move without evidence: standard deviations of the intercept and of the slope around 0 and 1.
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
    """Rows of similar prediction: mean predicted chance, share of successes, number of rows."""

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
    batch = Batch(
        basis=np.ones((len(score), 1), np.float32),
        slope=score,
        offset=score,
        outcome=np.asarray(outcome, np.float64),
        weight=np.ones(len(score)) if weight is None else weight,
    )
    w, _ = mode(batch, np.zeros(2), np.diag([_INTERCEPT_SD**-2, _SLOPE_SD**-2]))
    return Calibration(intercept=float(w[0]), slope=float(1.0 + w[1]))


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
    logit: NDArray[Any], outcome: NDArray[Any], weight: Floats | None = None, *, bins: int = 10
) -> tuple[Bin, ...]:
    """Predicted against observed, in bins of equally many rows from the lowest prediction to the highest."""
    order = np.argsort(np.asarray(logit, np.float64), kind="stable")
    chance, outcomes = sigmoid(logit), np.asarray(outcome, np.float64)
    counted = np.ones(len(outcomes)) if weight is None else weight

    def mean(values: Floats, part: NDArray[np.intp]) -> float:
        return float(np.average(values[part], weights=counted[part]))

    parts = [part for part in np.array_split(order, bins) if len(part)]
    return tuple(Bin(mean(chance, part), mean(outcomes, part), len(part)) for part in parts)
