"""From a softened plan to a whole one: to a vertex without touching a limit, then the last few customers exactly.

A softened plan splits every customer who is nearly or exactly indifferent, which may be everybody when values tie.
Moving along directions that change no row and never lower the value ends with about one split customer per row. Those
and their nearest neighbours go to the integer program.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from portfolio.argmax import Shelf, leads
from portfolio.certificate import recount
from portfolio.dual import Domain, Floats
from portfolio.limits import Problem, Rows, use_of
from portfolio.referee import Bounds, Effort, Pairs, solve_pairs

_SPLIT = 1e-9  # a customer whose largest share misses 1 by more is split
_NEIGHBOURS, _PAIRS = 300, 3_000  # how many neighbours to begin with; where to stop asking more
_BAND = 0.05  # offers within this share of a typical value may be swapped
_NODES = 100


@njit(cache=True, nogil=True)
def _push(i: Any, plan: Any, filled: Any, who: Any, what: Any, ref: Any) -> Any:
    """Columns of customer i: one for each option beside the largest."""
    top = 0
    for a in range(plan.shape[1]):
        if plan[i, a] > plan[i, top]:
            top = a
    for a in range(plan.shape[1]):
        if a != top and plan[i, a] > 0.0 and filled < len(who):
            who[filled] = i
            what[filled] = a
            ref[filled] = top
            filled += 1
    return filled


@njit(cache=True, nogil=True)
def _effect(i: Any, a: Any, r: Any, coefficient: Any, cost: Any, value: Any, cell: Any) -> Any:
    """What customer i with option a adds to row r; no offer adds nothing."""
    if a == value.shape[1]:
        return 0.0
    g = cell[i]
    x = coefficient[r, 0, g, a] + coefficient[r, 1, g, a] * cost[i, a]
    return x + coefficient[r, 2, g, a] * value[i, a]


@njit(cache=True, nogil=True)
def _null_direction(work: Any, n: Any, move: Any) -> Any:
    """A direction over n columns that `work` (m, n) maps to 0; false when there is none. Destroys `work`."""
    m = len(work)
    pivot = np.full(m, -1)
    taken = np.zeros(n, np.bool_)
    for r in range(m):
        at = -1
        largest = 1e-10
        for c in range(n):
            if not taken[c] and abs(work[r, c]) > largest:
                largest = abs(work[r, c])
                at = c
        if at < 0:
            continue
        pivot[r] = at
        taken[at] = True
        scale = 1.0 / work[r, at]
        for c in range(n):
            work[r, c] *= scale
        for q in range(m):
            x = work[q, at]
            if q != r and x != 0.0:
                for c in range(n):
                    work[q, c] -= x * work[r, c]
    free = -1
    for c in range(n):
        if not taken[c]:
            free = c
            break
    if free < 0:
        return False
    move[:n] = 0.0
    move[free] = 1.0
    for r in range(m):
        if pivot[r] >= 0:
            move[pivot[r]] = -work[r, free]
    return True


@njit(cache=True, nogil=True)
def _walk(plan: Any, n: Any, move: Any, who: Any, what: Any, ref: Any) -> None:
    """Along `move` until a share is used up; what is used up becomes exactly 0."""
    step = np.inf
    for c in range(n):
        if move[c] < -1e-14:
            step = min(step, plan[who[c], what[c]] / -move[c])
        if c == 0 or who[c] != who[c - 1]:
            total = 0.0
            for d in range(c, n):
                if who[d] != who[c]:
                    break
                total += move[d]
            if total > 1e-14:
                step = min(step, plan[who[c], ref[c]] / total)
    for c in range(n):
        plan[who[c], what[c]] += step * move[c]
        plan[who[c], ref[c]] -= step * move[c]
    for c in range(n):
        for a in (what[c], ref[c]):
            if plan[who[c], a] < 1e-11:
                plan[who[c], a] = 0.0


@njit(cache=True, nogil=True)
def _to_vertex(plan: Any, owners: Any, coefficient: Any, size: Any, value: Any, cost: Any, cell: Any) -> None:
    """Moves shares of the split customers in `plan` (n, k + 1) until as few as possible are split. Rows stay put."""
    m = len(coefficient)
    k = value.shape[1]
    who = np.empty(m + 1, np.int64)
    what = np.empty(m + 1, np.int64)
    ref = np.empty(m + 1, np.int64)
    move = np.zeros(m + 1)
    columns = np.zeros((m, m + 1))
    filled = 0
    fresh = 0
    upcoming = 0
    while True:
        while filled <= m and upcoming < len(owners):
            filled = _push(owners[upcoming], plan, filled, who, what, ref)
            upcoming += 1
        for c in range(fresh, filled):
            for r in range(m):
                x = _effect(who[c], what[c], r, coefficient, cost, value, cell)
                columns[r, c] = (x - _effect(who[c], ref[c], r, coefficient, cost, value, cell)) / size[r]
        if filled == 0 or not _null_direction(columns[:, :filled].copy(), filled, move):
            break
        gain = 0.0
        for c in range(filled):
            gain += move[c] * (value[who[c], what[c]] if what[c] < k else 0.0)
            gain -= move[c] * (value[who[c], ref[c]] if ref[c] < k else 0.0)
        if gain < 0:
            move *= -1.0
        _walk(plan, filled, move, who, what, ref)
        changed = np.zeros(filled, np.bool_)
        for c in range(filled):
            changed[c] = plan[who[c], what[c]] == 0.0 or plan[who[c], ref[c]] == 0.0
        for c in range(1, filled):  # a customer's columns stand side by side
            changed[c] |= changed[c - 1] and who[c] == who[c - 1]
        for c in range(filled - 2, -1, -1):
            changed[c] |= changed[c + 1] and who[c] == who[c + 1]
        back = np.full(filled, -1)
        fresh = 0
        for c in range(filled):
            if changed[c]:
                back[c] = who[c]
            else:
                who[fresh] = who[c]
                what[fresh] = what[c]
                ref[fresh] = ref[c]
                columns[:, fresh] = columns[:, c]
                fresh += 1
        again = filled
        filled = fresh
        for c in range(again):
            if back[c] >= 0 and (c == 0 or back[c] != back[c - 1]):
                filled = _push(back[c], plan, filled, who, what, ref)


def to_vertex(shelf: Shelf, rows: Rows, plan: Floats) -> Floats:
    """A plan of no less value, the same use of every limit that could be broken, and few split customers.

    Args:
        shelf: the customers.
        rows: the limits.
        plan: (n, k + 1) shares, the last column no offer.

    Returns:
        (n, k + 1).
    """
    plan = np.where(plan > 1e-11, plan, 0.0)
    plan /= plan.sum(1, keepdims=True)
    split = np.nonzero(plan.max(1) < 1 - _SPLIT)[0]
    if len(split):
        keep = _movable(shelf, rows, plan, split)
        coefficient = np.ascontiguousarray(rows.coefficient[keep])
        size = np.abs(coefficient).max((1, 2, 3))
        size = np.where(size > 0, size, 1.0)
        _to_vertex(plan, split, coefficient, size, shelf.value, shelf.cost, shelf.cell)
    return plan


def _movable(shelf: Shelf, rows: Rows, plan: Floats, split: NDArray[np.intp]) -> NDArray[np.intp]:
    """Rows that the split customers could break."""
    k = shelf.value.shape[1]
    use = np.zeros((3, shelf.n_cells, k))
    reach = np.zeros_like(use)
    may = shelf.eligible[split] & (plan[split, :k] > 0)
    for t, weight in enumerate((np.ones_like(shelf.cost), shelf.cost, shelf.value)):
        x = np.where(shelf.eligible, weight, 0.0)
        for a in range(k):
            use[t, :, a] = np.bincount(shelf.cell, plan[:, a] * x[:, a], shelf.n_cells)
            reach[t, :, a] = np.bincount(shelf.cell[split], may[:, a] * np.abs(x[split, a]), shelf.n_cells)
    consumption = rows.consumption(use)
    room = np.minimum(rows.upper - consumption, consumption - rows.lower)
    return np.nonzero(np.einsum("rtga,tga->r", np.abs(rows.coefficient), reach) >= room)[0]


@dataclass(frozen=True, slots=True)
class Finish:
    """A whole plan: choice (n,), value less penalties, whether all hard limits are kept, and the last prices (m,).

    `exhausted`: no better plan moves only these customers.
    """

    choice: NDArray[np.int64]
    value: float
    kept: bool
    price: Floats
    exhausted: bool


def finish(
    problem: Problem, shelf: Shelf, rows: Rows, plan: Floats, domain: Domain, price: Floats, goal: float
) -> Finish:
    """Whole numbers for the split customers and their neighbours, everybody else fixed; more neighbours until it fits.

    Args:
        problem, shelf, rows: the same problem, counts rounded inwards.
        plan: (n, k + 1) with few split customers.
        domain: of the prices.
        price: (m,) at which neighbours are judged.
        goal: stop when the value, less penalties, has reached this.
    """
    n, k = problem.value.shape
    split = plan.max(1) < 1 - _SPLIT
    choice = plan.argmax(1)
    charges = rows.charges(price)
    _, lead = leads(shelf, charges)
    order = np.argsort(np.where(split, -1.0, lead), kind="stable")
    wanted = min(int(split.sum()) + _NEIGHBOURS, n)
    wide = _BAND * shelf.typical_value()
    best: Finish | None = None
    while True:
        some = np.sort(order[:wanted])
        reach = np.inf if wanted == n else max(4.0 * float(lead[some].max(initial=0.0)), wide)
        allowed = np.zeros((n, k), bool)
        allowed[some] = _competitive(shelf, charges, some, reach)
        found = _program(problem, rows, choice, some, allowed, domain, goal)
        if best is None or (found.kept, found.value) > (best.kept, best.value):
            best = found
        enough = best.value >= goal or not found.exhausted or np.count_nonzero(allowed) > _PAIRS
        if wanted == n or (best.kept and enough):
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
    """The integer program over some customers and their allowed offers."""
    k = problem.value.shape[1]
    fixed = np.where(choice == k, -1, choice)
    fixed[some] = -1
    consumed = rows.consumption(use_of(problem, fixed))
    bounds = Bounds(rows.lower - consumed, rows.upper - consumed, rows.penalty)
    pairs = Pairs.of(problem, rows, allowed)
    worth = float(use_of(problem, fixed)[2].sum())
    linear = solve_pairs(pairs, bounds, Effort(integer=False))
    slack = max(linear.value + worth - goal, 0.0) if linear.status == "optimal" else 0.0
    answer = solve_pairs(pairs, bounds, Effort(gap=max(0.5 * slack, 1e-9 * abs(goal)), nodes=_NODES))
    out = fixed.copy()
    taken = np.nonzero(answer.share > 0.5)[0]
    out[pairs.customer[taken]] = pairs.offer[taken]
    value, kept = recount(problem, rows, out)
    return Finish(out, value, kept, domain.clip(linear.price), answer.status == "optimal")


def _competitive(shelf: Shelf, charges: Floats, some: NDArray[np.intp], reach: float) -> NDArray[np.bool_]:
    """(some, k) offers whose net score is within `reach` of the customer's best, and always the best."""
    cell = shelf.cell[some]
    paid = charges[0][cell] + charges[1][cell] * shelf.cost[some] + charges[2][cell] * shelf.worth[some]
    net = np.where(shelf.eligible[some], shelf.value[some] - paid, -np.inf)
    best = np.maximum(net.max(1, initial=0.0), 0.0)
    return np.asarray((net >= best[:, None] - reach) & np.isfinite(net))
