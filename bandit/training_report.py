"""What the hold-out says of a prior: losses beside plain rivals, calibration, ranking, and what the log knows."""

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from bandit.calibration import Bin, brier, calibration_table
from bandit.comparison import Comparison
from bandit.margin import drawn_together
from bandit.prior import Log, Prior, parse
from bandit.ranking import RankedAt, ranked

Floats: TypeAlias = NDArray[np.float64]

_DEPTHS = (1, 3, 5)


@dataclass(frozen=True, slots=True)
class ArmReport:
    """One arm: its log rows, and of the held-out ones the mean predicted chance and the share of successes."""

    support: int
    holdout_rows: int
    predicted: float | None
    observed: float | None


@dataclass(frozen=True, slots=True)
class PriorReport:
    """What the hold-out says of the prior that is used.

    `log_loss`, `brier`, `calibration` and `arms` are of held-out rows, calibrated on the other half of the customers;
    nats; where outcomes are amounts, losses are mean squared errors, rates are means, and there is no `brier`.
    `base_log_loss` is what the training part's rate of successes alone would have lost, `logistic_log_loss` what
    a logistic regression on the same columns would have, calibrated likewise (None where none can be fitted).
    `tree_log_loss` is of the trees even where they are not used. `rate` is that of the whole log, `gain` the trees'
    total gain per column. `ranking` is of held-out successes among the log's offers; `rate_ranking` is what the offers'
    rates alone would reach. `constant` says in words why the trees are not used, and is empty where they are; `forced`
    says why they would not have been. `crossing` compares trees with cross columns and without, on rows that are not
    held out; None where there are no such columns. They are read if it is `better`.
    """

    rows: int
    holdout_rows: int
    log_loss: float
    base_log_loss: float
    logistic_log_loss: float | None
    tree_log_loss: float | None
    brier: float | None
    trees: int
    rate: float
    arms: tuple[ArmReport, ...]
    gain: dict[str, float]
    calibration: tuple[Bin, ...]
    ranking: tuple[RankedAt, ...]
    rate_ranking: tuple[RankedAt, ...]
    constant: str = ""
    forced: str = ""
    crossing: Comparison | None = None

    @property
    def support(self) -> tuple[int, ...]:
        """Log rows of each arm."""
        return tuple(arm.support for arm in self.arms)


@dataclass(frozen=True, slots=True, eq=False)
class Holdout:
    """Held-out rows of the log, and the logits that the compared models give to the arm that was shown.

    `rows` (h,) positions in the log; `logit` (h,) of the prior, `base`, `logistic` and `trees` (h,) or None of the
    others; `scores` (s, k) of all offers for the successes among the rows that were offers, in their order.
    """

    rows: NDArray[np.int64]
    logit: Floats
    base: Floats
    logistic: Floats | None = None
    trees: Floats | None = None
    scores: Floats | None = None


def prior_report(log: Log, prior: Prior, held: Holdout, *, trees: int, constant: str, forced: str) -> PriorReport:
    """Put together what the hold-out says.

    Args:
        log: exposures.
        prior: fitted on all of them.
        held: the held-out rows, predicted by models that did not see them.
        trees: how many the hold-out chose.
        constant, forced: see `PriorReport`.
    """
    y, weight = log.outcome[held.rows], log.weights[held.rows]

    def loss(logit: Floats | None) -> float | None:
        return None if logit is None or not len(y) else float(np.average(log.kind.losses(logit, y), weights=weight))

    gain = np.zeros(len(prior.columns.names)) if constant else parse(prior.text).feature_importance("gain")
    found, plain = _rankings(log, held)
    return PriorReport(
        rows=len(log.arm),
        holdout_rows=len(y),
        log_loss=loss(held.logit) or 0.0,
        base_log_loss=loss(held.base) or 0.0,
        logistic_log_loss=loss(held.logistic),
        tree_log_loss=loss(held.trees),
        brier=None if not log.kind.taken else brier(held.logit, y, weight) if len(y) else 0.0,
        trees=trees,
        rate=float(np.average(log.outcome, weights=log.weights)) if len(log.arm) else 0.0,
        arms=_arms(log, held, len(prior.offers)),
        gain={name: float(g) for name, g in zip(prior.columns.names, gain, strict=True)},
        calibration=calibration_table(held.logit, y, weight, of_score=log.kind.mean),
        ranking=found,
        rate_ranking=plain,
        constant=constant,
        forced=forced,
    )


def _arms(log: Log, held: Holdout, arms: int) -> tuple[ArmReport, ...]:
    arm, weight = log.arm[held.rows], log.weights[held.rows]
    rows = np.bincount(arm, minlength=arms)
    mass = np.bincount(arm, weight, arms)
    predicted = np.bincount(arm, weight * log.kind.mean(held.logit), arms)
    observed = np.bincount(arm, weight * log.outcome[held.rows], arms)
    support = np.bincount(log.arm, minlength=arms)
    return tuple(
        ArmReport(int(support[a]), int(rows[a]), float(predicted[a] / mass[a]), float(observed[a] / mass[a]))
        if rows[a]
        else ArmReport(int(support[a]), 0, None, None)
        for a in range(arms)
    )


def successes(log: Log, rows: NDArray[np.int64], offers: int) -> NDArray[np.int64]:
    """Those of some rows of the log that are successes of an offer, in their order."""
    return rows[(log.outcome[rows] > 0) & (log.arm[rows] < offers)]


def _rankings(log: Log, held: Holdout) -> tuple[tuple[RankedAt, ...], tuple[RankedAt, ...]]:
    """Of the prior, and of the offers' rates in the rows that were not held out."""
    if held.scores is None or not len(held.scores):
        return (), ()
    offers = held.scores.shape[1]
    took = successes(log, held.rows, offers)
    person = np.unique(log.customer_key[took], return_inverse=True)[1]
    moments, moment = np.unique(log.decided_at[took], return_inverse=True)
    occasion = person * len(moments) + moment
    shown = np.bincount(log.arm, minlength=offers)[:offers] > 0  # what was never offered cannot have been taken
    place = np.cumsum(shown) - 1
    depths = tuple(k for k in _DEPTHS if k < shown.sum()) or (1,)
    scores, rates = held.scores[:, shown], _rates(log, held.rows, offers)[shown]
    asked: tuple[Any, ...] = (place[log.arm[took]], occasion, person, depths)
    return ranked(scores, *asked), ranked(np.broadcast_to(rates, scores.shape), *asked)


def _rates(log: Log, left_out: NDArray[np.int64], offers: int) -> Floats:
    """(k,) each offer's rate of successes, with ten rows of the mean rate added."""
    seen = np.ones(len(log.arm), np.bool_)
    seen[left_out] = False
    seen &= log.arm < offers
    arm, weight, y = log.arm[seen], log.weights[seen], log.outcome[seen]
    return drawn_together(np.bincount(arm, weight * y, offers), np.bincount(arm, weight, offers))
