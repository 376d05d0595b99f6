"""Whom the logging policy preferred is not how customers behave: weights that take its preferences out of the log."""

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from allot import ShapeError

Floats: TypeAlias = NDArray[np.float64]

_MOST = 20.0
"""The largest weight: a row that stands for more than so many says more of chance than of customers."""


def propensity_weights(arm: NDArray[Any], propensity: NDArray[Any], *, arms: int) -> Floats:
    """Stabilised inverse propensity weights (Robins, Hernán and Brumback 2000).

    A row counts share(arm) / propensity: as if everybody had been given each arm with the share that it has in the log.
    So each arm keeps the weight of its rows, and the customers who were shown it look like all the others. A row whose
    propensity is not known counts 1. Weights above 20 are cut; then the known ones of an arm are brought to mean 1.

    Args:
        arm: (r,) 0..arms - 1.
        propensity: (r,) chance with which that arm was chosen for that customer; NaN = not known.
        arms: how many there are.

    Returns:
        (r,) positive weights, of mean 1 over the rows of every arm.

    Raises:
        ShapeError: the arrays differ in length, or a propensity is not in (0, 1].
    """
    chance = np.asarray(propensity, np.float64)
    if chance.shape != arm.shape or chance.ndim != 1:
        raise ShapeError(f"Arms of shape {arm.shape} and propensities of shape {chance.shape} are not one row each.")
    known = ~np.isnan(chance)
    if not ((chance[known] > 0) & (chance[known] <= 1)).all():
        raise ShapeError("A propensity is not in (0, 1].", where="propensity")
    weight = np.ones(len(arm))
    at = arm[known]
    rows = np.bincount(at, minlength=arms)
    raw = np.minimum(rows[at] / max(len(at), 1) / chance[known], _MOST)
    total = np.bincount(at, raw, arms)
    weight[known] = raw * (rows / np.where(rows > 0, total, 1.0))[at]
    return weight


def effective(weight: Floats, arm: NDArray[Any]) -> Floats:
    """The weights, scaled so that those of an arm sum to what its rows are worth: (Σw)² / Σw² (Kish 1965), (r,).

    A posterior that counted weighted rows in full would be surer than they make it.
    """
    total, square = np.bincount(arm, weight), np.bincount(arm, weight**2)
    scaled: Floats = weight * (total / np.where(square > 0, square, 1.0))[arm]
    return scaled
