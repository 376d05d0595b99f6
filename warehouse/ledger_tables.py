"""The tables of the ledger: what a campaign may use, what workers have been lent of it, what decisions hold of it."""

from datetime import datetime
from typing import Any, ClassVar

from sqlalchemy import BigInteger, CheckConstraint, ForeignKeyConstraint, Index, text
from sqlmodel import Field, SQLModel

from warehouse.columns import UtcTime

_UNFUNDED = text("unfunded_micros > 0")
_OWED = "unfunded_micros > 0 AND spent_micros IS NOT NULL AND spent_micros + unfunded_micros <= amount_micros"


def _none_yet() -> Any:
    return Field(default=0, sa_type=BigInteger, sa_column_kwargs={"server_default": text("0")})


def _micros(*, key: bool = False) -> Any:
    return Field(sa_type=BigInteger, primary_key=key)


class AccountRow(SQLModel, table=True):
    """What a campaign may use of one limit, and what of it is taken.

    `asked_micros` is the cap last asked for; `cap_micros` is it, or what was taken already when it was lowered.
    `held_micros` is what is set aside: all that leases still lend, and all that decisions hold until their outcome.
    `unfunded_micros` was spent outside when there was no room left for it: an outcome that came after its decision had
    freed what it held. It goes before everything else that is free, and is counted as spent as soon as there is room.
    """

    __tablename__: ClassVar[Any] = "budget_account"
    __table_args__ = (
        CheckConstraint("held_micros >= 0 AND spent_micros >= 0", name="nothing_negative"),
        CheckConstraint("unfunded_micros >= 0", name="unfunded_not_negative"),
        CheckConstraint("held_micros + spent_micros <= cap_micros", name="never_over_the_cap"),
        CheckConstraint("0 <= asked_micros AND asked_micros <= cap_micros", name="cap_keeps_what_is_taken"),
    )

    campaign: str = Field(primary_key=True)
    limit_name: str = Field(primary_key=True)
    asked_micros: int = _micros()
    cap_micros: int = _micros()
    held_micros: int = _micros()
    spent_micros: int = _micros()
    unfunded_micros: int = _none_yet()
    fence: int = _micros()
    frozen: bool = False


class LeaseRow(SQLModel, table=True):
    """What one worker was lent of one account. A lease that is over is deleted; its fence is never given again."""

    __tablename__: ClassVar[Any] = "budget_lease"
    __table_args__ = (
        CheckConstraint("0 <= used_micros AND used_micros <= granted_micros", name="never_over_the_grant"),
        ForeignKeyConstraint(
            ["campaign", "limit_name"], ["budget_account.campaign", "budget_account.limit_name"], name="of_account"
        ),
    )

    campaign: str = Field(primary_key=True)
    limit_name: str = Field(primary_key=True)
    fence: int = _micros(key=True)
    worker: str
    granted_micros: int = _micros()
    used_micros: int = _micros()
    expires_at: datetime = Field(sa_type=UtcTime)


class HoldRow(SQLModel, table=True):
    """What one decision, or one batch of them, takes of one account: at most `amount`, at least `sure`.

    `spent_micros` is null until the outcome settles it; silence does at `due_at`. What it should have spent besides and
    found no room for is `unfunded_micros`. A batch has no lease (`fence` 0), and no such time.
    """

    __tablename__: ClassVar[Any] = "budget_hold"
    __table_args__ = (
        CheckConstraint("0 <= sure_micros AND sure_micros <= amount_micros", name="sure_within_amount"),
        CheckConstraint("0 <= spent_micros AND spent_micros <= amount_micros", name="spent_within_amount"),
        CheckConstraint(f"unfunded_micros = 0 OR ({_OWED})", name="unfunded_within_amount"),
        Index("holds_by_due", "due_at", "decision_id"),
        Index("holds_unfunded", "decision_id", sqlite_where=_UNFUNDED, postgresql_where=_UNFUNDED),
    )

    decision_id: str = Field(primary_key=True)
    limit_name: str = Field(primary_key=True)
    campaign: str
    fence: int = _micros()
    amount_micros: int = _micros()
    sure_micros: int = _micros()
    spent_micros: int | None = Field(default=None, sa_type=BigInteger)
    unfunded_micros: int = _none_yet()
    due_at: datetime | None = Field(default=None, sa_type=UtcTime)
