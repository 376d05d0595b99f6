"""What was done, how likely it was, and what came of it."""

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from allot import DataError, ShapeError

Floats: TypeAlias = NDArray[np.float64]
Integers: TypeAlias = NDArray[np.int64]

SMALLEST_PROPENSITY = 1e-100  # below it squared weights overflow; no randomiser means such a number


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
        reward = column("reward", self.reward, n)
        action = integers("action", self.action, n, "Offers are 0..k-1 and no offer is k.")
        propensity = column("propensity", self.propensity, n)
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
            codes = integers("cluster", self.cluster, n, "Number the customers.")
            object.__setattr__(self, "cluster", np.unique(codes, return_inverse=True)[1].reshape(n).astype(np.int64))


def column(name: str, values: Any, n: int) -> Floats:
    """A column of n real numbers as float64."""
    found = np.asarray(values)
    if found.shape != (n,):
        raise ShapeError(f"{name} has shape {found.shape}, not ({n},).", where="log")
    if found.dtype.kind not in "fiub":
        raise ShapeError(f"{name} is of type {found.dtype}, not a number.", where="log")
    return found.astype(np.float64, copy=False)


def integers(name: str, values: Any, n: int, remedy: str) -> Integers:
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
