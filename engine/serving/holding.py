"""How much of a budget do decisions tie up while nobody knows their outcome?

A decision holds the most that it can cost until its outcome is known. Of that, what it is expected to cost is gone in
any case; the rest is away for a while. So a budget that is to last until the end must have room for what will be held
then, and may reckon with what is held now and will have come back.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float64]

_TRUST = 10.0  # decisions: what younger ones say of an age counts as much as so many of that age


@dataclass(frozen=True, slots=True, eq=False)
class Outcomes:
    """How soon outcomes come.

    Args:
        width: days.
        waiting: (b,) part of the decisions that still wait for their outcome at an age from b to b + 1 times `width`;
            older ones as the last.
        longest: days after which none waits.
    """

    width: float
    waiting: Floats
    longest: float

    def at(self, days: NDArray[np.floating]) -> Floats:
        """The part of decisions that still waits at some ages."""
        place = np.minimum((days / self.width).astype(int), len(self.waiting) - 1)
        out: Floats = np.where(days < self.longest, self.waiting[place], 0.0)
        return out

    def mean(self, days: float) -> float:
        """The part that waits at the end of a span, of decisions that are made evenly in it."""
        edges = np.append(np.arange(len(self.waiting)) * self.width, np.inf)
        within = np.diff(np.minimum(edges, min(days, self.longest)))
        return float(within @ self.waiting / days) if days > 0 else float(self.at(np.zeros(1))[0])


def how_soon(made: Sequence[int], waiting: Sequence[int], *, width: float, longest: float) -> Outcomes:
    """Learn from the decisions of each age how many of them wait; of ages that there are none of, the worst is assumed.

    Args:
        made: (b,) decisions of an age.
        waiting: (b,) of these, those without outcome.
        width: days of one age.
        longest: days after which silence settles.
    """
    found, level = [], 1.0
    for all_of_them, some in zip(made, waiting, strict=True):
        level = min(level, (some + _TRUST * level) / (all_of_them + _TRUST))
        found.append(level)
    return Outcomes(max(width, 1e-9), np.array(found or [1.0]), longest)


@dataclass(frozen=True, slots=True, eq=False)
class Tied:
    """What is tied up at the end.

    Args:
        part: of what decisions to come can cost beyond what is expected of them, so much is held then.
        back: by limit, micros held now that will have come back where the outcomes are failures.
    """

    part: float
    back: Mapping[str, float]


NOTHING = Tied(0.0, {})
"""Where outcomes are known at once."""


def tied_up(outcomes: Outcomes, held: Mapping[str, Sequence[int]], days_left: float) -> Tied:
    """What decisions hold at the end.

    Args:
        outcomes: how soon they come.
        held: by limit, (b,) micros that decisions of each age hold beyond what is spent in any case.
        days_left: until the end.
    """
    back = {}
    for limit, amounts in held.items():
        age = (np.arange(len(amounts)) + 0.5) * outcomes.width
        now, then = outcomes.at(age), outcomes.at(age + days_left)
        back[limit] = float(np.array(amounts) @ (1.0 - then / np.where(now > 0, now, 1.0)))
    return Tied(outcomes.mean(days_left), back)
