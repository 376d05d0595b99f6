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


class Contacts:
    """How many offers each of n customers got in the last 30 days: `count` (n,), as of the last day asked for."""

    def __init__(self, customers: int) -> None:
        self._past: deque[tuple[int, Ints]] = deque()
        self.count = np.zeros(customers, np.int64)

    def on(self, day: int) -> Ints:
        """A copy of the counts (n,) of a day; what is long past is forgotten."""
        while self._past and self._past[0][0] <= day - LATELY_DAYS:
            self.count[self._past.popleft()[1]] -= 1
        return self.count.copy()

    def add(self, rows: Ints, day: int) -> None:
        """These customers got an offer."""
        self.count[rows] += 1
        self._past.append((day, rows))


class Visits:
    """The visits of a world's customers; `contacts` (population,) of the last 30 days, `eligible` (population, k)."""

    def __init__(self, world: World) -> None:
        self._world, self._contacts = world, Contacts(len(world.customers))
        self.eligible = world.eligible

    @property
    def contacts(self) -> Ints:
        """As of the last day asked for."""
        return self._contacts.count

    def on(self, day: int) -> Ints:
        """Customers of a day, as rows of the population; contacts that are long past are forgotten."""
        self._contacts.on(day)
        return np.flatnonzero(self._world.arrival == (day % RETURN_DAYS if self._world.about.fatigue > 0.0 else day))

    def contacted(self, rows: Ints, day: int) -> None:
        """These customers got an offer."""
        self._contacts.add(rows, day)
