"""What is to be compared: some policies in one world, over some seeds."""

from dataclasses import dataclass
from typing import Any, Final

from allot import CampaignError, __version__
from sims.days import DELAY_DAYS
from sims.policies import Policy
from sims.world import World, nbo

_MOST_SEEDS: Final = 1_000


@dataclass(frozen=True, slots=True)
class Study:
    """Some policies in one world, over some seeds.

    Args:
        world: "nbo".
        policies, seeds: every policy plays every seed.
        days, per_day: of the world, where they are not its own.
    """

    world: str
    policies: tuple[Policy, ...]
    seeds: tuple[int, ...]
    days: int | None = None
    per_day: int | None = None

    def __post_init__(self) -> None:
        if self.world != "nbo":
            raise CampaignError(f"world {self.world!r} is unknown.", where="simulate", remedy="There is `nbo`.")
        for name, number in (("--days", self.days), ("--per-day", self.per_day)):
            if number is not None and number < 1:
                raise CampaignError(f"{number} is too few.", where=name, remedy="Give 1 or more.")

    @property
    def settings(self) -> dict[str, Any]:
        """What a run depends on beside its policy and its seed."""
        size = {"days": self.days, "per_day": self.per_day}
        return {"world": self.world, **size, "delay_days": DELAY_DAYS, "version": __version__}

    def made(self, seed: int) -> World:
        """The world of a seed."""
        size = {"days": self.days, "per_day": self.per_day}
        return nbo(seed, **{name: number for name, number in size.items() if number is not None})


def seeds_of(text: str) -> tuple[int, ...]:
    """Read one seed or a range such as "1000-1009".

    Raises:
        CampaignError: it is neither, or more than 1,000 seeds.
    """
    first, _, last = text.partition("-")
    try:
        numbers = tuple(range(int(first), int(last or first) + 1))
    except ValueError:
        numbers = ()
    if not 1 <= len(numbers) <= _MOST_SEEDS:
        raise CampaignError(f"{text!r} is no seed or range.", where="--seeds", remedy="Write 1000 or 1000-1009.")
    return numbers
