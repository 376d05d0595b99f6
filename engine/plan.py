"""From a policy to one whole plan: headroom, rehearsal and the balanced draw, or the deterministic optimum."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from allot import LimitError
from allot.uniforms import stream
from engine.infeasible import infeasible
from engine.objective import Worth
from engine.policy import Policy, Setting, policy_of
from engine.stages import Stages
from portfolio import (
    Problem,
    Rehearsal,
    Rows,
    Usage,
    balance,
    compile_rows,
    initial_headroom,
    reach,
    rehearse,
    ruled_out,
    solve,
    too_narrow,
    usage,
    use_of,
)
from portfolio.draw.balance import REFUSED_BELOW
from portfolio.draw.headroom import WANTED

Floats: TypeAlias = NDArray[np.float64]

_RAISES = 4  # of the headroom


@dataclass(frozen=True, slots=True)
class Plan:
    """A whole plan and how it came about.

    Args:
        choice: (n,) offer numbers, -1 = no offer; all -1 unless released.
        probability: (n, k + 1) float32, with which it was drawn; one-hot where deterministic.
        mechanism: "balanced" or "deterministic".
        status: "released", or "headroom_too_small" with the names of the limits in `breached`.
        usage: every limit recounted from the choice.
        bound: upper bound of the planned value (deterministic) or of the drawn value (balanced).
        headroom: (m,) kept from the linear rows.
        acceptance: share of rehearsed landings that kept every limit.
    """

    choice: NDArray[np.int64]
    probability: NDArray[np.float32]
    mechanism: Literal["balanced", "deterministic"]
    status: str
    breached: tuple[str, ...]
    usage: tuple[Usage, ...]
    bound: float
    charges: Floats
    headroom: Floats
    acceptance: float
    rejection_rate: float
    attempts: int
    residual: float
    passes: int


def check_feasible(problem: Problem) -> None:
    """Refuse limits that no plan can keep.

    Raises:
        LimitError: with an irreducible conflicting set and the smallest relaxation of each member.
    """
    found = infeasible(problem)
    if found is not None:
        raise found.error()


def best_plan(problem: Problem) -> Plan:
    """The deterministic optimum for posterior means, with probability one: nothing can be learnt from it."""
    n, k = problem.value.shape
    solution = solve(problem)
    if solution.status == "infeasible":
        check_feasible(problem)
        raise LimitError("no plan keeps all limits.", where="limits", remedy="Relax one of them.")
    if solution.broken:
        raise LimitError(
            "no plan was found that keeps " + ", ".join(repr(name) for name in solution.broken) + ".",
            where="limits",
            remedy="Relax one of them a little: whole customers may not fit into such narrow limits.",
        )
    probability = np.zeros((n, k + 1), np.float32)
    probability[np.arange(n), np.where(solution.choice < 0, k, solution.choice)] = 1.0
    rows = compile_rows(problem.limits, problem.n_cells, k)
    price = np.array([solution.prices.get(name, 0.0) for name in rows.names])
    binds = np.where(price > 0, np.isfinite(rows.upper), np.isfinite(rows.lower))
    price = np.where(binds, price, 0.0)  # of a share's two rows, the one that can have a price of this sign
    return Plan(
        choice=solution.choice,
        probability=probability,
        mechanism="deterministic",
        status="released",
        breached=(),
        usage=solution.usage,
        bound=solution.bound,
        charges=rows.charges(price),
        headroom=np.zeros(len(price)),
        acceptance=1.0,
        rejection_rate=0.0,
        attempts=1,
        residual=0.0,
        passes=solution.passes,
    )


@dataclass(frozen=True, slots=True)
class Draws:
    """What the draw is keyed by: the campaign's seed labels and the customers' keys (n,)."""

    seed: int
    name: str
    as_of: str
    keys: NDArray[np.uint64]

    def purpose(self, label: str) -> int:
        """The seed of one purpose, so that a recurring campaign never repeats a draw."""
        return int(stream(self.seed, self.name, self.as_of, label))


def without_forbidden(worth: Worth, problem: Problem) -> tuple[Worth, Problem]:
    """The same without the pairs that a maximum of 0 forbids: it is a rule and leaves no room for chance."""
    rows = compile_rows(problem.limits, problem.n_cells, problem.value.shape[1])
    allowed = problem.eligible & ~ruled_out(problem, rows)
    return replace(worth, scores=replace(worth.scores, eligible=allowed)), replace(problem, eligible=allowed)


def drawn_plan(
    worth: Worth,
    problem: Problem,
    share: float,
    draws: Draws,
    stages: Stages,
    *,
    prices: Mapping[str, float] | None = None,
) -> Plan:
    """Prices, probabilities and one balanced draw inside every limit.

    Args:
        worth: what the draw sees.
        problem: the same pairs with the limits.
        share: exploration share.
        draws: what the random numbers are keyed by.
        stages: where the time goes.
        prices: of limits by name, to start from, such as those of an earlier plan; None starts afresh.

    Raises:
        LimitError: limits in conflict, or too narrow for a draw (with the width they need).
    """
    worth, problem = without_forbidden(worth, problem)
    rows = compile_rows(problem.limits, problem.n_cells, problem.value.shape[1])
    headroom = initial_headroom(rows, problem)
    span = reach(rows, problem)
    narrow = too_narrow(rows, headroom, span)
    if narrow:
        needs = "; ".join(f"{name!r} needs room for {width:,.6g}" for name, width in narrow)
        raise LimitError(
            f"too narrow for a random draw: {needs}.",
            where="limits",
            remedy="Widen it, make it report_only, or set exploration.temperature = 0 for the deterministic optimum.",
        )
    start = None if prices is None else np.array([prices.get(name, 0.0) for name in rows.names])
    policy, headroom, seen = _rehearsed(worth, problem, Setting(share, headroom, start), draws, stages)
    with stages("draw", len(draws.keys)):
        drawn = balance(policy.probability, problem, seed=draws.purpose("draw"), keys=draws.keys)
    released = drawn.status == "released" and seen.acceptance >= REFUSED_BELOW
    choice = drawn.choice if released else np.full(len(draws.keys), -1, np.int64)
    recounted = usage(problem.limits, use_of(problem, choice), policy.prices)
    return Plan(
        choice=choice,
        probability=policy.probability,
        mechanism="balanced",
        status="released" if released else "headroom_too_small",
        breached=() if released else drawn.breached or _broken(rows, seen),
        usage=recounted,
        bound=policy.bound,
        charges=policy.charges,
        headroom=headroom,
        acceptance=seen.acceptance,
        rejection_rate=max(drawn.rejection_rate, 1.0 - seen.acceptance),
        attempts=drawn.attempts,
        residual=policy.residual,
        passes=policy.passes,
    )


def _rehearsed(
    worth: Worth, problem: Problem, setting: Setting, draws: Draws, stages: Stages
) -> tuple[Policy, Floats, Rehearsal]:
    """Raise the headroom of limits that fail in rehearsal, at the final prices, until nearly every landing holds."""
    rows = compile_rows(problem.limits, problem.n_cells, problem.value.shape[1])
    headroom = np.zeros(len(rows.names)) if setting.headroom is None else setting.headroom
    for attempt in range(_RAISES + 1):
        with stages("prices", len(draws.keys)):
            policy = policy_of(worth.scores, problem, setting)
        with stages("rehearsal", len(draws.keys)):
            seen = rehearse(policy.probability, problem, rows, seed=draws.purpose("draw"), keys=draws.keys)
        if seen.acceptance >= WANTED or attempt == _RAISES:
            break
        raised = np.maximum(headroom, np.where(seen.failures > 0, seen.suggested, 0.0))
        if np.array_equal(raised, headroom) or too_narrow(rows, raised, reach(rows, problem)):
            break
        headroom = raised
        setting = replace(setting, headroom=headroom, start=policy.price)
    return policy, headroom, seen


def _broken(rows: Rows, seen: Rehearsal) -> tuple[str, ...]:
    """Names of the limits that rehearsed landings broke, most often broken first."""
    order = np.argsort(-seen.failures, kind="stable")
    return tuple(dict.fromkeys(rows.names[r] for r in order if seen.failures[r] > 0))
