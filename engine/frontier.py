"""What more or less of a limit would be worth: the best plan's value against the limit's maximum."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from engine.segments import rescaled
from engine.summary import limits_of
from portfolio import Limit, Problem, Solution, solve
from warehouse import StoredAllocation, decisions_meta, read_decisions

if TYPE_CHECKING:
    from warehouse import Workspace

Floats: TypeAlias = NDArray[np.float64]

STEPS = (0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0)
_CUSTOMERS = 5_000
"""Customers that the curve is drawn from; with more, every so many-th is taken and sums are scaled."""

_GAP = 1e-3  # of the optimum's value: less than the width of a line


@dataclass(frozen=True, slots=True)
class Frontier:
    """Points (maximum of `limit`, best planned value), and the optimum at the campaign's own maximum.

    Args:
        limit: name of the limit; empty where no limit has a maximum that binds.
        maxima, values: the points, scaled to all customers.
        deterministic: best planned value under the campaign's limits, None where it was not found.
        bound: what no plan of any kind can be planned to exceed, None likewise.
        sampled: whether the points come from a sample of the customers.
    """

    limit: str
    maxima: tuple[float, ...]
    values: tuple[float, ...]
    deterministic: float | None
    bound: float | None
    sampled: bool


def stored_problem(workspace: "Workspace", stored: StoredAllocation) -> tuple[Problem, NDArray[np.int64]]:
    """The problem that an allocation was drawn from, from its decisions file alone, and its choices.

    Held-out customers are left out.
    """
    path = workspace.root / str(stored.decisions_path)
    meta = decisions_meta(path)
    table = read_decisions(path, ["offer_id", "held_out", "cell", "values", "costs", "eligible"])
    table = table.filter(pa.compute.invert(table["held_out"]))
    k = len(meta["offer_ids"])
    values, costs, eligible = (_matrix(table[name], k) for name in ("values", "costs", "eligible"))
    position: dict[str | None, int] = {offer: a for a, offer in enumerate(meta["offer_ids"])}
    choice = np.array([position.get(offer, -1) for offer in table["offer_id"].to_pylist()], np.int64)
    cell = table["cell"].to_numpy().astype(np.int64)
    return Problem(values, costs, eligible.astype(bool), cell, limits_of(meta)), choice


def frontier(workspace: "Workspace", stored: StoredAllocation) -> Frontier:
    """Best planned value against the maximum of the limit that holds the plan back most."""
    problem, _ = stored_problem(workspace, stored)
    n = len(problem.value)
    step = -(-n // _CUSTOMERS) if n else 1
    some = _every(problem, step)
    scale = n / max(1, len(some.value))
    best = solve(problem, gap=_GAP)
    found = best.status != "infeasible"
    value, bound = (best.value, best.bound) if found else (None, None)
    name = _main_limit(problem, stored.summary["limits"])
    if not name:
        return Frontier("", (), (), value, bound, step > 1)
    own = next(x.maximum or 0.0 for x in problem.limits if isinstance(x, Limit) and x.name == name)
    points = [(own * f, _best(some, name, f)) for f in STEPS]
    solved = [(maximum, at.value * scale) for maximum, at in points if at.status != "infeasible"]
    return Frontier(name, tuple(m for m, _ in solved), tuple(v for _, v in solved), value, bound, step > 1)


def _matrix(column: pa.ChunkedArray, width: int) -> NDArray[Any]:
    flat: NDArray[Any] = column.combine_chunks().flatten().to_numpy(zero_copy_only=False)
    return flat.reshape(-1, width)


def _every(problem: Problem, step: int) -> Problem:
    if step == 1:
        return problem
    rows = slice(0, None, step)  # rows are in hash order, so every so many-th is a fair sample
    share = len(problem.value[rows]) / len(problem.value)
    limits = rescaled(problem.limits, share)
    return Problem(problem.value[rows], problem.cost[rows], problem.eligible[rows], problem.cell[rows], limits)


def _best(problem: Problem, name: str, factor: float) -> Solution:
    def moved(x: Any) -> Any:
        return replace(x, maximum=(x.maximum or 0.0) * factor) if isinstance(x, Limit) and x.name == name else x

    limits = tuple(moved(x) for x in problem.limits)
    return solve(Problem(problem.value, problem.cost, problem.eligible, problem.cell, limits), gap=_GAP)


def _main_limit(problem: Problem, stated: list[dict[str, Any]]) -> str:
    """The maximum whose price times size is largest; a cost limit wins a tie."""
    price = {x["name"]: abs(x["price"] or 0.0) for x in stated}
    candidates = [
        (price.get(x.name, 0.0) * x.maximum, x.measure == "cost", x.name)
        for x in problem.limits
        if isinstance(x, Limit) and x.maximum and not x.report_only
    ]
    return max(candidates)[2] if candidates else ""
