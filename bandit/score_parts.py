"""Why is a belief what it is? A logit's mean as a sum over what is known of the customer and the offer."""

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from allot import ShapeError
from bandit.learnt import Learnt
from bandit.prior import Prior, parse

Floats: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Contributions:
    """Terms of n logits; each row of `level`, `columns` and `residual` adds up to the posterior mean.

    Attributes:
        level: (n,) what the prior says of everybody.
        columns: (n, d) what each column adds in the prior, in the order of `Columns.names`.
        residual: (n, d) what has been learnt since: ψ_j·w_j for each column that the posterior sees, then for the slope
            on the prior's logit.
        voices: (n, s) the same by who says so: each of the posterior's `shares`, times his share. Adds up to
            `residual`.
    """

    level: Floats
    columns: Floats
    residual: Floats
    voices: Floats

    @property
    def logit(self) -> Floats:
        """(n,) their sum."""
        total: Floats = self.level + self.columns.sum(1) + self.residual.sum(1)
        return total


def contributions(
    prior: Prior, posterior: Learnt, customers: Floats, basis: NDArray[np.float32], arm: NDArray[np.int64]
) -> Contributions:
    """Take the means of some logits apart.

    The prior's part are the Shapley values of its trees (Lundberg, Erion and Lee 2018, as LightGBM computes them),
    calibrated. A cold arm has the mean of the warm offers' logits, hence of their contributions.

    Args:
        prior, posterior: the beliefs.
        customers: (n, width) float64, one row per logit.
        basis: (n, p) float32, the same customers as beliefs take them.
        arm: (n,) 0..k, whose logits.

    Raises:
        ShapeError: the arrays do not fit the model.
    """
    n, arms = len(customers), len(prior.offers)
    voices, seen = posterior.voices(), posterior.seen(basis)
    if seen.shape != (n, voices.shape[2] - 1) or arm.shape != (n,):
        raise ShapeError(f"{n} customers, a basis of shape {basis.shape} and arms of shape {arm.shape} do not fit.")
    if n and not 0 <= arm.min() <= arm.max() < arms:
        raise ShapeError(f"An arm is not in 0..{arms - 1}.", where="arm")
    shapley = _of_trees(prior, customers, arm)
    logit = shapley.sum(1)
    psi = np.column_stack([seen.astype(np.float64), logit - posterior.centre])
    said = psi * voices[:, arm]
    return Contributions(shapley[:, -1], shapley[:, :-1], said.sum(0), said.sum(2).T)


def _of_trees(prior: Prior, customers: Floats, arm: NDArray[np.int64]) -> Floats:
    """(n, d + 1): the columns' shares of the calibrated logit, then the level."""
    n, width = len(customers), len(prior.columns.names)
    out = np.zeros((n, width + 1))
    if prior.constant:
        out[:, -1] = prior.intercept
        return out
    scored = prior.scored
    offers = scored[scored < len(prior.offers) - 1]
    seen = customers[:, : len(prior.columns.customer)]
    for row in range(n):
        own = arm[row : row + 1] if prior.warm[arm[row]] else offers
        crossed = prior.columns.of_pairs(customers[row : row + 1], own)[0]
        pairs = np.column_stack([np.tile(seen[row], (len(own), 1)), prior.offers[own], crossed])
        out[row] = parse(prior.text).predict(pairs, pred_contrib=True).mean(0)
    out *= prior.slope
    out[:, -1] += prior.intercept
    return out
