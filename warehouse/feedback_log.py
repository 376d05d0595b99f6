"""The log of events as sets: what is known of many ids, and many events added, each in one statement."""

import hashlib
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, final

from sqlalchemy import (
    ARRAY,
    BigInteger,
    ColumnElement,
    Select,
    String,
    cast,
    func,
    literal,
    select,
    update,
)
from sqlmodel import Session

from warehouse.columns import compact
from warehouse.database import insert_into
from warehouse.feedback_records import Body
from warehouse.feedback_tables import TallyRow
from warehouse.statements import statement
from warehouse.tables import DeadLetterRow, FeedbackRow

JOINED = ("accepted", "corrected")
_LOG = FeedbackRow.__table__.c  # type: ignore[attr-defined]  # SQLModel makes it
_WRITERS = 64  # rows of the tally, each for one process at a time


@dataclass(frozen=True, slots=True)
class NewEvent:
    """An event to be added, with what became of it."""

    body: Body
    digest: str
    status: str
    received_us: int


def decision_key(decision_id: str) -> int:
    """The number by which events of a decision are found: 64 bits, shorter than any id. Two decisions may share one."""
    return int.from_bytes(hashlib.blake2b(decision_id.encode(), digest_size=8).digest(), "little", signed=True)


def listed(session: Session, values: Iterable[Any], kind: type[String] | type[BigInteger]) -> Select[Any]:
    """Some values as one column of a query, whatever their number."""
    if session.get_bind().dialect.name == "sqlite":
        return select(func.json_each(compact(list(values))).table_valued("value").c.value)
    return select(func.unnest(cast(literal(list(values), ARRAY(kind)), ARRAY(kind))).column_valued())


@final
class EventLog:
    """The log inside one transaction."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._connection = session.connection()

    def kept(self, event_ids: Iterable[str]) -> dict[str, tuple[str, str]]:
        """{event id: (digest, status)} of those that are in the log."""
        among = _LOG.event_id.in_(listed(self._session, event_ids, String))
        query = select(_LOG.event_id, _LOG.digest, _LOG.status).where(among)
        return {event_id: (digest, status) for event_id, digest, status in self._connection.execute(query)}

    def answered(self, decision_ids: Iterable[str]) -> set[str]:
        """Those of some decisions that have an event already."""
        among = self._of(decision_ids)
        return set(self._connection.execute(select(_LOG.decision_id).where(among, _LOG.status.in_(JOINED))).scalars())

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
        if self._connection.dialect.name == "sqlite":  # it has one writer at a time: nothing happens in the meantime
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
            new = insert_into(self._connection, TallyRow).values(writer=os.getpid() % _WRITERS, changes=changes)
            total = TallyRow.__table__.c.changes + new.excluded.changes  # type: ignore[attr-defined]
            self._connection.execute(new.on_conflict_do_update(index_elements=["writer"], set_={"changes": total}))

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
