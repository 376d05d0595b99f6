"""From plans near the bound to one whole plan that keeps the limits and the risk limit.

The plan whose value less charged risk is best is nearly it; where it is too risky, it and the mixture of plans, made
whole customer by customer, are eased change by change. Then the customers nearest to indifference go to an integer
program in which the risk limit stands as one row: its tangent at the plan, plus what each change adds by curvature when
changes are independent. Where the truth is far from that row, fewer changes are allowed. Few customers first, then
more, each time around the best plan so far.

Tiny problems also get the whole truth: sd <= R holds exactly when every tangent holds, so that integer programs over
all pairs, with the tangent of each plan that was too risky added, end at the optimum and bound it on the way.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from portfolio.certificate import recount
from portfolio.limits import Problem, Rows, use_of
from portfolio.referee import Answer, Bounds, Effort, Pairs, chosen, solve_pairs
from portfolio.risk.easing import eased, filled
from portfolio.risk.master import Column
from portfolio.risk.mixing import mixed_plans
from portfolio.risk.terms import Floats, Risk

_ALL_PAIRS = 100  # a problem of so few is solved whole
_FREE = (30, 60, 120, 240)  # customers in the integer program
_REACH = 4.0  # offers are considered within so many times the median lead of those customers
_NODES, _NODES_ALL = 60, 200
_NEAR = 1.02  # of the limit: so little above it is mended by asking for a little less
_EASED = 2_000  # customers who may be changed one by one
_TANGENTS, _TRIES = 6, 4  # exact programs of a small problem; programs around one plan


@dataclass(frozen=True, slots=True, eq=False)
class Target:
    """What is to be made whole.

    Args:
        problem, rows, risk: as solved, counts rounded inwards.
        cap: what the sd is to stay within: the limit, or the mixture's sd where risk is priced.
        direction: (k, d) of the best bound.
        charged: (n, k) values less the charge on exposures there.
        charges: (3, g, k) of the limits there.
        gap: relative distance to the bound that is good enough.
    """

    problem: Problem
    rows: Rows
    risk: Risk
    cap: float
    direction: Floats
    charged: Floats
    charges: Floats
    gap: float


@dataclass(frozen=True, slots=True, eq=False)
class Whole:
    """The best plan, None where none was found, and the bound, lower where exact programs improved it."""

    best: Column | None
    bound: float


def whole_plan(target: Target, columns: list[Column], share: Floats, bound: float) -> Whole:
    """The best whole plan that was found near plans inside the limits.

    Args:
        target: the problem.
        columns: plans inside the limits; some of them too risky.
        share: (c,) of each in the best mixture.
        bound: of what is maximised.
    """
    risk = target.risk
    kept = [c for c in columns if risk.within(c.sd)]
    out = Whole(max(kept, key=lambda c: risk.worth(c.value, c.sd), default=None), bound)
    if not target.problem.eligible.any():
        return out
    if np.count_nonzero(target.problem.eligible) <= _ALL_PAIRS and risk.price is None:
        out = _exact(target, columns, out)
    net = _net(target)
    lead = _lead(net, target.problem.most)
    order = np.argsort(lead, kind="stable")
    base = max(columns, key=lambda c: c.value - float((target.direction * risk.rooted(c.exposure)).sum()))
    if base.sd > target.cap:
        mixed = mixed_plans(target.problem, target.rows, risk, columns, share, target.cap)
        for plan in (base.choice, *mixed):
            calm = eased(target.problem, target.rows, risk, plan, np.sort(order[:_EASED]), target.cap)
            out, _ = _better(target, out, calm)
        base = out.best if out.best is not None and out.best.sd > 0 else base  # nobody is no place to begin
    before = out.best
    for many in _FREE:
        if _reached(target, out):
            break
        some = np.sort(order[:many])
        allowed = np.zeros(target.problem.eligible.shape, bool)
        allowed[some] = _near(net, some, [*columns, base], lead)
        out, tried = _around(target, base, _Loose.of(target, base.choice, some, allowed), out)
        base = tried if out.best is None or out.best is before else out.best
        if many >= len(net):
            break
    return out if _reached(target, out) else _topped_up(target, out, np.sort(order[:_EASED]))


def _topped_up(target: Target, found: Whole, some: NDArray[np.intp]) -> Whole:
    """The best plan, or nobody, with offers added while limits and risk leave room."""
    problem, risk = target.problem, target.risk
    if problem.most > 1 or risk.maximum_sd is None:
        return found
    nobody = np.full((len(problem.value), 1), -1, np.int64)
    starts = [] if found.best is None else [found.best.choice]
    if recount(problem, target.rows, nobody)[1]:
        starts.append(nobody)
    for start in starts:
        found, _ = _better(target, found, filled(problem, target.rows, risk, start, some, target.cap))
    return found


@dataclass(frozen=True, slots=True, eq=False)
class _Loose:
    """A plan with some customers set free: the plan without them, their pairs and what these add.

    `load` (p, k * d) is what each pair adds to V^(1/2)E; `taken` (p,) whether the plan has it; `held` (k * d) and
    `consumed` (m,) are of the plan without them; `worth` is its value.
    """

    fixed: NDArray[np.int64]
    some: NDArray[np.intp]
    pairs: Pairs
    load: Floats
    taken: NDArray[np.bool_]
    held: Floats
    consumed: Floats
    worth: float

    @classmethod
    def of(
        cls, target: Target, base: NDArray[np.int64], some: NDArray[np.intp], allowed: NDArray[np.bool_]
    ) -> "_Loose":
        """Free the customers `some`; `allowed` (n, k) says for which offers."""
        risk = target.risk
        fixed = base.copy()
        fixed[some] = -1
        pairs = Pairs.of(target.problem, target.rows, allowed)
        use = use_of(target.problem, fixed)
        taken = (base[pairs.customer] == pairs.offer[:, None]).any(1)
        load = risk.rooted_loads(pairs.customer, pairs.offer)
        held = risk.rooted(risk.exposures(fixed))
        return cls(fixed, some, pairs, load, taken, held, target.rows.consumption(use), float(use[2].sum()))

    def solve(self, target: Target, effect: Floats, right: Floats, effort: Effort) -> Answer:
        """The integer program under the limits and further rows (t, p) with right-hand sides (t,)."""
        rows, none = target.rows, np.full(len(right), np.inf)
        bounds = Bounds(
            np.r_[rows.lower - self.consumed, -none],
            np.r_[rows.upper - self.consumed, right],
            np.r_[rows.penalty, none],
        )
        pairs = replace(self.pairs, effect=np.vstack([self.pairs.effect, effect]))
        return solve_pairs(pairs, bounds, effort, most=target.problem.most, groups=target.problem.groups)

    def plan(self, target: Target, answer: Answer) -> NDArray[np.int64]:
        """The whole plan (n, most) of an answer."""
        choice = self.fixed.copy()
        choice[self.some] = chosen(self.pairs, answer.share, target.problem)[self.some]
        return choice

    def along(self, offset: Floats) -> Floats:
        """(p,) the part of each pair's load along a vector (k, d)."""
        return np.asarray(np.einsum("pd,pd->p", self.load, offset[self.pairs.offer]))


