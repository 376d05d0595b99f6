"""The best plan at values less a charge for risk: exactly for small problems, by the solver for large ones."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from allot import LimitError
from portfolio.conflicts.diagnose import EXACT_PAIRS
from portfolio.limits import Floats, Problem, Rows, check_finite
from portfolio.referee import Effort, Pairs, bounds_of, chosen, solve_pairs
from portfolio.solver import Prepared

_NODES = 20_000


@dataclass(frozen=True, slots=True, eq=False)
class Reply:
    """A plan (n, most) inside the limits, what no such plan exceeds, and prices (m,) of the linear rows.

    `choice` is None where none was found; then the bound is -inf if there is none.
    """

    choice: NDArray[np.int64] | None
    bound: float
    price: Floats


Oracle: TypeAlias = Callable[[Floats | None, Floats | None], Reply]
"""From values (n, k), None for the problem's own, and prices (m,) to start from."""


def oracle_of(problem: Problem, rows: Rows, *, gap: float) -> Oracle:
    """The oracle of a problem, counts rounded inwards in `rows`.

    Raises:
        ShapeError: an eligible value or cost is not finite.
        LimitError: limits on "value" would count the modified values, except in small problems.
    """
    pairs = int(np.count_nonzero(problem.eligible))
    if pairs <= EXACT_PAIRS:
        check_finite(problem)
        return _small(problem, rows, gap)
    if np.any(rows.coefficient[:, 2]):
        at = int(np.flatnonzero(rows.coefficient[:, 2].any((1, 2)))[0])
        raise LimitError(
            f"counts value; together with a risk limit that can be planned for up to {EXACT_PAIRS:,} pairs of customer"
            f" and offer, here are {pairs:,}.",
            where=f"limit {rows.names[at]!r}",
            remedy="Count contacts or cost instead, make it report_only, or plan without regard to risk.",
        )

    def ask(value: Floats | None, start: Floats | None) -> Reply:
        priced = problem if value is None else replace(problem, value=value)
        found = Prepared.of(priced).solve(problem.limits, start, gap=gap)
        if found.status == "infeasible":
            return Reply(None, -np.inf, np.zeros(len(rows.names)))
        return Reply(None if found.broken else found.choice.reshape(-1, problem.most), found.bound, found.row_prices)

    return ask


def _small(problem: Problem, rows: Rows, gap: float) -> Oracle:
    pairs = Pairs.of(problem, rows, np.asarray(problem.eligible))
    bounds = bounds_of(rows)

    def ask(value: Floats | None, start: Floats | None) -> Reply:  # noqa: ARG001 -- an exact program needs no start
        priced = pairs if value is None else replace(pairs, value=value[pairs.customer, pairs.offer])
        linear = solve_pairs(priced, bounds, Effort(integer=False), most=problem.most, groups=problem.groups)
        if linear.status == "infeasible":
            return Reply(None, -np.inf, linear.price)
        effort = Effort(gap=0.5 * gap * abs(linear.value), nodes=_NODES)
        answer = solve_pairs(priced, bounds, effort, most=problem.most, groups=problem.groups)
        if answer.status == "infeasible":
            return Reply(None, -np.inf, linear.price)
        choice = chosen(pairs, answer.share, problem) if len(answer.share) or not len(pairs.value) else None
        return Reply(choice, min(answer.bound, linear.value), linear.price)

    return ask
