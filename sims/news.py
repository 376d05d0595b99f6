"""What is heard of decisions, and when: reports that are late, missing, wrong at first and put right later."""

from collections import defaultdict
from dataclasses import dataclass, field

import numpy as np

from sims.learners import Learner
from sims.people import Ints
from sims.world import World


@dataclass(frozen=True, slots=True)
class Item:
    """Outcomes (r,) of offers shown to customers on the day `window`; `right`: they put right what was heard before."""

    window: int
    rows: Ints
    arm: Ints
    outcome: Ints
    right: bool


@dataclass(frozen=True, slots=True)
class News:
    """The reports still to come, by the day on which they are heard."""

    world: World
    coming: defaultdict[int, list[Item]] = field(default_factory=lambda: defaultdict(list))

    def decided(self, rows: Ints, arm: Ints, day: int, contacts: Ints) -> None:
        """Offers `arm` (r,) were shown to customers `rows` (r,) who had `contacts` (r,) in the last 30 days."""
        outcome, _ = self.world.outcomes(rows, arm, day, contacts=contacts)
        heard = self.world.heard(rows, arm, day, outcome)
        first = np.where(heard.missing, -1, heard.day_heard)
        for on, said, right in (
            (first, heard.outcome, False),
            (heard.corrected_day, heard.corrected_outcome, True),
        ):
            for when in np.unique(on[on >= 0]).tolist():
                at = on == when
                self.coming[when].append(Item(day, rows[at], arm[at], said[at], right))

    def tell(self, learner: Learner, day: int) -> None:
        """Everything that has been heard by a day and was not told yet, the oldest decisions first."""
        due = [item for on in [on for on in self.coming if on <= day] for item in self.coming.pop(on)]
        for item in sorted(due, key=lambda item: (item.window, item.right)):
            hear = learner.correct if item.right else learner.hear
            hear(item.rows, item.arm, item.outcome.astype(np.float64), item.window)
