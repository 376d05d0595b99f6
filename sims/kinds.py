"""Who buys anyway, who never buys, and whom an offer puts off; everybody else can be persuaded."""

from typing import Final

import numpy as np

from sims.chance import generator
from sims.course import lifted
from sims.description import Alone
from sims.people import NUMBERS, Customers, Floats, Ints

PERSUADABLE, SURE_THING, DO_NOT_DISTURB, LOST_CAUSE = range(4)
DISTURBED: Final = -2.0
"""Logits that any offer takes from a do-not-disturb."""

LOST: Final = -3.0
"""Logits that a lost cause lacks, with an offer or without."""


def kinds_of(seed: int, alone: Alone, group: str, customers: Customers) -> Ints:
    """(n,) the kind of each customer; four fifths of it lie in one direction of the numbers, so it can be learnt.

    Args:
        group: label of these customers' own chance.
    """
    direction = generator(seed, "kinds").normal(size=len(NUMBERS))
    own = generator(seed, f"kinds of the {group}").normal(size=len(customers))
    score = 0.8 * customers.standardised @ (direction / np.linalg.norm(direction)) + 0.6 * own
    rank = score.argsort().argsort() + 0.5
    ends = np.cumsum([alone.sure_things, alone.do_not_disturbs, alone.lost_causes]) * len(customers)
    of = np.array([SURE_THING, DO_NOT_DISTURB, LOST_CAUSE, PERSUADABLE])
    return of[np.searchsorted(ends, rank, side="right")]


def with_offer(kind: Ints, chance: Floats) -> Floats:
    """Chances of success (n, k) under offers, of customers of some kinds (n,)."""
    lift = np.zeros(4)
    lift[DO_NOT_DISTURB], lift[LOST_CAUSE] = DISTURBED, LOST
    return lifted(chance, lift[kind][:, None])


def without_offer(kind: Ints, chance: Floats, organic: Floats) -> Floats:
    """(n,) chances of success without any offer.

    Args:
        kind: (n,) of each customer.
        chance: (n, k) under offers, were all persuadable.
        organic: (n,) without any offer, were all persuadable.
    """
    anyway = (kind == SURE_THING) | (kind == DO_NOT_DISTURB)
    return lifted(np.where(anyway, chance.max(1), organic), np.where(kind == LOST_CAUSE, LOST, 0.0))
