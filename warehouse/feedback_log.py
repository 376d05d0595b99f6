"""The log of events as sets: what is known of many ids, and many events added, each in one statement."""

import hashlib
import os
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from functools import cache, lru_cache
from typing import Any, NamedTuple, TypeAlias, final

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Select,
    String,
    bindparam,
    cast,
    func,
    literal,
    select,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import Session

from warehouse.columns import compact, moment
from warehouse.database import insert_into
from warehouse.feedback_records import Body
from warehouse.feedback_tables import TallyRow
from warehouse.prepared import connection_of, text_of
from warehouse.statements import statement
from warehouse.tables import DeadLetterRow, FeedbackRow

Kind: TypeAlias = type[String] | type[BigInteger]

JOINED = ("accepted", "corrected")
_LOG = FeedbackRow.__table__.c  # type: ignore[attr-defined]  # SQLModel makes it
_TALLY = TallyRow.__table__  # type: ignore[attr-defined]
_WRITERS = 64  # rows of the tally, each for one process at a time


class NewEvent(NamedTuple):
    """An event to be added, in the order of the columns of `feedback_add_*.sql`; times in microseconds."""

    event_id: str
    decision_id: str
    outcome: int
    reward_micros: int
    occurred_us: int
    received_us: int
    digest: str
    status: str
    decision_key: int


class Heard(NamedTuple):
    """What the events of one decision say, however many: outcomes by time, ties by event id; when the latest was."""

    first: int
    latest: int
    largest: int
    latest_at: datetime


@lru_cache(16_384)  # asked for twice within a moment
def decision_key(decision_id: str) -> int:
    """The number by which events of a decision are found: 64 bits, shorter than any id. Two decisions may share one."""
    return int.from_bytes(hashlib.blake2b(decision_id.encode(), digest_size=8).digest(), "little", signed=True)


def listed(session: Session, values: Iterable[Any], kind: Kind) -> Select[Any]:
    """Some values as one column of a query, whatever their number."""
    if session.get_bind().dialect.name == "sqlite":
        return select(func.json_each(compact(list(values))).table_valued("value").c.value)
    return select(func.unnest(cast(literal(list(values), ARRAY(kind)), ARRAY(kind))).column_valued())


def _packed(dialect: str, values: Iterable[Any]) -> str:
    """Texts without control characters, or numbers, as one value for the driver: JSON, or an array of PostgreSQL.

    Between braces, JSON of such values is an array of PostgreSQL; the driver takes ten times as long to write one.
    """
    text = compact(list(values))
    return text if dialect == "sqlite" else f"{{{text[1:-1]}}}"


@cache
def _tally(dialect: str) -> str:
    made = (sqlite if dialect == "sqlite" else postgresql).insert(_TALLY)
    new = made.values(writer=bindparam("writer"), changes=bindparam("changes"))
    total = _TALLY.c.changes + new.excluded.changes
    return text_of(new.on_conflict_do_update(index_elements=["writer"], set_={"changes": total}), dialect)


@final
class EventLog:
    """The log inside one transaction."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._connection = connection_of(session)
        self._dialect = self._connection.dialect.name

    def kept(self, event_ids: Iterable[str]) -> dict[str, tuple[str, str]]:
        """{event id: (digest, status)} of those that are in the log."""
        return {event_id: (digest, status) for event_id, digest, status in self._found("feedback_kept", event_ids)}

    def answered(self, decision_ids: Iterable[str]) -> set[str]:
        """Those of some decisions that have an event already; of two with one key, perhaps only one."""
        keys = set(map(decision_key, decision_ids))
        return {found[0] for found in self._found("feedback_answered", keys) if found[0] is not None}

    def heard(self, decision_ids: Iterable[str]) -> dict[str, Heard]:
        """{decision id: what its events that count say}, of those of which anything was heard."""
        wanted = set(decision_ids)
        return {
            decision_id: Heard(first, latest, largest, moment(at))
            for decision_id, first, latest, largest, at in self._found("feedback_heard", set(map(decision_key, wanted)))
            if decision_id in wanted
        }

    def add(self, events: Sequence[NewEvent]) -> set[str]:
        """Add events to the log, and say so in the tally.

        Returns:
            The ids of those that were added; the others have been taken in the meantime.
        """
        everyone = {event.event_id for event in events}
        rows = sorted(events)  # in one order, so that two transactions never wait crosswise
        if self._dialect == "sqlite":  # it has one writer at a time: nothing happens in the meantime
            self._connection.exec_driver_sql(statement("feedback_add_sqlite.sql", {}), rows)
            self.tally(len(rows))
            return everyone
        columns = tuple(_packed(self._dialect, column) for column in zip(*rows, strict=True))
        given = (*columns, _writer(), len(rows))
        told = self._connection.exec_driver_sql(statement("feedback_add_postgresql.sql", {}), given)
        [(count, ids)] = told.cursor.fetchall()
        return everyone if count == len(rows) else set(ids or ())

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
            counted = {"writer": _writer(), "changes": changes}
            self._connection.exec_driver_sql(_tally(self._dialect), counted)

    def _found(self, name: str, values: Iterable[Any]) -> Sequence[Any]:
        """The rows of a statement that looks many values up, each by an index, as the driver has them."""
        sql = statement(f"{name}_{self._dialect}.sql", {})
        found: Sequence[Any] = self._connection.exec_driver_sql(
            sql, (_packed(self._dialect, values),)
        ).cursor.fetchall()
        return found


def _writer() -> int:
    """The row of the tally for this process."""
    return os.getpid() % _WRITERS


def tallies(session: Session) -> dict[str, int]:
    """What every writer has changed so far."""
    rows = session.connection().execute(select(TallyRow.writer, TallyRow.changes))  # type: ignore[call-overload]
    return {str(writer): changes for writer, changes in rows}
