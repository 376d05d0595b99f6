"""The plain model that trees have to beat: a regression on segments, numbers and the offer; logistic of successes."""

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from bandit.basis import Basis, fit_basis
from bandit.columns import Columns
from bandit.laplace import Batch
from bandit.prior import Log

Floats: TypeAlias = NDArray[np.float64]

_MOST_ROWS = 100_000  # evenly through the log: some sixty weights do not need more
_PRECISION = 1.0
_LEVEL_PRECISION = 1e-4  # the common level is hardly shrunk


@dataclass(frozen=True, slots=True, eq=False)
class Logistic:
    """logit, or amount = weights · [1, segments, standardised numbers, arm]."""

    basis: Basis
    weights: Floats
    arms: int

    def logits(self, customers: Floats, arm: NDArray[np.int64]) -> Floats:
        """(r,) logits of some customers (r, dc), each with one arm (r,)."""
        return np.asarray(_design(self.basis, customers, arm, self.arms) @ self.weights[:-1])


def fit_logistic(log: Log, rows: NDArray[np.int64], columns: Columns, arms: int) -> Logistic:
    """Fit it by its posterior mode under N(0, 1) weights, in units of the noise where outcomes are amounts.

    Args:
        log: exposures.
        rows: which of them to fit to.
        columns: what the columns of `log.customers` are; categories with at most 20 levels count.
        arms: k + 1.
    """
    rows = rows[:: max(1, -(-len(rows) // _MOST_ROWS))]
    basis = fit_basis(log.customers[rows], columns, levels=_levels(log.customers[rows], columns))
    design = _design(basis, log.customers[rows], log.arm[rows], arms)
    nothing = np.zeros(len(rows))
    batch = Batch(basis=design, slope=nothing, offset=nothing, outcome=log.outcome[rows], weight=log.weights[rows])
    precision = np.full(design.shape[1] + 1, _PRECISION)
    precision[0] = _LEVEL_PRECISION
    likelihood, unit = log.kind.likelihood(batch.outcome, batch.weight)
    found, _ = likelihood(batch, np.zeros(len(precision)), np.diag(precision / unit**2))
    return Logistic(basis, found, arms)


def _levels(customers: Floats, columns: Columns) -> dict[str, int]:
    """How many levels each category of the customer has, by its largest code."""
    out = {}
    for j in (j for j in columns.categorical if j < len(columns.customer)):
        codes = customers[:, j][np.isfinite(customers[:, j])]
        out[columns.customer[j]] = int(codes.max()) + 1 if len(codes) else 0
    return out


def _design(basis: Basis, customers: Floats, arm: NDArray[Any], arms: int) -> NDArray[np.float32]:
    """(r, p + arms): the customer's basis, then which arm it is."""
    shown = np.zeros((len(arm), arms), np.float32)
    shown[np.arange(len(arm)), arm] = 1.0
    return np.concatenate([basis(customers), shown], axis=1)
