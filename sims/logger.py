"""The history before the first day: exposures by a biased logger, and a control group that was shown nothing."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np

from sims.people import SEGMENTS, TENURE, Customers, Floats, Ints, draw_centre, draw_customers, draw_segments

CONTROL_SHARE: Final = 1 / 11  # one control customer for every ten who were shown an offer


@dataclass(frozen=True, slots=True)
class History:
    """Logged exposures of h customers who do not belong to the population; the control group, then copies, at the end.

    Args:
        person: (h,) number of the customer; a row that the log holds twice has the number of the first.
        offer: (h,) index, -1 = no offer (the control group).
        outcome: (h,) 0 or 1.
        probability: (h, k + 1) with which the logger would have shown each offer, or none.
        margin_factor: (h,) what multiplies every margin of the customer.
    """

    person: Ints
    customers: Customers
    offer: Ints
    outcome: Ints
    probability: Floats
    margin_factor: Floats

    def taken(self, rows: Ints) -> "History":
        """Some of these rows, in that order."""
        return History(
            self.person[rows],
            self.customers.taken(rows),
            self.offer[rows],
            self.outcome[rows],
            self.probability[rows],
            self.margin_factor[rows],
        )


@dataclass(frozen=True, slots=True)
class Logger:
    """Chooses among the warm offers by segment (`preference` (segments, warm)) and tenure (`tilt` (warm,))."""

    preference: Floats
    tilt: Floats

    def probability(self, customers: Customers) -> Floats:
        """Of each warm offer, (n, warm)."""
        weight = np.exp(self.preference[customers.segment] + 0.5 * customers.numeric[:, [TENURE]] * self.tilt)
        out: Floats = weight / weight.sum(1, keepdims=True)
        return out


@dataclass(frozen=True, slots=True)
class Shown:
    """The frozen part of the history: customers who were shown an offer."""

    customers: Customers
    centre: Floats
    logger: Logger
    offer: Ints
    outcome: Ints


def draw_shown(r: np.random.Generator, chance: Callable[[Customers], Floats], n: int, warm: int) -> Shown:
    """n exposures to customers of some chances (n, k) of success; the order of the draws is frozen."""
    segment = draw_segments(r, n)
    centre = draw_centre(r)
    customers = draw_customers(r, centre, segment)
    preference = np.zeros((len(SEGMENTS), warm))
    for row in preference:
        row[r.choice(warm, min(3, warm), replace=False)] = 2.5
    logger = Logger(preference, r.normal(size=warm))
    offer = (logger.probability(customers).cumsum(1) > r.random(n)[:, None]).argmax(1)
    outcome = r.random(n) < chance(customers)[np.arange(n), offer]
    return Shown(customers, centre, logger, offer, outcome.astype(np.int64))


def with_control(shown: Shown, control: Customers, responded: Ints, margin_factor: Floats, k: int) -> History:
    """Add a control group, who responded or not, and write the logger's whole probability rows, (h, k + 1).

    Args:
        control: (c,) customers who were shown nothing.
        responded: (c,) 0 or 1.
        margin_factor: (h,) of those who were shown an offer, then of the control group.
    """
    customers = shown.customers.joined(control)
    probability = np.zeros((len(customers), k + 1))
    probability[:, : len(shown.logger.tilt)] = (1.0 - CONTROL_SHARE) * shown.logger.probability(customers)
    probability[:, -1] = CONTROL_SHARE
    return History(
        person=np.arange(len(customers)),
        customers=customers,
        offer=np.concatenate([shown.offer, np.full(len(control), -1)]),
        outcome=np.concatenate([shown.outcome, responded]),
        probability=probability,
        margin_factor=margin_factor,
    )
