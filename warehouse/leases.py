"""The lease of a worker as every decision sees it: what is left of it, and taking of it, in prepared statements."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache

from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    String,
    Update,
    bindparam,
    case,
    func,
    literal_column,
    select,
    update,
)
from sqlmodel import Session

from warehouse.accounts import ACCOUNTS, LEASES, Borrower, wanted
from warehouse.columns import micros
from warehouse.prepared import as_rows, changed_by, connection_of, given_rows, rows_of, text_of

_account, _lease = ACCOUNTS.c, LEASES.c
_LEFT = (
    select(
        _lease.limit_name,
        case((_account.frozen, literal_column("0")), else_=_lease.granted_micros - _lease.used_micros).label("left"),
        _account.asked_micros,
        _account.frozen,
        _lease.expires_at,
    )
    .join_from(LEASES, ACCOUNTS, (_lease.campaign == _account.campaign) & (_lease.limit_name == _account.limit_name))
    .where(_lease.campaign == bindparam("of"), _lease.fence == bindparam("number"), _lease.worker == bindparam("who"))
    .with_for_update(of=LEASES)
)
_GAIN = select(
    _account.limit_name,
    _account.asked_micros
    - _account.held_micros
    - _account.spent_micros
    - _account.unfunded_micros
    + select(func.coalesce(func.sum(_lease.granted_micros - _lease.used_micros), literal_column("0")))
    .where(_lease.campaign == _account.campaign, _lease.limit_name == _account.limit_name)
    .where(_lease.fence != bindparam("number"))
    .scalar_subquery(),
).where(_account.campaign == bindparam("of"))


def _taking(limit: ColumnElement[str], amount: ColumnElement[int]) -> Update:
    """Take of a lease, unless it is over or has too little."""
    found = update(LEASES).where(
        _lease.campaign == bindparam("of"),
        _lease.limit_name == limit,
        _lease.fence == bindparam("number"),
        _lease.worker == bindparam("who"),
        _lease.expires_at > bindparam("now"),
        _lease.used_micros + amount <= _lease.granted_micros,
    )
    return found.values(used_micros=_lease.used_micros + amount)


_TAKEN = given_rows([Column("limit_name", String), Column("amount", BigInteger)])
_TAKE = {
    "sqlite": _taking(bindparam("limit_name"), bindparam("amount")),
    "postgresql": _taking(_TAKEN.c.limit_name, _TAKEN.c.amount),
}


@dataclass(frozen=True, slots=True)
class _Texts:
    """The statements that every decision passes."""

    left: str
    gain: str
    take: str


@cache
def _texts(dialect: str) -> _Texts:
    return _Texts(*(text_of(each, dialect) for each in (_LEFT, _GAIN, _TAKE[dialect])))


@dataclass(slots=True)
class Left:
    """What is left of a worker's lease, of an account with a cap that was asked for."""

    limit: str
    left: int
    asked: int
    frozen: bool
    expires_us: int

    def is_short(self, need: Mapping[str, int] | None) -> bool:
        """Whether it has less than is needed, and may be lent more."""
        return self.left < wanted(self.limit, self.asked, need) and not self.frozen


def left_of(session: Session, who: Borrower) -> list[Left]:
    """What is left of a worker's lease, by limit; on PostgreSQL nobody changes it until the transaction ends."""
    connection = connection_of(session)
    asked = {"of": who.campaign, "number": who.fence, "who": who.worker}
    return [Left(*row) for row in rows_of(connection, _texts(connection.dialect.name).left, asked)]


def may_gain(session: Session, who: Borrower, short: Collection[str]) -> bool:
    """Whether the account, or another worker's lease, has anything left of limits that run short."""
    if not short:
        return False
    connection = connection_of(session)
    asked = {"of": who.campaign, "number": who.fence}
    return any(
        limit in short and gain > 0 for limit, gain in rows_of(connection, _texts(connection.dialect.name).gain, asked)
    )


def take(session: Session, who: Borrower, amounts: Mapping[str, int], now: datetime) -> bool:
    """Take of a lease; False where it is over or has too little of any limit, and then the caller rolls back."""
    connection = connection_of(session)
    dialect = connection.dialect.name
    common = {"of": who.campaign, "number": who.fence, "who": who.worker, "now": micros(now)}
    rows = [{"limit_name": limit, "amount": amount} for limit, amount in sorted(amounts.items())]
    given = [common | row for row in rows] if dialect == "sqlite" else [common | {"rows": as_rows(rows)}]
    return changed_by(connection, _texts(dialect).take, given) == len(rows)
