"""Fit the prior: how many trees, how well calibrated, and what it would have said of rows it had not seen."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from allot import ShapeError
from bandit.calibration import Calibration
from bandit.columns import Columns
from bandit.folds import holdout, time_folds
from bandit.kinds import Kind
from bandit.logistic import fit_logistic
from bandit.prior import WARM_ROWS, Log, Prior, pair_scores
from bandit.prior_columns import crossing
from bandit.prior_trees import MOST_TREES, TrainingData, one_kind, text_of, training_data
from bandit.training_report import Holdout, PriorReport, prior_report, successes

Floats: TypeAlias = NDArray[np.float64]
Progress: TypeAlias = Callable[[str, float], None]

_SMALLEST_LOG = 50
_FOLDS = 5
_PAIRS_AT_ONCE = 200_000


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
    """Boosted trees on the log, calibrated on its latest fifth, then refitted on all of it.

    A log of fewer than 50 rows, of one class, or one on which trees do not beat the rate of successes on held-out rows,
    gives a constant prior: the log's rate with one success and one failure added (Laplace). Successes may be rare: rows
    are neither resampled nor reweighted for it, because a chance is wanted and not a class. Cross columns are read only
    where the rows that are not held out show that trees say more with them (`bandit.prior_columns`); else the prior's
    columns are those of customers and offers alone.

    Args:
        log: exposures; the order of its rows does not matter to the folds but does to the last bits.
        offers: (k + 1, do) offer features, categories as codes; the last row is no offer.
        columns: what the columns of `log.customers` and `offers` are; the prior's `columns` are those that it reads.
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
    directions = monotone or {}
    _check(log, offers, columns, directions)
    say: Progress = progress or (lambda _stage, _share: None)
    say("columns", 0.0)
    tried = None
    if columns.cross:
        tried = crossing(log, offers, columns, seed=seed, threads=threads, monotone=directions)
        columns = columns if tried.better else columns.alone
        log = log.read_by(columns)
    data = training_data(log, offers, columns, seed=seed, threads=threads, monotone=directions)
    warm = np.bincount(log.arm, minlength=len(offers)) >= WARM_ROWS
    say("hold-out", 0.1)
    choice = _choose(data, force=force)
    say("all rows", 0.2)
    everything = np.arange(len(log.arm))
    text = text_of(_no_trees(data) if choice.constant else data.train(everything, choice.trees))
    prior = Prior(
        text=text,
        offers=np.array(offers, np.float64),
        columns=columns,
        warm=warm,
        intercept=choice.calibration.intercept,
        slope=choice.calibration.slope,
        mean_logit=0.0,
        kind=log.kind,
    )
    shown, as_cold = _cross_fit(data, prior, choice, say)
    prior = replace(prior, mean_logit=float(shown.mean()) if len(shown) else prior.intercept)
    say("report", 1.0)
    held = _with_scores(data, prior, choice)
    found = prior_report(log, prior, held, trees=choice.trees, constant=choice.constant, forced=choice.forced)
    return FittedPrior(prior, shown, as_cold, held, replace(found, crossing=tried))


def _check(log: Log, offers: Floats, columns: Columns, monotone: Mapping[str, int]) -> None:
    if offers.ndim != 2 or offers.shape[1] != len(columns.offer) or len(offers) < 2:
        raise ShapeError(f"Offers of shape {offers.shape} are not (k + 1, {len(columns.offer)}) with k ≥ 1.")
    if log.customers.shape[1] != columns.width:
        raise ShapeError(f"Customers of shape {log.customers.shape} do not have {columns.width} columns.")
    if len(log.arm) and not 0 <= log.arm.min() <= log.arm.max() < len(offers):
        raise ShapeError(f"An arm of the log is not in 0..{len(offers) - 1}.", where="arm")
    for name, sign in monotone.items():
        if name not in columns.numbers or sign not in (-1, 1):
            raise ShapeError(f"{name!r} cannot be held to {sign}: it is no column of numbers.", where="monotone")


