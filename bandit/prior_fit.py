"""Fit the prior: how many trees, how well calibrated, and what it would have said of rows it had not seen."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from allot import ShapeError
from bandit.calibration import Bin, Calibration, brier, calibration_table, fit_calibration, log_loss
from bandit.folds import holdout, time_folds
from bandit.prior import WARM_ROWS, Columns, Log, Prior, pair_scores, parse

Floats: TypeAlias = NDArray[np.float64]
Progress: TypeAlias = Callable[[str, float], None]

_FEWEST_ROWS = 50
_MOST_TREES = 400
_PATIENCE = 30  # rounds without improvement before the hold-out stops the boosting
_FOLDS = 5
_PAIRS_AT_ONCE = 200_000
_ROWS_PER_THREAD = 50_000  # with fewer, threads wait for one another longer than they work
_TREES = {
    "objective": "binary",
    "num_leaves": 15,
    "learning_rate": 0.08,
    "min_data_in_leaf": 40,
    "lambda_l2": 1.0,
    "feature_fraction": 0.8,
    "cat_smooth": 20.0,
    "deterministic": True,
    "force_row_wise": True,
    "verbosity": -1,
}


@dataclass(frozen=True, slots=True)
class PriorReport:
    """What the hold-out says of the prior that is used.

    `log_loss`, `brier` and `calibration` are of held-out rows, calibrated on the other half of the customers; nats.
    `base_log_loss` is what the training part's rate of successes alone would have lost. `rate` is that of the whole
    log, `support` the log rows of each arm, `gain` the trees' total gain per column. `constant` says in words why
    the trees are not used, and is empty where they are.
    """

    rows: int
    holdout_rows: int
    log_loss: float
    base_log_loss: float
    brier: float
    trees: int
    rate: float
    support: tuple[int, ...]
    gain: dict[str, float]
    calibration: tuple[Bin, ...]
    constant: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class FittedPrior:
    """The prior, and its cross-fitted logits on the log, from which the posterior starts.

    `shown` (r,): the logit of the arm that was shown (of a cold arm: the mean over the warm offers, as it is served).
    `as_cold` (r,): the mean over the other warm offers, which is what the arm would have been given as a cold one.
    """

    prior: Prior
    shown: Floats
    as_cold: Floats
    report: PriorReport


@dataclass(frozen=True, slots=True, eq=False)
class TrainingData:
    """The log as the trees see it, and how to train on part of it."""

    log: Log
    offers: Floats
    matrix: Floats
    parameters: dict[str, Any]
    categorical: list[int]

    def train(self, rows: NDArray[np.int64], trees: int, stop: NDArray[np.int64] | None = None) -> Any:
        """A booster of some rows; with `stop`, the number of trees is the best on those rows."""
        import lightgbm

        y = self.log.outcome
        data = lightgbm.Dataset(
            self.matrix[rows], y[rows], categorical_feature=self.categorical, params=self.parameters
        )
        if stop is None:
            return lightgbm.train(self.parameters, data, trees)
        held = data.create_valid(self.matrix[stop], y[stop])
        watch = lightgbm.early_stopping(_PATIENCE, verbose=False)
        return lightgbm.train(self.parameters, data, trees, valid_sets=[held], callbacks=[watch])


@dataclass(frozen=True, slots=True, eq=False)
class _Choice:
    """What the hold-out decides."""

    trees: int
    calibration: Calibration
    held: NDArray[np.int64]
    logit: Floats  # of the held-out rows, calibrated on the other half
    base_log_loss: float
    constant: str


def fit_prior(
    log: Log,
    offers: Floats,
    columns: Columns,
    *,
    seed: int,
    threads: int = 2,
    progress: Progress | None = None,
) -> FittedPrior:
    """Boosted trees on the log, calibrated on its latest fifth, then refitted on all of it.

    A log of fewer than 50 rows, of one class, or one on which trees do not beat the rate of successes on held-out rows,
    gives a constant prior: the log's rate with one success and one failure added (Laplace).

    Args:
        log: exposures; the order of its rows does not matter to the folds but does to the last bits.
        offers: (k + 1, do) offer features, categories as codes; the last row is no offer.
        columns: what the columns of `log.customers` and `offers` are.
        seed: of the trees' feature sampling.
        threads: for the trees. Same log, same seed: same bits, whatever the number of threads.
        progress: called with a stage and the share done.

    Returns:
        the prior, cross-fitted logits, and the report.

    Raises:
        ShapeError: log, offers and columns do not fit together.
    """
    _check(log, offers, columns)
    say: Progress = progress or (lambda _stage, _share: None)
    data = training_data(log, offers, columns, seed=seed, threads=threads)
    warm = np.bincount(log.arm, minlength=len(offers)) >= WARM_ROWS
    say("hold-out", 0.0)
    choice = _choose(data)
    say("all rows", 0.2)
    everything = np.arange(len(log.arm))
    text = _text(_no_trees(data) if choice.constant else data.train(everything, choice.trees))
    prior = Prior(
        text=text,
        offers=np.array(offers, np.float64),
        columns=columns,
        warm=warm,
        intercept=choice.calibration.intercept,
        slope=choice.calibration.slope,
        mean_logit=choice.calibration.intercept,
    )
    shown, as_cold = _cross_fit(data, prior, choice, say)
    if len(shown):
        prior = _with_mean_logit(prior, float(shown.mean()))
    say("done", 1.0)
    return FittedPrior(prior, shown, as_cold, _report(data, prior, choice))


def _check(log: Log, offers: Floats, columns: Columns) -> None:
    if offers.ndim != 2 or offers.shape[1] != len(columns.offer) or len(offers) < 2:
        raise ShapeError(f"Offers of shape {offers.shape} are not (k + 1, {len(columns.offer)}) with k ≥ 1.")
    if log.customers.shape[1] != len(columns.customer):
        raise ShapeError(f"Customers of shape {log.customers.shape} do not have {len(columns.customer)} columns.")
    if len(log.arm) and not 0 <= log.arm.min() <= log.arm.max() < len(offers):
        raise ShapeError(f"An arm of the log is not in 0..{len(offers) - 1}.", where="arm")


def training_data(log: Log, offers: Floats, columns: Columns, *, seed: int, threads: int) -> TrainingData:
    """The matrix and the parameters that `fit_prior` trains with.

    Args:
        log: exposures.
        offers: (k + 1, do) offer features; the last row is no offer.
        columns: what the columns of `log.customers` and `offers` are.
        seed: of the trees' feature sampling.
        threads: the most to use; the bits do not depend on it.
    """
    useful = max(1, min(threads, len(log.arm) // _ROWS_PER_THREAD))
    parameters = {**_TREES, "seed": seed % 2**31, "num_threads": useful}
    matrix = np.concatenate([log.customers, offers[log.arm]], axis=1)
    return TrainingData(log, offers, matrix, parameters, list(columns.categorical))


def _smoothed_logit(outcome: Floats) -> float:
    """Logit of the rate of successes with one success and one failure added."""
    successes = outcome.sum() + 1.0
    return float(np.log(successes / (len(outcome) + 2.0 - successes)))


def _one_class(outcome: Floats) -> bool:
    return len(outcome) == 0 or bool(outcome.min() == outcome.max())


def _choose(data: TrainingData) -> _Choice:
    """Number of trees and calibration, from rows later than those trained on."""
    y = data.log.outcome
    late = holdout(data.log.decided_at, data.log.customer_key)
    train, held = np.flatnonzero(~late), np.flatnonzero(late)
    base = np.full(len(held), _smoothed_logit(y[train]))
    loss = log_loss(base, y[held]) if len(held) else 0.0
    constant = Calibration(_smoothed_logit(y), 0.0)
    if len(y) < _FEWEST_ROWS:
        return _Choice(0, constant, held, base, loss, f"the log has fewer than {_FEWEST_ROWS} rows")
    if _one_class(y[train]) or len(held) == 0:
        return _Choice(0, constant, held, base, loss, "the log has outcomes of one kind only")
    booster = data.train(train, _MOST_TREES, stop=held)
    raw = np.asarray(booster.predict(data.matrix[held], raw_score=True), np.float64)
    calibration = fit_calibration(raw, y[held])
    logit = _half_calibrated(raw, y[held], time_folds(np.zeros(len(held)), data.log.customer_key[held], folds=2))
    if calibration.slope <= 0.0 or log_loss(logit, y[held]) >= loss:
        return _Choice(0, constant, held, base, loss, "trees do not beat the rate of successes on held-out rows")
    return _Choice(int(booster.best_iteration), calibration, held, logit, loss, "")


def _half_calibrated(raw: Floats, outcome: Floats, half: NDArray[np.int64]) -> Floats:
    """Each half of the customers calibrated on the other, so that the reported loss is not of rows fitted to."""
    out = np.empty(len(raw))
    for side in (0, 1):
        out[half == side] = fit_calibration(raw[half != side], outcome[half != side])(raw[half == side])
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
        if _one_class(data.log.outcome[outside]):
            shown[inside] = as_cold[inside] = choice.calibration(_smoothed_logit(data.log.outcome[outside]))
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
    raw = pair_scores(booster, data.log.customers[rows], data.offers[scored], threads=threads)
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


def _text(booster: Any) -> str:
    """The model text without the list of parameters, which names the number of threads."""
    return str(booster.model_to_string()).split("\nparameters:")[0] + "\n"


def _with_mean_logit(prior: Prior, mean_logit: float) -> Prior:
    return Prior(
        prior.text, prior.offers, prior.columns, prior.warm, prior.intercept, prior.slope, mean_logit=mean_logit
    )


def _report(data: TrainingData, prior: Prior, choice: _Choice) -> PriorReport:
    y = data.log.outcome
    held = y[choice.held]
    gain = parse(prior.text).feature_importance("gain") if not choice.constant else np.zeros(len(prior.columns.names))
    return PriorReport(
        rows=len(y),
        holdout_rows=len(held),
        log_loss=log_loss(choice.logit, held) if len(held) else 0.0,
        base_log_loss=choice.base_log_loss,
        brier=brier(choice.logit, held) if len(held) else 0.0,
        trees=choice.trees,
        rate=float(y.mean()) if len(y) else 0.0,
        support=tuple(int(s) for s in np.bincount(data.log.arm, minlength=len(data.offers))),
        gain={name: float(g) for name, g in zip(prior.columns.names, gain, strict=True)},
        calibration=calibration_table(choice.logit, held),
        constant=choice.constant,
    )
