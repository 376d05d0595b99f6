"""Worlds whose truth is known: customers, offers, a history, and what would happen on any day.

The generator of the world `nbo` is frozen: a seed means the same customers, true probabilities and logged choices for
good. Whatever a description adds draws from streams of its own.
Tune on seeds up to 99, report on seeds from 1000.
"""

from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from allot import ShapeError
from sims.chance import coins, generator
from sims.course import began, budget_factor, drift_weight, lifted, offer_days, season_lift
from sims.defects import seen, seen_history
from sims.description import NBO, Description
from sims.heard import Heard, heard
from sims.kinds import kinds_of, with_offer, without_offer
from sims.logger import History, draw_shown, with_control
from sims.offers import OfferTable, draw_offers
from sims.people import NUMBERS, SEGMENTS, Customers, Floats, Ints, draw_customers, draw_segments, margin_factors
from sims.response import Response, draw_response, draw_trees, drifted, organic_chance

Basis: TypeAlias = Literal["profit", "incremental"]


@dataclass(frozen=True, slots=True)
class World:
    """A population of n customers and k offers whose response is known.

    Wherever `contacts` are asked for: how many offers a customer got in the last 30 days, (n,) or one number; they
    matter in a world with fatigue.

    Args:
        about: what it was built from; of a fitted world with the number of its offers, and without its workspace.
        customers: the population as the data show it; row i is `customer_ids[i]`.
        arrival: (n,) the day on which each customer is decided on.
        before, after: (n, k + 1) true probability of success before and after the drift, of a customer who had no
            contact, without season; last column no offer.
        margin_factor: (n,) what multiplies every margin of a customer.
        phase: (k,) where each offer stands in the season, [0, 1).
    """

    about: Description
    seed: int
    offers: OfferTable
    customers: Customers
    arrival: Ints
    history: History
    before: Floats
    after: Floats
    margin_factor: Floats
    phase: Floats

    @property
    def name(self) -> str:
        """Of the description."""
        return self.about.name

    @property
    def days(self) -> int:
        """How long it lasts."""
        return self.about.days

    @property
    def drift_day(self) -> int:
        """The first day of the drift; the number of days where there is none."""
        return self.days if self.about.drift.kind == "none" else began(self.about.drift.at, self.days)

    @property
    def customer_ids(self) -> list[str]:
        """Ids of the population: c0000001 and so on."""
        return [f"c{i + 1:07d}" for i in range(len(self.customers))]

    @property
    def eligible(self) -> NDArray[np.bool_]:
        """(n, k) what the offers' `eligible_when` allow; on which days they may be sent, `open` tells."""
        return self.offers.eligible(self.customers)

    @property
    def outside_margin(self) -> float:
        """What a success without any offer earns: the mean of the offers' margins."""
        return float(self.offers.margin.mean())

    def open(self, day: int) -> NDArray[np.bool_]:
        """(k,) which offers may be sent on a day: those that have arrived and have not retired."""
        first, last = offer_days(self.about.offers, self.days)
        return np.asarray((first <= day) & (day <= last))

    def budget_factor(self, day: int) -> float:
        """What is left of a day's budget, as a share of the planned one."""
        return budget_factor(self.about.budget, self.days, day)

    def success(self, rows: Ints, offer: Ints | int, day: Ints | int, *, contacts: Ints | int = 0) -> Floats:
        """True probability of success, (n,).

        Args:
            rows: (n,) rows of the population.
            offer: (n,) or one index; -1 = no offer.
            day: (n,) or one day.
            contacts: see above.
        """
        k = len(self.offers)
        column = np.broadcast_to(np.asarray(offer), rows.shape) % (k + 1)
        late = drift_weight(self.about.drift, self.days, day)
        chance = (1.0 - late) * self.before[rows, column] + late * self.after[rows, column]
        lift = season_lift(self.about.season, np.append(self.phase, 0.0)[column], day) - self.about.fatigue * contacts
        return lifted(chance, np.where(column < k, lift, 0.0))

    def outcomes(
        self, rows: Ints, offer: Ints | int, day: Ints | int, *, contacts: Ints | int = 0
    ) -> tuple[Ints, Floats]:
        """What happens: outcome 0/1 and reward (margin on success; without offer `outside_margin`), (n,) each.

        The same customer, offer and day always give the same outcome, whoever asks and in whatever order.
        """
        chosen = np.broadcast_to(np.asarray(offer, np.int64), rows.shape)
        chance = coins(self.seed, "outcome", rows, self._step(rows, chosen, day))
        outcome = (chance < self.success(rows, chosen, day, contacts=contacts)).astype(np.int64)
        margin = np.append(self.offers.margin, self.outside_margin)[chosen]
        return outcome, outcome * margin * self.margin_factor[rows]

    def heard(self, rows: Ints, offer: Ints | int, day: Ints | int, outcome: Ints) -> Heard:
        """What is reported of outcomes (n,) of decisions, and when; always the same for a customer, offer and day."""
        on = np.broadcast_to(np.asarray(day, np.int64), rows.shape)
        return heard(self.about, self.seed, rows, self._step(rows, offer, day), on, outcome)

    def value(self, day: int, rows: Ints | None = None, *, basis: Basis = "profit", contacts: Ints | int = 0) -> Floats:
        """True expected profit of every offer and of no offer, (n, k + 1), currency units.

        An offer earns P * (margin - redemption cost) - contact cost, no offer 0. On the basis "incremental" an offer is
        charged with what the customer would have brought without it.
        """
        offers = self.offers
        chance = self._chance(day, rows, contacts)
        factor = (self.margin_factor if rows is None else self.margin_factor[rows])[:, None]
        out = np.zeros_like(chance)
        out[:, :-1] = chance[:, :-1] * (offers.margin * factor - offers.redemption_cost) - offers.contact_cost
        if basis == "incremental":
            out[:, :-1] -= chance[:, -1:] * (self.outside_margin * factor)
        return out

    def cost(self, day: int, rows: Ints | None = None, *, contacts: Ints | int = 0) -> Floats:
        """True expected cost of every offer, paid on contact and on redemption, (n, k), currency units."""
        return self.offers.contact_cost + self._chance(day, rows, contacts)[:, :-1] * self.offers.redemption_cost

    def _chance(self, day: int, rows: Ints | None, contacts: Ints | int) -> Floats:
        """(n, k + 1)."""
        late = float(drift_weight(self.about.drift, self.days, day))
        before, after = (table if rows is None else table[rows] for table in (self.before, self.after))
        chance = before if late == 0.0 else after if late == 1.0 else (1.0 - late) * before + late * after
        tired = self.about.fatigue * np.asarray(contacts, np.float64).reshape(-1, 1)
        lift = season_lift(self.about.season, self.phase, day) - tired
        return np.column_stack([lifted(chance[:, :-1], lift), chance[:, -1]]) if lift.any() else chance

    def _step(self, rows: Ints, offer: Ints | int, day: Ints | int) -> Ints:
        """(n,) one number for each offer on each day."""
        options = len(self.offers) + 1
        return np.broadcast_to(np.asarray(day, np.int64) * options + np.asarray(offer, np.int64) % options, rows.shape)


