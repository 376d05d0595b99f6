"""The limits of the reference campaign."""

from typing import Final

import numpy as np

from portfolio import Limit
from sims.people import Ints
from sims.world import World

BUDGET_SHARE: Final = 0.40
CAP_SHARE: Final = 0.50
SMALLEST_CAP: Final = 3  # a random draw stays two contacts away from a cap and needs room for one


def reference_limits(world: World, day: int, *, rows: Ints | None = None) -> tuple[Limit, ...]:
    """The limits of the reference campaign, from the true optimum without limits.

    A budget of 40 % of what that optimum spends, and for each offer a cap of 50 % of those who would get it. An offer
    whose cap would be below `SMALLEST_CAP` has none.
    """
    n = len(world.customers) if rows is None else len(rows)
    eligible = world.eligible if rows is None else world.eligible[rows]
    value = world.value(day, rows)
    value[:, :-1][~eligible] = -np.inf
    best = value.argmax(1)
    spend = np.column_stack([world.cost(day, rows), np.zeros(n)])[np.arange(n), best].sum()
    k = len(world.offers)
    demand = np.bincount(best, minlength=k + 1)[:k]
    caps = np.floor(CAP_SHARE * demand)
    budget = Limit("budget", "cost", maximum=float(BUDGET_SHARE * spend))
    capped = (Limit(f"cap {world.offers.ids[a]}", "count", maximum=float(caps[a]), offers=(a,)) for a in range(k))
    return (budget, *(limit for limit in capped if (limit.maximum or 0) >= SMALLEST_CAP))
