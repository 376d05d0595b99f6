"""What is to be compared: some policies in one world, over some seeds."""

import json
from dataclasses import asdict, dataclass
from typing import Any, Final

from allot import CampaignError, __version__
from sims.description import Description
from sims.policies import Policy

_MOST_SEEDS: Final = 1_000
_RECORD: Final = 3  # of what a file tells of a run; files that tell less are refused


@dataclass(frozen=True, slots=True)
class Study:
    """Some policies in one world, over some seeds: every policy plays every seed."""

    about: Description
    policies: tuple[Policy, ...]
    seeds: tuple[int, ...]

    @property
    def settings(self) -> dict[str, Any]:
        """What a run depends on beside its policy and its seed, as JSON has it."""
        settings: dict[str, Any] = json.loads(
            json.dumps({**asdict(self.about), "version": __version__, "record": _RECORD})
        )
        return settings


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
