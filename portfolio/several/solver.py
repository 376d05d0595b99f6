"""Several offers per customer at any size: prices, whole numbers and a proof, as `portfolio.solver` does for one.

Prices come from a softened dual whose temperature falls, on a sample and then on everybody, until the softened plan's
value meets the bound; shares become bundles in
`portfolio.several.bundles`, and the last of them whole in `portfolio.several.rounding`.
"""

from dataclasses import dataclass, replace

import numpy as np

from portfolio.certificate import breaches
from portfolio.conflicts.diagnose import diagnose
from portfolio.curvature import Touch
from portfolio.dual import Domain, Floats, descend, domain_of
from portfolio.limits import Problem, Rows
from portfolio.several.bundles import to_bundles
from portfolio.several.crowd import SeveralCrowd, SoftAnswer, Taste
from portfolio.several.rounding import finish
from portfolio.several.shelf import Shelf
from portfolio.solution import Solution, Watch, assemble, infeasible

_SAMPLE = 5_000
_WARM = (0.2, 0.05, 0.0125, 0.003)  # temperatures in units of a typical score
_COOLING, _COLDEST = 0.25, 1e-7
_FREE = 0.05  # the same, for what everybody takes when nothing is charged
_FEW_STEPS, _STEPS = 15, 25  # of a descent: on the sample, on everybody
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
    whole = to_bundles(shelf, taste, rows, soft.plan, soft.room)
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
        total += SeveralCrowd(Shelf.of(block), taste, 0.0, 1).answer(charges, curvature=False).exact
    sides = np.where(price > 0, rows.upper, np.where(price < 0, rows.lower, 0.0))
    return float(total + np.sum(price * sides))


@dataclass(frozen=True, slots=True)
class _Softened:
    """The best bound's prices (m,), the best softened plan (n, k), and (m,) its distance from the nearest bounds.

    `stuck`: a hard limit stays broken although its price has reached the end of its box.
    """

    price: Floats
    plan: Floats
    room: Floats
    domain: Domain
    passes: int
    stuck: bool


def _soften(shelf: Shelf, taste: Taste, rows: Rows, start: Floats | None, gap: float, watch: Watch) -> _Softened:
    """Newton at falling temperatures, first on a sample, until the softened plan's value meets the bound.

    Prices approach their end in proportion to the temperature, so each descent begins where the last two point to.
    """
    few = _Search.of(shelf.sample(_SAMPLE), taste, rows)
    search = replace(few, shelf=shelf)
    price = np.zeros(len(rows.names)) if start is None else search.domain.clip(start)
    before = price
    for heat in _WARM if start is None else _WARM[-1:]:
        before, price = price, few.descend(price, heat, steps=_FEW_STEPS, tolerance=1e-3)[0]
    before = price if start is not None else before
    bound, at, best, passes, heat = float("inf"), price, -float("inf"), 0, _WARM[-1]
    while True:
        guess = price + _COOLING * (price - before) if passes else price
        found, answer, steps = search.descend(guess, heat, steps=_STEPS, tolerance=1e-6)
        before, price, passes = price, found, passes + steps
        exact = answer.exact + search.domain.support(price)
        if exact < bound:
            bound, at = exact, price
        use, unit = answer.response.use, search.domain.unit
        fine = np.where(np.isinf(rows.penalty), np.abs(price) + unit, rows.penalty)
        lost = float(np.sum(fine * breaches(rows, use)))
        if answer.reached - lost > best:
            best, plan = answer.reached - lost, (price, heat, rows.consumption(use))
        stuck = search.stuck(price, use)
        if stuck or bound - best <= 0.3 * gap * abs(bound) or heat <= _COLDEST or watch.over():
            break
        heat *= _COOLING
    room = np.minimum(rows.upper - plan[2], plan[2] - rows.lower)
    shares = search.crowd(plan[1]).plan(rows.charges(plan[0]))
    return _Softened(at, shares, room, search.domain, passes + 1, stuck)


@dataclass(frozen=True, slots=True)
class _Search:
    """The customers, softened, under the limits; `scale` is a typical score, the unit of temperatures."""

    shelf: Shelf
    taste: Taste
    rows: Rows
    domain: Domain
    touch: Touch
    scale: float

    @classmethod
    def of(cls, shelf: Shelf, taste: Taste, rows: Rows) -> "_Search":
        """Units and sizes from what these customers would take freely."""
        touch, scale = Touch.of(rows), shelf.typical_value()
        free = SeveralCrowd(shelf, taste, _FREE * scale, 1)(np.zeros(rows.coefficient.shape[1:]), curvature=False).use
        return cls(shelf, taste, rows, domain_of(rows, scale, shelf.per_contact(), free), touch, scale)

    def crowd(self, heat: float) -> SeveralCrowd:
        return SeveralCrowd(self.shelf, self.taste, heat * self.scale, self.touch.measures)

    def descend(self, start: Floats, heat: float, *, steps: int, tolerance: float) -> tuple[Floats, SoftAnswer, int]:
        """Prices (m,) of a temperature, the answer to them, and the passes it took."""
        crowd, answers = self.crowd(heat), dict[bytes, SoftAnswer]()

        def evaluate(price: Floats) -> tuple[float, Floats, Floats]:
            answers[price.tobytes()] = crowd.answer(self.rows.charges(price), curvature=True)
            return answers[price.tobytes()].read(self.rows, self.touch)

        found = descend(evaluate, self.domain, start, steps=steps, tolerance=tolerance)
        return found.price, answers[found.price.tobytes()], found.evaluations

    def stuck(self, price: Floats, use: Floats) -> bool:
        """Whether a hard limit is broken at the end of its price's box."""
        breach = np.where(np.isinf(self.rows.penalty), self.domain.breach(self.rows.consumption(use)), 0.0)
        return bool((self.domain.at_box(price) & (breach > _STUCK)).any())
