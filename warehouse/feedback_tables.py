"""Tables beside the events of feedback: how much was taken, and what of it learning has seen."""

from datetime import datetime
from typing import Any, ClassVar

from sqlalchemy import BigInteger
from sqlmodel import Field, SQLModel

from warehouse.columns import Document, UtcTime


class TallyRow(SQLModel, table=True):
    """How often one writer has changed what is known of decisions; rises in the transaction of the change.

    Writers have rows of their own, so that none waits for another. Whoever finds all rows as they were knows that
    nothing has changed, also where a slow transaction has committed after a quick one that began later.
    """

    __tablename__: ClassVar[Any] = "feedback_tally"

    writer: int = Field(primary_key=True)
    changes: int = Field(sa_type=BigInteger)


class LearningRow(SQLModel, table=True):
    """What the learning loop found when it last learnt: it learns again when that is different."""

    __tablename__: ClassVar[Any] = "learning_mark"

    subject: str = Field(primary_key=True)
    mark: dict[str, Any] = Field(sa_type=Document)
    at: datetime = Field(sa_type=UtcTime)
