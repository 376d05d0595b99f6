"""Small problems exactly: one linear or integer program over (customer, offer) pairs, by cvxpy and HiGHS."""

import warnings
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from allot import ConvergenceError
from portfolio.dual import Floats
from portfolio.limits import Problem, Rows

_EXACT = 1e-9  # HiGHS keeps scaled rows and integers within this; what a bound misses by less is rounding


@dataclass(frozen=True, slots=True)
class Pairs:
    """Pairs (p of them) that may be chosen, and what they count in every row.

    Args:
        customer, offer: (p,) of the problem.
        value: (p,) currency units.
        effect: (m, p) what one pair adds to each row.
    """

    customer: NDArray[np.int64]
    offer: NDArray[np.int64]
    value: Floats
    effect: Floats

    @classmethod
    def of(cls, problem: Problem, rows: Rows, allowed: NDArray[np.bool_]) -> "Pairs":
        """The pairs of a problem that `allowed` (n, k) marks."""
        customer, offer = np.nonzero(allowed)
        value = problem.value[customer, offer].astype(np.float64)
        cost = problem.cost[customer, offer].astype(np.float64)
        cell = problem.cell[customer]
        tables = rows.coefficient[:, :, cell, offer]  # (m, 3, p)
        effect = tables[:, 0] + tables[:, 1] * cost + tables[:, 2] * value
        return cls(customer.astype(np.int64), offer.astype(np.int64), value, effect)


@dataclass(frozen=True, slots=True)
class Bounds:
    """(m,) bounds of the rows and the penalty per unit of breach, infinite = hard."""

    lower: Floats
    upper: Floats
    penalty: Floats


@dataclass(frozen=True, slots=True)
class Effort:
    """How hard to try: integers or not, absolute gap, and limits on nodes and seconds (None = no limit)."""

    integer: bool = True
    gap: float = 0.0
    nodes: int | None = None
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """What the program found.

    Args:
        share: (p,) of each pair that is chosen; whole numbers when integers were asked for.
        value: of the pairs, less penalties; bound: no choice is worth more.
        breach: (m,) of elastic rows. price: (m,) dual values of a linear program, zero for an integer one.
        status: "stopped" means that a limit on effort was met; `share` is then the best found, or empty if none was.
    """

    share: Floats
    value: float
    bound: float
    breach: Floats
    price: Floats
    status: Literal["optimal", "infeasible", "stopped"]


def packing(pairs: Pairs, most: int, groups: NDArray[np.integer] | None) -> tuple[Any, Floats]:
    """Sparse rows (r, p) and their capacities (r,): `most` per customer, one per group of offers and customer."""
    from scipy import sparse

    keys: list[tuple[NDArray[np.int64], int]] = [(pairs.customer, most)]
    if groups is not None:
        keys.append((pairs.customer * (int(groups.max()) + 1) + groups[pairs.offer].astype(np.int64), 1))
    blocks, room = [], []
    for key, capacity in keys:
        _, row = np.unique(key, return_inverse=True)
        height = int(row.max()) + 1
        blocks.append(sparse.csr_matrix((np.ones(len(row)), (row, np.arange(len(row)))), shape=(height, len(row))))
        room.append(np.full(height, float(capacity)))
    return sparse.vstack(blocks), np.concatenate(room)


def solve_pairs(
    pairs: Pairs,
    bounds: Bounds,
    effort: Effort,
    *,
    most: int = 1,
    groups: NDArray[np.integer] | None = None,
) -> Answer:
    """Maximise the value of the chosen pairs, less penalties, inside the bounds.

    Args:
        pairs: what may be chosen.
        bounds: of the rows.
        effort: integer or linear, and when to stop.
        most: pairs per customer.
        groups: (k,) at most one pair of a group per customer; None = no groups.

    Returns:
        Answer.

    Raises:
        ConvergenceError: HiGHS gave up for a reason other than its limits.
    """
    m, p = pairs.effect.shape
    if not p:
        return _nothing(bounds)
    import cvxpy as cp
    from scipy import sparse

    size = np.abs(pairs.effect).max(1, initial=0.0)
    size = np.where(size > 0, size, 1.0)
    effect = sparse.csr_matrix(pairs.effect / size[:, None])
    cap, room = packing(pairs, most, groups)
    x = cp.Variable(p, boolean=True) if effort.integer else cp.Variable(p, nonneg=True)
    constraints = [cap @ x <= room]
    if not effort.integer and most > 1:
        constraints.append(x <= 1)
    elastic = np.isfinite(bounds.penalty)
    over = cp.Variable(m, nonneg=True)
    if not elastic.all():
        constraints.append(over[np.nonzero(~elastic)[0]] == 0)
    price_of_breach = np.where(elastic, bounds.penalty, 0.0) * size
    unit = float(np.abs(pairs.value).max()) or 1.0  # HiGHS' tolerances are absolute: money in its own unit
    objective = (price_of_breach / unit) @ over - (pairs.value / unit) @ x
    duals = _rows(effect, bounds, size, x, over)
    constraints += [row for _, _, row in duals]
    problem = cp.Problem(cp.Minimize(objective), constraints)
    status, info = _run(
        problem, replace(effort, gap=effort.gap / unit), presolve=not (effort.integer and elastic.any())
    )
    if status == "infeasible" or x.value is None or not np.isfinite(info.objective_function_value):
        return Answer(np.zeros(0), -np.inf, np.inf, np.zeros(m), np.zeros(m), status)
    price = np.zeros(m)
    for sign, rows, row in duals if not effort.integer else []:
        price[rows] += sign * np.maximum(np.atleast_1d(row.dual_value), 0.0) * unit / size[rows]
    breach = np.where(elastic, np.asarray(over.value), 0.0)
    share = np.round(x.value) if effort.integer else np.clip(x.value, 0.0, 1.0)
    value = float(pairs.value @ share - price_of_breach @ breach)
    bound = -float(info.mip_dual_bound) * unit if effort.integer else value
    return Answer(share, value, bound, breach * size, price, status)


