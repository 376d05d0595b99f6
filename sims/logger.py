"""The history before the first day: exposures by a biased logger, and a control group that was shown nothing."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from sims.people import SEGMENTS, TENURE, Customers, Floats, Ints, draw_centre, draw_customers, draw_segments
from sims.response import Response

CONTROL_SHARE: Final = 1 / 11  # one control customer for every ten who were shown an offer


@dataclass(frozen=True, slots=True)
class History:
    """Logged exposures of h customers who do not belong to the population; the control group at the end.

    Args:
        offer: (h,) index, -1 = no offer (the control group).
        outcome: (h,) 0 or 1.
        probability: (h, k + 1) with which the logger would have shown each offer, or none.
    """

    customers: Customers
    offer: Ints
    outcome: Ints
    probability: Floats


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


def draw_shown(r: np.random.Generator, response: Response, n: int, warm: int) -> Shown:
    """n exposures; the order of the draws is frozen."""
    segment = draw_segments(r, n)
    centre = draw_centre(r)
    customers = draw_customers(r, centre, segment)
    preference = np.zeros((len(SEGMENTS), warm))
    for row in preference:
        row[r.choice(warm, 3, replace=False)] = 2.5
    logger = Logger(preference, r.normal(size=warm))
    offer = (logger.probability(customers).cumsum(1) > r.random(n)[:, None]).argmax(1)
    outcome = r.random(n) < response.chance(customers)[np.arange(n), offer]
    return Shown(customers, centre, logger, offer, outcome.astype(np.int64))


def with_control(shown: Shown, control: Customers, responded: Ints, offers: int) -> History:
    """Add a control group and write the logger's whole probability rows, (h, offers + 1)."""
    customers = shown.customers.joined(control)
    probability = np.zeros((len(customers), offers + 1))
    probability[:, : len(shown.logger.tilt)] = (1.0 - CONTROL_SHARE) * shown.logger.probability(customers)
    probability[:, -1] = CONTROL_SHARE
    return History(
        customers=customers,
        offer=np.concatenate([shown.offer, np.full(len(control), -1)]),
        outcome=np.concatenate([shown.outcome, responded]),
        probability=probability,
    )
