"""The reference world `nbo`: customers, offers and a history whose truth is known.

The generator is frozen: a seed means the same customers, true probabilities and logged choices for good. The control
group, the behaviour without offer and the redemption costs draw from a stream of their own.
Tune on seeds up to 99, report on seeds from 1000.
"""

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from allot import ShapeError
from allot.uniforms import stream, uniforms
from sims.logger import History, draw_shown, with_control
from sims.people import NUMBERS, SEGMENTS, VISITS, Customers, Floats, Ints, draw_customers, draw_segments
from sims.response import draw_response, drifted, organic_chance

Basis: TypeAlias = Literal["profit", "incremental"]

OFFERS: Final = 12
WARM: Final = 8
CHANNELS: Final = ("email", "push", "call")
CATEGORIES: Final = ("data", "device", "bundle", "loyalty")
ACTIVE_ONLY, NO_STARTER = 9, 11  # two cold offers that are not for everybody


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


@dataclass(frozen=True, slots=True)
class World:
    """A population of n customers and k offers whose response is known.

    Args:
        customers: the population; row i is `customer_ids[i]`.
        arrival: (n,) the day on which each customer is decided on.
        before, after: (n, k + 1) true probability of success before and after the drift; last column no offer.
        drift_day: the first day on which `after` holds.
    """

    name: str
    seed: int
    days: int
    drift_day: int
    offers: OfferTable
    customers: Customers
    arrival: Ints
    history: History
    before: Floats
    after: Floats

    @property
    def customer_ids(self) -> list[str]:
        """Ids of the population: c0000001 and so on."""
        return [f"c{i + 1:07d}" for i in range(len(self.customers))]

    @property
    def eligible(self) -> NDArray[np.bool_]:
        """(n, k) what the offers' `eligible_when` allow."""
        allowed = np.ones((len(self.customers), OFFERS), bool)
        allowed[:, ACTIVE_ONLY] = self.customers.numeric[:, VISITS] >= 1
        allowed[:, NO_STARTER] = self.customers.segment != SEGMENTS.index("starter")
        return allowed

    @property
    def outside_margin(self) -> float:
        """What a success without any offer earns: the mean of the offers' margins."""
        return float(self.offers.margin.mean())

    def success(self, rows: Ints, offer: Ints | int, day: Ints | int) -> Floats:
        """True probability of success, (n,).

        Args:
            rows: (n,) rows of the population.
            offer: (n,) or one index; -1 = no offer.
            day: (n,) or one day.
        """
        column = np.broadcast_to(np.asarray(offer), rows.shape) % (OFFERS + 1)
        late = np.broadcast_to(np.asarray(day), rows.shape) >= self.drift_day
        out: Floats = np.where(late, self.after[rows, column], self.before[rows, column])
        return out

    def outcomes(self, rows: Ints, offer: Ints | int, day: Ints | int) -> tuple[Ints, Floats]:
        """What happens: outcome 0/1 and reward (margin on success; without offer `outside_margin`), (n,) each.

        The same customer, offer and day always give the same outcome, whoever asks and in whatever order.
        """
        chosen = np.broadcast_to(np.asarray(offer, np.int64), rows.shape)
        on = np.broadcast_to(np.asarray(day, np.int64), rows.shape)
        step = on * (OFFERS + 1) + chosen % (OFFERS + 1)
        source = stream(self.seed, self.name, "outcome")
        chance = np.empty(rows.shape)
        for one in np.unique(step):
            here = step == one
            chance[here] = uniforms(source, rows[here].astype(np.uint64), int(one))
        outcome = (chance < self.success(rows, chosen, on)).astype(np.int64)
        return outcome, outcome * np.append(self.offers.margin, self.outside_margin)[chosen]

    def value(self, day: int, rows: Ints | None = None, *, basis: Basis = "profit") -> Floats:
        """True expected profit of every offer and of no offer, (n, k + 1), currency units.

        An offer earns P * (margin - redemption cost) - contact cost, no offer 0. On the basis "incremental" an offer is
        charged with what the customer would have brought without it.
        """
        chance = self._chance(day, rows)
        out = np.zeros_like(chance)
        out[:, :-1] = chance[:, :-1] * (self.offers.margin - self.offers.redemption_cost) - self.offers.contact_cost
        if basis == "incremental":
            out[:, :-1] -= chance[:, -1:] * self.outside_margin
        return out

    def cost(self, day: int, rows: Ints | None = None) -> Floats:
        """True expected cost of every offer, paid on contact and on redemption, (n, k), currency units."""
        return self.offers.contact_cost + self._chance(day, rows)[:, :-1] * self.offers.redemption_cost

    def _chance(self, day: int, rows: Ints | None) -> Floats:
        table = self.after if day >= self.drift_day else self.before
        return table if rows is None else table[rows]