def _rows(effect: Any, bounds: Bounds, size: Floats, x: Any, over: Any) -> list[tuple[float, NDArray[np.intp], Any]]:
    """One cvxpy constraint per kind of bound: its sign, its rows and itself. `over` is the breach in row sizes."""
    out = []
    for sign, side in ((1.0, bounds.upper), (-1.0, bounds.lower)):
        rows = np.nonzero(np.isfinite(side))[0]
        if len(rows):
            out.append((sign, rows, sign * (effect[rows] @ x) - over[rows] <= sign * side[rows] / size[rows]))
    return out


def _run(problem: Any, effort: Effort, *, presolve: bool) -> tuple[Literal["optimal", "infeasible", "stopped"], Any]:
    """HiGHS on a cvxpy problem, one thread, so that equal problems have equal answers.

    Without presolve where whole numbers meet elastic rows: HiGHS 1.14 then calls a plan optimal that is not. (Values
    10, 5 and 3; one is free, each more costs 4: it answers 10 instead of 11.)
    """
    import cvxpy as cp

    options: dict[str, Any] = {
        "threads": 1,
        "presolve": "on" if presolve else "off",
        "primal_feasibility_tolerance": _EXACT,
        "mip_feasibility_tolerance": _EXACT,
        "mip_rel_gap": 0.0,
        "mip_abs_gap": max(effort.gap, 1e-12),
    }
    if effort.nodes is not None:
        options["mip_max_nodes"] = effort.nodes
    if effort.seconds is not None:
        options["time_limit"] = effort.seconds
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # says that a limit on effort was met; the status says so too
        try:
            problem.solve(solver=cp.HIGHS, highs_options=options)
        except cp.SolverError as error:
            raise ConvergenceError(
                "HiGHS ended without an answer.", remedy="Check values, costs and limits for extreme numbers."
            ) from error
    info = problem.solver_stats.extra_stats
    if problem.status in ("optimal", "optimal_inaccurate"):
        return "optimal", info
    if problem.status in ("infeasible", "infeasible_or_unbounded"):
        return "infeasible", info
    if problem.status == "user_limit":
        return "stopped", info
    raise ConvergenceError(f"HiGHS answered {problem.status!r}.", remedy="Check values and limits for extreme numbers.")


def _nothing(bounds: Bounds) -> Answer:
    """No pair at all: the rows count 0."""
    breach = np.maximum(np.maximum(-bounds.upper, bounds.lower), 0.0)
    zero = np.zeros(len(breach))
    if (breach[np.isinf(bounds.penalty)] > 0).any():
        return Answer(np.zeros(0), -np.inf, np.inf, zero, zero, "infeasible")
    paid = float(np.sum(np.where(breach > 0, bounds.penalty, 0.0) * breach)) if len(breach) else 0.0
    return Answer(np.zeros(0), -paid, -paid, breach, zero, "optimal")


def whole_counts(rows: Rows) -> Rows:
    """The same rows, where the bounds of pure hard counts are rounded inwards: no whole number lies in between.

    A bound that misses a whole number by rounding alone is that number. An elastic count keeps its bounds: its breach
    is paid for from there.
    """
    whole = ~np.any(rows.coefficient[:, 1:], axis=(1, 2, 3)) & np.all(
        rows.coefficient[:, 0] == np.round(rows.coefficient[:, 0]), axis=(1, 2)
    )
    whole &= np.isinf(rows.penalty)
    low, high = (_EXACT * np.maximum(1.0, np.abs(side)) for side in (rows.lower, rows.upper))
    low, high = np.where(np.isfinite(low), low, 0.0), np.where(np.isfinite(high), high, 0.0)
    lower = np.where(whole, np.ceil(rows.lower - low), rows.lower)
    upper = np.where(whole, np.floor(rows.upper + high), rows.upper)
    return replace(rows, lower=lower, upper=upper)


def impossible_counts(rows: Rows) -> tuple[str, ...]:
    """Names of the limits, counts rounded inwards, between whose bounds there is no whole number."""
    return tuple(rows.names[r] for r in np.flatnonzero(rows.lower > rows.upper))


def bounds_of(rows: Rows) -> Bounds:
    """The rows' bounds and penalties."""
    return Bounds(rows.lower, rows.upper, rows.penalty)


def chosen(pairs: Pairs, share: Floats, problem: Problem) -> NDArray[np.int64]:
    """The plan (n, most) of the pairs whose share is above one half, padded with -1."""
    choice = np.full((len(problem.value), problem.most), -1, np.int64)
    filled = np.zeros(len(choice), np.int64)
    for p in np.nonzero(share > 0.5)[0]:
        i = pairs.customer[p]
        choice[i, filled[i]] = pairs.offer[p]
        filled[i] += 1
    return choice
