"""Baselines to compare with: pure functions from arrays to tables of probabilities (n, k + 1), last column no offer."""

import numpy as np
from numpy.typing import NDArray

from allot import ShapeError
from sims.people import Floats
from sims.response import sigmoid

Mask = NDArray[np.bool_]


def uniform(eligible: Mask) -> Floats:
    """Every eligible offer and no offer with equal probability."""
    options = np.column_stack([eligible, np.ones(len(eligible), bool)])
    table: Floats = options / options.sum(1, keepdims=True)
    return table


def greedy(value: Floats, eligible: Mask) -> Floats:
    """The eligible offer of largest value with probability 1, no offer where none is above 0.

    With true values this is the oracle without limits. Ties go to the first offer.

    Args:
        value: (n, k) worth of each offer over no offer, currency units.
        eligible: (n, k).
    """
    n, k = _shape(value, eligible)
    scores = np.column_stack([np.where(eligible, value, -np.inf), np.zeros(n)])
    table = np.zeros((n, k + 1))
    table[np.arange(n), scores.argmax(1)] = 1.0
    return table


def prior_greedy(logit: Floats, net_margin: Floats, contact_cost: Floats, eligible: Mask) -> Floats:
    """Trust a model as it is: greedy in sigmoid(logit) * net margin - contact cost.

    Args:
        logit: (n, k) of the model.
        net_margin: (k,) margin less redemption cost, currency units.
        contact_cost: (k,) currency units.
        eligible: (n, k).
    """
    return greedy(sigmoid(logit) * net_margin - contact_cost, eligible)


def epsilon_greedy(table: Floats, eligible: Mask, share: float) -> Floats:
    """A policy (n, k + 1) of which a share in [0, 1] of the decisions is spread evenly over what is eligible."""
    if not 0.0 <= share <= 1.0:
        raise ShapeError(f"the share {share:g} is outside 0 to 1.")
    _shape(table[:, :-1], eligible)
    return (1.0 - share) * table + share * uniform(eligible)


def best_static(value: Floats, eligible: Mask) -> Floats:
    """One and the same offer for everybody who may get it: the one of largest total value, or no offer at all."""
    n, k = _shape(value, eligible)
    total = np.where(eligible, value, 0.0).sum(0)
    table = np.zeros((n, k + 1))
    table[:, k] = 1.0
    best = int(total.argmax())
    if total[best] > 0.0:
        table[:, best] = eligible[:, best]
        table[:, k] -= eligible[:, best]
    return table


def policy_value(table: Floats, value: Floats) -> float:
    """Expected sum of value (n, k) under a policy (n, k + 1), currency units."""
    n, k = value.shape
    if table.shape != (n, k + 1):
        raise ShapeError(f"the policy has shape {table.shape}, not {(n, k + 1)}.")
    return float((table[:, :k] * value).sum())


def _shape(value: Floats, eligible: Mask) -> tuple[int, int]:
    if value.ndim != 2 or value.shape != eligible.shape:
        raise ShapeError(f"value {value.shape} and eligible {eligible.shape} must be one (n, k).")
    return value.shape
