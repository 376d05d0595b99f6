"""What a user's systems report of decisions in a world, and when: late, not at all, or wrongly and then put right."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from sims.files import Feedback, moment, places
from sims.people import Ints
from sims.world import World


@dataclass(frozen=True, slots=True)
class Report:
    """A line of feedback, which has been sent before anybody decides on `day`."""

    day: int
    line: Feedback


def reports_of(
    world: World, decisions: Iterable[tuple[str, str, str | None]], day: int, *, contacts: Ints | int = 0
) -> list[Report]:
    """Everything that will ever be reported of some decisions of a day, failures and corrections included.

    A report is of half a day before its day, though never before the decision.

    Args:
        decisions: (decision_id, customer_id, offer_id), offer_id None = no offer; customers of the population only.
        day: on which they were taken.
        contacts: (population,) or one number; see `World`.
    """
    decided = list(decisions)
    rows, offer = places(world, decided)
    lately = np.broadcast_to(np.asarray(contacts, np.int64), len(world.customers))[rows]
    outcome, _ = world.outcomes(rows, offer, day, contacts=lately)
    heard = world.heard(rows, offer, day, outcome)
    margin = np.append(world.offers.margin, world.outside_margin)[offer] * world.margin_factor[rows]
    first = np.where(heard.missing, -1, heard.day_heard)
    out = []
    for number, on, said in ((1, first, heard.outcome), (2, heard.corrected_day, heard.corrected_outcome)):
        for i in np.flatnonzero(on >= 0).tolist():
            decision, when = decided[i][0], int(on[i])
            occurred = moment(max(float(day), when - 0.5)).isoformat()
            reward = float(said[i] * margin[i])
            out.append(Report(when, Feedback(f"{decision}-{number}", decision, int(said[i]), reward, occurred)))
    return out
