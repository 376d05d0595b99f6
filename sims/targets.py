"""Policies that did not play, as tables of chances: what would they have earned on the days of the one that did?"""

from collections.abc import Callable
from typing import Final, TypeAlias

import numpy as np

from sims.allocations import Drawn
from sims.people import Floats, Ints

ITSELF: Final = "itself"

_TYPICAL_PARTS: Final = 4.0  # `soft` knows offers apart that differ by a quarter of a typical day's best value


Target: TypeAlias = Callable[[Drawn], Floats]
"""(n, k + 1) chances, rows summing to 1. Nothing that came of the day's decisions may shape them."""


def certain(option: Ints, k: int) -> Floats:
    """(n, k + 1) one option for each customer; -1 and k are no offer."""
    return np.eye(k + 1)[option]


def mixed(one: Target, other: Target, share: float) -> Target:
    """The first, but a share of the customers is left to the other."""
    return lambda day: (1.0 - share) * one(day) + share * other(day)


def itself(day: Drawn) -> Floats:
    """The policy that played."""
    return day.table


def by_chance(day: Drawn) -> Floats:
    """Every eligible offer, or none, with equal chance."""
    possible = np.column_stack([day.batch.eligible, np.ones(len(day.batch.rows))]).astype(np.float64)
    out: Floats = possible / possible.sum(1, keepdims=True)
    return out


def greedy(day: Drawn) -> Floats:
    """What is believed to be best at the same prices."""
    return certain(day.scores.argmax(1), day.batch.eligible.shape[1])


def soft(day: Drawn) -> Floats:
    """The better an option is believed to be at the same prices, the likelier."""
    scores = day.scores
    scale = max(float(scores.max(1).mean()), 1e-9) / _TYPICAL_PARTS
    odds = np.exp((scores - scores.max(1, keepdims=True)) / scale)
    out: Floats = odds / odds.sum(1, keepdims=True)
    return out


def nobody(day: Drawn) -> Floats:
    """No offer for anybody."""
    return certain(np.full(len(day.batch.rows), -1), day.batch.eligible.shape[1])


TARGETS: Final[dict[str, Target]] = {
    ITSELF: itself,
    "half by chance": mixed(itself, by_chance, 0.5),
    "by chance": by_chance,
    "half greedy": mixed(itself, greedy, 0.5),
    "greedy": greedy,
    "soft": soft,
}
"""By name; cheap ones, which any run can afford."""
