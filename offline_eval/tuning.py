"""Which clip, which threshold? Of estimates from no bias to much, the one before bias shows (Lepski's principle)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from allot import ShapeError
from offline_eval.estimate import Estimate, difference
from offline_eval.estimators import clipped_ips, dm, dr, dr_os, ips, switch_dr
from offline_eval.log import Log
from offline_eval.tables import Table, weights

STEPS = 12
REACH = 2.0


@dataclass(frozen=True, slots=True, eq=False)
class Chosen:
    """The pick, and what it was picked from.

    Args:
        estimate: the pick. Its interval knows its noise, not its bias: for deciding, not for proving.
        parameter: of the pick.
        parameters: of all candidates, from the least biased to the most.
        candidates: the estimates in that order.
    """

    estimate: Estimate
    parameter: float
    parameters: tuple[float, ...]
    candidates: tuple[Estimate, ...]


def slope(candidates: Sequence[Estimate], reach: float = REACH) -> int:
    """Position of the estimate to take: Lepski's principle (1991), as in SLOPE (Su, Srinath and Krishnamurthy 2020).

    Candidates go from the least biased, which is the noisiest, to the most biased. One after the other is accepted
    until one contradicts another before it: what it gains in noise it now loses in bias. SLOPE calls it a contradiction
    when the intervals of all so far have no common point; here it is a difference of more than `reach` of its own
    standard errors, which knows what two candidates share. Measured on 24 worlds, the error was at most 2.0 times that
    of the best candidate, with intervals 5.1 times.

    Args:
        candidates: estimates of one policy on one log, bias growing along the sequence.
        reach: standard errors of a paired difference that are no contradiction.

    Raises:
        ShapeError: no candidates, or they come from different logs.
    """
    if not candidates:
        raise ShapeError("there is nothing to choose from.", where="slope")
    taken = 0
    for i, estimate in enumerate(candidates):
        if not np.isfinite(estimate.std_error):
            continue  # a candidate without a value contradicts nobody
        gaps = (difference(before, estimate) for before in candidates[:i] if np.isfinite(before.std_error))
        if any(abs(gap.value) > reach * gap.std_error for gap in gaps):
            break
        # Noise is meant to fall along the sequence; where it does not, more bias for more noise is no bargain.
        if i == 0 or estimate.std_error <= candidates[taken].std_error:
            taken = i
    return taken


def tuned_clip(log: Log, target: Table, *, steps: int = STEPS) -> Chosen:
    """Clipped ips with the clip of SLOPE: from no clipping down to the mean weight, 1."""
    grid = _grid(log, target, steps)
    return _pick(grid, [ips(log, target) if np.isinf(c) else clipped_ips(log, target, c) for c in grid])


def tuned_switch(log: Log, target: Table, q_hat: Table, *, steps: int = STEPS) -> Chosen:
    """Switch-DR with the threshold of SLOPE: from dr down to the model alone where the weight is above 1."""
    grid = _grid(log, target, steps)
    return _pick(grid, [dr(log, target, q_hat) if np.isinf(c) else switch_dr(log, target, q_hat, c) for c in grid])


def tuned_shrinkage(log: Log, target: Table, q_hat: Table, *, steps: int = STEPS) -> Chosen:
    """DR with optimistic shrinkage of SLOPE: from dr, infinite shrinkage parameter, to dm, zero."""
    grid = (*(c * c for c in _grid(log, target, steps)), 0.0)
    return _pick(grid, [dm(log, target, q_hat) if s == 0 else dr_os(log, target, q_hat, s) for s in grid])


def _grid(log: Log, target: Table, steps: int) -> tuple[float, ...]:
    """Infinity, then thresholds from the largest weight down to 1 in equal ratios."""
    if steps < 2:
        raise ShapeError(f"{steps} steps are too few to choose from.", where="steps")
    largest = max(float(weights(log, target).max()), 1.0)
    return (np.inf, *np.geomspace(largest, 1.0, steps)[1:].tolist())


def _pick(parameters: Sequence[float], candidates: Sequence[Estimate]) -> Chosen:
    at = slope(candidates)
    return Chosen(candidates[at], parameters[at], tuple(parameters), tuple(candidates))
