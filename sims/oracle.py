"""What could have been earned under the limits, and what a plan truly earns."""

import numpy as np
from numpy.typing import NDArray

from allot import LimitError, ShapeError
from portfolio import Limit, Problem, Share, Solution, solve
from sims.people import Ints
from sims.world import World


def best_plan(
    world: World,
    day: int,
    eligible: NDArray[np.bool_],
    limits: tuple[Limit | Share, ...] = (),
    *,
    contacts: Ints | int = 0,
    gap: float = 1e-6,
) -> Solution:
    """The plan of the population with the largest true expected profit that keeps the limits in true expectation.

    Args:
        world: its true values and costs are what the plan is made from.
        day: of the decision.
        eligible: (population, k).
        limits: over all customers.
        contacts: (population,) or one number; see `World`.
        gap: relative distance to the largest that is good enough.

    Raises:
        LimitError: no plan keeps the limits.
    """
    value, cost = world.value(day, contacts=contacts)[:, :-1], world.cost(day, contacts=contacts)
    solution = solve(Problem(value, cost, eligible, np.zeros(len(value), np.int64), limits), gap=gap)
    if solution.status == "infeasible":
        raise LimitError("no plan keeps these limits.", where=", ".join(solution.conflict), remedy="Relax one of them.")
    return solution


def realised_value(
    world: World, choice: Ints, day: int, *, rows: Ints | None = None, contacts: Ints | int = 0
) -> float:
    """True expected profit of a plan, currency units.

    Args:
        choice: (n,) offers, -1 = no offer.
        rows: (n,) rows of the population that the plan speaks of; None = all.
        contacts: (n,) or one number; see `World`.
    """
    value = world.value(day, rows, contacts=contacts)
    if choice.shape != (len(value),):
        raise ShapeError(f"choice has shape {choice.shape}, not ({len(value)},).")
    if len(choice) and not -1 <= choice.min() <= choice.max() < len(world.offers):
        raise ShapeError(f"a choice is outside -1 to {len(world.offers) - 1}.")
    return float(value[np.arange(len(value)), choice].sum())
