"""What changes from day to day: drift, season, fatigue, offers that come and go, budgets that are cut."""

from typing import Final

import numpy as np

from sims.description import Cut, Drift, Offering, Season
from sims.people import Floats, Ints

LOG_BEGINS: Final = -92
"""Day from which offers of the log may be sent: 1 October, where day 0 is 1 January."""

YEAR_DAYS: Final = 365
"""An offer that does not retire lasts for so long, or until the world ends."""


def began(at: float, days: int) -> int:
    """The day on which something begins, of a moment as a share of the days."""
    return int(at * days)


def drift_weight(drift: Drift, days: int, day: Ints | int) -> Floats:
    """How much of the drift has happened on a day, 0 to 1, in the shape of `day`."""
    since = np.asarray(day, np.float64) - began(drift.at, days)
    phase = max(1.0, drift.over * days)
    if drift.kind == "none":
        return np.zeros_like(since)
    if drift.kind == "gradual":
        return np.clip((since + 1.0) / phase, 0.0, 1.0)
    there = since >= 0.0
    if drift.kind == "recurring":
        there &= np.floor(since / phase) % 2 == 0
    return there.astype(np.float64)


def season_lift(season: Season, phase: Floats, day: Ints | int) -> Floats:
    """What the season adds to the logits of offers of some phases in [0, 1), broadcast with `day`."""
    lift: Floats = season.strength * np.sin(2 * np.pi * (np.asarray(day) / season.period_days + phase))
    return lift


def lifted(chance: Floats, lift: Floats) -> Floats:
    """Chances whose logits are raised by `lift`; where nothing is to be raised they stay as they are to the bit."""
    if not lift.any():
        return chance
    odds = np.exp(lift)
    out: Floats = chance * odds / (1.0 - chance + chance * odds)
    return out


def offer_days(offers: Offering, days: int) -> tuple[Ints, Ints]:
    """The first and the last day (k,) on which each offer may be sent; warm ones are older than the world."""
    first = np.where(np.arange(offers.count) < offers.warm, LOG_BEGINS, 0)
    last = np.full(offers.count, max(days, YEAR_DAYS) - 1)
    for a, at in enumerate(offers.arrivals, start=offers.warm):
        first[a] = began(at, days)
    for a, at in enumerate(offers.retirements):
        last[a] = began(at, days) - 1
    return first, np.maximum(first, last)  # who arrives when all is over is there for a day that nobody sees


def budget_factor(cut: Cut, days: int, day: int) -> float:
    """What is left of a day's budget, as a share of the planned one."""
    return cut.to if day >= began(cut.at, days) else 1.0
