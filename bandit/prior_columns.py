"""Do cross columns earn their place? Trees with them and without, on the rows that are not held out."""

from collections.abc import Mapping
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from bandit.columns import Columns
from bandit.comparison import Comparison, compare
from bandit.folds import holdout, time_folds
from bandit.prior import Log
from bandit.prior_trees import MOST_TREES, TrainingData, one_kind, training_data

Floats: TypeAlias = NDArray[np.float64]

_MOST_ROWS = 50_000  # evenly through the log: what they do not show, cross columns do not bring
_FOLDS = 3


def crossing(
    log: Log, offers: Floats, columns: Columns, *, seed: int, threads: int, monotone: Mapping[str, int]
) -> Comparison:
    """Compare trees that read the cross columns with trees that do not.

    Both are grown on two thirds of the time and judged on the third that is left out, each third in turn; each is
    stopped and calibrated there, both alike. The latest fifth of the log, on which the prior is judged afterwards, has
    no part in it: what is said of the prior there is not flattered by the choice.

    Args:
        log: exposures.
        offers: (k + 1, do) offer features; the last row is no offer.
        columns: with cross columns.
        seed: of the trees.
        threads: for the trees; the bits do not depend on it.
        monotone: +1 or -1 by column name.

    Returns:
        with against without; of no rows where there are too few, or outcomes of one kind, to grow trees of.
    """
    early = np.flatnonzero(~holdout(log.decided_at, log.customer_key))
    seen = log.some(early[:: max(1, -(-len(early) // _MOST_ROWS))])
    fold = time_folds(seen.decided_at, seen.customer_key, folds=_FOLDS)
    if any(one_kind(seen.outcome[fold != f]) or not (fold == f).any() for f in range(_FOLDS)):
        return compare(*(np.empty(0) for _ in range(5)), kind=seen.kind)

    def said(read: Columns) -> Floats:
        data = training_data(seen.read_by(read), offers, read, seed=seed, threads=threads, monotone=monotone)
        return _held_out(data, fold)

    return compare(said(columns), said(columns.alone), seen.outcome, seen.customer_key, seen.weights, kind=seen.kind)


def _held_out(data: TrainingData, fold: NDArray[np.int64]) -> Floats:
    """(r,) scores of each row, from trees that grew on the other folds."""
    out, y, w = np.empty(len(fold)), data.log.outcome, data.log.weights
    for f in range(_FOLDS):
        inside = np.flatnonzero(fold == f)
        booster = data.train(np.flatnonzero(fold != f), MOST_TREES, stop=inside)
        raw = np.asarray(booster.predict(data.matrix[inside], raw_score=True), np.float64)
        out[inside] = data.log.kind.calibration(raw, y[inside], w[inside])(raw)
    return out
