"""Limits that no plan can keep: an irreducible set of them, and how little each would have to give.

Small problems are examined exactly. Large ones by linear duality: nothing is worth anything, breaches cost 1, and
prices inside that box whose dual value is negative prove that no plan keeps the limits they price (Farkas). The proof
is always taken over all customers, so a problem that can be kept is never called infeasible.
"""

from dataclasses import dataclass, replace

import numpy as np

from portfolio.argmax import Shelf, SoftCrowd, measures_of
from portfolio.dual import Domain, Floats, descend, row_sizes
from portfolio.limits import Problem, Rows, compile_rows
from portfolio.prices import evaluator
from portfolio.referee import Bounds, Effort, Pairs, solve_pairs, whole_counts

EXACT_PAIRS = 2_000  # up to here the integer program answers
_SAMPLE = 4_000
_NODES = 20_000
_PROOF = 1e-7  # a proof must exceed this share of the limits' sizes: rounding of sums lies far below
_TEMPERATURES = (0.3, 0.1, 0.03, 0.01, 0.003, 0.001, 0.0003, 0.0001)


@dataclass(frozen=True, slots=True)
class Conflict:
    """Limits that no plan keeps together.

    Args:
        limits: names; without any one of them the others can be kept (as far as a proof was found).
        relaxation: for each of them, the smallest breach that lets the others hold, in the limit's own measure
            (contacts or currency units; for a `Share` of its part).
    """

    limits: tuple[str, ...]
    relaxation: dict[str, float]


def diagnose(problem: Problem) -> Conflict | None:
    """Which hard limits cannot be kept together, if any.

    Args:
        problem: any size; above 2,000 eligible pairs whole numbers are not insisted on, and most and groups are ignored
            where they only make things harder.

    Returns:
        None when no proof of a conflict was found, else Conflict.
    """
    rows = whole_counts(compile_rows(problem.limits, problem.n_cells, problem.value.shape[1]))
    hard = tuple(dict.fromkeys(n for n, p in zip(rows.names, rows.penalty, strict=True) if np.isinf(p)))
    if not hard:
        return None
    if int(np.count_nonzero(problem.eligible)) <= EXACT_PAIRS:
        return _exactly(problem, rows, hard)
    return _by_duality(problem, rows, hard)


def only(rows: Rows, names: tuple[str, ...]) -> Rows:
    """The rows of these limits."""
    keep = np.array([name in names for name in rows.names], bool)
    kept = tuple(name for name in rows.names if name in names)
    return Rows(kept, rows.coefficient[keep], rows.lower[keep], rows.upper[keep], rows.penalty[keep])


def _exactly(problem: Problem, rows: Rows, hard: tuple[str, ...]) -> Conflict | None:
    """Deletion filter by integer programs."""
    eligible = problem.eligible & np.isfinite(problem.value) & np.isfinite(problem.cost)
    pairs = Pairs.of(problem, rows, eligible)
    pairs = replace(pairs, value=np.zeros(len(pairs.value)))

    def breach(names: tuple[str, ...], elastic: str | None) -> float:
        """Smallest breach of the elastic limit under the others; infinite when they cannot be kept."""
        keep = np.array([name in names for name in rows.names], bool)
        some = only(rows, names)
        soft = np.array([name == elastic for name in some.names], bool)
        bounds = Bounds(some.lower, some.upper, np.where(soft, 1.0, np.inf))
        part = replace(pairs, effect=pairs.effect[keep])
        answer = solve_pairs(part, bounds, Effort(nodes=_NODES), most=problem.most, groups=problem.groups)
        if answer.status == "infeasible":
            return float("inf")
        return -answer.value if np.isfinite(answer.value) else 0.0

    if np.isfinite(breach(hard, None)):
        return None
    left = hard
    for name in hard:
        fewer = tuple(x for x in left if x != name)
        if fewer and not np.isfinite(breach(fewer, None)):
            left = fewer
    return Conflict(left, {name: breach(left, name) for name in left})


@dataclass(frozen=True, slots=True)
class _Proof:
    """Prices (m,) of some rows, and the weighted breach that they prove, in units of the rows' sizes."""

    price: Floats
    proven: float


def _by_duality(problem: Problem, rows: Rows, hard: tuple[str, ...]) -> Conflict | None:
    shelf = Shelf.of(problem).without_value()
    sample = shelf.sample(_SAMPLE)

    def proof(names: tuple[str, ...], box: dict[str, float]) -> _Proof:
        return _search(shelf, sample, only(rows, names), box)

    found = proof(hard, {})
    if found.proven <= _PROOF:
        return None
    priced = np.abs(found.price) > 1e-6 * np.abs(found.price).max()
    left = tuple(dict.fromkeys(name for name, p in zip(only(rows, hard).names, priced, strict=True) if p))
    if proof(left, {}).proven <= _PROOF:
        left = hard
    for name in left:
        fewer = tuple(x for x in left if x != name)
        if fewer and proof(fewer, {}).proven > _PROOF:
            left = fewer
    relaxation = {}
    for name in left:
        alone = proof(left, {x: 1e3 for x in left if x != name})
        part = only(rows, left)
        own = np.array([x == name for x in part.names])
        size = float(_sizes(shelf, part)[own].max())
        relaxation[name] = max(alone.proven, 0.0) * size
    return Conflict(left, relaxation)


def _sizes(shelf: Shelf, rows: Rows) -> Floats:
    """(m,) what a breach is measured against: the bound, or the most that the row could count."""
    crowd = SoftCrowd(shelf, 1.0, measures_of(rows))
    return row_sizes(rows, crowd(np.zeros(rows.coefficient.shape[1:]), curvature=False).use)


def _search(shelf: Shelf, sample: Shelf, rows: Rows, box: dict[str, float]) -> _Proof:
    """Minimise the dual of the smallest breach on the sample, then value the best prices found over all customers.

    Breaches are measured in row sizes; each customer moves `reach` of a size at most, which sets the temperature.
    """
    size = _sizes(shelf, rows)
    unit = 1.0 / size
    most = np.array([box.get(name, 1.0) for name in rows.names])
    domain = Domain(rows.lower, rows.upper, unit, most * unit, size)
    typical = float(np.median(_reach(sample, rows) * unit))
    price = np.zeros(len(rows.names))
    best = _Proof(price, 0.0)
    for heat in _TEMPERATURES:
        crowd = SoftCrowd(sample, heat * typical, measures_of(rows))
        price = descend(evaluator(crowd, rows), domain, price, steps=25, tolerance=1e-5).price
        proven = -_dual(sample, rows, domain, price)
        if proven > best.proven:
            best = _Proof(price, proven)
    if best.proven <= _PROOF:
        return best
    return _Proof(best.price, -_dual(shelf, rows, domain, best.price))


def _reach(shelf: Shelf, rows: Rows) -> Floats:
    """(m,) a typical contribution of one contact to each row."""
    cost = float(np.abs(shelf.cost[shelf.eligible]).mean()) if shelf.eligible.any() else 0.0
    worth = float(np.abs(shelf.worth[shelf.eligible]).mean()) if shelf.eligible.any() else 0.0
    largest = np.abs(rows.coefficient).max((2, 3))
    reach = (largest * np.array([1.0, cost, worth])).max(1)
    return np.where(reach > 0, reach, 1.0)


def _dual(shelf: Shelf, rows: Rows, domain: Domain, price: Floats) -> float:
    crowd = SoftCrowd(shelf, 1e-9, 1)
    return crowd.answer(rows.charges(price), curvature=False).exact + domain.support(price)
