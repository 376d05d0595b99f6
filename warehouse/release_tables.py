"""The tables of releases: who asked for an allocation, approved and released it, and whom it was delivered to."""

from datetime import datetime
from typing import Any, ClassVar

from sqlalchemy import CheckConstraint, ForeignKeyConstraint, Index
from sqlmodel import Field, SQLModel

from warehouse.columns import UtcTime


def _time(*, nullable: bool = False) -> Any:
    return Field(default=None, sa_type=UtcTime, nullable=True) if nullable else Field(sa_type=UtcTime)


class ReleaseRow(SQLModel, table=True):
    """An allocation's way from who asked for it to its release; each hand is filled in once."""

    __tablename__: ClassVar[Any] = "release"
    __table_args__ = (
        ForeignKeyConstraint(["allocation_id"], ["allocation.allocation_id"], name="release_of_allocation"),
        Index("releases_by_time", "released_at"),
    )

    allocation_id: str = Field(primary_key=True)
    asked_by: str
    asked_at: datetime = _time()
    approved_by: str | None = None
    approved_at: datetime | None = _time(nullable=True)
    released_by: str | None = None
    released_at: datetime | None = _time(nullable=True)


class WebhookRow(SQLModel, table=True):
    """An address that releases are delivered to, and the key that deliveries to it are signed with."""

    __tablename__: ClassVar[Any] = "webhook"

    webhook_id: str = Field(primary_key=True)
    url: str
    signing_key: str
    created_by: str
    created_at: datetime = _time()
    ended_at: datetime | None = _time(nullable=True)


class DeliveryRow(SQLModel, table=True):
    """One release for one address: the body stays as it is however often it is sent."""

    __tablename__: ClassVar[Any] = "delivery"
    __table_args__ = (
        CheckConstraint("state IN ('waiting', 'delivered', 'dead')", name="known_state"),
        ForeignKeyConstraint(["webhook_id"], ["webhook.webhook_id"], name="delivery_to_webhook"),
        ForeignKeyConstraint(["allocation_id"], ["allocation.allocation_id"], name="delivery_of_allocation"),
        Index("deliveries_due", "state", "next_at"),
    )

    delivery_id: str = Field(primary_key=True)
    webhook_id: str
    allocation_id: str
    body: str
    state: str
    attempts: int = 0
    next_at: datetime = _time()
    last_error: str = ""
    created_at: datetime = _time()
    ended_at: datetime | None = _time(nullable=True)
