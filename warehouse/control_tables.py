"""The tables of the control database of a home: its API keys, and what was done to them."""

from datetime import datetime
from typing import Any, ClassVar

from sqlalchemy import Index, MetaData
from sqlmodel import Field, SQLModel

from warehouse.columns import Document, UtcTime


class ControlTable(SQLModel):
    """Tables that are not a tenant's."""

    metadata: ClassVar[MetaData] = MetaData()


class KeyRow(ControlTable, table=True):
    """One API key. Its secret is shown once and kept only as an argon2id hash."""

    __tablename__: ClassVar[Any] = "api_key"
    __table_args__ = (Index("keys_by_tenant", "tenant"),)

    key_id: str = Field(primary_key=True)
    tenant: str
    name: str
    roles: list[str] = Field(sa_type=Document)
    secret_hash: str
    created_at: datetime = Field(sa_type=UtcTime)
    expires_at: datetime | None = Field(default=None, sa_type=UtcTime)
    revoked_at: datetime | None = Field(default=None, sa_type=UtcTime)
    replaced_by: str | None = None
    last_used_at: datetime | None = Field(default=None, sa_type=UtcTime)


class KeyAuditRow(ControlTable, table=True):
    """Who did what to which key, when; rows are only ever added."""

    __tablename__: ClassVar[Any] = "key_audit"

    entry: int | None = Field(default=None, primary_key=True)
    tenant: str
    at: datetime = Field(sa_type=UtcTime)
    actor: str
    action: str
    subject: str
    detail: dict[str, Any] = Field(sa_type=Document)
