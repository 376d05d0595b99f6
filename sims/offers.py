"""The offers of a world: money, channel, category, and whom they are for."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from sims.people import SEGMENTS, VISITS, Customers, Floats

CHANNELS: Final = ("email", "push", "call")
CATEGORIES: Final = ("data", "device", "bundle", "loyalty")
ROUND: Final = 12
"""Offers beyond so many are like the first ones: same channels, categories and rules."""

RULES: Final = {9: "visits_90d >= 1", 11: "segment <> 'starter'"}
"""Offers of a round that are not for everybody."""


@dataclass(frozen=True, slots=True)
class OfferTable:
    """The k offers. `warm` ones appear in the history. Money in currency units; `margin` is before redemption cost."""

    ids: tuple[str, ...]
    names: tuple[str, ...]
    channel: tuple[str, ...]
    category: tuple[str, ...]
    warm: NDArray[np.bool_]
    margin: Floats
    contact_cost: Floats
    redemption_cost: Floats
    eligible_when: tuple[str, ...]

    def __len__(self) -> int:
        """K."""
        return len(self.ids)

    def eligible(self, customers: Customers) -> NDArray[np.bool_]:
        """(n, k) what `eligible_when` allows; a number that is not known passes no rule."""
        allowed = {
            "true": np.ones(len(customers), np.bool_),
            RULES[9]: customers.numeric[:, VISITS] >= 1,
            RULES[11]: customers.segment != SEGMENTS.index("starter"),
        }
        return np.column_stack([allowed[rule] for rule in self.eligible_when])


def draw_offers(
    r: np.random.Generator, net: Floats, contact_cost: Floats, *, warm: int, redemption: float
) -> OfferTable:
    """Four of the offers also cost something on redemption; their margin is higher by it, so their profit is `net`.

    Args:
        net, contact_cost: (k,) currency units.
        warm: how many are in the history.
        redemption: multiplier of what those four cost.
    """
    k = len(net)
    cost = np.zeros(k)
    costly = r.choice(k, min(4, k), replace=False)
    cost[costly] = net[costly] * r.uniform(0.05, 0.20, len(costly)) * redemption
    channel = tuple(CHANNELS[a % 3] for a in range(k))
    category = tuple(CATEGORIES[a % ROUND // 3] for a in range(k))
    return OfferTable(
        ids=tuple(f"offer-{a + 1:02d}" for a in range(k)),
        names=tuple(f"{category[a].capitalize()} {a % 3 + a // ROUND * 3 + 1} by {channel[a]}" for a in range(k)),
        channel=channel,
        category=category,
        warm=np.arange(k) < warm,
        margin=net + cost,
        contact_cost=contact_cost,
        redemption_cost=cost,
        eligible_when=tuple(RULES.get(a % ROUND, "true") for a in range(k)),
    )
