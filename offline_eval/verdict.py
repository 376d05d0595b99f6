"""May we believe the estimate? Diagnosis, the choice of one estimator, and a verdict with its reasons."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from allot import ShapeError
from offline_eval.choosing import SUCCESS_FLOOR, choose, compare, countable, fitted, reaching, weighted_successes
from offline_eval.diagnostics import (
    Calibration,
    calibration,
    calibration_sentences,
    certain_sentences,
    copies,
    copies_sentences,
    mismatch_sentences,
)
from offline_eval.estimate import Estimate, standard_error
from offline_eval.estimators import dr, ips, logged, sndr, snips
from offline_eval.log import Floats, Integers, Log, refuse_rows
from offline_eval.tables import Table, read_target

Verdict: TypeAlias = Literal["supported", "insufficient", "invalid"]

ESS_FLOOR = 500.0
UNSUPPORTED_CEILING = 0.01
LARGE_WEIGHT = 10.0
HEAVY_ROW = 0.05  # share of all weight; no row of a log with 500 effective rows can have it
WEIGHT_ERRORS = 4.0
ROUNDING = 1e-12  # values that differ by less, relative to the largest, are one value
WEIGHT_ROUNDING = 1e-3  # probabilities are often stored with three digits


@dataclass(frozen=True, slots=True, eq=False)
class Report:
    """An evaluation: what the target would have earned, and whether the log can say so.

    Args:
        verdict: "supported"; "insufficient": the log is too thin for this target, no winner may be named; "invalid":
            the estimates do not mean what they say.
        reasons: why the verdict is not "supported", in sentences; empty when it is.
        estimate: the chosen one with the chosen interval; None when invalid.
        chosen_because: why this estimator and this interval, in a sentence.
        estimates: ips, snips and, with a reward model, dr and sndr, each with the interval that its own rows call for.
        logged: mean reward of what was done.
        difference: the chosen estimate less that, paired, with the interval of `compare`; None when invalid.
        ess: effective sample size of the weights, in customers where the log names them, else in rows; with `chances`
            at most what it is in expectation.
        largest_weight: of all rows.
        mean_weight: should be 1 less the unsupported mass.
        heaviest_row: the row with that weight, and heaviest_share its share of all weight.
        clipped_share: share of rows whose weight is above 10, which is what clipping at 10 would touch.
        clip_bias_bound: at most so much would clipping at 10 move the value, in the unit of the rewards.
        unsupported_mass: share of the target's probability on actions that this log cannot speak about.
        weighted_successes: effective number of rewards other than 0, by customer; see `choosing.weighted_successes`.
        calibration: how often each action occurs against what the propensities say.
        copies: rows that repeat an earlier one in customer, action, propensity, reward and weight; decisions may
            happen to be alike.
        spread: largest less smallest value of `estimates`, in standard errors of the chosen one.
        rows: logged decisions.
        planned_minus_realised: the plan less the chosen estimate, per decision; None without either.
    """

    verdict: Verdict
    reasons: tuple[str, ...]
    estimate: Estimate | None
    chosen_because: str
    estimates: tuple[Estimate, ...]
    logged: Estimate
    difference: Estimate | None
    ess: float
    largest_weight: float
    heaviest_row: int
    heaviest_share: float
    mean_weight: float
    clipped_share: float
    clip_bias_bound: float
    unsupported_mass: float
    weighted_successes: float
    calibration: Calibration
    copies: int
    spread: float
    rows: int
    planned_minus_realised: float | None


def evaluate(
    log: Log,
    target: Table,
    q_hat: Table | None = None,
    *,
    support: NDArray[np.bool_] | None = None,
    chances: Table | None = None,
    segment: Integers | None = None,
    decision: Integers | None = None,
    planned: float | None = None,
    reasons: tuple[str, ...] = (),
) -> Report:
    """What the target policy would have earned on the logged decisions, and whether that may be believed.

    Args:
        log, target: n decisions and (n, number of actions) probabilities; the last column is no offer.
        q_hat: (n, number of actions) modelled rewards not shaped by these rows' outcomes, or None.
        support: (n, number of actions) bool, what had a logged chance above 0; None: what occurs anywhere in the log.
        chances: (n, number of actions) the logging policy's whole rows, where they are known. Then the weights' spread
            is known and need not be guessed from the weights that happened to occur, which misses rare large ones.
        segment: (n,) integers; propensities are checked in each segment, too.
        decision: (n,) integers that tell decisions apart, e.g. a hash of their ids; rows that share one are copies.
        planned: the mean reward per decision that the policy planned.
        reasons: sentences of the caller that make the evaluation invalid, e.g. that the policy has learnt from the log.

    Raises:
        ShapeError, DataError: inputs do not fit together, or a logged action has no support.
    """
    target, chance, _ = read_target(log, target)
    w = chance / log.propensity
    modelled = [] if q_hat is None else [dr(log, target, q_hat), sndr(log, target, q_hat)]
    estimates = [ips(log, target), snips(log, target), *modelled]
    unsupported = _unsupported(log, target, support)
    successes = weighted_successes(w, log)
    chosen, because = choose(estimates, successes, log)
    estimates = _fitted(estimates, successes, log)
    moment = None if chances is None else _second_moment(log, target, chances)
    ess = chosen.ess if moment is None else min(chosen.ess, len(w) / float(moment.mean()))
    calibrated = calibration(log, actions=target.shape[1], support=support, chances=chances, segment=segment)
    off = _weights_off(w, 1 - unsupported, log, moment)
    wrong = (*certain_sentences(log, w), *calibration_sentences(calibrated), *mismatch_sentences(log, chances))
    thin = (*_too_thin(ess, successes, float(unsupported.mean())), *_heavy(w, log), *copies_sentences(log, decision, w))
    # With few effective rows the error of the mean weight is itself a guess: then it is a symptom, not a proof.
    broken = (*reasons, *wrong, *(off if ess >= ESS_FLOOR else ()))
    found = chosen if not broken else None
    done, _ = fitted(logged(log), weighted_successes(np.ones_like(w), log), log)
    return Report(
        verdict="invalid" if broken else "insufficient" if thin or off else "supported",
        reasons=(*reasons, *off, *wrong, *thin),
        estimate=found,
        chosen_because=because,
        estimates=tuple(estimates),
        logged=done,
        difference=None if found is None else compare(found, done, log)[0],
        ess=ess,
        largest_weight=chosen.largest_weight,
        heaviest_row=int(np.argmax(w)),
        heaviest_share=_share(w),
        mean_weight=float(w.mean()),
        clipped_share=float(np.mean(w > LARGE_WEIGHT)),
        clip_bias_bound=float(np.maximum(w - LARGE_WEIGHT, 0.0).mean() * np.abs(log.reward).max()),
        unsupported_mass=float(unsupported.mean()),
        weighted_successes=successes,
        calibration=calibrated,
        copies=int(copies(log, w).sum()),
        spread=_spread(estimates, chosen),
        rows=len(w),
        planned_minus_realised=_less(planned, found),
    )


def _fitted(estimates: list[Estimate], successes: float, log: Log) -> list[Estimate]:
    """Each with the interval that its own rows call for; without a success a model's reaches as far as that of ips."""
    found = [fitted(e, successes, log)[0] for e in estimates]
    if successes > 0:
        return found
    return [e if countable(e) else reaching(e, found[0]) for e in found]


