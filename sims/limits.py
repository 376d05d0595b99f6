"""The limits of the reference campaign."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from engine.campaign import LimitSpec
from portfolio import Limit
from sims.people import Floats, Ints
from sims.world import World

BUDGET_SHARE: Final = 0.40
CAP_SHARE: Final = 0.50
SMALLEST_CAP: Final = 3  # a random draw stays two contacts away from a cap and needs room for one


_Bound = TypeVar("_Bound", Limit, LimitSpec)


def reference_limits(world: World, day: int, *, rows: Ints | None = None) -> tuple[Limit, ...]:
    """The limits of the reference campaign, from the true optimum without limits of a day; see `limits_of`."""
    eligible = world.eligible if rows is None else world.eligible[rows]
    return limits_of(world.value(day, rows)[:, :-1], world.cost(day, rows), eligible, world.offers.ids)


def campaign_limits(world: World, day: int) -> tuple[Limit, ...]:
    """The limits of one campaign on each of its days: those of day 0, whose budget is cut when the world says so."""
    return cut_budget(reference_limits(world, 0), world.budget_factor(day))


def cut_budget(limits: Sequence[_Bound], factor: float) -> tuple[_Bound, ...]:
    """Limits of which those on cost are multiplied by a factor."""
    return tuple(replace(x, maximum=(x.maximum or 0.0) * factor) if x.measure == "cost" else x for x in limits)


def limits_of(
    value: Floats, cost: Floats, eligible: NDArray[np.bool_], ids: Sequence[str], *, budget_factor: float = 1.0
) -> tuple[Limit, ...]:
    """From the true optimum without limits: a budget of 40 % of its spend, and caps of 50 % of each offer's customers.

    An offer whose cap would be below `SMALLEST_CAP` has none.

    Args:
        value, cost: (n, k) true expected profit and cost, currency units.
        eligible: (n, k).
        ids: (k,) of the offers.
        budget_factor: what is left of the budget, as a share of it.
    """
    n, k = value.shape
    best = np.column_stack([np.where(eligible, value, -np.inf), np.zeros(n)]).argmax(1)
    spend = np.column_stack([cost, np.zeros(n)])[np.arange(n), best].sum()
    caps = np.floor(CAP_SHARE * np.bincount(best, minlength=k + 1)[:k])
    budget = Limit("budget", "cost", maximum=float(BUDGET_SHARE * spend * budget_factor))
    capped = (Limit(f"cap {ids[a]}", "count", maximum=float(caps[a]), offers=(a,)) for a in range(k))
    return (budget, *(limit for limit in capped if (limit.maximum or 0) >= SMALLEST_CAP))
