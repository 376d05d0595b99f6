"""The best whole plan for known values, with a proof of how good it is.

Small problems go to the integer program, many customers to `portfolio.large.solver`, several offers per customer to
`portfolio.several.solver`.
"""

from dataclasses import dataclass, replace

import numpy as np

from allot import LimitError
from portfolio.certificate import breaches, least_forbidding
from portfolio.conflicts.diagnose import EXACT_PAIRS, diagnose
from portfolio.dual import Floats
from portfolio.large.solver import Laid, plan_many
from portfolio.limits import Limit, Problem, Rows, Share, check_finite, compile_rows, use_of
from portfolio.referee import (
    Answer,
    Bounds,
    Effort,
    Pairs,
    bounds_of,
    chosen,
    impossible_counts,
    solve_pairs,
    whole_counts,
)
from portfolio.several.solver import solve_several
from portfolio.solution import Clock, Solution, Watch, assemble, infeasible

_DEAR = 10.0  # typical scores that a contact's breach must cost before a plan is asked for in such units
_NODES = 1_000  # of the integer program, two or three seconds: nodes, so that equal problems have equal answers
_COARSE, _FEW_NODES = 1e-4, 100  # for a gap no smaller than that: the others move the value by 2e-4 at most
_FAR = 1e-3  # of the bound: a plan further from it is worth all nodes


@dataclass(frozen=True, slots=True)
class Prepared:
    """A problem laid out once, to be solved under other limits from known prices.

    `problem` is as given; its own limits count for nothing until they are passed to `solve`.
    """

    problem: Problem
    laid: Laid | None

    @classmethod
    def of(cls, problem: Problem) -> "Prepared":
        """Lay the customers out for passes.

        Raises:
            ShapeError: an eligible value or cost is not finite.
        """
        pairs = int(np.count_nonzero(problem.eligible))
        if problem.most > 1 or pairs <= max(EXACT_PAIRS, 0):
            check_finite(problem)
            return cls(problem, None)
        return cls(problem, Laid.of(problem))

    def solve(
        self,
        limits: tuple[Limit | Share, ...],
        start: Floats | None = None,
        *,
        gap: float = 1e-6,
        time_limit_seconds: float | None = None,
        clock: Clock | None = None,
    ) -> Solution:
        """As `solve`, with these limits instead of the problem's own.

        Args:
            limits: any number.
            start: (m,) `Solution.row_prices` of the same limits with other bounds; None starts afresh.
            gap, time_limit_seconds, clock: as in `solve`.
        """
        return _solve(self, replace(self.problem, limits=limits), start, gap, Watch(clock, time_limit_seconds))


def solve(
    problem: Problem, *, gap: float = 1e-6, time_limit_seconds: float | None = None, clock: Clock | None = None
) -> Solution:
    """Maximise the value of the chosen offers under the limits, in whole numbers.

    Customers are told apart by their numbers alone. Equal problems in the same order have equal answers to the bit,
    whatever the number of threads. In another order bound and prices agree to rounding; where no two plans tie so does
    the plan; where customers tie exactly the value agrees within the gap, and every limit is kept.

    Args:
        problem: any size; up to 2,000 eligible pairs it is solved as one integer program.
        gap: relative distance to the bound that is good enough.
        time_limit_seconds: when they are over the best plan so far is handed out; needs a clock.
        clock: seconds now, for `Solution.seconds`; None leaves it empty.

    Returns:
        Solution; status "infeasible" with the conflicting limits when no plan exists.

    Raises:
        LimitError: `gap` or `time_limit_seconds` is negative or not a number, or there is a time limit without a
            clock where there are more pairs.
        ShapeError: an eligible value or cost is not finite.
    """
    return Prepared.of(problem).solve(problem.limits, gap=gap, time_limit_seconds=time_limit_seconds, clock=clock)


def _solve(prepared: Prepared, problem: Problem, start: Floats | None, gap: float, watch: Watch) -> Solution:
    pairs = int(np.count_nonzero(problem.eligible))
    _refuse(gap, watch, pairs)
    rows = whole_counts(compile_rows(problem.limits, problem.n_cells, problem.value.shape[1]))
    if impossible := impossible_counts(rows):
        return infeasible(problem, rows, watch, impossible[:1])
    if prepared.laid is not None:
        laid = prepared.laid.over(problem.n_cells)
        found = plan_many(problem, laid, rows, start, gap, watch)
        return _in_units_of_breaches(problem, laid, rows, found, gap, watch)
    if pairs > max(EXACT_PAIRS, 0):
        return solve_several(problem, rows, start, gap, watch)
    return _exact(problem, rows, gap, watch)


