"""What more or less of a limit would be worth: the best plan's value against the limit's maximum."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from engine.chance import thinned
from engine.summary import limits_of
from portfolio import Limit, Problem, Solution, price_range, solve
from portfolio import frontier as curve
from warehouse import StoredAllocation, decisions_meta, read_decisions

if TYPE_CHECKING:
    from warehouse import Workspace

Floats: TypeAlias = NDArray[np.float64]

STEPS = (0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0)
_CUSTOMERS = 300_000
"""Customers that the curve is drawn from; with more, every so many-th is taken and sums are scaled."""

_GAP = 1e-4  # of the optimum's value: less than the width of a line


@dataclass(frozen=True, slots=True)
class Point:
    """The best fixed plan at one maximum: its planned value, and what one more unit of room would add."""

    maximum: float
    value: float
    price: float


@dataclass(frozen=True, slots=True)
class Frontier:
    """Planned value of the best fixed plan against the maximum of one limit, everything else being equal.

    Args:
        limit: its name; empty where no limit has a maximum that binds.
        points: by rising maximum, scaled to all customers; the campaign's own maximum is among them where it is
            possible.
        own: the campaign's own maximum, None without a limit.
        holds: an estimate of the maxima between which the price at the own one stays within a tenth; None without.
        deterministic, bound: value and bound at the campaign's own limits, None where not found or only sampled.
        sampled: whether the points come from a sample of the customers.
    """

    limit: str
    points: tuple[Point, ...]
    own: float | None
    holds: tuple[float, float] | None
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
    step = -(-n // _CUSTOMERS)
    some, share = thinned(problem, step)
    scale = 1.0 / share
    name = _main_limit(problem, stored.summary["limits"])
    if not name:
        best = solve(some, gap=_GAP)
        return Frontier("", (), None, None, *_figures(best, step), step > 1)
    own = next(x.maximum or 0.0 for x in some.limits if x.name == name)
    solved = dict(zip(STEPS, curve(some, name, [own * f for f in STEPS], gap=_GAP), strict=True))
    points = tuple(Point(own * f * scale, at.value * scale, at.prices[name]) for f, at in solved.items() if _found(at))
    holds = None
    if _found(solved[1.0]) and solved[1.0].prices[name] > 0.0:
        span = price_range(some, name, solved[1.0], gap=_GAP)
        holds = (span.estimated_low * scale, span.estimated_high * scale)
    return Frontier(name, points, own * scale, holds, *_figures(solved[1.0], step), step > 1)


def _found(solution: Solution) -> bool:
    """Whether there is a plan that keeps every hard limit."""
    return solution.status != "infeasible" and not solution.broken


def _figures(best: Solution, step: int) -> tuple[float | None, float | None]:
    return (best.value, best.bound) if step <= 1 and _found(best) else (None, None)


def _matrix(column: pa.ChunkedArray, width: int) -> NDArray[Any]:
    flat: NDArray[Any] = column.combine_chunks().flatten().to_numpy(zero_copy_only=False)
    return flat.reshape(-1, width)


def _main_limit(problem: Problem, stated: list[dict[str, Any]]) -> str:
    """The maximum whose price times size is largest; a cost limit wins a tie."""
    price = {x["name"]: abs(x["price"] or 0.0) for x in stated}
    candidates = [
        (price.get(x.name, 0.0) * x.maximum, x.measure == "cost", x.name)
        for x in problem.limits
        if isinstance(x, Limit) and x.maximum and not x.report_only
    ]
    return max(candidates)[2] if candidates else ""
