"""Is one model better than another? The paired difference of their losses on rows that neither was fitted to."""

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from bandit.kinds import SUCCESSES, Kind

Floats: TypeAlias = NDArray[np.float64]

_FEWEST_COMPARED = 50  # with fewer rows in common, nothing is said of two models
_SURE = 1.645  # standard errors: one-sided 95 %
_MATTERS = 1e-3  # of the loss of the model in use: less is not held against a candidate, however surely it is there


@dataclass(frozen=True, slots=True)
class Comparison:
    """A candidate against the model in use, on `rows` rows: log losses in nats, or mean squared errors of amounts.

    `difference` = candidate − in use; `std_error` is its standard error, customers being independent.
    """

    rows: int
    log_loss: float
    other_log_loss: float
    difference: float
    std_error: float

    @property
    def says_enough(self) -> bool:
        """Whether there are rows enough to compare at all."""
        return self.rows >= _FEWEST_COMPARED

    @property
    def worse(self) -> bool:
        """Whether the candidate loses more than chance explains (one-sided, 95 %), and enough to matter."""
        least = max(_SURE * self.std_error, _MATTERS * self.other_log_loss)
        return self.says_enough and self.difference > least

    @property
    def better(self) -> bool:
        """Whether a candidate that costs more is worth it: it loses less by more than one standard error.

        The one-standard-error rule of Breiman, Friedman, Olshen and Stone (1984).
        """
        return self.says_enough and -self.difference > self.std_error


def compare(
    logit: NDArray[Any],
    other: NDArray[Any],
    outcome: NDArray[Any],
    customer: NDArray[Any],
    weight: Floats,
    *,
    kind: Kind = SUCCESSES,
) -> Comparison:
    """Compare two models' logits on the same rows.

    Args:
        logit, other: (r,) of the candidate and of the model in use.
        outcome: (r,) of the kind that both foretell.
        customer: (r,) whose row it is; rows of one customer are not independent.
        weight: (r,) how much each row counts.
        kind: of the outcomes.
    """
    rows = len(outcome)
    if rows == 0:
        return Comparison(0, 0.0, 0.0, 0.0, 0.0)
    mine, theirs = kind.losses(logit, outcome), kind.losses(other, outcome)
    total = float(weight.sum())
    difference = float((weight * (mine - theirs)).sum() / total)
    off = weight * (mine - theirs - difference)
    by_customer = np.bincount(np.unique(customer, return_inverse=True)[1], off)
    error = float(np.sqrt((by_customer**2).sum())) / total
    return Comparison(
        rows, float(np.average(mine, weights=weight)), float(np.average(theirs, weights=weight)), difference, error
    )