def _refuse(gap: float, watch: Watch, pairs: int) -> None:
    """Refuse what cannot be asked for."""
    if not 0.0 <= gap < np.inf:
        raise LimitError(f"the gap {gap:g} is not a share.", where="gap", remedy="Give 0 or a small positive number.")
    if watch.limit is None:
        return
    where = "time_limit_seconds"
    if not watch.limit >= 0.0:
        raise LimitError(f"{watch.limit:g} is not a time.", where=where, remedy="Give 0 or a number of seconds.")
    if watch.clock is None and pairs > EXACT_PAIRS:
        raise LimitError("a time limit needs a clock.", where=where, remedy="Pass clock=time.perf_counter as well.")


def _in_units_of_breaches(
    problem: Problem, laid: Laid, rows: Rows, found: Solution, gap: float, watch: Watch
) -> Solution:
    """The same or better: where breaches cannot be avoided and cost far more than offers are worth, they are what the
    plan is about, and prices are looked for once more at temperatures that suit them.
    """
    elastic = np.isfinite(rows.penalty)
    if found.status != "feasible" or not elastic.any():
        return found
    broken = elastic & (breaches(rows, use_of(problem, found.choice)) > 0)
    if not broken.any():
        return found
    per_contact = np.array([1.0, *laid.samples[0].per_pair()])
    dear = rows.penalty[broken] * (np.abs(rows.coefficient[broken]).max((2, 3)) * per_contact).max(1)
    if dear.max() <= _DEAR * laid.population.typical or found.bound - found.value <= dear.sum():
        return found  # one customer more or less inside each of them is what whole numbers cost
    again = replace(laid, population=replace(laid.population, typical=float(dear.max())))
    other = plan_many(problem, again, rows, None, gap, watch)
    if other.status not in ("optimal", "feasible"):
        return found
    choice = max(found, other, key=lambda x: x.value).choice
    proof = min(found, other, key=lambda x: x.bound)
    best = assemble(problem, rows, choice, proof.bound, proof.row_prices, gap, watch)
    return replace(best, passes=found.passes + other.passes)


def _infeasible(problem: Problem, rows: Rows, watch: Watch) -> Solution:
    found = diagnose(problem)
    watch.stage("diagnosis")
    return infeasible(problem, rows, watch, found.limits if found else ())


def _exact(problem: Problem, rows: Rows, gap: float, watch: Watch) -> Solution:
    """One integer program; prices come from its linear relaxation."""
    pairs = Pairs.of(problem, rows, np.asarray(problem.eligible))
    bounds = bounds_of(rows)
    linear = solve_pairs(pairs, bounds, Effort(integer=False), most=problem.most, groups=problem.groups)
    watch.stage("relaxation")
    if linear.status == "infeasible":
        return _infeasible(problem, rows, watch)
    effort = Effort(gap=0.5 * gap * abs(linear.value), nodes=_NODES, seconds=watch.limit)
    answer = _searched(pairs, bounds, effort, problem, coarse=gap >= _COARSE and watch.limit is None)
    watch.stage("integer program")
    if answer.status == "infeasible":
        return _infeasible(problem, rows, watch)
    bound = min(answer.bound, linear.value)
    price = least_forbidding(problem, rows, linear.price) if problem.most == 1 else linear.price
    choice = chosen(pairs, answer.share, problem)
    plan = choice[:, 0] if problem.most == 1 else choice
    out = assemble(problem, rows, plan, bound, price, gap, watch)
    if answer.status != "stopped":
        return out
    if watch.limit is not None or (not len(answer.share) and not _single(problem)):
        return replace(out, status="time_limit")
    if _single(problem) and out.gap > gap:
        other = plan_many(problem, Laid.of(problem), rows, linear.price, gap, watch)
        if (not other.broken, other.value) > (not out.broken, out.value):
            return assemble(problem, rows, other.choice, min(bound, other.bound), price, gap, watch)
    return out


def _searched(pairs: Pairs, bounds: Bounds, effort: Effort, problem: Problem, *, coarse: bool) -> Answer:
    """The integer program; coarse asks for few nodes first, and for all where those found no plan near the bound."""
    if coarse:
        few = replace(effort, nodes=_FEW_NODES)
        answer = solve_pairs(pairs, bounds, few, most=problem.most, groups=problem.groups)
        near = len(answer.share) and answer.bound - answer.value <= _FAR * abs(answer.bound)
        if answer.status != "stopped" or near:
            return answer
    return solve_pairs(pairs, bounds, effort, most=problem.most, groups=problem.groups)


def _single(problem: Problem) -> bool:
    return problem.most == 1 and problem.groups is None
