"""Who was learnt from when: cross-fitting folds and the hold-out, in the order of time."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from allot import ShapeError
from allot.uniforms import stream, uniforms

_STREAM = stream(0, "folds")


def time_folds(
    decided_at: NDArray[np.float64], customer_key: NDArray[np.uint64], *, folds: int = 5
) -> NDArray[np.int64]:
    """Contiguous blocks of time, as equal in rows as ties allow.

    Rows of one moment are split by a hash of the customer, so that a customer's rows of that moment stay together.
    Where the log has too few moments to be cut in time (a single mailing, say), the folds are groups of customers.

    Args:
        decided_at: (r,) days.
        customer_key: (r,) uint64, the same for all rows of a customer.
        folds: how many.

    Returns:
        (r,) integers 0..folds - 1, later folds later in time.

    Raises:
        ShapeError: the arrays differ in length, a time is not finite, or there are fewer than two folds.
    """
    if folds < 2:
        raise ShapeError(f"{folds} folds cannot be held out of one another.", remedy="Ask for at least 2.")
    first = _positions(decided_at, customer_key, blocks=folds)
    return np.asarray(first * folds // max(len(first), 1), np.int64)


def holdout(
    decided_at: NDArray[np.float64], customer_key: NDArray[np.uint64], *, share: float = 0.2
) -> NDArray[np.bool_]:
    """The latest share of the log, by the same rule for ties and for few moments as `time_folds`.

    Args:
        decided_at: (r,) days.
        customer_key: (r,) uint64, the same for all rows of a customer.
        share: of the rows, in (0, 1).

    Returns:
        (r,) bool, true for rows to hold out.

    Raises:
        ShapeError: the arrays differ in length, a time is not finite, or the share is not a share.
    """
    if not 0.0 < share < 1.0:
        raise ShapeError(f"A hold-out share of {share} is not between 0 and 1.")
    first = _positions(decided_at, customer_key, blocks=max(2, round(1.0 / share)))
    return np.asarray(first >= (1.0 - share) * len(first), np.bool_)


def _positions(decided_at: NDArray[Any], customer_key: NDArray[Any], *, blocks: int) -> NDArray[np.int64]:
    """For every row, how many rows come before its group; a group is one customer at one moment."""
    at = np.asarray(decided_at, np.float64)
    key = np.asarray(customer_key, np.uint64)
    if at.shape != key.shape or at.ndim != 1:
        raise ShapeError(f"Times of shape {at.shape} and customers of shape {key.shape} are not one row each.")
    if not np.isfinite(at).all():
        raise ShapeError("A decision's time is not finite.", where="decided_at")
    if not _enough_moments(at, blocks):
        at = np.zeros(len(at))
    chance = uniforms(_STREAM, key)
    order = np.lexsort((key, chance, at))
    starts = np.ones(len(at), np.bool_)
    starts[1:] = (np.diff(at[order]) != 0) | (key[order][1:] != key[order][:-1])
    rank = np.arange(len(at))
    out = np.empty(len(at), np.int64)
    out[order] = np.maximum.accumulate(np.where(starts, rank, 0))
    return out


def _enough_moments(at: NDArray[np.float64], blocks: int) -> bool:
    """Whether whole moments alone would fill every block to at least half of its fair share of rows."""
    if len(at) == 0:
        return False
    _, rows = np.unique(at, return_counts=True)
    middle = np.cumsum(rows) - rows / 2
    filled = np.bincount((middle * blocks / len(at)).astype(np.int64), weights=rows, minlength=blocks)
    return bool((filled >= len(at) / (2 * blocks)).all())