def nbo(
    seed: int, *, customers: int | None = None, days: int = 50, per_day: int = 1500, history: int = 30_000
) -> World:
    """The reference world: 12 offers of which 4 are cold, six segments, 12 numbers, a drift at half of `days`.

    Args:
        seed, customers: see `build`.
        days, per_day, history: see `Description`.
    """
    return build(replace(NBO, days=days, per_day=per_day, history=history), seed, customers)


def build(about: Description, seed: int, customers: int | None = None) -> World:
    """The world of a description.

    Args:
        about: its ingredients; one with a workspace is built by `sims.fitted`.
        seed: of everything in it.
        customers: a population that can be addressed at once on any day (all arrive on day 0); None is the reference:
            `per_day` new customers on each of `days` days.

    Raises:
        ShapeError: no customer.
        AllotError: the workspace of the description has no log that could be fitted.
    """
    if customers is not None and customers < 1:
        raise ShapeError("a world needs at least one customer.", where="customers")
    if about.workspace is None:
        return _drawn(about, seed, about.days * about.per_day if customers is None else customers, customers is None)
    from sims.fitted import after_workspace

    return after_workspace(about, seed, customers)


def _drawn(about: Description, seed: int, n: int, by_day: bool) -> World:
    """A world of n customers, who arrive day by day or all at once. What is drawn from `r` and `extra` is frozen."""
    r, k = np.random.default_rng(seed), about.offers.count
    net = np.exp(r.normal(3.2, 0.5, k))
    contact_cost = net * r.uniform(0.005, 0.03, k) * about.money.contact_cost
    response = _response(r, seed, about)

    def answers(group: str, people: Customers, organic: Floats) -> tuple[Floats, Floats, Ints]:
        kind, chance = kinds_of(seed, about.alone, group, people), response.chance(people)
        return with_offer(kind, chance), without_offer(kind, chance, organic), kind

    def shown_chance(people: Customers) -> Floats:
        return answers("shown", people, np.zeros(len(people)))[0]

    shown = draw_shown(r, shown_chance, about.history, about.offers.warm)
    population = draw_customers(r, shown.centre, draw_segments(r, n))
    later = response if about.drift.kind == "none" else drifted(r, response, about.drift.size, about.taste.segments)

    extra = np.random.default_rng([seed, 1])  # what came later must not touch the stream above
    control = draw_customers(extra, shown.centre, draw_segments(extra, max(1, about.history // 10)))
    organic, alone = organic_chance(extra, response.shared, len(SEGMENTS), [population, control])
    before, organic, kind = answers("population", population, organic)
    responded = (extra.random(len(control)) < answers("control", control, alone)[1]).astype(np.int64)
    offers = draw_offers(extra, net, contact_cost, warm=about.offers.warm, redemption=about.money.redemption_cost)
    spread = about.money.margin_spread
    factor = margin_factors(generator(seed, "margins of the history"), shown.customers.joined(control), spread)
    return World(
        about=about,
        seed=seed,
        offers=offers,
        customers=seen(seed, about.defects, "population", population),
        arrival=np.repeat(np.arange(about.days), about.per_day) if by_day else np.zeros(n, np.int64),
        history=seen_history(seed, about.defects, with_control(shown, control, responded, factor, k)),
        before=np.column_stack([before, organic]),
        after=np.column_stack([with_offer(kind, later.chance(population)), organic]),
        margin_factor=margin_factors(generator(seed, "margins"), population, spread),
        phase=generator(seed, "season").random(k),
    )


def _response(r: np.random.Generator, seed: int, about: Description) -> Response:
    numbers, taste = len(NUMBERS), about.taste
    response = draw_response(r, taste, about.offers.count, numbers, len(SEGMENTS))
    if taste.trees == 0.0:
        return response
    return replace(response, trees=draw_trees(generator(seed, "trees"), about.offers.count, numbers, taste.trees))
