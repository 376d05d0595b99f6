"""Fit the prior: how many trees, how well calibrated, and what it would have said of rows it had not seen."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from allot import ShapeError
from bandit.calibration import Calibration, fit_calibration, log_loss
from bandit.columns import Columns
from bandit.folds import holdout, time_folds
from bandit.logistic import fit_logistic
from bandit.prior import WARM_ROWS, Log, Prior, pair_scores
from bandit.prior_crossed import (
    Crossed,
    Progress,
    arm_lines,
    cross_fit,
    one_class,
    served,
    smoothed_logit,
    with_lines,
)
from bandit.prior_trees import TrainingData, text_of, training_data
from bandit.training_report import Holdout, PriorReport, prior_report, successes

Floats: TypeAlias = NDArray[np.float64]

_SMALLEST_LOG = 50
_MOST_TREES = 400
_NOT_BETTER = "trees do not beat the rate of successes on held-out rows"


@dataclass(frozen=True, slots=True, eq=False)
class FittedPrior:
    """The prior, and its cross-fitted logits on the log, from which the posterior starts.

    `shown` (r,): the logit of the arm that was shown (of a cold arm: the mean over the warm offers, as it is served).
    `as_cold` (r,): the mean over the other warm offers, which is what the arm would have been given as a cold one.
    `held`: what was predicted for the held-out rows.
    """

    prior: Prior
    shown: Floats
    as_cold: Floats
    held: Holdout
    report: PriorReport


@dataclass(frozen=True, slots=True, eq=False)
class _Choice:
    """What the hold-out decides."""

    trees: int
    calibration: Calibration
    held: Holdout
    booster: Any = None  # of the rows that were not held out
    constant: str = ""
    forced: str = ""


def fit_prior(
    log: Log,
    offers: Floats,
    columns: Columns,
    *,
    seed: int,
    monotone: Mapping[str, int] | None = None,
    force: bool = False,
    threads: int = 2,
    progress: Progress | None = None,
) -> FittedPrior:
    """Boosted trees on the log, calibrated on its latest fifth, then refitted on all of it; each arm with its own line.

    A log of fewer than 50 rows, of one class, or one on which trees do not beat the rate of successes on held-out rows,
    gives a constant prior: the log's rate with one success and one failure added (Laplace). Successes may be rare: rows
    are neither resampled nor reweighted for it, because a chance is wanted and not a class.

    Args:
        log: exposures; the order of its rows does not matter to the folds but does to the last bits.
        offers: (k + 1, do) offer features, categories as codes; the last row is no offer.
        columns: what the columns of `log.customers` and `offers` are.
        seed: of the trees' feature sampling.
        monotone: +1 for columns in which the logit may only rise, -1 for those in which it may only fall.
        force: use trees even where they do not beat the rate of successes.
        threads: for the trees. Same log, same seed: same bits, whatever the number of threads.
        progress: called with a stage and the share done.

    Returns:
        the prior, cross-fitted logits, and the report.

    Raises:
        ShapeError: log, offers and columns do not fit together, or a monotone column is not a number column of theirs.
    """
    _check(log, offers, columns)
    say: Progress = progress or (lambda _stage, _share: None)
    data = training_data(log, offers, columns, seed=seed, threads=threads, monotone=monotone)
    warm = np.bincount(log.arm, minlength=len(offers)) >= WARM_ROWS
    say("hold-out", 0.0)
    choice, crossed = _choose(data, force=force), None
    if not choice.constant:
        crossed = cross_fit(data, choice.trees, choice.calibration, say)
        choice = _with_own_lines(data, warm, choice, crossed, force=force)
    say("all rows", 0.9)
    everything = np.arange(len(log.arm))
    grown = _no_trees(data) if choice.constant else data.train(everything, choice.trees)
    prior = _common(data, warm, grown, choice.calibration)
    shown = as_cold = np.full(len(log.arm), choice.calibration.intercept)
    if crossed is not None and not choice.constant:
        shown, as_cold = served(data, prior, choice.calibration, crossed)
        prior = with_lines(prior, choice.calibration, arm_lines(data, crossed, warm, np.ones(len(shown), np.bool_)))
    if len(shown):
        prior = replace(prior, mean_logit=float(shown.mean()))
    say("report", 1.0)
    found = prior_report(log, prior, choice.held, trees=choice.trees, constant=choice.constant, forced=choice.forced)
    return FittedPrior(prior, shown, as_cold, choice.held, found)


def _common(data: TrainingData, warm: NDArray[np.bool_], booster: Any, calibration: Calibration) -> Prior:
    """The prior with one calibration for all arms."""
    level, slope = (np.full(len(data.offers), x) for x in (calibration.intercept, calibration.slope))
    offers = np.array(data.offers, np.float64)
    return Prior(text_of(booster), offers, data.columns, warm, level, slope, calibration.intercept)


def _check(log: Log, offers: Floats, columns: Columns) -> None:
    if offers.ndim != 2 or offers.shape[1] != len(columns.offer) or len(offers) < 2:
        raise ShapeError(f"Offers of shape {offers.shape} are not (k + 1, {len(columns.offer)}) with k ≥ 1.")
    if log.customers.shape[1] != columns.width:
        raise ShapeError(f"Customers of shape {log.customers.shape} do not have {columns.width} columns.")
    if len(log.arm) and not 0 <= log.arm.min() <= log.arm.max() < len(offers):
        raise ShapeError(f"An arm of the log is not in 0..{len(offers) - 1}.", where="arm")


def _choose(data: TrainingData, *, force: bool) -> _Choice:
    """Number of trees and calibration, from rows later than those trained on."""
    log, y, w = data.log, data.log.outcome, data.log.weights
    late = holdout(log.decided_at, log.customer_key)
    train, held = np.flatnonzero(~late), np.flatnonzero(late)
    base = np.full(len(held), smoothed_logit(y[train], w[train]))
    constant = Calibration(smoothed_logit(y, w), 0.0)
    if len(y) < _SMALLEST_LOG:
        return _Choice(0, constant, Holdout(held, base, base), constant=f"the log has fewer than {_SMALLEST_LOG} rows")
    if one_class(y[train]) or len(held) == 0:
        return _Choice(0, constant, Holdout(held, base, base), constant="the log has outcomes of one kind only")
    half = time_folds(np.zeros(len(held)), log.customer_key[held], folds=2)
    linear = fit_logistic(log, train, data.columns, len(data.offers)).logits(log.customers[held], log.arm[held])
    rival = _half_calibrated(linear, y[held], w[held], half)
    booster = data.train(train, _MOST_TREES, stop=held)
    raw = np.asarray(booster.predict(data.matrix[held], raw_score=True), np.float64)
    calibration = fit_calibration(raw, y[held], w[held])
    logit = _half_calibrated(raw, y[held], w[held], half)
    found = Holdout(held, logit, base, rival, logit)
    why = _NOT_BETTER if calibration.slope <= 0.0 or not _beats_the_rate(log, found) else ""
    if why and (not force or calibration.slope <= 0.0):
        return _without_trees(log, found)
    return _Choice(int(booster.best_iteration), calibration, found, booster, forced=why)


def _beats_the_rate(log: Log, held: Holdout) -> bool:
    y, w = log.outcome[held.rows], log.weights[held.rows]
    return log_loss(held.logit, y, w) < log_loss(held.base, y, w)


def _without_trees(log: Log, held: Holdout) -> _Choice:
    """The rate of the log for everybody; what the trees would have said stays for the report."""
    constant = Calibration(smoothed_logit(log.outcome, log.weights), 0.0)
    return _Choice(0, constant, replace(held, logit=held.base, scores=None), constant=_NOT_BETTER)


def _half_calibrated(raw: Floats, outcome: Floats, weight: Floats, half: NDArray[np.int64]) -> Floats:
    """Each half of the customers calibrated on the other, so that the reported loss is not of rows fitted to."""
    out = np.empty(len(raw))
    for side in (0, 1):
        seen = half != side
        out[~seen] = fit_calibration(raw[seen], outcome[seen], weight[seen])(raw[~seen])
    return out


def _no_trees(data: TrainingData) -> Any:
    """A booster of one leaf with the right columns: a constant prior is a model like any other."""
    import lightgbm

    width = data.matrix.shape[1]
    train = lightgbm.Dataset(np.zeros((2, width)), np.array([0.0, 1.0]), params=data.parameters)
    return lightgbm.train(data.parameters, train, 1)


def _with_own_lines(
    data: TrainingData, warm: NDArray[np.bool_], choice: _Choice, crossed: Crossed, *, force: bool
) -> _Choice:
    """The choice with held-out rows as the other rows' lines would have served them; without trees where these lose.

    The lines are fitted to the other rows alone. The common calibration, which half of the held-out customers tell,
    knows better how often they succeed: trees may beat the rate with it, and not as they would be served.
    """
    log, rows = data.log, choice.held.rows
    others = np.ones(len(log.arm), np.bool_)
    others[rows] = False
    lines = arm_lines(data, crossed, warm, others)
    logit = lines(choice.held.logit, log.arm[rows])
    held = replace(choice.held, logit=logit, trees=logit)
    why = "" if _beats_the_rate(log, held) else _NOT_BETTER
    if why and not force:
        return _without_trees(log, held)
    blind = with_lines(_common(data, warm, choice.booster, choice.calibration), choice.calibration, lines)
    scores = _offer_scores(data, blind, choice.booster, rows)
    return replace(choice, held=replace(held, scores=scores), forced=choice.forced or why)


def _offer_scores(data: TrainingData, prior: Prior, booster: Any, rows: NDArray[np.int64]) -> Floats:
    """Logits of all offers for the successes among some rows."""
    arms = len(data.offers)
    took = successes(data.log, rows, arms - 1)
    raw = np.zeros((len(took), arms))
    threads = int(data.parameters["num_threads"])
    raw[:, prior.scored] = pair_scores(
        booster, data.log.customers[took], data.offers, data.columns, arms=prior.scored, threads=threads
    )
    return prior.calibrated(raw)[:, :-1].astype(np.float64)