def _around(target: Target, base: Column, loose: _Loose, found: Whole) -> tuple[Whole, Column]:
    """Integer programs over the freed customers; the risk limit as a row around `base`, tighter where it was broken.

    Returns:
        the best plan, and the last one that was tried.
    """
    root, sd, plan = target.risk.rooted(base.exposure), base.sd, base
    if not len(loose.load) or sd <= 0:
        return found, plan
    along = loose.along(root / sd)
    curve = (np.square(loose.load).sum(1) - np.square(along)) / (2 * sd)
    effect = along + np.where(loose.taken, -curve, curve)
    room = target.cap - float((root * loose.held).sum()) / sd - float(curve[loose.taken].sum())
    effort = Effort(gap=0.3 * target.gap * abs(found.bound), nodes=_NODES)
    moved, held = np.where(loose.taken, -1.0, 1.0), float(loose.taken.sum())
    most = float(len(moved))  # changes: fewer where the row was far from the truth
    for _ in range(_TRIES):
        answer = loose.solve(target, np.stack([effect, moved]), np.array([room, most - held]), effort)
        if not len(answer.share):
            break
        found, plan = _better(target, found, loose.plan(target, answer))
        if plan.sd <= target.cap * (1 + 1e-9):
            break
        if plan.sd <= _NEAR * target.cap:
            room -= 1.05 * (plan.sd - target.cap)
        else:
            most = max(float(np.floor(0.5 * (moved @ answer.share + held))), 2.0)
    return found, plan


