"""The best whole plan for known values, with a proof of how good it is.

Small problems go to the integer program, many customers to `portfolio.large.solver`, several offers per customer to
`portfolio.several.solver`.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from allot import LimitError, ShapeError
from portfolio.conflicts.diagnose import EXACT_PAIRS, diagnose
from portfolio.dual import Floats
from portfolio.large.solver import Laid, plan_many
from portfolio.limits import Limit, Problem, Rows, Share, compile_rows
from portfolio.referee import Answer, Effort, Pairs, bounds_of, solve_pairs, whole_counts
from portfolio.several.solver import solve_several
from portfolio.solution import Clock, Solution, Watch, assemble, infeasible

_NODES = 1_000  # of the integer program, two or three seconds: nodes, so that equal problems have equal answers


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
            ShapeError: an eligible value or cost is not finite, or `most` is below 1.
        """
        if problem.most < 1:
            raise ShapeError(f"most is {problem.most}, not a positive number of offers.")
        pairs = int(np.count_nonzero(problem.eligible))
        if problem.most > 1 or problem.groups is not None or pairs <= max(EXACT_PAIRS, 0):
            _check(problem)
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

    Args:
        problem: any size; up to 2,000 eligible pairs it is solved as one integer program.
        gap: relative distance to the bound that is good enough.
        time_limit_seconds: when they are over the best plan so far is handed out; needs a clock.
        clock: seconds now, for `Solution.seconds`; None leaves it empty.

    Returns:
        Solution; status "infeasible" with the conflicting limits when no plan exists.

    Raises:
        LimitError: `time_limit_seconds` without a clock, where there are more pairs.
        ShapeError: an eligible value or cost is not finite, or `most` is below 1.
    """
    return Prepared.of(problem).solve(problem.limits, gap=gap, time_limit_seconds=time_limit_seconds, clock=clock)


def _solve(prepared: Prepared, problem: Problem, start: Floats | None, gap: float, watch: Watch) -> Solution:
    if watch.limit is not None and watch.clock is None and int(np.count_nonzero(problem.eligible)) > EXACT_PAIRS:
        raise LimitError(
            "time_limit_seconds needs a clock.", where="solve", remedy="Pass clock=time.perf_counter as well."
        )
    rows = whole_counts(compile_rows(problem.limits, problem.n_cells, problem.value.shape[1]))
    if prepared.laid is not None:
        laid = prepared.laid.over(problem.n_cells)
        return plan_many(problem, laid, rows, start, gap, watch)
    if int(np.count_nonzero(problem.eligible)) > max(EXACT_PAIRS, 0):
        return solve_several(problem, rows, start, gap, watch)
    return _exact(problem, rows, gap, watch)


def _check(problem: Problem) -> None:
    for name, array in (("value", problem.value), ("cost", problem.cost)):
        bad = problem.eligible & ~np.isfinite(array)
        if bad.any():
            i, a = (int(x[0]) for x in np.nonzero(bad))
            raise ShapeError(f"{name} of customer {i} and offer {a} is {array[i, a]!r} though the pair is eligible.")


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
    answer = solve_pairs(pairs, bounds, effort, most=problem.most, groups=problem.groups)
    watch.stage("integer program")
    if answer.status == "infeasible":
        return _infeasible(problem, rows, watch)
    bound = min(answer.bound, linear.value)
    out = assemble(problem, rows, _choice(problem, pairs, answer), bound, linear.price, gap, watch)
    if answer.status != "stopped":
        return out
    if watch.limit is not None or (not len(answer.share) and not _single(problem)):
        return replace(out, status="time_limit")
    if _single(problem) and out.gap > gap:
        other = plan_many(problem, Laid.of(problem), rows, linear.price, gap, watch)
        if (not other.broken, other.value) > (not out.broken, out.value):
            return assemble(problem, rows, other.choice, min(bound, other.bound), linear.price, gap, watch)
    return out


def _single(problem: Problem) -> bool:
    return problem.most == 1 and problem.groups is None


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
