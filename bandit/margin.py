"""What is a success worth, where amounts differ? Trees for how far a customer's amount lies from the arm's mean."""

import json
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from allot import ShapeError
from bandit.columns import Columns
from bandit.folds import holdout, time_folds
from bandit.prior import Log, pair_scores
from bandit.prior_trees import TrainingData, text_of, training_data

Floats: TypeAlias = NDArray[np.float64]

_FEWEST_SUCCESSES = 200
_MOST_TREES = 300
_ROWS_OF_MEAN = 10.0  # an arm's mean is drawn towards that of all arms as if by so many rows
_SURE = 1.645  # standard errors by which trees must beat the means: one-sided 95 %
_SAME = 1e-9
_LEAST = 0.05  # of an arm's mean: no success is expected to bring less


@dataclass(frozen=True, slots=True, eq=False)
class Margins:
    """amount(x, a) = level[a]·max(1 + slope·tree(x, a), .05), given success.

    Attributes:
        level: (k + 1,) mean amount of a success with each arm, currency units.
        slope: trust in the trees, in [0, 1]; 0: the amount is the arm's mean for everybody.
        text: of the trees; empty where slope is 0.
        offers: (k + 1, do) the arms' features.
        columns: what the trees read.
        reason: why there are no trees, in words; empty where there are.
    """

    level: Floats
    slope: float
    text: str
    offers: Floats
    columns: Columns
    reason: str = ""

    def relative(self, customers: Floats, *, threads: int = 2) -> Floats:
        """The amount of a success over the arm's mean, for all arms, (n, k + 1).

        Args:
            customers: (n, width) as the trees were trained on.
            threads: how many may work.
        """
        if self.slope == 0.0:
            return np.ones((len(customers), len(self.level)))
        raw = pair_scores(self.text, customers, self.offers, self.columns, threads=threads)
        return np.maximum(1.0 + self.slope * raw, _LEAST)

    def to_json(self) -> str:
        """For the model's folder; numbers come back exactly. Features and columns are the prior's."""
        return json.dumps({"level": self.level.tolist(), "slope": self.slope, "text": self.text, "reason": self.reason})

    @staticmethod
    def from_json(text: str, offers: Floats, columns: Columns) -> "Margins":
        """What `to_json` wrote, with the arms' features and the columns."""
        table = json.loads(text)
        return Margins(np.array(table["level"]), table["slope"], table["text"], offers, columns, table["reason"])

    def amounts(self, customers: Floats, *, threads: int = 2) -> Floats:
        """The amount of a success with each arm, (n, k + 1), currency units."""
        return self.level * self.relative(customers, threads=threads)


def fit_margins(
    log: Log, offers: Floats, columns: Columns, amount: NDArray[Any], *, seed: int, threads: int = 2
) -> Margins:
    """Learn amounts from the successes of a log.

    Trees are grown on the earlier successes by squared error, which aims at the mean, stopped on the latest fifth and
    trusted as far as that fifth bears them out (a least-squares slope). They are used only if they lose less there than
    the arms' means by more than chance explains; then they are grown anew on all successes.

    Args:
        log: exposures.
        offers: (k + 1, do) features of the arms; the last row is no offer.
        columns: what the columns of `log.customers` and `offers` are.
        amount: (r,) what each row brought, currency units; only those of successes are read.
        seed: of the trees.
        threads: for the trees; the bits do not depend on it.

    Raises:
        ShapeError: an amount of a success is missing, or there is not one for each row.
    """
    amount = np.asarray(amount, np.float64)
    won = np.flatnonzero(log.outcome > 0)
    if amount.shape != log.arm.shape or not np.isfinite(amount[won]).all():
        raise ShapeError("Amounts are not one finite number for each success.", where="amount")
    wins, paid = log.some(won), amount[won]
    mean, level = _means(wins, paid, len(offers))
    plain = Margins(level, 0.0, "", np.array(offers, np.float64), columns)
    if len(won) < _FEWEST_SUCCESSES:
        return replace(plain, reason=f"the log has fewer than {_FEWEST_SUCCESSES} successes")
    if (mean[wins.arm] <= 0).any():
        return replace(plain, reason="successes with some arm bring nothing on average")
    target = paid / mean[wins.arm] - 1.0
    if np.abs(target).max() < _SAME:
        return replace(plain, reason="all successes with an arm bring the same")
    data = training_data(wins, offers, columns, seed=seed, threads=threads)
    data = replace(data, target=target, parameters={**data.parameters, "objective": "regression"})
    return _trusted(data, plain)


def _trusted(data: TrainingData, plain: Margins) -> Margins:
    """The trees, as far as the latest successes bear them out."""
    late = holdout(data.log.decided_at, data.log.customer_key)
    train, held = np.flatnonzero(~late), np.flatnonzero(late)
    booster = data.train(train, _MOST_TREES, stop=held)
    said = np.asarray(booster.predict(data.matrix[held]), np.float64)
    half = time_folds(np.zeros(len(held)), data.log.customer_key[held], folds=2)
    truth, weight = data.target[held], data.log.weights[held]
    judged = np.empty(len(held))
    for side in (0, 1):
        judged[half == side] = _slope(said[half != side], truth[half != side], weight[half != side])
    gained = weight * (truth**2 - (truth - judged * said) ** 2)
    of_customer = np.unique(data.log.customer_key[held], return_inverse=True)[1]  # rows of one are not independent
    error = np.sqrt((np.bincount(of_customer, gained - gained.mean()) ** 2).sum())
    if gained.sum() <= _SURE * error:
        return replace(plain, reason="trees do not beat the arms' means on held-out successes")
    grown = data.train(np.arange(len(data.target)), int(booster.best_iteration))
    return replace(plain, slope=_slope(said, truth, weight), text=text_of(grown))


def _slope(said: Floats, truth: Floats, weight: Floats) -> float:
    """Least squares through the origin, within [0, 1]."""
    size = float((weight * said**2).sum())
    return float(np.clip((weight * said * truth).sum() / size, 0.0, 1.0)) if size > 0 else 0.0


def _means(wins: Log, paid: Floats, arms: int) -> tuple[Floats, Floats]:
    """(arms,) mean amount of a success; and the same, each arm drawn towards all arms together."""
    total, mass = np.bincount(wins.arm, wins.weights * paid, arms), np.bincount(wins.arm, wins.weights, arms)
    mean: Floats = total / np.where(mass > 0, mass, 1.0)
    return mean, drawn_together(total, mass)


def drawn_together(total: NDArray[Any], mass: NDArray[Any]) -> Floats:
    """(arms,) means of rows that sum to `total` (arms,) and weigh `mass`, as if each arm had ten more mean rows."""
    rows = float(mass.sum())
    every = float(total.sum()) / rows if rows > 0 else 0.0
    out: Floats = (total + _ROWS_OF_MEAN * every) / (mass + _ROWS_OF_MEAN)
    return out
