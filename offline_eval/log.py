"""What was done, how likely it was, and what came of it; and the weights that turn it into another policy's log."""

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from allot import DataError, ShapeError

Floats: TypeAlias = NDArray[np.float64]
Integers: TypeAlias = NDArray[np.int64]
Table: TypeAlias = NDArray[np.floating]

SMALLEST_PROPENSITY = 1e-100  # below it squared weights overflow; no randomiser means such a number
ROW_SUM_TOLERANCE = 1e-6


@dataclass(frozen=True, slots=True, eq=False)
class Log:
    """Decisions of the past, one row each.

    Args:
        reward: (n,) what the decision earned, in the unit that the estimates shall have; finite.
        action: (n,) integers; offers are 0..k-1 and k is no offer.
        propensity: (n,) in (0, 1]: how likely the logging policy was to take this action for this customer.
        cluster: (n,) integers or None. Rows of one customer share a number; they are not independent of each other.
            Stored renumbered as 0..m-1.

    Raises:
        ShapeError: a column is not one-dimensional, not as long as the others, or of the wrong type.
        DataError: no rows, or a value outside its range; the message names the first such row, counted from 0.
    """

    reward: Floats
    action: Integers
    propensity: Floats
    cluster: Integers | None = None

    def __post_init__(self) -> None:
        n = np.shape(self.reward)[0] if np.ndim(self.reward) else 0
        reward = _column("reward", self.reward, n)
        action = _integers("action", self.action, n, "Offers are 0..k-1 and no offer is k.")
        propensity = _column("propensity", self.propensity, n)
        if n == 0:
            raise DataError("there are no rows.", where="log", remedy="Wait for outcomes, or choose a longer period.")
        refuse_rows(
            ~np.isfinite(reward),
            reward,
            "reward {} is not a finite number",
            "Leave the row out, or give 0 where nothing was earned.",
        )
        refuse_rows(
            action < 0, action, "action {} does not exist", "Offers are 0..k-1; no offer is k, the last column, not -1."
        )
        refuse_rows(
            ~((propensity >= SMALLEST_PROPENSITY) & (propensity <= 1)),
            propensity,
            "propensity {} is not in (0, 1]",
            "Log the probability of the action that was taken; leave out rows where it is not known.",
        )
        object.__setattr__(self, "reward", reward)
        object.__setattr__(self, "action", action)
        object.__setattr__(self, "propensity", propensity)
        if self.cluster is not None:
            codes = _integers("cluster", self.cluster, n, "Number the customers.")
            object.__setattr__(self, "cluster", np.unique(codes, return_inverse=True)[1].reshape(n).astype(np.int64))


def _column(name: str, values: Any, n: int) -> Floats:
    """A column of n real numbers as float64."""
    found = np.asarray(values)
    if found.shape != (n,):
        raise ShapeError(f"{name} has shape {found.shape}, not ({n},).", where="log")
    if found.dtype.kind not in "fiub":
        raise ShapeError(f"{name} is of type {found.dtype}, not a number.", where="log")
    return found.astype(np.float64, copy=False)


def _integers(name: str, values: Any, n: int, remedy: str) -> Integers:
    """A column of n integers as int64; booleans and whole floats are refused, because they hide a missing value."""
    found = np.asarray(values)
    if found.shape != (n,):
        raise ShapeError(f"{name} has shape {found.shape}, not ({n},).", where="log")
    if found.dtype.kind not in "iu":
        if n == 0:
            return found.astype(np.int64)
        raise ShapeError(
            f"{name} is of type {found.dtype}, not integer: {found[0]!r} in row 0.", where="log", remedy=remedy
        )
    return found.astype(np.int64, copy=False)


def refuse_rows(bad: NDArray[np.bool_], values: NDArray[Any], what: str, remedy: str, *, where: str = "log") -> None:
    """Raise about the first bad row, if any.

    Args:
        bad: (n,) bool.
        values: (n,) of which the example is taken, put in place of {} in `what`.
        what: the breach, without a full stop.
        remedy: what to do about it.
        where: the table.

    Raises:
        DataError: a row is bad.
    """
    if not bad.any():
        return
    row = int(np.argmax(bad))
    others = int(np.count_nonzero(bad)) - 1
    more = f" (and {others:,} more rows)" if others else ""
    raise DataError(f"{what.format(values[row].item())}{more}.", where=f"{where}, row {row}", remedy=remedy)


def _table(name: str, table: Any, n: int) -> Table:
    found = np.asarray(table)
    if found.ndim != 2 or len(found) != n or found.shape[1] == 0:
        raise ShapeError(
            f"{name} has shape {found.shape}, not ({n}, number of actions).",
            where=name,
            remedy="One row per logged decision, one column per offer, then one for no offer.",
        )
    if found.dtype.kind not in "fiub":
        raise ShapeError(f"{name} is of type {found.dtype}, not a number.", where=name)
    return found if found.dtype.kind == "f" else found.astype(np.float64)


def checked_target(log: Log, target: Any) -> Table:
    """The target policy (n, number of actions), once it is known to be one for this log.

    Raises:
        ShapeError: not one row per logged decision.
        DataError: a row is no probability distribution, or a logged action has no column.
    """
    table = _table("target", target, len(log.reward))
    totals = table.sum(axis=1, dtype=np.float64)
    refuse_rows(
        ~((table >= 0).all(axis=1) & np.isfinite(totals)),
        totals,
        "a probability is negative or not a number (the row's sum is {})",
        "Give every action a probability from 0 to 1.",
        where="target",
    )
    refuse_rows(
        np.abs(totals - 1) > ROW_SUM_TOLERANCE,
        totals,
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
    return table


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
    table = checked_target(log, target)
    chance: Floats = table[np.arange(len(table)), log.action].astype(np.float64)
    return chance / log.propensity


def modelled(log: Log, target: Table, q_hat: Table) -> tuple[Floats, Floats]:
    """What a reward model says about the target and about the logged actions.

    Args:
        log: n decisions.
        target: (n, number of actions) probabilities.
        q_hat: (n, number of actions) modelled reward of each action, in the unit of the rewards.

    Returns:
        (n,) modelled reward of the target, and (n,) modelled reward of the action that was logged.

    Raises:
        ShapeError: q_hat has another shape than the target.
        DataError: q_hat is not finite somewhere, or the target is no policy for this log.
    """
    table = checked_target(log, target)
    model = _table("q_hat", q_hat, len(table))
    if model.shape != table.shape:
        raise ShapeError(f"q_hat has shape {model.shape}, the target {table.shape}.", where="q_hat")
    sums = np.einsum("ia,ia->i", table, model, dtype=np.float64)
    incomplete = np.asarray(~np.isfinite(model).all(axis=1))
    refuse_rows(
        incomplete,
        sums,
        "a modelled reward is not a finite number (the row's expected reward is {})",
        "Give every action a value; 0 will do where the target never goes.",
        where="q_hat",
    )
    logged: Floats = model[np.arange(len(table)), log.action].astype(np.float64)
    return sums / table.sum(axis=1, dtype=np.float64), logged
