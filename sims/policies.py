"""Policies by name: a learner, and how its scores become a plan within the limits."""

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias, get_args

from allot import CampaignError
from sims.days import LEARNERS, Known
from sims.learners import Learner

Allocation: TypeAlias = Literal["balanced", "optimum", "first-come", "best-first"]

ALLOCATIONS: Final[tuple[str, ...]] = get_args(Allocation)

ORACLE: Final = "oracle"
"""The learner who knows the truth of the day; with "optimum" nobody earns more within the same limits."""

BELIEVERS: Final = frozenset({"allot", "logistic-ts"})
"""Learners who have beliefs, from which alone chances and prices can be worked out."""


@dataclass(frozen=True, slots=True)
class Policy:
    """A learner of `LEARNERS`, or the oracle, and an allocation."""

    learner: str
    allocation: Allocation

    @property
    def name(self) -> str:
        """As it is written: the allocation is left out where it is the learner's own."""
        return self.learner if self.allocation == own(self.learner) else f"{self.learner}/{self.allocation}"

    def start(self, known: Known) -> Learner | None:
        """The learner before the first day; None for the oracle."""
        return None if self.learner == ORACLE else LEARNERS[self.learner](known)


def own(learner: str) -> Allocation:
    """The allocation of a learner who is named alone: the product's for the product, else the optimum of its scores.

    Who does not tell customers apart has nothing to choose between them by, and serves them as they come.
    """
    if learner in ("uniform", "best-static"):
        return "first-come"
    return "balanced" if learner == "allot" else "optimum"


def policy_of(text: str) -> Policy:
    """Read "learner" or "learner/allocation".

    Raises:
        CampaignError: there is no such learner or allocation, or they do not go together.
    """
    learner, slash, named = text.strip().partition("/")
    if learner not in LEARNERS and learner != ORACLE:
        raise CampaignError(
            f"policy {text!r} is unknown.", where="--policies", remedy=f"There are {', '.join((*LEARNERS, ORACLE))}."
        )
    for allocation in get_args(Allocation):
        if slash and named == allocation:
            if allocation == "balanced" and learner not in BELIEVERS:
                who = " and ".join(sorted(BELIEVERS))
                remedy = f"Only {who} have; name it with another allocation."
                raise CampaignError(f"{learner!r} has no beliefs to draw from.", where="--policies", remedy=remedy)
            return Policy(learner, allocation)
    if slash:
        remedy = f"There are {', '.join(ALLOCATIONS)}."
        raise CampaignError(f"allocation {named!r} is unknown.", where="--policies", remedy=remedy)
    return Policy(learner, own(learner))


def policies_of(text: str) -> tuple[Policy, ...]:
    """Read several, separated by commas; one named twice is played once.

    Raises:
        CampaignError: one of them is none.
    """
    return tuple(dict.fromkeys(policy_of(name) for name in text.split(",")))
