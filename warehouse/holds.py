"""What decisions hold of accounts until their outcomes settle it, and what they have spent then."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Row, Table, bindparam, func, literal, or_, select, tuple_, update
from sqlmodel import Session

from warehouse.accounts import LEASES, Account, lock, read_accounts, recall, save_accounts
from warehouse.columns import UtcTime, micros
from warehouse.ledger_tables import HoldRow
from warehouse.prepared import connection_of, insert_rows

HOLDS: Table = HoldRow.__table__  # type: ignore[attr-defined]

_MOST_IDS = 500  # in one question

_hold, _lease = HOLDS.c, LEASES.c
_SETTLE = (
    update(HOLDS)
    .where(_hold.decision_id == bindparam("decision"), _hold.limit_name == bindparam("limit"))
    .values(spent_micros=bindparam("spent"), unfunded_micros=bindparam("unfunded"))
)


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds: a decision with its lease's fence and when silence settles it, or a batch (fence 0, never due)."""

    decision_id: str
    campaign: str
    fence: int
    due_at: datetime | None


@dataclass(frozen=True, slots=True)
class Place:
    """A decision in the order in which they are due."""

    due_at: datetime
    decision_id: str


@dataclass(frozen=True, slots=True)
class Claim:
    """What a decision asks to hold.

    amounts: by limit, micros, 0 or more. sure: of these, what is spent whatever the outcome; default 0. due: when
    silence means that there was no success; default in 30 days.
    """

    decision_id: str
    amounts: Mapping[str, int]
    sure: Mapping[str, int] = field(default_factory=dict)
    due: datetime | None = None


def add_holds(session: Session, holds: Iterable[tuple[Holder, Mapping[str, int], Mapping[str, int]]]) -> None:
    """Write down who holds which amounts, micros by limit, and what of them is spent whatever the outcome."""
    rows = [row for hold in holds for row in _rows(*hold)]
    if rows:
        insert_rows(connection_of(session), HOLDS, rows)


def _rows(who: Holder, amounts: Mapping[str, int], sure: Mapping[str, int]) -> Iterator[dict[str, Any]]:
    due = None if who.due_at is None else micros(who.due_at)
    common = {"decision_id": who.decision_id, "campaign": who.campaign, "fence": who.fence, "due_at": due}
    common |= {"spent_micros": None, "unfunded_micros": 0}
    for limit, amount in amounts.items():
        yield common | {"limit_name": limit, "amount_micros": amount, "sure_micros": sure.get(limit, 0)}


def holds_of(session: Session, ids: Sequence[str]) -> list[Row[Any]]:
    """The holds of some decisions, by id and limit."""
    found = select(HOLDS).order_by(_hold.decision_id, _hold.limit_name)
    parts = (ids[first : first + _MOST_IDS] for first in range(0, len(ids), _MOST_IDS))
    return [row for part in parts for row in session.execute(found.where(_hold.decision_id.in_(part)))]


def spent_by(hold: Row[Any], succeeded: bool) -> int:
    """What a hold has spent when its outcome is known."""
    return int(hold.amount_micros if succeeded else hold.sure_micros)


@dataclass(frozen=True, slots=True)
class Posting:
    """What settling did.

    decisions: how many hold or have spent something else than before. short: by limit, what could not be spent: beyond
    what was held, or freed before and taken by others since.
    """

    decisions: int
    short: dict[str, int]


def settle_holds(session: Session, ids: Sequence[str], spend: Callable[[Row[Any]], int]) -> Posting:
    """Settle the holds of some decisions, also if they were settled before.

    What was freed before and has been taken by others since stands beside the account as unfunded, until there is room.

    Args:
        session: of a writing transaction.
        ids: of the decisions; those that hold nothing are passed over.
        spend: what each hold has spent, micros.
    """
    lock(session)
    accounts: dict[str, dict[str, Account]] = {}
    short: dict[str, int] = {}
    settled = []
    for hold in holds_of(session, ids):
        if hold.campaign not in accounts:
            accounts[hold.campaign] = read_accounts(session, hold.campaign)
        asked = spend(hold)
        spent, unfunded = _post(session, accounts[hold.campaign][hold.limit_name], hold, asked)
        if (spent, unfunded) != (hold.spent_micros, hold.unfunded_micros):
            one = {"decision": hold.decision_id, "limit": hold.limit_name}
            settled.append(one | {"spent": spent, "unfunded": unfunded})
        if spent < asked:
            short[hold.limit_name] = short.get(hold.limit_name, 0) + asked - spent
    if settled:
        session.connection().execute(_SETTLE, settled)
    save_accounts(session, [account for of in accounts.values() for account in of.values()])
    return Posting(len({one["decision"] for one in settled}), short)


