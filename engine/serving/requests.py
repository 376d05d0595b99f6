"""A single decision as it is asked for, and as it is answered."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from hashlib import blake2b
from typing import Any, Literal, TypeAlias

Mode: TypeAlias = Literal["normal", "segment_prior", "free_only", "no_rules"]
"""`normal`; `segment_prior`: the model is missing, and segments speak for their customers; `free_only`: what is left of
the budgets is not known, and only offers that draw on none can be had; `no_rules`: what may be sent is not known."""

_SORTED = json.JSONEncoder(sort_keys=True)  # made once: json.dumps would make one for each request

Status: TypeAlias = Literal["chosen", "no_offer", "no_eligible", "held_out"]


@dataclass(frozen=True)
class Request:
    """One customer, now.

    Args:
        decision_id: names the decision for ever; the draw is keyed by it.
        campaign: whose last release decides.
        customer_id: whom it is about; None: somebody of whom nothing but the features is known.
        features: customer columns as they are now; they take the place of what is loaded.
        at: the server's time; not part of what is asked.
    """

    decision_id: str
    campaign: str
    customer_id: str | None
    at: datetime
    features: Mapping[str, Any] | None = None

    @property
    def name(self) -> str:
        """The customer's id; that of the decision where there is none."""
        return self.decision_id if self.customer_id is None else self.customer_id

    @cached_property
    def digest(self) -> str:
        """Names what is asked: equal bodies, equal digests."""
        features = None if self.features is None else dict(self.features)
        said = _SORTED.encode([self.campaign, self.customer_id, features])
        return blake2b(said.encode(), digest_size=16).hexdigest()


@dataclass(frozen=True, slots=True)
class Decision:
    """The answer.

    Args:
        decision_id, campaign, customer_id: of the request.
        offer_id: None for no offer.
        status: "chosen", "no_offer", "no_eligible" or "held_out".
        propensity: with which this was drawn; 1 where nothing was.
        value, sd: the worth of the offer to the campaign's objective over no offer, and how unsure that is.
        cost: expected cost of the offer.
        mode: how much was known; see `Mode`.
        decided_at: the server's time.
        price_version: of the prices that competed.
        versions: of the release, its data and rules, and of the model.
        missing: customer columns that the model reads and nobody gave.
    """

    decision_id: str
    campaign: str
    customer_id: str
    offer_id: str | None
    status: Status
    propensity: float
    value: float
    sd: float
    cost: float
    mode: Mode
    decided_at: datetime
    price_version: str
    versions: Mapping[str, str]
    missing: tuple[str, ...] = ()

    def to_document(self) -> dict[str, Any]:
        """As it is kept and sent."""
        return {
            "decision_id": self.decision_id,
            "campaign": self.campaign,
            "customer_id": self.customer_id,
            "offer_id": self.offer_id,
            "status": self.status,
            "propensity": self.propensity,
            "expected_value": {"mean": self.value, "sd": self.sd},
            "cost": self.cost,
            "mode": self.mode,
            "decided_at": self.decided_at.isoformat(),
            "price_version": self.price_version,
            "versions": dict(self.versions),
            "missing": list(self.missing),
        }

    @staticmethod
    def from_document(document: Mapping[str, Any]) -> "Decision":
        """What `to_document` made."""
        plain = {name: document[name] for name in Decision.__dataclass_fields__ if name in document}
        worth, at = document["expected_value"], datetime.fromisoformat(document["decided_at"])
        said = {"value": worth["mean"], "sd": worth["sd"], "decided_at": at, "missing": tuple(document["missing"])}
        return Decision(**{**plain, **said})


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why there is no decision: "unknown" customer or campaign, or a decision id that another body has "taken"."""

    why: Literal["unknown", "taken"]
    what: str
    remedy: str