def _share(w: Floats) -> float:
    """The heaviest row's share of all weight; 0 without weight."""
    total = float(w.sum())
    return float(w.max()) / total if total > 0 else 0.0


def _less(planned: float | None, found: Estimate | None) -> float | None:
    """The plan less what was found, where there are both."""
    if planned is None or found is None or not np.isfinite(found.value):
        return None
    return planned - found.value


def _unsupported(log: Log, target: Table, support: NDArray[np.bool_] | None) -> Floats:
    """(n,) the target's probability on actions that never occur in the log or had no chance in this row."""
    table = read_target(log, target)[0]
    seen = np.bincount(log.action, minlength=table.shape[1]) > 0
    possible = np.broadcast_to(seen, table.shape)
    if support is not None:
        if support.shape != table.shape or support.dtype != np.bool_:
            raise ShapeError(
                f"support must be {table.shape} bool, not {support.shape} {support.dtype}.", where="support"
            )
        refuse_rows(
            ~support[np.arange(len(table)), log.action],
            log.action,
            "action {} was logged, yet it is marked as having had no chance",
            "Mark every action whose logged probability is above 0.",
            where="support",
        )
        possible = support & seen
    lost: Floats = np.where(possible, 0.0, table).sum(axis=1, dtype=np.float64)
    return lost


