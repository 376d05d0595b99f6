"""What every arm would have earned, said by a model that never saw the customer: for doubly robust evaluation."""

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from bandit.columns import Columns
from bandit.folds import time_folds
from bandit.margin import drawn_together, fit_margins
from bandit.prior import Log, pair_scores
from bandit.prior_trees import training_data

Floats: TypeAlias = NDArray[np.float64]

_FOLDS = 3
_MOST_TREES = 300


def cross_fitted_rewards(
    log: Log, offers: Floats, columns: Columns, reward: NDArray[Any], *, seed: int, threads: int = 2
) -> Floats:
    """Modelled reward of every arm for every row.

    Customers are split into three groups. The success of a group is predicted by boosted trees grown on a second and
    stopped on the third. A failure is then worth what it earned on average, by arm, in the other groups; a success what
    `fit_margins` learns there.

    Args:
        log: r logged decisions.
        offers: (k + 1, do) features of the arms; the last row is no offer.
        columns: what the columns of `log.customers` and `offers` are.
        reward: (r,) observed rewards, currency units.
        seed: of the trees.
        threads: for the trees; the bits do not depend on it.

    Returns:
        (r, k + 1) currency units per decision.
    """
    data = training_data(log, offers, columns, seed=seed, threads=threads)
    group = time_folds(np.zeros(len(log.arm)), log.customer_key, folds=_FOLDS)
    out = np.zeros((len(log.arm), len(offers)))
    for fold in range(_FOLDS):
        inside = np.flatnonzero(group == fold)
        grow, stop = (np.flatnonzero(group == (fold + step) % _FOLDS) for step in (1, 2))
        seen = np.flatnonzero(group != fold)
        if not len(inside) or not len(seen):
            continue
        chance = np.full((len(inside), len(offers)), log.outcome[seen].mean())
        if len(stop) and np.ptp(log.outcome[grow]) > 0:
            booster = data.train(grow, _MOST_TREES, stop=stop)
            raw = pair_scores(booster, log.customers[inside], offers, columns, threads=threads)
            chance = 1.0 / (1.0 + np.exp(-raw))
        margins = fit_margins(log.some(seen), offers, columns, reward[seen], seed=seed, threads=threads)
        won = margins.amounts(log.customers[inside], threads=threads)
        out[inside] = chance * won + (1.0 - chance) * _lost(log, reward, seen, len(offers))
    return out


def _lost(log: Log, reward: NDArray[Any], rows: NDArray[np.intp], arms: int) -> Floats:
    """(arms,) mean reward of a failure, each arm drawn towards all arms together as if by ten rows."""
    rows = rows[log.outcome[rows] == 0]
    if not len(rows):
        return np.zeros(arms)
    count = np.bincount(log.arm[rows], minlength=arms)
    total = np.bincount(log.arm[rows], reward[rows], arms)
    return drawn_together(total, count)
