"""A reward model that is fitted for dr: exact where errors cost variance, careless where they do not."""

import numpy as np

from allot import ShapeError
from offline_eval.estimate import Estimate
from offline_eval.estimators import dr
from offline_eval.log import Floats, Integers, Log
from offline_eval.tables import Table, read_target, rows_of, weights

SHRINKAGE = 1.0  # an action's own fit counts as much as the common one once it has this many average rows


def mrdr_weights(log: Log, target: Table) -> Floats:
    """Row weights w^2 (1 - propensity) for fitting the reward model of dr (Farajtabar, Chow and Ghavamzadeh 2018).

    Weighted squared errors of the model then estimate what the model adds to the variance of dr (for a deterministic
    target exactly, (1 - p) / p^2 on the rows that agree; for others without the terms between two actions).

    Args:
        log, target: n decisions and (n, number of actions).

    Returns:
        (n,) at least 0; any learner that takes row weights may use them.
    """
    return weights(log, target) ** 2 * (1 - log.propensity)


def mrdr(log: Log, target: Table, features: Table, *, folds: int = 5) -> Estimate:
    """DR with a linear reward model per action, fitted by `mrdr_weights` and never on the row's own customer.

    Its predictions stay within the rewards it was fitted to: a line that is extended to a customer unlike all others
    knows no bounds, and one such row, weighted, outweighs the rest.

    Args:
        log, target: n decisions and (n, number of actions).
        features: (n, d) of the customers, in any units; a constant is added.
        folds: customers are dealt into so many parts; each is predicted by a model of the others.

    Raises:
        ShapeError: features have the wrong shape or are not finite, or fewer than two folds.
        DataError: the target is no policy for this log.
    """
    table, _, _ = read_target(log, target)
    given = rows_of("features", features, len(table))
    if folds < 2 or not np.isfinite(given).all():
        raise ShapeError("features must be finite and folds at least 2.", where="mrdr")
    x = np.column_stack([np.ones(len(given)), _standardised(given.astype(np.float64))])
    customer = np.arange(len(x)) if log.cluster is None else log.cluster
    weight = mrdr_weights(log, target)
    weight = weight / (weight.mean() or 1.0)
    q_hat = np.zeros(table.shape)
    for fold in range(folds):
        held = customer % folds == fold
        if held.all() or not held.any():
            continue
        reward = log.reward[~held]
        fitted = x[held] @ _fit(x[~held], reward, log.action[~held], weight[~held], table.shape[1])
        q_hat[held] = np.clip(fitted, reward.min(), reward.max())
    return dr(log, target, q_hat).named("mrdr")


def _standardised(features: Floats) -> Floats:
    """Mean 0 and spread 1 over all rows, so that shrinkage means the same for each; a constant column becomes 0."""
    centred = features - features.mean(axis=0)
    spread = centred.std(axis=0)
    known = spread > np.finfo(float).eps * np.abs(features).max(axis=0)
    out: Floats = np.where(known, centred / np.where(known, spread, 1.0), 0.0)
    return out


def _fit(x: Floats, reward: Floats, action: Integers, weight: Floats, actions: int) -> Floats:
    """(d + 1, number of actions) weighted least squares, each action shrunk to the fit of all."""
    ridge = SHRINKAGE * np.eye(x.shape[1])
    common = np.linalg.solve((x * weight[:, None]).T @ x + ridge, (x * weight[:, None]).T @ reward)
    out = np.empty((x.shape[1], actions))
    for a in range(actions):
        rows = x[action == a]
        weighted = rows * weight[action == a][:, None]
        out[:, a] = np.linalg.solve(weighted.T @ rows + ridge, weighted.T @ reward[action == a] + ridge @ common)
    return out
