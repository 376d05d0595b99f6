"""Learners on a log whose offers were drawn with equal chances: as if they had decided themselves.

Li, Chu, Langford and Wang 2011, "Unbiased offline evaluation of contextual-bandit-based news article recommendation
algorithms": of all logged decisions those count, and are heard, that the learner would have taken, too.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from allot import ShapeError
from bandit import Columns
from sims.learners import Learner
from sims.people import Floats, Ints

WINDOWS: Final = 40
"""A learner hears of its decisions so many times."""


@dataclass(frozen=True, slots=True, eq=False)
class RandomisedLog:
    """n decisions in the order in which they were taken, each of k arms with the same chance.

    Args:
        customers: (n, d) float64, categories as codes, NaN = missing.
        columns: their names, then one for the arm's code.
        levels: number of levels of each category column, by name.
        arms: k names; one of them may be that nothing was sent.
        arm: (n,) 0 to k − 1.
        outcome: (n,) 0 or 1.
        propensity: (n,) of the arm that was drawn.
        customer: (n,) or None. Decisions about one customer share a number; what comes of them is not independent.

    Raises:
        ShapeError: arrays disagree, an arm is unknown, or chances were not equal: replay would be biased.
    """

    name: str
    customers: Floats
    columns: Columns
    levels: dict[str, int]
    arms: tuple[str, ...]
    arm: Ints
    outcome: Floats
    propensity: Floats
    customer: Ints | None = None

    def __post_init__(self) -> None:
        """Checks what is stated above."""
        k = len(self.arms)
        columns = (self.arm, self.outcome, self.propensity, self.arm if self.customer is None else self.customer)
        if not (len(self.customers) > 0 and all(len(column) == len(self.customers) for column in columns)):
            raise ShapeError("customers, arms, outcomes and propensities are not equally many.", where=self.name)
        if not 0 <= self.arm.min() <= self.arm.max() < k:
            raise ShapeError(f"an arm is outside 0 to {k - 1}.", where=self.name)
        if not np.allclose(self.propensity, 1.0 / k, rtol=1e-6):
            remedy = "Estimate with propensities instead (`allot evaluate`)."
            raise ShapeError(f"some propensity is not 1/{k}.", where=self.name, remedy=remedy)

    def taken(self, rows: Ints) -> "RandomisedLog":
        """Some of its decisions, in that order."""
        customer = None if self.customer is None else self.customer[rows]
        some = (self.arm[rows], self.outcome[rows], self.propensity[rows], customer)
        return RandomisedLog(self.name, self.customers[rows], self.columns, self.levels, self.arms, *some)


@dataclass(frozen=True, slots=True, eq=False)
class Replayed:
    """What a learner did with a log.

    Args:
        matched: (n,) where it would have decided alike.
        outcome: (n,) of the log.
        customer: (n,) of the log, or None.
    """

    matched: NDArray[np.bool_]
    outcome: Floats
    customer: Ints | None = None

    @property
    def value(self) -> float:
        """Mean outcome of a decision of the learner; NaN where it never decided alike."""
        return float(self.outcome[self.matched].mean()) if self.matched.any() else float("nan")

    @property
    def influence(self) -> Floats:
        """(n,) of each logged decision on the value; 0 on average."""
        out: Floats = self.matched * (self.outcome - self.value) / self.matched.mean()
        return out

    @property
    def std_error(self) -> float:
        """Of the value, by customer."""
        return _error(self.influence, self.customer)

    def minus(self, other: "Replayed") -> tuple[float, float]:
        """How much more it earns per decision than another on the same log, paired by rows, and the standard error."""
        return self.value - other.value, _error(self.influence - other.influence, self.customer)


def _error(influence: Floats, customer: Ints | None) -> float:
    """Standard error of a mean over rows (n,), of which those of one customer are one observation."""
    n = len(influence)
    each = influence if customer is None else np.bincount(np.unique(customer, return_inverse=True)[1], influence)
    m = len(each)
    return float(each.std(ddof=1) * np.sqrt(m) / n)


def replayed(log: RandomisedLog, learner: Learner, *, seed: int, windows: int = WINDOWS) -> Replayed:
    """Let a learner decide on every customer of a log and hear where the log did the same.

    Args:
        log: its customers are the rows of the learner's population.
        learner: takes the arm of its highest score.
        seed: of the learner's chance.
        windows: of about as many decisions each; what is heard of one is heard at its end.
    """
    r = np.random.default_rng([seed, 2])
    matched = np.zeros(len(log.arm), np.bool_)
    ends = np.linspace(0, len(log.arm), min(windows, len(log.arm)) + 1).astype(np.int64)
    for window, (first, last) in enumerate(pairwise(ends)):
        rows = np.arange(first, last)
        same = rows[learner.scores(rows, r).argmax(1) == log.arm[rows]]
        matched[same] = True
        learner.hear(same, log.arm[same], log.outcome[same], window)
    return Replayed(matched, log.outcome, log.customer)


def always(log: RandomisedLog, arm: int) -> Replayed:
    """One arm for everybody."""
    return Replayed(log.arm == arm, log.outcome, log.customer)
