"""Whole numbers for customers who may have several offers: those left split, and their nearest neighbours, exactly."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from portfolio.certificate import recount
from portfolio.dual import Domain, Floats
from portfolio.limits import Problem, Rows, use_of
from portfolio.referee import Bounds, Effort, Pairs, solve_pairs
from portfolio.several.bundles import fill
from portfolio.several.crowd import SeveralCrowd, Taste
from portfolio.several.shelf import Shelf
from portfolio.solution import Watch

_NEIGHBOURS = 100  # how many to begin with
_PAIRS, _MOST_PAIRS = (
    1_200,
    12_000,
)  # where to stop asking more of a plan that keeps the limits, and of one that does not
_BAND = 0.02  # offers within this share of a typical value may be swapped
_NODES = 20  # of the search where more neighbours may follow
_LAST_NODES, _WORK = 1_000, 120_000  # of a search among everybody: at most, and times its pairs


@dataclass(frozen=True, slots=True)
class Finish:
    """A whole plan: choice (n, most), value less penalties, whether all hard limits are kept, and prices (m,).

    `exhausted`: no better plan moves only these customers.
    """

    choice: NDArray[np.int64]
    value: float
    kept: bool
    price: Floats
    exhausted: bool


def finish(
    problem: Problem,
    shelf: Shelf,
    rows: Rows,
    whole: tuple[NDArray[np.int64], NDArray[np.int64]],
    domain: Domain,
    price: Floats,
    goal: float,
    watch: Watch,
) -> Finish:
    """The integer program over the split customers and their neighbours, everybody else fixed; more until it fits.

    Args:
        problem, shelf, rows: the same problem, counts rounded inwards.
        whole: what `to_bundles` gave.
        domain: of the prices.
        price: (m,) at which neighbours are judged.
        goal: stop when the value, less penalties, has reached this.
        watch: says when to stop in any case.
    """
    choice, split = whole
    n = len(choice)
    taste = Taste.of(problem)
    charges = rows.charges(price)
    best_choice, lead = SeveralCrowd(shelf, taste, 0.0, 1).stand(charges)
    lead[(np.sort(best_choice, 1) != np.sort(choice, 1)).any(1)] = 0.0  # tied: the plan and the best answer differ
    lead[split] = -1.0
    order = np.argsort(lead, kind="stable")
    wanted = min(len(split) + _NEIGHBOURS, n)
    wide = _BAND * shelf.typical_value()
    best: Finish | None = None
    while True:
        some = np.sort(order[:wanted])
        reach = np.inf if wanted == n else max(4.0 * float(lead[some].max(initial=0.0)), wide)
        allowed = _competitive(shelf, taste, charges, some, reach)
        allowed[np.nonzero(choice[some] >= 0)[0], choice[some][choice[some] >= 0]] = True
        pairs = int(np.count_nonzero(allowed))
        nodes = max(_NODES, min(_LAST_NODES, _WORK // max(pairs, 1))) if wanted == n else _NODES
        found = _program(problem, rows, choice, some, allowed, domain, goal, nodes)
        if best is None or (found.kept, found.value) > (best.kept, best.value):
            best = found
        enough = best.value >= goal or not found.exhausted or pairs > _PAIRS
        if wanted == n or pairs > _MOST_PAIRS or watch.over() or (best.kept and enough):
            return best
        wanted, wide = min(4 * wanted, n), 4.0 * wide


def _program(
    problem: Problem,
    rows: Rows,
    choice: NDArray[np.int64],
    some: NDArray[np.intp],
    allowed: NDArray[np.bool_],
    domain: Domain,
    goal: float,
    nodes: int,
) -> Finish:
    """The integer program over some customers and their allowed (some, k) offers."""
    out = choice.copy()
    out[some] = -1
    use = use_of(problem, out)
    consumed = rows.consumption(use)
    bounds = Bounds(rows.lower - consumed, rows.upper - consumed, rows.penalty)
    pairs = Pairs.of(_part(problem, some), rows, allowed)
    most, groups = problem.most, problem.groups
    linear = solve_pairs(pairs, bounds, Effort(integer=False), most=most, groups=groups)
    if linear.status == "infeasible":
        value, kept = recount(problem, rows, choice)
        return Finish(choice, value, kept, np.zeros(len(rows.names)), True)
    slack = max(linear.value + float(use[2].sum()) - goal, 0.0)
    effort = Effort(gap=max(0.5 * slack, 1e-9 * abs(goal)), nodes=nodes)
    answer = solve_pairs(pairs, bounds, effort, most=most, groups=groups)
    taken = np.flatnonzero(answer.share > 0.5)
    fill(out, some[pairs.customer[taken]], pairs.offer[taken])
    value, kept = recount(problem, rows, out)
    return Finish(out, value, kept, domain.clip(linear.price), answer.status == "optimal")


def _part(problem: Problem, some: NDArray[np.intp]) -> Problem:
    """The problem of some customers only."""
    arrays = (problem.value[some], problem.cost[some], problem.eligible[some], problem.cell[some])
    return Problem(*arrays, most=problem.most, groups=problem.groups, n_cells=problem.n_cells)


def _competitive(
    shelf: Shelf, taste: Taste, charges: Floats, some: NDArray[np.intp], reach: float
) -> NDArray[np.bool_]:
    """(some, k) offers that a customer could have for at most `reach` less than the best answer, and the best."""
    cell = shelf.cell[some]
    paid = charges[0][cell] + charges[1][cell] * shelf.cost[some] + charges[2][cell] * shelf.value[some]
    net = np.where(shelf.eligible[some], shelf.value[some] - paid, -np.inf)
    groups = int(taste.group.max()) + 1
    top = np.stack([net[:, taste.group == j].max(1) for j in range(groups)], 1)
    floor = np.maximum(-np.sort(-top, 1)[:, min(taste.most, groups) - 1], 0.0)  # what the last one chosen is worth
    best = np.maximum(top[:, taste.group], floor[:, None])
    return np.asarray((net >= best - reach) & np.isfinite(net))