def _exact(target: Target, columns: list[Column], found: Whole) -> Whole:
    """Integer programs over all pairs, a tangent more each time; each bounds every plan within the limits."""
    risk, n = target.risk, len(target.problem.value)
    nobody = np.full_like(columns[0].choice, -1)
    loose = _Loose.of(target, nobody, np.arange(n), np.asarray(target.problem.eligible))
    if not len(loose.load):
        return found
    touched = [target.direction, *(risk.rooted(c.exposure) for c in columns if not risk.within(c.sd))]
    for _ in range(_TANGENTS):
        unit = [y / length for y in touched if (length := float(np.linalg.norm(y))) > 0]
        if not unit or _reached(target, found):
            break
        effect = np.stack([loose.along(y) for y in unit])
        effort = Effort(gap=0.3 * target.gap * abs(found.bound), nodes=_NODES_ALL)
        answer = loose.solve(target, effect, np.full(len(unit), target.cap), effort)
        if np.isfinite(answer.bound):
            found = replace(found, bound=min(found.bound, answer.bound))
        if not len(answer.share):
            break
        found, plan = _better(target, found, loose.plan(target, answer))
        if risk.within(plan.sd):
            break
        touched.append(risk.rooted(plan.exposure))
    return found


def _reached(target: Target, whole: Whole) -> bool:
    if whole.best is None:
        return False
    worth = target.risk.worth(whole.best.value, whole.best.sd)
    return whole.bound - worth <= target.gap * abs(whole.bound)


def _net(target: Target) -> Floats:
    """(n, k) what each pair is worth after the charges of limits and of risk; -inf where not eligible."""
    p, c = target.problem, target.charges
    net = target.charged - c[0][p.cell]
    for charge, measure in ((c[1], p.cost), (c[2], p.value)):
        if charge.any():
            net -= charge[p.cell] * measure
    net[~p.eligible] = -np.inf
    return np.asarray(net)


def _lead(net: Floats, most: int) -> Floats:
    """(n,) how far each customer's last offer is ahead of the first that is left out; none is worth 0."""
    options = np.column_stack([net, np.zeros((len(net), most))])
    top = -np.partition(-options, most, axis=1)
    return np.asarray(np.min(top[:, :most], axis=1) - np.max(top[:, most:], axis=1))


def _near(net: Floats, some: NDArray[np.intp], columns: list[Column], lead: Floats) -> NDArray[np.bool_]:
    """(some, k) offers that a plan chose, or that are not far from the customer's best."""
    mine = net[some]
    reach = _REACH * float(np.median(lead[some]))
    near = (mine >= np.maximum(mine.max(1, initial=-np.inf), 0.0)[:, None] - reach) & np.isfinite(mine)
    for column in columns:
        row, place = np.nonzero(column.choice[some] >= 0)
        near[row, column.choice[some][row, place]] = True
    return np.asarray(near)


def _better(target: Target, found: Whole, choice: NDArray[np.int64]) -> tuple[Whole, Column]:
    """The better of what was found and a new plan; and the new plan, recounted."""
    risk = target.risk
    value, kept = recount(target.problem, target.rows, choice)
    exposure = risk.exposures(choice)
    plan = Column(choice, value, exposure, risk.deviation(exposure))
    old = -np.inf if found.best is None else risk.worth(found.best.value, found.best.sd)
    if kept and risk.within(plan.sd) and risk.worth(value, plan.sd) > old:
        found = replace(found, best=plan)
    return found, plan
