"""The log of events as sets: what is known of many ids, and many events added, each in one statement."""

import hashlib
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache, lru_cache
from typing import Any, TypeAlias, final

from sqlalchemy import (
    ARRAY,
    BigInteger,
    ColumnElement,
    Select,
    String,
    bindparam,
    cast,
    func,
    literal,
    literal_column,
    select,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import Session

from warehouse.columns import compact
from warehouse.database import insert_into
from warehouse.feedback_records import Body
from warehouse.feedback_tables import TallyRow
from warehouse.prepared import text_of
from warehouse.statements import statement
from warehouse.tables import DeadLetterRow, FeedbackRow

Kind: TypeAlias = type[String] | type[BigInteger]

JOINED = ("accepted", "corrected")
_LOG = FeedbackRow.__table__.c  # type: ignore[attr-defined]  # SQLModel makes it
_TALLY = TallyRow.__table__  # type: ignore[attr-defined]
_WRITERS = 64  # rows of the tally, each for one process at a time


@dataclass(frozen=True, slots=True)
class NewEvent:
    """An event to be added, with what became of it."""

    body: Body
    digest: str
    status: str
    received_us: int


@lru_cache(16_384)  # asked for twice within a moment
def decision_key(decision_id: str) -> int:
    """The number by which events of a decision are found: 64 bits, shorter than any id. Two decisions may share one."""
    return int.from_bytes(hashlib.blake2b(decision_id.encode(), digest_size=8).digest(), "little", signed=True)


def listed(session: Session, values: Iterable[Any], kind: Kind) -> Select[Any]:
    """Some values as one column of a query, whatever their number."""
    dialect = session.get_bind().dialect.name
    return _column(dialect, literal(_as_one(dialect, values), _one(dialect, kind)), kind)


def _column(dialect: str, one: ColumnElement[Any], kind: Kind) -> Select[Any]:
    """The values that are in one value: JSON on SQLite, an array on PostgreSQL."""
    if dialect == "sqlite":
        return select(func.json_each(one).table_valued("value").c.value)
    return select(func.unnest(cast(one, _one(dialect, kind))).column_valued())


def _one(dialect: str, kind: Kind) -> Any:
    return String() if dialect == "sqlite" else ARRAY(kind)


def _as_one(dialect: str, values: Iterable[Any]) -> Any:
    return compact(list(values)) if dialect == "sqlite" else list(values)


@dataclass(frozen=True, slots=True)
class _Texts:
    """The statements that every event passes."""

    kept: str
    answered: str
    tally: str


@cache
def _texts(dialect: str) -> _Texts:
    def given(kind: Kind) -> Select[Any]:
        return _column(dialect, bindparam("given", type_=_one(dialect, kind)), kind)

    kept = select(_LOG.event_id, _LOG.digest, _LOG.status).where(_LOG.event_id.in_(given(String)))
    joined = _LOG.status.in_([literal_column(f"'{status}'") for status in JOINED])
    answered = select(_LOG.decision_id).where(_LOG.decision_key.in_(given(BigInteger)), joined)
    made = (sqlite if dialect == "sqlite" else postgresql).insert(_TALLY)
    new = made.values(writer=bindparam("writer"), changes=bindparam("changes"))
    total = _TALLY.c.changes + new.excluded.changes
    tally = new.on_conflict_do_update(index_elements=["writer"], set_={"changes": total})
    return _Texts(*(text_of(each, dialect) for each in (kept, answered, tally)))


@final
class EventLog:
    """The log inside one transaction."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._connection = session.connection()
        self._dialect = self._connection.dialect.name
        self._texts = _texts(self._dialect)

    def kept(self, event_ids: Iterable[str]) -> dict[str, tuple[str, str]]:
        """{event id: (digest, status)} of those that are in the log."""
        given = {"given": _as_one(self._dialect, event_ids)}
        rows = self._connection.exec_driver_sql(self._texts.kept, given)
        return {event_id: (digest, status) for event_id, digest, status in rows}

    def answered(self, decision_ids: Iterable[str]) -> set[str]:
        """Those of some decisions that have an event already, and perhaps a few others."""
        given = {"given": _as_one(self._dialect, {decision_key(decision_id) for decision_id in decision_ids})}
        return set(self._connection.exec_driver_sql(self._texts.answered, given).scalars())

    def events_of(self, decision_ids: Iterable[str]) -> dict[str, list[tuple[datetime, int, int]]]:
        """{decision id: its events that count as (occurred_at, outcome, reward_micros), by time, ties by event id}."""
        wanted = list(decision_ids)
        among = (self._of(wanted), _LOG.decision_id.in_(listed(self._session, wanted, String)))
        query = select(_LOG.decision_id, _LOG.occurred_at, _LOG.outcome, _LOG.reward_micros).where(*among)
        query = query.where(_LOG.status.in_(JOINED)).order_by(_LOG.occurred_at, _LOG.event_id)
        out: dict[str, list[tuple[datetime, int, int]]] = {}
        for decision_id, at, outcome, reward in self._connection.execute(query):
            out.setdefault(decision_id, []).append((at, outcome, reward))
        return out

    def add(self, events: Sequence[NewEvent]) -> set[str]:
        """Add events to the log.

        Returns:
            The ids of those that were added; the others have been taken in the meantime.
        """
        rows = sorted(_row(event) for event in events)  # in one order, so that two transactions never wait crosswise
        if self._dialect == "sqlite":  # it has one writer at a time: nothing happens in the meantime
            self._connection.exec_driver_sql(statement("feedback_add_sqlite.sql", {}), rows)
            return {event.body.event_id for event in events}
        columns = tuple(map(list, zip(*rows, strict=True)))
        added = self._connection.exec_driver_sql(statement("feedback_add_postgresql.sql", {}), columns)
        return set(added.scalars())

    def mark(self, statuses: Mapping[str, str], *, was: str, reason: str = "", at: datetime | None = None) -> int:
        """Give events that still have a status another one; with `at`, they count as received then. How many did."""
        values: dict[str, Any] = {"reason": reason} if at is None else {"reason": reason, "received_at": at}
        changed = 0
        for status in sorted(set(statuses.values())):
            ids = [event_id for event_id, given in statuses.items() if given == status]
            among = _LOG.event_id.in_(listed(self._session, ids, String))
            marked = update(FeedbackRow).where(among, _LOG.status == was).values(status=status, **values)
            changed += int(self._connection.execute(marked).rowcount)
        return changed

    def keep_conflicts(self, bodies: Iterable[tuple[Body, str, datetime]], reason: str) -> None:
        """Keep bodies whose event id is taken, each once, with their digests and when they first came."""
        rows = [
            {
                "event_id": body.event_id,
                "digest": digest,
                "body": body.to_json(),
                "reason": reason,
                "received_at": received_at,
            }
            for body, digest, received_at in bodies
        ]
        if rows:
            self._connection.execute(insert_into(self._connection, DeadLetterRow).on_conflict_do_nothing(), rows)

    def tally(self, changes: int) -> None:
        """Say that something has changed; see `TallyRow`."""
        if changes:
            counted = {"writer": os.getpid() % _WRITERS, "changes": changes}
            self._connection.exec_driver_sql(self._texts.tally, counted)

    def _of(self, decision_ids: Iterable[str]) -> ColumnElement[bool]:
        keys = {decision_key(decision_id) for decision_id in decision_ids}
        among: ColumnElement[bool] = _LOG.decision_key.in_(listed(self._session, keys, BigInteger))
        return among


def tallies(session: Session) -> dict[str, int]:
    """What every writer has changed so far."""
    rows = session.connection().execute(select(TallyRow.writer, TallyRow.changes))  # type: ignore[call-overload]
    return {str(writer): changes for writer, changes in rows}


def _row(event: NewEvent) -> tuple[Any, ...]:
    body = event.body
    return (
        body.event_id,
        body.decision_id,
        body.outcome,
        body.reward_micros,
        body.occurred_us,
        event.received_us,
        event.digest,
        event.status,
        decision_key(body.decision_id),
    )