def _post(session: Session, account: Account, hold: Row[Any], wanted: int) -> tuple[int, int]:
    """Spend on one hold, within what it holds; settled before, within what is there as well. Spent, and unfunded."""
    wanted = max(0, min(wanted, hold.amount_micros))
    if hold.spent_micros is None:
        account.give_back(hold.amount_micros, spent=wanted)
        return wanted, 0
    more = wanted - hold.spent_micros
    if more > max(0, account.room):
        recall(session, account)
        more = max(min(more, account.room), min(0, more))
    account.give_back(0, spent=more)
    spent = int(hold.spent_micros + more)
    account.unfunded += wanted - spent - hold.unfunded_micros
    return spent, wanted - spent


def due_holds(session: Session, after: Place, now: datetime, most: int) -> dict[str, list[Row[Any]]]:
    """Holds of single decisions that an outcome may still settle, or settle otherwise: open, or not yet due.

    Args:
        session: of any transaction.
        after: begin behind this decision.
        now: the time.
        most: decisions.

    Returns:
        by decision, in the order in which they are due.
    """
    place = tuple_(_hold.due_at, _hold.decision_id)
    query = select(_hold.due_at, _hold.decision_id).where(
        or_(_hold.spent_micros.is_(None), _hold.due_at > now),
        place > tuple_(literal(after.due_at, UtcTime), literal(after.decision_id)),
    )
    page = session.execute(query.distinct().order_by(*place).limit(most))
    return holds_by_decision(session, [row.decision_id for row in page])


def unfunded_ids(session: Session, most: int) -> list[str]:
    """Decisions that have spent what there was no room for."""
    query = select(_hold.decision_id).where(_hold.unfunded_micros > 0).distinct().order_by(_hold.decision_id)
    return list(session.execute(query.limit(most)).scalars())


def holds_by_decision(session: Session, ids: Sequence[str]) -> dict[str, list[Row[Any]]]:
    """The holds of some decisions, in their order."""
    found: dict[str, list[Row[Any]]] = {decision_id: [] for decision_id in ids}
    for hold in holds_of(session, ids):
        found[hold.decision_id].append(hold)
    return found


@dataclass(frozen=True, slots=True)
class Sums:
    """What the accounts of a campaign are made of, micros by limit: the unused part of leases, and of what decisions
    and batches took what is held, spent, and unfunded."""

    lent: dict[str, int]
    held: dict[str, int]
    spent: dict[str, int]
    unfunded: dict[str, int]


def sums_of(session: Session, campaign: str) -> Sums:
    """The parts of a campaign's accounts."""
    open_ones, settled = _hold.spent_micros.is_(None), _hold.spent_micros.is_not(None)
    return Sums(
        lent_of(session, campaign),
        _sum(session, campaign, _hold.amount_micros, open_ones),
        _sum(session, campaign, _hold.spent_micros, settled),
        _sum(session, campaign, _hold.unfunded_micros, settled),
    )


def lent_of(session: Session, campaign: str) -> dict[str, int]:
    """By limit, what leases do not use."""
    lent = select(_lease.limit_name, func.sum(_lease.granted_micros - _lease.used_micros))
    found = session.execute(lent.where(_lease.campaign == campaign).group_by(_lease.limit_name))
    return {limit: int(amount) for limit, amount in found}


def _sum(session: Session, campaign: str, amount: ColumnElement[Any], which: ColumnElement[bool]) -> dict[str, int]:
    query = select(_hold.limit_name, func.sum(amount)).where(_hold.campaign == campaign, which)
    return {limit: int(total) for limit, total in session.execute(query.group_by(_hold.limit_name))}
