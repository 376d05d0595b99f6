"""The tables of durable jobs: what was asked for, what has happened since, and which of its steps are done."""

from datetime import datetime
from typing import Any, ClassVar

from sqlalchemy import CheckConstraint, ForeignKeyConstraint, Index, UniqueConstraint
from sqlmodel import Field, SQLModel

from warehouse.columns import Document, UtcTime


def _document(*, nullable: bool = False) -> Any:
    return Field(default=None, sa_type=Document, nullable=True) if nullable else Field(sa_type=Document)


def _time(*, nullable: bool = False) -> Any:
    return Field(default=None, sa_type=UtcTime, nullable=True) if nullable else Field(sa_type=UtcTime)


class JobRow(SQLModel, table=True):
    """One request for work. A request key is taken for ever; `attempt` counts claims, `lost` those that fell silent."""

    __tablename__: ClassVar[Any] = "job"
    __table_args__ = (
        CheckConstraint("state IN ('queued', 'running', 'done', 'failed', 'cancelled')", name="known_state"),
        UniqueConstraint("kind", "request_key", name="one_job_per_request"),
        Index("jobs_by_state", "state", "created_at"),
    )

    job_id: str = Field(primary_key=True)
    kind: str
    request_key: str | None = None
    document: dict[str, Any] = _document()
    digest: str
    asked_by: str
    state: str
    created_at: datetime = _time()
    not_before: datetime = _time()
    ended_at: datetime | None = _time(nullable=True)
    worker: str | None = None
    attempt: int = 0
    lost: int = 0
    lease_until: datetime | None = _time(nullable=True)
    cancel_asked: bool = False
    result: Any = _document(nullable=True)
    error: Any = _document(nullable=True)


class JobEventRow(SQLModel, table=True):
    """One thing that happened to a job: a change of its state, or how far a stage of it has come."""

    __tablename__: ClassVar[Any] = "job_event"
    __table_args__ = (ForeignKeyConstraint(["job_id"], ["job.job_id"], name="of_job"),)

    job_id: str = Field(primary_key=True)
    event: int = Field(primary_key=True)
    at: datetime = _time()
    state: str
    stage: str
    done: int
    total: int


class JobStepRow(SQLModel, table=True):
    """A finished step of a job with what it gave: whoever goes on with the job does not repeat it."""

    __tablename__: ClassVar[Any] = "job_step"
    __table_args__ = (ForeignKeyConstraint(["job_id"], ["job.job_id"], name="step_of_job"),)

    job_id: str = Field(primary_key=True)
    step: str = Field(primary_key=True)
    result: Any = _document()
    at: datetime = _time()
