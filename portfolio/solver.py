"""The best whole plan for known values, with a proof of how good it is.

Small problems go to the integer program. Large ones: prices from a softened dual whose temperature falls until the
softened plan's value meets the bound (ties are split, not flipped), then a vertex, then the last few customers exactly.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from allot import LimitError, ShapeError
from portfolio.argmax import Shelf, SoftCrowd, measures_of
from portfolio.certificate import bound_of, breaches, recount
from portfolio.conflict import EXACT_PAIRS, Conflict, diagnose
from portfolio.dual import Domain, Floats, descend, domain_of
from portfolio.limits import Problem, Rows, Usage, compile_rows, usage, use_of
from portfolio.prices import evaluator
from portfolio.referee import Answer, Effort, Pairs, bounds_of, solve_pairs, whole_counts
from portfolio.solver_rounding import finish, to_vertex

Clock: TypeAlias = Callable[[], float]
Status: TypeAlias = Literal["optimal", "feasible", "infeasible", "time_limit"]

_SAMPLE = 5_000
_WARM = (0.2, 0.05, 0.0125, 0.003)  # temperatures in units of a typical score
_COOLING, _COLDEST = 0.25, 1e-8
_STUCK = 1e-3  # relative breach of a limit at the end of its box that calls for a diagnosis
_NODES = 100_000
_EXACT_PAIRS_MANY = 20_000  # several offers per customer are solved exactly or not at all


@dataclass(frozen=True, slots=True)
class Solution:
    """A whole plan and its proof.

    Args:
        choice: (n,) offer numbers, or (n, most) when several are allowed; -1 = no offer.
        value: worth of the chosen offers less penalties of broken elastic limits, in the objective's units.
        bound: no plan inside the limits has a higher value.
        gap: (bound - value) / |bound|.
        status: "optimal" (gap within what was asked), "feasible", "infeasible" or "time_limit".
        prices: by limit, what one more unit of room would be worth; negative for minimums.
        usage: every limit recounted from the choice.
        seconds: by stage, when a clock was given.
        passes: passes over all customers.
        conflict: limits that cannot be kept together, when infeasible.
    """

    choice: NDArray[np.int64]
    value: float
    bound: float
    gap: float
    status: Status
    prices: dict[str, float]
    usage: tuple[Usage, ...]
    seconds: dict[str, float] = field(default_factory=dict)
    passes: int = 0
    conflict: tuple[str, ...] = ()


def solve(
    problem: Problem, *, gap: float = 1e-6, time_limit_seconds: float | None = None, clock: Clock | None = None
) -> Solution:
    """Maximise the value of the chosen offers under the limits, in whole numbers.

    Args:
        problem: up to 2,000 eligible pairs are solved exactly; more need `most` = 1 and no groups, or at most 20,000
            pairs.
        gap: relative distance to the bound that is good enough.
        time_limit_seconds: for the exact integer program.
        clock: seconds now, for `Solution.seconds`; None leaves it empty.

    Returns:
        Solution; status "infeasible" with the conflicting limits when no plan exists.

    Raises:
        LimitError: several offers per customer at a size that only the single-offer path reaches.
        ShapeError: an eligible value or cost is not finite, or `most` is below 1.
    """
    watch = _Watch(clock)
    _check(problem)
    rows = whole_counts(compile_rows(problem.limits, problem.n_cells, problem.value.shape[1]))
    pairs = int(np.count_nonzero(problem.eligible))
    several = problem.most > 1 or problem.groups is not None
    if several and pairs > _EXACT_PAIRS_MANY:
        raise LimitError(
            f"{pairs:,} eligible pairs are too many for several offers per customer.",
            where="most and groups",
            remedy=f"Use most=1 without groups, or at most {_EXACT_PAIRS_MANY:,} pairs.",
        )
    if pairs <= EXACT_PAIRS or several:
        return _exact(problem, rows, gap, time_limit_seconds, watch)
    return _large(problem, rows, gap, watch)


class _Watch:
    """Seconds per stage, from a clock that the caller owns."""

    def __init__(self, clock: Clock | None) -> None:
        self.clock = clock
        self.seconds: dict[str, float] = {}
        self.last = clock() if clock else 0.0

    def stage(self, name: str) -> None:
        if self.clock:
            now = self.clock()
            self.seconds[name] = self.seconds.get(name, 0.0) + now - self.last
            self.last = now


def _check(problem: Problem) -> None:
    if problem.most < 1:
        raise ShapeError(f"most is {problem.most}, not a positive number of offers.")
    for name, array in (("value", problem.value), ("cost", problem.cost)):
        bad = problem.eligible & ~np.isfinite(array)
        if bad.any():
            i, a = (int(x[0]) for x in np.nonzero(bad))
            raise ShapeError(f"{name} of customer {i} and offer {a} is {array[i, a]!r} though the pair is eligible.")


def _by_name(rows: Rows, price: Floats) -> dict[str, float]:
    out = dict.fromkeys(rows.names, 0.0)
    for name, p in zip(rows.names, price, strict=True):
        out[name] += float(p)
    return out


def _solution(
    problem: Problem, rows: Rows, choice: NDArray[np.int64], bound: float, price: Floats, gap: float, watch: _Watch
) -> Solution:
    use = use_of(problem, choice)
    value, _ = recount(problem, rows, choice)
    bound = max(bound, value)
    distance = (bound - value) / max(abs(bound), 1e-300) if bound > value else 0.0
    status: Status = "optimal" if distance <= gap else "feasible"
    prices = _by_name(rows, price)
    return Solution(choice, value, bound, distance, status, prices, usage(problem.limits, use, prices), watch.seconds)


def _infeasible(problem: Problem, rows: Rows, watch: _Watch, conflict: Conflict | None = None) -> Solution:
    n, k = problem.value.shape
    choice = np.full(n if problem.most == 1 else (n, problem.most), -1, np.int64)
    counted = usage(problem.limits, np.zeros((3, problem.n_cells, k)))
    zero = _by_name(rows, np.zeros(len(rows.names)))
    found = conflict or diagnose(problem)
    names = found.limits if found else ()
    watch.stage("diagnosis")
    return Solution(choice, 0.0, -np.inf, float("inf"), "infeasible", zero, counted, watch.seconds, conflict=names)


def _exact(problem: Problem, rows: Rows, gap: float, seconds: float | None, watch: _Watch) -> Solution:
    """One integer program; prices come from its linear relaxation."""
    pairs = Pairs.of(problem, rows, np.asarray(problem.eligible))
    bounds = bounds_of(rows)
    linear = solve_pairs(pairs, bounds, Effort(integer=False), most=problem.most, groups=problem.groups)
    watch.stage("relaxation")
    if linear.status == "infeasible":
        return _infeasible(problem, rows, watch)
    effort = Effort(gap=0.5 * gap * abs(linear.value), nodes=_NODES, seconds=seconds)
    answer = solve_pairs(pairs, bounds, effort, most=problem.most, groups=problem.groups)
    watch.stage("integer program")
    if answer.status == "infeasible":
        return _infeasible(problem, rows, watch)
    bound = min(answer.bound, linear.value)
    out = _solution(problem, rows, _choice(problem, pairs, answer), bound, linear.price, gap, watch)
    if answer.status == "stopped" and (seconds is not None or not len(answer.share)):
        return replace(out, status="time_limit")
    return out


def _choice(problem: Problem, pairs: Pairs, answer: Answer) -> NDArray[np.int64]:
    """(n,) or (n, most) offers of the chosen pairs, padded with -1."""
    n = len(problem.value)
    choice = np.full((n, problem.most), -1, np.int64)
    filled = np.zeros(n, np.int64)
    for p in np.nonzero(answer.share > 0.5)[0]:
        i = pairs.customer[p]
        choice[i, filled[i]] = pairs.offer[p]
        filled[i] += 1
    return choice[:, 0] if problem.most == 1 else choice


@dataclass(frozen=True, slots=True)
class _Softened:
    """The best bound with its prices (m,), and the best softened plan (n, k + 1).

    `stuck`: a hard limit stays broken although its price has reached the end of its box.
    """

    bound: float
    price: Floats
    plan: Floats
    domain: Domain
    passes: int
    stuck: bool


def _large(problem: Problem, rows: Rows, gap: float, watch: _Watch) -> Solution:
    """Softened dual, vertex, integer program over the last customers."""
    shelf = Shelf.of(problem)
    soft = _soften(shelf, rows, gap)
    watch.stage("dual")
    if soft.stuck and (conflict := diagnose(problem)):
        return _infeasible(problem, rows, watch, conflict)
    whole = to_vertex(shelf, rows, soft.plan)
    watch.stage("vertex")
    bound, price = bound_of(problem, rows, soft.price), soft.price
    goal = bound - 0.9 * gap * abs(bound)
    done = finish(problem, shelf, rows, whole, soft.domain, price, goal)
    watch.stage("integer program")
    if not done.kept:
        return _infeasible(problem, rows, watch)
    other = bound_of(problem, rows, done.price)
    if other < bound:
        bound, price = other, done.price
    watch.stage("certificate")
    return replace(_solution(problem, rows, done.choice, bound, price, gap, watch), passes=soft.passes)


def _soften(shelf: Shelf, rows: Rows, gap: float) -> _Softened:
    """Newton at falling temperatures, first on a sample, until the softened plan's value meets the bound."""
    scale = shelf.typical_value()
    measures = measures_of(rows)
    domain = _domain(SoftCrowd(shelf, 0.05 * scale, measures), rows, scale)
    price = np.zeros(len(rows.names))
    few = shelf.sample(_SAMPLE) if len(shelf.value) > 2 * _SAMPLE else shelf
    passes = 2
    for heat in _WARM:
        crowd = SoftCrowd(few, heat * scale, measures)
        found = descend(evaluator(crowd, rows), domain, price, steps=15, tolerance=1e-3)
        price = found.price
        passes += found.evaluations if few is shelf else 0
    bound, at, best, plan_at = np.inf, price, -np.inf, (price, _WARM[-1])
    heat = _WARM[-1]
    while True:
        crowd = SoftCrowd(shelf, heat * scale, measures)
        found = descend(evaluator(crowd, rows), domain, price, steps=12, tolerance=1e-6)
        price = found.price
        answer = crowd.answer(rows.charges(price), curvature=False)
        passes += found.evaluations + 1
        exact = answer.exact + domain.support(price)
        if exact < bound:
            bound, at = exact, price
        over = breaches(rows, answer.response.use)
        lost = float(np.sum(np.where(np.isinf(rows.penalty), np.abs(price) + domain.unit, rows.penalty) * over))
        if answer.reached - lost > best:
            best, plan_at = answer.reached - lost, (price, heat)
        breach = np.where(np.isinf(rows.penalty), domain.breach(rows.consumption(answer.response.use)), 0.0)
        stuck = bool((domain.at_box(price) & (breach > _STUCK)).any())
        if stuck or bound - best <= 0.3 * gap * abs(bound) or heat <= _COLDEST:
            break
        heat *= _COOLING
    plan = SoftCrowd(shelf, plan_at[1] * scale, measures).plan(rows.charges(plan_at[0]))
    return _Softened(bound, at, plan, domain, passes, stuck)


def _domain(crowd: SoftCrowd, rows: Rows, scale: float) -> Domain:
    shelf = crowd.shelf
    pairs = max(int(np.count_nonzero(shelf.eligible)), 1)
    cost = float(np.abs(np.where(shelf.eligible, shelf.cost, 0.0)).sum()) / pairs
    worth = float(np.abs(np.where(shelf.eligible, shelf.value, 0.0)).sum()) / pairs
    free = crowd(np.zeros(rows.coefficient.shape[1:]), curvature=False).use
    return domain_of(rows, scale, np.array([1.0, cost, worth]), free)
