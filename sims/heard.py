"""What a system gets to hear of an outcome, and when: late, cut off, not at all, wrongly at first, or from bots."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sims.chance import coins
from sims.course import began
from sims.description import Description
from sims.people import Ints


@dataclass(frozen=True, slots=True)
class Heard:
    """What is reported of r decisions; an entry of a day is heard before anybody decides on that day.

    Args:
        day_heard: (r,) day of the report; without meaning where it is missing.
        outcome: (r,) 0 or 1, as reported then.
        missing: (r,) nothing is ever reported, nor corrected.
        corrected_day: (r,) day on which the report is put right, -1 = never.
        corrected_outcome: (r,) 0 or 1, what is known in the end.
    """

    day_heard: Ints
    outcome: Ints
    missing: NDArray[np.bool_]
    corrected_day: Ints
    corrected_outcome: Ints


def heard(about: Description, seed: int, rows: Ints, step: Ints, day: Ints, outcome: Ints) -> Heard:
    """What is reported of decisions; the same customer, offer and day always give the same report.

    A bot's success is never corrected. A success later than the window is reported as a failure when the window ends.

    Args:
        about: of the world.
        rows: (r,) customers.
        step: (r,) a number for each offer on each day.
        day: (r,) of the decisions.
        outcome: (r,) what truly happened.
    """
    how = about.feedback
    delay = np.full(rows.shape, how.delay_days, np.int64)
    if how.late > 0.0:
        delay += np.floor(np.log(coins(seed, "late", rows, step)) / np.log(how.late)).astype(np.int64)
    final = np.where(delay > how.window_days, 0, outcome)
    heard_on = day + np.minimum(delay, how.window_days)
    faked = is_bot(about, seed, rows, day)
    wrong = ~faked & (coins(seed, "wrong", rows, step) < how.wrong)
    missing = coins(seed, "missing", rows, step) < how.missing
    known = np.where(faked, 1, final)
    return Heard(
        day_heard=heard_on,
        outcome=np.where(wrong, 1 - known, known),
        missing=missing,
        corrected_day=np.where(wrong & ~missing, heard_on + how.correction_days, -1),
        corrected_outcome=known,
    )


def is_bot(about: Description, seed: int, rows: Ints, day: Ints) -> NDArray[np.bool_]:
    """(r,) whether bots click for these customers on these days (r,)."""
    first = began(about.bots.at, about.days)
    flood = (day >= first) & (day < first + about.bots.over * about.days)
    return flood & (coins(seed, "bots", rows) < about.bots.share)
