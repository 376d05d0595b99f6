"""Whole numbers for customers who may have several offers: bundles, a vertex, then the last few exactly.

The shares of one customer lie in an integral polytope (groups inside a total), so they are a mixture of bundles that
the customer may have: cut one line of all shares, group beside group, at every whole step. Bundles are what
`portfolio.several.vertex` moves between. What is then still split goes with its nearest neighbours to the integer
program.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from portfolio.certificate import recount
from portfolio.dual import Domain, Floats
from portfolio.limits import Problem, Rows, use_of
from portfolio.referee import Bounds, Effort, Pairs, solve_pairs
from portfolio.several.argmax import Shelf
from portfolio.several.crowd import Taste, respond
from portfolio.several.vertex import SPLIT, settle
from portfolio.solution import Watch

_CUT = 1e-9  # pieces of the line shorter than this are rounding
_GONE = 1e-11  # a share below this counts for nothing
_CHUNK = 20_000  # split customers at a time: bounds memory
_NEIGHBOURS = 100  # how many to begin with
_PAIRS, _MOST_PAIRS = (
    1_200,
    12_000,
)  # where to stop asking more of a plan that keeps the limits, and of one that does not
_BAND = 0.02  # offers within this share of a typical value may be swapped
_NODES = 20


@njit(cache=True, nogil=True)
def _cut(share: Any, order: Any, edge: Any) -> Any:
    """Ends in (0, 1] of the pieces that one customer's line falls into: `edge`, ascending; returns how many."""
    total = 0.0
    count = 0
    for a in order:
        if share[a] > 0.0:
            total += share[a]
            part = total - np.floor(total)
            if _CUT < part < 1.0 - _CUT:
                at = count
                while at > 0 and edge[at - 1] > part:
                    edge[at] = edge[at - 1]
                    at -= 1
                edge[at] = part
                count += 1
    kept = 0
    for c in range(count):
        if kept == 0 or edge[c] - edge[kept - 1] > _CUT:
            edge[kept] = edge[c]
            kept += 1
    edge[kept] = 1.0
    return kept + 1


@njit(cache=True, nogil=True)
def _bundles(plan: Any, order: Any, weight: Any, offers: Any) -> None:
    """Bundles of customers with shares plan (s, k): weight (s, k + 1) and offers (s, k + 1, most), -1 where none."""
    edge = np.empty(plan.shape[1] + 1)
    for i in range(len(plan)):
        pieces = _cut(plan[i], order, edge)
        start = 0.0
        for b in range(pieces):
            weight[i, b] = edge[b] - start
            middle = 0.5 * (start + edge[b])
            start = edge[b]
            total = 0.0
            count = 0
            for a in order:
                if plan[i, a] > 0.0:
                    first = total
                    total += plan[i, a]
                    if np.floor(total - middle) > np.floor(first - middle) and count < offers.shape[2]:
                        offers[i, b, count] = a
                        count += 1


@njit(cache=True, nogil=True)
def _weigh(offers: Any, value: Any, cost: Any, cell: Any, coefficient: Any, worth: Any, effect: Any) -> None:
    """What each bundle is worth (s, b) and adds to each row (s, b, m)."""
    for i in range(len(offers)):
        g = cell[i]
        for b in range(offers.shape[1]):
            for a in offers[i, b]:
                if a < 0:
                    break
                worth[i, b] += value[i, a]
                for r in range(len(coefficient)):
                    x = coefficient[r, 0, g, a] + coefficient[r, 1, g, a] * cost[i, a]
                    effect[i, b, r] += x + coefficient[r, 2, g, a] * value[i, a]


