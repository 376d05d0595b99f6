"""The tables of the operational database: what must be transactional. Money in integer micros, times in UTC."""

from datetime import datetime
from typing import Any, ClassVar

from sqlalchemy import BigInteger, CheckConstraint, Column, ForeignKeyConstraint, Index, Integer, UniqueConstraint, text
from sqlmodel import Field, SQLModel

from warehouse.columns import Document, UtcTime

_SEQUENCE = BigInteger().with_variant(Integer(), "sqlite")  # SQLite numbers rows by INTEGER alone


def _document() -> Any:
    return Field(sa_type=Document)


def _time() -> Any:
    return Field(sa_type=UtcTime)


def _index(name: str, *columns: str, where: str, unique: bool = False) -> Index:
    """An index over the rows of which `where` is true."""
    return Index(name, *columns, unique=unique, sqlite_where=text(where), postgresql_where=text(where))


class CampaignRow(SQLModel, table=True):
    """One version of a campaign's document; the same document is the same version."""

    __tablename__: ClassVar[Any] = "campaign"
    __table_args__ = (UniqueConstraint("name", "digest", name="one_version_per_document"),)

    name: str = Field(primary_key=True)
    version: int = Field(primary_key=True)
    document: dict[str, Any] = _document()
    digest: str
    created_at: datetime = _time()


class AllocationRow(SQLModel, table=True):
    """One run of a campaign over its audience. The id derives from the versions, so a repeat is the same row."""

    __tablename__: ClassVar[Any] = "allocation"
    __table_args__ = (
        ForeignKeyConstraint(["campaign", "campaign_digest"], ["campaign.name", "campaign.digest"], name="of_campaign"),
        Index("allocations_by_time", "campaign", "created_at"),
    )

    allocation_id: str = Field(primary_key=True)
    campaign: str
    campaign_digest: str
    status: str
    as_of: datetime = _time()
    versions: dict[str, Any] = _document()
    summary: dict[str, Any] = _document()
    decisions_path: str | None = None
    decisions_sha256: str | None = None
    created_at: datetime = _time()


class FeedbackRow(SQLModel, table=True):
    """One event of feedback; its id is taken for ever. `pending` and `dead` events belong to no known decision.

    `sequence` is the order in which the server took them; which event of a decision counts does not depend on it.
    """

    __tablename__: ClassVar[Any] = "feedback_event"
    __table_args__ = (
        UniqueConstraint("event_id", name="one_event_per_id"),
        CheckConstraint("status IN ('accepted', 'pending', 'corrected', 'dead', 'dropped')", name="known_status"),
        CheckConstraint("outcome IN (0, 1)", name="outcome_is_0_or_1"),
        Index("events_by_decision", "decision_key"),
        _index("events_waiting", "received_at", where="status = 'pending'"),
        _index("events_dead", "event_id", where="status = 'dead'"),
    )

    sequence: int | None = Field(default=None, sa_column=Column(_SEQUENCE, primary_key=True, autoincrement=True))
    event_id: str
    decision_id: str
    outcome: int
    reward_micros: int = Field(sa_type=BigInteger)
    occurred_at: datetime = _time()
    received_at: datetime = _time()
    digest: str
    status: str
    reason: str = ""
    decision_key: int = Field(sa_type=BigInteger)


class DeadLetterRow(SQLModel, table=True):
    """A record that used an event id already taken by another body; kept once per body."""

    __tablename__: ClassVar[Any] = "dead_letter"

    event_id: str = Field(primary_key=True)
    digest: str = Field(primary_key=True)
    body: dict[str, Any] = _document()
    reason: str
    received_at: datetime = _time()


class ModelRow(SQLModel, table=True):
    """A prior or a posterior, whose arrays are its blob: so statistics and watermark share a transaction."""

    __tablename__: ClassVar[Any] = "model"
    __table_args__ = (
        CheckConstraint("kind IN ('prior', 'posterior')", name="known_kind"),
        _index("one_current_model", "kind", unique=True, where="is_current"),
    )

    kind: str = Field(primary_key=True)
    model_id: str = Field(primary_key=True)
    parents: list[str] = _document()
    manifest: dict[str, Any] = _document()
    blob: bytes | None = None
    watermark: dict[str, Any] = _document()
    created_at: datetime = _time()
    is_current: bool = False


class CheckpointRow(SQLModel, table=True):
    """The state of the posterior's fold after one window, over one base model."""

    __tablename__: ClassVar[Any] = "checkpoint"

    base_id: str = Field(primary_key=True)
    window: int = Field(primary_key=True)
    digest: str
    blob: bytes
    created_at: datetime = _time()


class AuditRow(SQLModel, table=True):
    """Who did what, when; rows are only ever added."""

    __tablename__: ClassVar[Any] = "audit"

    entry: int | None = Field(default=None, primary_key=True)
    at: datetime = _time()
    actor: str
    action: str
    subject: str
    detail: dict[str, Any] = _document()
