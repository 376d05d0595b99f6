"""What could have been earned under the limits, and what a plan truly earns."""

import numpy as np
from numpy.typing import NDArray

from allot import LimitError, ShapeError
from portfolio import Limit, Problem, Share, solve
from sims.people import Ints
from sims.world import Basis, World


def oracle_value(
    world: World,
    day: int,
    eligible: NDArray[np.bool_],
    limits: tuple[Limit | Share, ...] = (),
    *,
    rows: Ints | None = None,
    cell: Ints | None = None,
    basis: Basis = "profit",
    gap: float = 1e-6,
) -> float:
    """The largest true expected profit of any plan that keeps the limits in true expectation, currency units.

    Args:
        world: its true values and costs are what the plan is made from.
        day: of the decision; it decides whether the drift has happened.
        eligible: (n, k) for the customers addressed.
        limits: over the cells in `cell`.
        rows: (n,) rows of the population that are addressed; None = all.
        cell: (n,) cells; None = one cell.
        basis: see `World.value`.
        gap: relative distance to the largest that is good enough.

    Raises:
        LimitError: no plan keeps the limits.
    """
    value = world.value(day, rows, basis=basis)[:, :-1]
    where = np.zeros(len(value), np.int64) if cell is None else cell
    solution = solve(Problem(value, world.cost(day, rows), eligible, where, limits), gap=gap)
    if solution.status == "infeasible":
        raise LimitError("no plan keeps these limits.", where=", ".join(solution.conflict), remedy="Relax one of them.")
    return solution.value


def realised_value(world: World, choice: Ints, day: int, *, rows: Ints | None = None, basis: Basis = "profit") -> float:
    """True expected profit of a plan, currency units.

    Args:
        choice: (n,) offers, -1 = no offer.
        rows: (n,) rows of the population that the plan speaks of; None = all.
    """
    value = world.value(day, rows, basis=basis)
    if choice.shape != (len(value),):
        raise ShapeError(f"choice has shape {choice.shape}, not ({len(value)},).")
    if len(choice) and not -1 <= choice.min() <= choice.max() < len(world.offers):
        raise ShapeError(f"a choice is outside -1 to {len(world.offers) - 1}.")
    return float(value[np.arange(len(value)), choice].sum())
