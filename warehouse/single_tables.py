"""Single decisions: made one at a time, each durable before it is answered."""

from datetime import datetime
from typing import Any, ClassVar

from sqlalchemy import BigInteger, Index, text
from sqlmodel import Field, SQLModel

from warehouse.columns import Document, UtcTime

_OPEN = text("sealed_in IS NULL")


class SingleRow(SQLModel, table=True):
    """One decision, with everything that it takes to explain it, to learn from it and to draw it again.

    `digest` names the request's body; `answer` is what was said; `numbers` are those of all offers (`Numbers`);
    `features` what the request said of the customer; `sealed_in` the allocation whose file it went into.
    """

    __tablename__: ClassVar[Any] = "single_decision"
    __table_args__ = (
        Index("singles_by_customer", "customer_key", "decided_at"),
        Index("singles_by_release", "release_id", "decided_at"),
        Index("singles_open", "decided_at", sqlite_where=_OPEN, postgresql_where=_OPEN),
    )

    decision_id: str = Field(primary_key=True)
    campaign: str
    release_id: str
    customer_id: str
    customer_key: int = Field(sa_type=BigInteger)
    decided_at: datetime = Field(sa_type=UtcTime)
    digest: str
    offer_id: str | None = None
    prior: str
    posterior: str
    answer: dict[str, Any] = Field(sa_type=Document)
    numbers: bytes
    features: dict[str, Any] | None = Field(default=None, sa_type=Document)
    sealed_in: str | None = None


class PriceRow(SQLModel, table=True):
    """One version of the prices that single decisions were made at; `tables` holds charges and exploration."""

    __tablename__: ClassVar[Any] = "price_version"
    __table_args__ = (Index("prices_by_account", "account", "solved_at"),)

    price_version: str = Field(primary_key=True)
    account: str
    solved_at: datetime = Field(sa_type=UtcTime)
    prices: dict[str, float] = Field(sa_type=Document)
    remaining: dict[str, int] = Field(sa_type=Document)
    demand: dict[str, float] = Field(sa_type=Document)
    tables: bytes
