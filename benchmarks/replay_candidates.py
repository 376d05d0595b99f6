"""Does the evaluation refuse candidates that are worse than one offer for all? On real randomised logs.

Candidates are made of what the first half of a log says, and judged on the second by `evaluate` and `compare` against
the arm that was best in the first. The other arms and chance are candidates, too: whether *they* are worse, the first
half says for itself, so that the judgement on the second has something to be held against.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

import offline_eval as oe
from bandit import choice_probabilities
from sims.learners import Learner, Residual
from sims.replay import RandomisedLog

Floats: TypeAlias = NDArray[np.float64]
Word: TypeAlias = Literal["better", "worse", "not told apart", "withheld"]

CHANCE: Final = "by chance"


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """What is said of a candidate.

    Args:
        report: of the candidate.
        gap: its value less that of the best arm, paired.
        word: `withheld` where the verdict on one of the two is not `supported`.
        worse: whether the half that it was not judged on says that it is significantly worse; None where it cannot,
            because the candidate has learnt from it.
    """

    report: oe.Report
    gap: oe.Estimate
    word: Word
    worse: bool | None


def judged(known: RandomisedLog, coming: RandomisedLog, learnt: Mapping[str, Floats]) -> dict[str, Judged]:
    """Every candidate against the arm that was best in the first half, which itself comes first.

    Args:
        known: the first half.
        coming: the second.
        learnt: (n, k) chances that candidates give the arms for each customer of the second half, by name.
    """
    k = len(known.arms)
    before, after = log_of(known), log_of(coming)
    best = best_arm(known)
    fixed = {CHANCE: np.full(k, 1.0 / k)} | {f"all {known.arms[a]}": np.eye(k)[a] for a in range(k)}
    incumbent = f"all {known.arms[best]}"
    tables = learnt | {name: np.tile(row, (len(coming.arm), 1)) for name, row in fixed.items()}
    reports = {name: oe.evaluate(after, _with_none(table)) for name, table in tables.items()}
    own = _snips(reports[incumbent])
    earlier = {name: oe.snips(before, _with_none(np.tile(row, (len(known.arm), 1)))) for name, row in fixed.items()}
    out = {}
    for name in (incumbent, *(name for name in tables if name != incumbent)):
        gap = oe.compare(_snips(reports[name]), own, after)[0]
        worse = None
        if name in fixed:
            worse = name != incumbent and oe.compare(earlier[name], earlier[incumbent], before)[0].high < 0
        out[name] = Judged(reports[name], gap, said(reports[name], reports[incumbent], gap), worse)
    return out


def said(candidate: oe.Report, incumbent: oe.Report, gap: oe.Estimate) -> Word:
    """Who is better, if the log can tell; one whom it cannot judge wins nothing."""
    if "supported" not in (candidate.verdict, incumbent.verdict) or candidate.verdict != incumbent.verdict:
        return "withheld"
    return "better" if gap.low > 0 else "worse" if gap.high < 0 else "not told apart"


def greedy(learner: Learner, coming: RandomisedLog, *, least: bool = False) -> Floats:
    """(n, k) certainty of the arm with the highest score, or with the lowest."""
    scores = learner.scores(np.arange(len(coming.arm)), np.random.default_rng(0))
    return np.eye(len(coming.arms))[(scores.argmin if least else scores.argmax)(1)]


def chances(learner: Residual, coming: RandomisedLog) -> Floats:
    """(n, k) chances with which the product's learner plays the arms, each of which earns 1 by a success."""
    n, k = len(coming.arm), len(coming.arms)
    scores = learner.worth(np.arange(n), np.ones((n, k), np.bool_)).scores
    found = choice_probabilities(scores.mean, scores.sd, scores.value, scores.fee, scores.eligible, threads=1)
    return found[:, :k] / found[:, :k].sum(1, keepdims=True)


def best_arm(log: RandomisedLog) -> int:
    """The arm of the most successes per decision."""
    return int(rates(log).argmax())


def rates(log: RandomisedLog) -> Floats:
    """(k,) successes per decision of each arm."""
    k = len(log.arms)
    return np.bincount(log.arm, log.outcome, k) / np.maximum(np.bincount(log.arm, minlength=k), 1)


def log_of(log: RandomisedLog) -> oe.Log:
    """For the evaluation: no arm of a replayed log is its `no offer`, which is the last action."""
    return oe.Log(log.outcome, log.arm, log.propensity, log.customer)


def _with_none(table: Floats) -> Floats:
    return np.column_stack([table, np.zeros(len(table))])


def _snips(report: oe.Report) -> oe.Estimate:
    """The estimate without a model: all candidates must be judged by the same."""
    return next(x for x in report.estimates if x.estimator == "snips")