def nbo(
    seed: int, *, customers: int | None = None, days: int = 50, per_day: int = 1500, history: int = 30_000
) -> World:
    """The reference world.

    Args:
        seed: of everything in it.
        customers: a population that can be addressed at once on any day (all arrive on day 0); None is the reference:
            `per_day` new customers on each of `days` days.
        history: logged exposures, to which a tenth is added as control group.

    Returns:
        12 offers of which 4 are cold, six segments, 12 numbers, a drift at half of `days`.
    """
    if min(days, per_day, history, 1 if customers is None else customers) < 1:
        raise ShapeError("a world needs at least one day, customer and logged exposure.", where="nbo")
    r = np.random.default_rng(seed)
    net = np.exp(r.normal(3.2, 0.5, OFFERS))
    contact_cost = net * r.uniform(0.005, 0.03, OFFERS)
    response = draw_response(r, OFFERS, len(NUMBERS), len(SEGMENTS))
    shown = draw_shown(r, response, history, WARM)
    n = days * per_day if customers is None else customers
    population = draw_customers(r, shown.centre, draw_segments(r, n))
    after = drifted(r, response).chance(population)

    extra = np.random.default_rng([seed, 1])  # what is not frozen must not touch the stream above
    control = draw_customers(extra, shown.centre, draw_segments(extra, max(1, history // 10)))
    organic, alone = organic_chance(extra, response.shared, len(SEGMENTS), [population, control])
    responded = (extra.random(len(control)) < alone).astype(np.int64)
    return World(
        name="nbo",
        seed=seed,
        days=days,
        drift_day=days // 2,
        offers=_offers(extra, net, contact_cost),
        customers=population,
        arrival=np.repeat(np.arange(days), per_day) if customers is None else np.zeros(n, np.int64),
        history=with_control(shown, control, responded, OFFERS),
        before=np.column_stack([response.chance(population), organic]),
        after=np.column_stack([after, organic]),
    )


def _offers(r: np.random.Generator, net: Floats, contact_cost: Floats) -> OfferTable:
    """Four of the offers also cost something on redemption; their margin is higher by it, so their profit is `net`."""
    redemption = np.zeros(OFFERS)
    costly = r.choice(OFFERS, 4, replace=False)
    redemption[costly] = net[costly] * r.uniform(0.05, 0.20, 4)
    channel = tuple(CHANNELS[a % 3] for a in range(OFFERS))
    category = tuple(CATEGORIES[a // 3] for a in range(OFFERS))
    rules = ["true"] * OFFERS
    rules[ACTIVE_ONLY], rules[NO_STARTER] = "visits_90d >= 1", "segment <> 'starter'"
    return OfferTable(
        ids=tuple(f"offer-{a + 1:02d}" for a in range(OFFERS)),
        names=tuple(f"{category[a].capitalize()} {a % 3 + 1} by {channel[a]}" for a in range(OFFERS)),
        channel=channel,
        category=category,
        warm=np.arange(OFFERS) < WARM,
        margin=net + redemption,
        contact_cost=contact_cost,
        redemption_cost=redemption,
        eligible_when=tuple(rules),
    )
