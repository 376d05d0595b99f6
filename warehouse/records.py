"""What the operational database hands out: frozen values that do not know where they are stored."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, TypeAlias

SINGLE = "single-"
"""How the ids of allocations begin that single decisions were sealed into."""

ModelKind: TypeAlias = Literal["prior", "posterior"]


@dataclass(frozen=True, slots=True)
class StoredCampaign:
    """One version of a campaign's document. Versions count from 1; `digest` names the document."""

    name: str
    version: int
    document: dict[str, Any]
    digest: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class StoredAllocation:
    """One run of the campaign stored under `campaign` and `campaign_digest`; `decisions_path` is its Parquet file."""

    allocation_id: str
    campaign: str
    campaign_digest: str
    status: str
    as_of: datetime
    versions: dict[str, Any]
    summary: dict[str, Any]
    created_at: datetime
    decisions_path: str | None = None
    decisions_sha256: str | None = None

    @property
    def single(self) -> bool:
        """Whether its decisions were made one at a time, and sealed into it afterwards."""
        return self.allocation_id.startswith(SINGLE)


@dataclass(frozen=True, slots=True)
class StoredModel:
    """A prior or a posterior: what it came from, what it has seen (`watermark`) and, for a posterior, its arrays."""

    kind: ModelKind
    model_id: str
    created_at: datetime
    parents: tuple[str, ...] = ()
    manifest: dict[str, Any] = field(default_factory=dict)
    watermark: dict[str, Any] = field(default_factory=dict)
    blob: bytes | None = None


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The fold's state after `window` over the model `base_id`; `digest` names all the rows folded so far."""

    base_id: str
    window: int
    digest: str
    blob: bytes
    created_at: datetime


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """Who did what to which subject, when."""

    at: datetime
    actor: str
    action: str
    subject: str
    detail: dict[str, Any] = field(default_factory=dict)
