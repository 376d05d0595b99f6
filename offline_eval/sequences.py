"""A policy's value at every look: bounds that hold for all looks at once, for any sample size and any weights.

Of nonnegative, independent draws with one mean, a bet that the mean is above m multiplies its money by
1 + b (x / m - 1), 0 < b < 1. Where the mean is m no such game gets rich: ever reaching 1/c times the money has at most
chance c (Ville 1939). So every m at which we would have got rich is ruled out. Money is spread over several b in
advance (Waudby-Smith and Ramdas 2024, after the universal portfolio of Cover 1991); for off-policy values see
Karampatziakis, Mineiro and Ramdas (2021).
"""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numba import njit

from allot import DataError, ShapeError
from offline_eval.log import Floats, Integers, Log
from offline_eval.tables import ANY_ORDER, Table, weights

BETS: Final = 0.5 ** np.arange(1.0, 15.0)  # the best b shrinks like the root of the rows: half down to 1/16,384
HALVINGS: Final = 40
BETWEEN_LOOKS: Final = 1.25
SMALLEST_MEAN: Final = 1e-9


@dataclass(frozen=True, slots=True, eq=False)
class ConfidenceSequence:
    """Bounds at each look.

    Args:
        looks: (l,) rows seen.
        low, high: (l,) in the unit of the rewards; all intervals hold the truth together in a share `level` of logs.
        level: that share.
    """

    looks: Integers
    low: Floats
    high: Floats
    level: float


def confidence_sequence(
    log: Log,
    target: Table,
    *,
    lowest: float = 0.0,
    highest: float = 1.0,
    level: float = 0.95,
    looks: Integers | None = None,
) -> ConfidenceSequence:
    """Bounds on the value of a policy while the log grows; looking may stop it at any row.

    The lower bound bets on w (r - lowest), the upper one on w (highest - r): both are at least 0, so no bound on the
    weights need be known.

    Args:
        log, target: n decisions in the order in which they were taken, and (n, number of actions).
        lowest, highest: bounds of the rewards.
        level: share of logs in which every interval holds the truth, those of rows that are not looked at, too.
        looks: rising numbers of rows after which to look; each a quarter more than the last, and n, unless given.

    Raises:
        ShapeError: the level is not between 0 and 1, looks are not in the log, or a customer has more than one row.
        DataError: a reward is out of bounds, or the target is no policy for this log.
    """
    n = len(log.reward)
    if not 0 < level < 1:
        raise ShapeError(f"the level {level:g} is not between 0 and 1.", remedy="0.95 is usual.")
    if log.cluster is not None and log.cluster.max() + 1 < n:
        raise ShapeError(
            "a customer has several rows, which are not independent.",
            where="confidence_sequence",
            remedy="Keep one row of each customer, or use an interval by customer.",
        )
    if not (lowest < highest and log.reward.min() >= lowest and log.reward.max() <= highest):
        raise DataError(
            f"rewards are {log.reward.min():g} to {log.reward.max():g}, not within {lowest:g} to {highest:g}.",
            where="log",
            remedy="Give the bounds that every reward keeps.",
        )
    at = _usual_looks(n) if looks is None else np.asarray(looks, np.int64)
    if at.ndim != 1 or len(at) == 0 or at[0] < 1 or at[-1] > n or (np.diff(at) <= 0).any():
        raise ShapeError(f"looks must rise and lie from 1 to {n:,}.", where="looks")
    w = weights(log, target)
    earned = (log.reward - lowest) / (highest - lowest)
    low = lower_bounds(w * earned, at, (1 - level) / 2)
    high = np.maximum(1 - lower_bounds(w * (1 - earned), at, (1 - level) / 2), low)
    return ConfidenceSequence(at, lowest + (highest - lowest) * low, lowest + (highest - lowest) * high, level)


def lower_bounds(x: Floats, looks: Integers, wrong: float) -> Floats:
    """(l,) rising lower bounds on the mean, at most 1, of nonnegative x (n,); any fails with chance at most `wrong`."""
    found = np.array([_bound(x[:rows], BETS, np.log(1 / wrong)) for rows in looks])
    return np.maximum.accumulate(found)


def _usual_looks(n: int) -> Integers:
    """1, 2, 3, 4, 5, 7, ... n: each about a quarter more than the last."""
    steps = int(np.ceil(np.log(n) / np.log(BETWEEN_LOOKS)))
    return np.unique(np.append(np.ceil(BETWEEN_LOOKS ** np.arange(steps)), n).clip(1, n).astype(np.int64))


@njit(cache=True, nogil=True, fastmath=ANY_ORDER, error_model="numpy")
def _log_money(x: Any, mean: Any, bets: Any) -> Any:
    """Log of what is left of 1, spread evenly over the bets, after all rows of x (n,), if the mean were `mean`."""
    logs = np.zeros(len(bets))
    for j in range(len(bets)):
        keep = 1.0 - bets[j]
        gain = bets[j] / mean
        for first in range(0, len(x), 8):  # eight factors between two logarithms neither over- nor underflow
            product = 1.0
            for i in range(first, min(first + 8, len(x))):
                product *= keep + gain * x[i]
            logs[j] += np.log(product)
    best = logs.max()
    return best + np.log(np.exp(logs - best).mean())


@njit(cache=True, nogil=True, error_model="numpy")
def _bound(x: Any, bets: Any, enough: Any) -> Any:
    """The largest mean at which the money has reached exp(enough); it falls with the mean."""
    low, high = SMALLEST_MEAN, 1.0
    if _log_money(x, low, bets) < enough:
        return 0.0
    if _log_money(x, high, bets) >= enough:
        return 1.0
    for _ in range(HALVINGS):
        middle = np.sqrt(low * high)
        if _log_money(x, middle, bets) >= enough:
            low = middle
        else:
            high = middle
        if high < low * 1.0001:
            break
    return low
