"""The version stamp: everything that an allocation is a function of. Equal stamps, equal decisions, to the bit."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow.compute as pc

import allot
from allot import NotFoundError
from bandit import SUCCESSES
from engine.campaign import Campaign
from engine.rows import Past
from warehouse import current_version, outcomes

if TYPE_CHECKING:
    from warehouse import Store, Workspace

_ROOMS = ("allot", "bandit", "portfolio", "governance", "warehouse", "engine")


@dataclass(frozen=True, slots=True)
class Stamp:
    """Versions of all inputs.

    Args:
        data: the data version.
        prior, posterior: the models.
        campaign: digest of the campaign document (its rules included).
        house: fingerprint of the house key, which decides the holdout.
        code: our version and a digest of the code that decides.
        past: what of our own log the features could see.
        outcome: the kind of outcome that the models are about.
        room: micros by limit, where less was left for the allocation than its part of the campaign's budget.
    """

    data: str
    prior: str
    posterior: str
    campaign: str
    house: str
    code: str
    past: Past
    outcome: str = SUCCESSES.name
    room: Mapping[str, int] = field(default_factory=dict)

    @property
    def allocation_id(self) -> str:
        """Derives from the stamp, so that a repeated request is the same allocation."""
        return f"alloc-{sha256(json.dumps(self.to_json(), sort_keys=True).encode()).hexdigest()[:16]}"

    def to_json(self) -> dict[str, Any]:
        """For the store and for people."""
        until = self.past.feedback_until
        past = {"allocations": list(self.past.allocations), "feedback_until": until.isoformat() if until else None}
        plain = {**asdict(self), "past": past}
        if self.outcome == SUCCESSES.name:  # as stamps were written before there was another kind
            del plain["outcome"]
        if not self.room:  # likewise
            del plain["room"]
        return plain

    @staticmethod
    def from_json(document: dict[str, Any]) -> "Stamp":
        """What `to_json` wrote."""
        until = document["past"]["feedback_until"]
        moment = datetime.fromisoformat(until) if until else None
        return Stamp(**{**document, "past": Past(tuple(document["past"]["allocations"]), moment)})


def same_request(versions: dict[str, Any], stamp: Stamp) -> bool:
    """Whether a stored stamp is this one, but for the room that was left at its time."""
    return {name: value for name, value in versions.items() if name != "room"} == stamp.to_json()


@cache
def code_version() -> str:
    """Our version, and a digest of the source that decides."""
    root = Path(allot.__file__).resolve().parents[1]
    digest = sha256()
    for room in _ROOMS:
        for path in sorted((root / room).rglob("*")):
            if path.suffix in (".py", ".sql") and path.is_file():
                digest.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes())
    return f"{allot.__version__}+{digest.hexdigest()[:12]}"


def past_of(store: "Store", as_of: datetime) -> Past:
    """The part of our own log before a moment: allocations decided strictly before it, and feedback received so far."""
    earlier = sorted(a.allocation_id for a in store.allocations(status="released") if a.as_of < as_of)
    return Past(tuple(earlier), pc.max(outcomes(store)["received_at"]).as_py() if earlier else None)


def current_posterior_id(store: "Store") -> str:
    """The posterior in use.

    Raises:
        NotFoundError: nothing was trained yet.
    """
    model = store.current("posterior")
    if model is None:
        raise NotFoundError("no model has been trained.", where="models", remedy="Run `allot train` first.")
    return model.model_id


def stamp_now(workspace: "Workspace", store: "Store", campaign: Campaign) -> Stamp:
    """The stamp of an allocation made now.

    Raises:
        NotFoundError: no model has been trained.
    """
    posterior = store.model("posterior", current_posterior_id(store))
    return Stamp(
        data=current_version(workspace).id,
        prior=posterior.parents[0],
        posterior=posterior.model_id,
        campaign=campaign.digest,
        house=sha256(str(workspace.house_key).encode()).hexdigest()[:16],
        code=code_version(),
        past=past_of(store, campaign.as_of),
        outcome=posterior.manifest.get("outcome", SUCCESSES.name),
    )
