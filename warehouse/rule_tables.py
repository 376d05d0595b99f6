"""The table of the house's own rules."""

from datetime import datetime
from typing import Any, ClassVar

from sqlmodel import Field, SQLModel

from warehouse.columns import UtcTime


class HouseRuleRow(SQLModel, table=True):
    """One version of a rule that holds in every campaign; the newest version of a name counts, while it is active."""

    __tablename__: ClassVar[Any] = "house_rule"

    name: str = Field(primary_key=True)
    version: int = Field(primary_key=True)
    reason: str
    predicate: str
    active: bool
    created_by: str
    created_at: datetime = Field(sa_type=UtcTime)