def to_bundles(shelf: Shelf, taste: Taste, rows: Rows, plan: Floats) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """A plan of whole bundles, and which customers are left split: about one per row.

    Args:
        shelf: the customers.
        taste: how many offers they may have.
        rows: the limits; those that split customers could break stay where the plan has them.
        plan: (n, k) shares; changed where customers are split.

    Returns:
        Choice (n, most), -1 = no offer, where split customers have their largest bundle; and the split customers.
    """
    choice = np.full((len(plan), taste.most), -1, np.int64)
    _fill(choice, *np.nonzero(plan > 1.0 - SPLIT))
    split = np.flatnonzero(((plan > SPLIT) & (plan < 1.0 - SPLIT)).any(1))
    keep = _movable(shelf, rows, plan, split)
    left = np.zeros(0, np.int64)
    for at in range(0, len(split), _CHUNK):
        some = np.concatenate([left, split[at : at + _CHUNK]])
        offers, share = _settled(shelf, taste, np.ascontiguousarray(rows.coefficient[keep]), plan, some)
        choice[some] = offers[np.arange(len(some)), share.argmax(1)]
        open_ = np.flatnonzero(share.max(1) < 1.0 - SPLIT)
        left = some[open_]
        plan[left] = 0.0
        i, b, j = np.nonzero(offers[open_] >= 0)
        np.add.at(plan, (left[i], offers[open_][i, b, j]), share[open_][i, b])
    return choice, np.sort(left)


def _settled(
    shelf: Shelf, taste: Taste, coefficient: Floats, plan: Floats, some: NDArray[np.int64]
) -> tuple[NDArray[np.int64], Floats]:
    """Bundles (s, b, most) of some customers and their shares (s, b) at a vertex."""
    part = np.where(plan[some] > _GONE, plan[some], 0.0)
    width = int((part > 0).sum(1).max()) + 1
    share, offers = np.zeros((len(some), width)), np.full((len(some), width, taste.most), -1, np.int64)
    _bundles(part, np.argsort(taste.group, kind="stable"), share, offers)
    worth, effect = np.zeros(share.shape), np.zeros((*share.shape, len(coefficient)))
    _weigh(offers, shelf.value[some], shelf.cost[some], shelf.cell[some], coefficient, worth, effect)
    return offers, settle(share, worth, effect)


def _fill(choice: NDArray[np.int64], row: NDArray[np.intp], offer: NDArray[np.integer]) -> None:
    """Writes offers, listed customer by customer, into the rows of a choice (n, most)."""
    first = np.searchsorted(row, row, side="left")
    choice[row, np.arange(len(row)) - first] = offer


def _movable(shelf: Shelf, rows: Rows, plan: Floats, split: NDArray[np.intp]) -> NDArray[np.intp]:
    """Rows that the split customers could break."""
    k = plan.shape[1]
    use = np.zeros((3, shelf.n_cells, k))
    reach = np.zeros_like(use)
    may = plan[split] > 0
    for t, weight in enumerate((None, shelf.cost, shelf.value)):
        for a in range(k):
            x = plan[:, a] if weight is None else np.where(plan[:, a] > 0, plan[:, a] * weight[:, a], 0.0)
            y = may[:, a] * 1.0 if weight is None else np.where(may[:, a], np.abs(weight[split, a]), 0.0)
            use[t, :, a] = np.bincount(shelf.cell, x, shelf.n_cells)
            reach[t, :, a] = np.bincount(shelf.cell[split], y, shelf.n_cells)
    consumption = rows.consumption(use)
    room = np.minimum(rows.upper - consumption, consumption - rows.lower)
    return np.flatnonzero(np.einsum("rtga,tga->r", np.abs(rows.coefficient), reach) >= room)


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
    best_choice, lead, _ = respond(shelf, taste, charges)
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
        found = _program(problem, rows, choice, some, allowed, domain, goal)
        if best is None or (found.kept, found.value) > (best.kept, best.value):
            best = found
        pairs = np.count_nonzero(allowed)
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
    effort = Effort(gap=max(0.5 * slack, 1e-9 * abs(goal)), nodes=_NODES)
    answer = solve_pairs(pairs, bounds, effort, most=most, groups=groups)
    taken = np.flatnonzero(answer.share > 0.5)
    _fill(out, some[pairs.customer[taken]], pairs.offer[taken])
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
    paid = charges[0][cell] + charges[1][cell] * shelf.cost[some] + charges[2][cell] * shelf.worth[some]
    net = np.where(shelf.eligible[some], shelf.value[some] - paid, -np.inf)
    groups = int(taste.group.max()) + 1
    top = np.stack([net[:, taste.group == j].max(1) for j in range(groups)], 1)
    floor = np.maximum(-np.sort(-top, 1)[:, min(taste.most, groups) - 1], 0.0)  # what the last one chosen is worth
    best = np.maximum(top[:, taste.group], floor[:, None])
    return np.asarray((net >= best - reach) & np.isfinite(net))