def _second_moment(log: Log, target: Table, chances: Table) -> Floats:
    """(n,) the mean square of each row's weight over what the logging policy could have chosen.

    Raises:
        ShapeError: the tables disagree.
    """
    table = read_target(log, target)[0]
    if chances.shape != table.shape:
        raise ShapeError(f"chances must be {table.shape}, not {chances.shape}.", where="chances")
    square = np.zeros(table.shape)
    np.divide(table.astype(np.float64) ** 2, chances, out=square, where=chances > 0)
    moment: Floats = square.sum(axis=1)
    return moment


def _weights_off(w: Floats, expected: Floats, log: Log, moment: Floats | None) -> list[str]:
    """A sentence if the mean weight is not what right propensities give: the target's supported probability."""
    gap = w - expected
    off = float(gap.mean())
    error = standard_error(gap - off, log.cluster)
    if moment is not None:
        error = max(error, float(np.sqrt(np.maximum(moment - expected**2, 0.0).sum())) / len(w))
    if abs(off) <= WEIGHT_ERRORS * error + WEIGHT_ROUNDING:
        return []
    should = f"{expected.mean():.3g}"
    why = "the logged propensities do not match the log"
    if off < 0:
        why += ", or the target favours actions that hardly ever occur where it would take them"
    return [f"Weights average {w.mean():.3g} (should be {should}): {why}."]


def _heavy(w: Floats, log: Log) -> list[str]:
    """A sentence about a row that outweighs hundreds of others."""
    if _share(w) <= HEAVY_ROW:
        return []
    row = int(np.argmax(w))
    return [
        f"Row {row} alone carries {_share(w):.0%} of all weight: "
        f"its weight is {w[row]:,.4g}, its propensity {log.propensity[row]:.3g}."
    ]


def _too_thin(ess: float, successes: float, unsupported: float) -> list[str]:
    found = []
    if ess < ESS_FLOOR:
        found.append(f"The effective sample size is {int(ess):,}, below the floor of {ESS_FLOOR:.0f}.")
    if successes < SUCCESS_FLOOR:
        found.append(f"There are {successes:,.1f} weighted successes, below the floor of {SUCCESS_FLOOR:.0f}.")
    if unsupported > UNSUPPORTED_CEILING:
        found.append(
            f"{unsupported:.1%} of the target's probability is on actions that the log cannot speak about; "
            f"at most {UNSUPPORTED_CEILING:.0%} is allowed."
        )
    return found


def _spread(estimates: list[Estimate], chosen: Estimate) -> float:
    """How far the estimators are apart, in standard errors of the chosen one."""
    values = np.array([e.value for e in estimates])
    apart = float(values.max() - values.min())  # NaN if one has no value
    if apart <= ROUNDING * np.abs(values).max():
        return 0.0
    return apart / chosen.std_error if chosen.std_error > 0 and np.isfinite(apart) else np.inf
