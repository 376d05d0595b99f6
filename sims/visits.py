"""Who is decided on, on which day, and how many contacts they had lately."""

from collections import deque
from typing import Final

import numpy as np

from sims.people import Ints
from sims.world import World

RETURN_DAYS: Final = 7
"""Where contacts tire, customers come back after so many days; elsewhere nobody is met twice."""

LATELY_DAYS: Final = 30
"""Contacts of so many days tire."""


class Visits:
    """The visits of a world's customers; `contacts` (population,) of the last 30 days, `eligible` (population, k)."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._past: deque[tuple[int, Ints]] = deque()
        self.contacts = np.zeros(len(world.customers), np.int64)
        self.eligible = world.eligible

    def on(self, day: int) -> Ints:
        """Customers of a day, as rows of the population; contacts that are long past are forgotten."""
        while self._past and self._past[0][0] <= day - LATELY_DAYS:
            self.contacts[self._past.popleft()[1]] -= 1
        return np.flatnonzero(self._world.arrival == (day % RETURN_DAYS if self._world.about.fatigue > 0.0 else day))

    def contacted(self, rows: Ints, day: int) -> None:
        """These customers got an offer."""
        self.contacts[rows] += 1
        self._past.append((day, rows))