def _choose(data: TrainingData, *, force: bool) -> _Choice:
    """Number of trees and calibration, from rows later than those trained on."""
    log, y, w, kind = data.log, data.log.outcome, data.log.weights, data.log.kind
    late = holdout(log.decided_at, log.customer_key)
    train, held = np.flatnonzero(~late), np.flatnonzero(late)
    base = np.full(len(held), kind.level(y[train], w[train]))
    constant = Calibration(kind.level(y, w), 0.0)
    if len(y) < _SMALLEST_LOG:
        return _Choice(0, constant, Holdout(held, base, base), constant=f"the log has fewer than {_SMALLEST_LOG} rows")
    if one_kind(y[train]) or len(held) == 0:
        return _Choice(0, constant, Holdout(held, base, base), constant="the log has outcomes of one kind only")
    half = time_folds(np.zeros(len(held)), log.customer_key[held], folds=2)
    linear = fit_logistic(log, train, data.columns, len(data.offers)).logits(log.customers[held], log.arm[held])
    rival = _half_calibrated(linear, y[held], w[held], half, kind)
    booster = data.train(train, MOST_TREES, stop=held)
    raw = np.asarray(booster.predict(data.matrix[held], raw_score=True), np.float64)
    calibration = kind.calibration(raw, y[held], w[held])
    logit = _half_calibrated(raw, y[held], w[held], half, kind)
    mine, level = (float(np.average(kind.losses(score, y[held]), weights=w[held])) for score in (logit, base))
    why = "" if mine < level and calibration.slope > 0.0 else kind.no_better
    if why and (not force or calibration.slope <= 0.0):
        return _Choice(0, constant, Holdout(held, base, base, rival, logit), constant=why)
    found = Holdout(held, logit, base, rival, logit)
    return _Choice(int(booster.best_iteration), calibration, found, booster, forced=why)


def _half_calibrated(raw: Floats, outcome: Floats, weight: Floats, half: NDArray[np.int64], kind: Kind) -> Floats:
    """Each half of the customers calibrated on the other, so that the reported loss is not of rows fitted to."""
    out = np.empty(len(raw))
    for side in (0, 1):
        seen = half != side
        out[~seen] = kind.calibration(raw[seen], outcome[seen], weight[seen])(raw[~seen])
    return out


def _cross_fit(data: TrainingData, prior: Prior, choice: _Choice, say: Progress) -> tuple[Floats, Floats]:
    """Logits (shown, as_cold) of every row from trees that saw only the other folds, calibrated by the same map."""
    rows = len(data.log.arm)
    shown, as_cold = np.full(rows, prior.intercept), np.full(rows, prior.intercept)
    if choice.constant:
        return shown, as_cold
    fold = time_folds(data.log.decided_at, data.log.customer_key, folds=_FOLDS)
    for f in range(_FOLDS):
        say("cross-fitting", 0.3 + 0.7 * f / _FOLDS)
        inside = np.flatnonzero(fold == f)
        outside = np.flatnonzero(fold != f)
        if one_kind(data.log.outcome[outside]):
            rate = data.log.kind.level(data.log.outcome[outside], data.log.weights[outside])
            shown[inside] = as_cold[inside] = choice.calibration(rate)
            continue
        booster = data.train(outside, choice.trees)
        size = max(1, _PAIRS_AT_ONCE // len(prior.scored))
        for first in range(0, len(inside), size):
            piece = inside[first : first + size]
            shown[piece], as_cold[piece] = _as_served(data, prior, booster, piece)
    return shown, as_cold


def _as_served(data: TrainingData, prior: Prior, booster: Any, rows: NDArray[np.int64]) -> tuple[Floats, Floats]:
    """Logits of the shown arm and of the other warm offers on average, as `Prior.logits` gives them."""
    scored = prior.scored
    threads = int(data.parameters["num_threads"])
    raw = pair_scores(booster, data.log.customers[rows], data.offers, data.columns, arms=scored, threads=threads)
    own = prior.intercept + prior.slope * raw
    offer = scored < len(data.offers) - 1
    total, count = own[:, offer].sum(1), int(offer.sum())
    mean = total / count
    place = np.full(len(data.offers), -1)
    place[scored] = np.arange(len(scored))
    at = place[data.log.arm[rows]]
    mine = np.where(prior.warm[data.log.arm[rows]], own[np.arange(len(rows)), at], mean)
    counted = prior.warm[data.log.arm[rows]] & (data.log.arm[rows] < len(data.offers) - 1) & (count > 1)
    return mine, np.where(counted, (total - mine) / max(count - 1, 1), mean)


def _no_trees(data: TrainingData) -> Any:
    """A booster of one leaf with the right columns: a constant prior is a model like any other."""
    import lightgbm

    width = data.matrix.shape[1]
    train = lightgbm.Dataset(np.zeros((2, width)), np.array([0.0, 1.0]), params=data.parameters)
    return lightgbm.train(data.parameters, train, 1)


def _with_scores(data: TrainingData, prior: Prior, choice: _Choice) -> Holdout:
    """The held-out rows with the scores of all offers for the successes among them, as a customer would be served."""
    if not data.log.kind.taken:
        return choice.held
    arms, log = len(data.offers), data.log
    took = successes(log, choice.held.rows, arms - 1)
    scores = np.zeros((len(took), arms - 1))
    if choice.booster is not None and len(took):
        raw = np.zeros((len(took), arms))
        threads = int(data.parameters["num_threads"])
        raw[:, prior.scored] = pair_scores(
            choice.booster, log.customers[took], data.offers, data.columns, arms=prior.scored, threads=threads
        )
        scores = prior.calibrated(raw)[:, :-1].astype(np.float64)
    return replace(choice.held, scores=scores)
