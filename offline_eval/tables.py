"""The target policy and the reward model, row by row: checked while they are read, once."""

from typing import Any, Final, TypeAlias

import numpy as np
from numba import njit
from numpy.typing import NDArray

from allot import ShapeError
from offline_eval.log import Floats, Log, refuse_rows

Table: TypeAlias = NDArray[np.floating]

ROW_SUM_TOLERANCE: Final = 1e-6
ANY_ORDER: Final = {"reassoc", "contract", "nsz"}  # sums of a row may be taken in lanes; NaN and infinity keep meaning


@njit(cache=True, nogil=True, fastmath=ANY_ORDER, error_model="numpy")
def _scan(table: Any, action: Any, tolerance: Any, chance: Any, total: Any) -> Any:
    """Chance of each row's action and the row's sum, both (n,) out; returns whether some row is no policy."""
    width = table.shape[1]
    negative = 0.0  # a float, so that it is counted in the lanes of the sum
    wrong = 0
    for i in range(len(action)):
        sum_of_row = 0.0
        for a in range(width):
            sum_of_row += table[i, a]
            negative += 1.0 if table[i, a] < 0.0 else 0.0
        total[i] = sum_of_row
        if action[i] < width and abs(sum_of_row - 1.0) <= tolerance:
            chance[i] = table[i, action[i]]
        else:
            wrong += 1
    return negative > 0.0 or wrong > 0


@njit(cache=True, nogil=True, fastmath=ANY_ORDER, error_model="numpy")
def _expect(table: Any, model: Any, out: Any) -> None:
    """Row sums of table * model, (n,) out."""
    for i in range(len(table)):
        sum_of_row = 0.0
        for a in range(table.shape[1]):
            sum_of_row += table[i, a] * np.float64(model[i, a])
        out[i] = sum_of_row


def rows_of(name: str, table: Any, n: int) -> Table:
    """A table of n rows of float32 or float64, row after row in memory.

    Raises:
        ShapeError: another shape, or not numbers.
    """
    found = np.asarray(table)
    if found.ndim != 2 or len(found) != n or found.shape[1] == 0:
        raise ShapeError(
            f"{name} has shape {found.shape}, not ({n}, number of actions).",
            where=name,
            remedy="One row per logged decision, one column per offer, then one for no offer.",
        )
    if found.dtype.kind not in "fiub":
        raise ShapeError(f"{name} is of type {found.dtype}, not a number.", where=name)
    return np.ascontiguousarray(found, np.float32 if found.dtype == np.float32 else np.float64)


def read_target(log: Log, target: Any) -> tuple[Table, Floats, Floats]:
    """The target policy (n, number of actions), its probability (n,) of each logged action, and its row sums (n,).

    Raises:
        ShapeError: not one row per logged decision.
        DataError: a row is no probability distribution, or a logged action has no column.
    """
    table = rows_of("target", target, len(log.reward))
    chance, total = np.empty(len(table)), np.empty(len(table))
    if _scan(table, log.action, ROW_SUM_TOLERANCE, chance, total):
        _refuse(log, table, total)
    return table, chance, total


def _refuse(log: Log, table: Table, total: Floats) -> None:
    """Name the first row of the target that is no policy for this log."""
    refuse_rows(
        ~((table >= 0).all(axis=1) & np.isfinite(total)),
        total,
        "a probability is negative or not a number (the row's sum is {})",
        "Give every action a probability from 0 to 1.",
        where="target",
    )
    refuse_rows(
        np.abs(total - 1) > ROW_SUM_TOLERANCE,
        total,
        "the probabilities sum to {}, not 1",
        "Give what is left to no offer, the last column.",
        where="target",
    )
    refuse_rows(
        log.action >= table.shape[1],
        log.action,
        f"action {{}} has no column in the target, which has {table.shape[1]}",
        "The target needs one column per offer and a last one for no offer, in the log's numbering.",
    )


def weights(log: Log, target: Table) -> Floats:
    """How much more often the target would have taken each logged action: target / propensity, (n,).

    Args:
        log: n decisions.
        target: (n, number of actions) probabilities of the policy to be judged; the last column is no offer.

    Returns:
        (n,) float64; with right propensities and full support its expectation is 1.

    Raises:
        ShapeError, DataError: the target is no policy for this log.
    """
    return read_target(log, target)[1] / log.propensity


def modelled(log: Log, target: Table, q_hat: Table) -> tuple[Floats, Floats, Floats]:
    """The weights, and what a reward model says about the target and about the logged actions.

    Args:
        log: n decisions.
        target: (n, number of actions) probabilities.
        q_hat: (n, number of actions) modelled reward of each action, in the unit of the rewards.

    Returns:
        (n,) weights, (n,) modelled reward of the target, and (n,) modelled reward of the action that was logged.

    Raises:
        ShapeError: q_hat has another shape than the target.
        DataError: q_hat is not finite somewhere, or the target is no policy for this log.
    """
    table, chance, total = read_target(log, target)
    model = rows_of("q_hat", q_hat, len(table))
    if model.shape != table.shape:
        raise ShapeError(f"q_hat has shape {model.shape}, the target {table.shape}.", where="q_hat")
    sums = np.empty(len(table))
    _expect(table, model, sums)
    refuse_rows(
        ~np.isfinite(sums),  # 0 * infinity is NaN: no value of the model hides behind a probability of 0
        sums,
        "a modelled reward is not a finite number (the row's expected reward is {})",
        "Give every action a value; 0 will do where the target never goes.",
        where="q_hat",
    )
    logged: Floats = model[np.arange(len(table)), log.action].astype(np.float64)
    return chance / log.propensity, sums / total, logged
