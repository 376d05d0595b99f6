"""Several offers per customer at any size: prices, whole numbers and a proof, as `portfolio.solver` does for one.

Prices come from a softened dual whose temperature falls, on a sample and then on everybody, until the softened plan's
value meets the bound; the plan is made whole by `portfolio.several.rounding`.
"""

from dataclasses import dataclass, replace

import numpy as np

from portfolio.certificate import breaches
from portfolio.conflicts.diagnose import diagnose
from portfolio.dual import Domain, Floats, descend, domain_of
from portfolio.limits import Problem, Rows, use_of
from portfolio.prices import evaluator
from portfolio.several.argmax import Shelf, measures_of
from portfolio.several.crowd import SeveralCrowd, Taste, respond
from portfolio.several.rounding import finish, to_bundles
from portfolio.solution import Solution, Watch, assemble, infeasible

_SAMPLE = 5_000
_WARM = (0.2, 0.05, 0.0125, 0.003)  # temperatures in units of a typical score
_COOLING, _COLDEST = 0.25, 1e-7
_STUCK = 1e-3  # relative breach of a limit at the end of its box that calls for a diagnosis
_ENOUGH = 3e-5  # a gap for which no second integer program is tried
_BLOCK = 16_384  # customers are summed in blocks of fixed size, blocks in order


def solve_several(problem: Problem, rows: Rows, start: Floats | None, gap: float, watch: Watch) -> Solution:
    """Maximise value with up to `most` offers per customer, at most one of each group, under the limits.

    Args:
        problem: any size.
        rows: its limits, counts rounded inwards (m of them).
        start: (m,) prices to begin with, or None.
        gap: relative distance to the bound that is good enough.
        watch: takes the time; when it is over the best plan so far is handed out.

    Returns:
        Solution; where neither a plan nor a conflict was found, status "time_limit" with the broken limits' names.
    """
    shelf, taste = Shelf.of(problem), Taste.of(problem)
    soft = _soften(shelf, taste, rows, start, gap, watch)
    watch.stage("dual")
    if soft.stuck and (conflict := diagnose(problem)):
        watch.stage("diagnosis")
        return infeasible(problem, rows, watch, conflict.limits)
    whole = to_bundles(shelf, taste, rows, soft.plan)
    watch.stage("vertex")
    bound, price = bound_several(problem, rows, soft.price), soft.price
    goal = bound - 0.9 * max(gap, _ENOUGH) * abs(bound)
    done = finish(problem, shelf, rows, whole, soft.domain, price, goal, watch)
    watch.stage("integer program")
    if not done.kept and (conflict := diagnose(problem)):
        watch.stage("diagnosis")
        return infeasible(problem, rows, watch, conflict.limits)
    other = bound_several(problem, rows, done.price)
    if other < bound:
        bound, price = other, done.price
    watch.stage("certificate")
    choice = done.choice if problem.most > 1 else done.choice[:, 0]
    out = replace(assemble(problem, rows, choice, bound, price, gap, watch), passes=soft.passes)
    if not done.kept:
        over = breaches(rows, use_of(problem, choice)) > 0
        broken = tuple(dict.fromkeys(rows.names[r] for r in np.flatnonzero(over & np.isinf(rows.penalty))))
        return replace(out, gap=float("inf"), status="time_limit", broken=broken)
    return replace(out, status="time_limit") if out.status == "feasible" and watch.over() else out


def bound_several(problem: Problem, rows: Rows, price: Floats) -> float:
    """Upper bound on the value, less penalties, of every plan inside the limits: weak duality at these prices.

    Args:
        problem: with any number of offers per customer.
        rows: its limits as linear rows.
        price: (m,) of any origin; wrong signs, or more than an elastic row's penalty, give an infinite bound.

    Returns:
        currency units, summed in float64 in fixed order.
    """
    wrong = ((price > 0) & ~np.isfinite(rows.upper)) | ((price < 0) & ~np.isfinite(rows.lower))
    if wrong.any() or (np.abs(price) > rows.penalty * (1 + 1e-12)).any():
        return float("inf")
    charges, taste = rows.charges(price), Taste.of(problem)
    total = 0.0
    for at in range(0, len(problem.value), _BLOCK):
        part = slice(at, at + _BLOCK)
        block = Problem(
            problem.value[part], problem.cost[part], problem.eligible[part], problem.cell[part], n_cells=problem.n_cells
        )
        total += respond(Shelf.of(block), taste, charges)[2]
    sides = np.where(price > 0, rows.upper, np.where(price < 0, rows.lower, 0.0))
    return float(total + np.sum(price * sides))


@dataclass(frozen=True, slots=True)
class _Softened:
    """The best bound's prices (m,), and the best softened plan (n, k).

    `stuck`: a hard limit stays broken although its price has reached the end of its box.
    """

    price: Floats
    plan: Floats
    domain: Domain
    passes: int
    stuck: bool


def _soften(shelf: Shelf, taste: Taste, rows: Rows, start: Floats | None, gap: float, watch: Watch) -> _Softened:
    """Newton at falling temperatures, first on a sample, until the softened plan's value meets the bound."""
    scale, measures = shelf.typical_value(), measures_of(rows)
    domain = _domain(shelf, taste, rows, scale)
    price = np.zeros(len(rows.names)) if start is None else domain.clip(start)
    few = shelf.sample(_SAMPLE)
    for heat in _WARM if start is None else _WARM[-1:]:
        crowd = SeveralCrowd(few, taste, heat * scale, measures)
        price = descend(evaluator(crowd, rows), domain, price, steps=15, tolerance=1e-3).price
    bound, at, best, plan_at = np.inf, price, -np.inf, (price, _WARM[-1])
    passes, heat = 1, _WARM[-1]
    while True:
        crowd = SeveralCrowd(shelf, taste, heat * scale, measures)
        found = descend(evaluator(crowd, rows), domain, price, steps=8, tolerance=1e-6)
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
        if stuck or bound - best <= 0.3 * gap * abs(bound) or heat <= _COLDEST or watch.over():
            break
        heat *= _COOLING
    plan = SeveralCrowd(shelf, taste, plan_at[1] * scale, measures).plan(rows.charges(plan_at[0]))
    return _Softened(at, plan, domain, passes + 1, stuck)


def _domain(shelf: Shelf, taste: Taste, rows: Rows, scale: float) -> Domain:
    pairs = max(int(np.count_nonzero(shelf.eligible)), 1)
    cost = float(np.abs(np.where(shelf.eligible, shelf.cost, 0.0)).sum()) / pairs
    worth = float(np.abs(np.where(shelf.eligible, shelf.value, 0.0)).sum()) / pairs
    crowd = SeveralCrowd(shelf, taste, 0.05 * scale, measures_of(rows))
    free = crowd(np.zeros(rows.coefficient.shape[1:]), curvature=False).use
    return domain_of(rows, scale, np.array([1.0, cost, worth]), free)
