"""Feedback that counts for nothing: it waits for its decision, or has become a dead letter with a reason."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeAlias

from sqlalchemy import ColumnElement, String, delete, func, select, tuple_, update
from sqlmodel import Session, col

from warehouse.columns import micros, moment
from warehouse.feedback_log import EventLog, listed
from warehouse.store import Store
from warehouse.tables import DeadLetterRow, FeedbackRow

Decided: TypeAlias = Callable[[Sequence[str]], Mapping[str, int]]
"""Which of some decisions exist, and at which microsecond each was made."""

PATIENCE = timedelta(hours=24)
EARLY = "it happened before its decision was made"
_PAGE = 10_000  # waiting events in one transaction
_LOG = FeedbackRow.__table__.c  # type: ignore[attr-defined]  # SQLModel makes it


@dataclass(frozen=True, slots=True)
class Waiting:
    """An event whose decision is not known yet."""

    event_id: str
    decision_id: str
    occurred_at: datetime
    received_at: datetime


@dataclass(frozen=True, slots=True)
class Swept:
    """How many waiting events found their decision, and how many became dead letters."""

    joined: int
    dead: int


def waiting(session: Session, *, after: Waiting | None = None, most: int | None = None) -> list[Waiting]:
    """Events that wait for their decision, in the order in which they came."""
    place = (_LOG.received_at, _LOG.event_id)
    query = select(_LOG.event_id, _LOG.decision_id, _LOG.occurred_at, _LOG.received_at).where(_LOG.status == "pending")
    if after is not None:
        query = query.where(tuple_(*place) > tuple_(micros(after.received_at), after.event_id))
    return [Waiting(*row) for row in session.connection().execute(query.order_by(*place).limit(most))]


def join(session: Session, events: Sequence[Waiting], decided: Mapping[str, int]) -> Swept:
    """Give waiting events their place, as far as their decisions are known by now."""
    log = EventLog(session)
    found = [event for event in events if event.decision_id in decided]
    if not found:
        return Swept(0, 0)
    early = {event.event_id: "dead" for event in found if micros(event.occurred_at) < decided[event.decision_id]}
    answered = log.answered({event.decision_id for event in found})
    statuses: dict[str, str] = {}
    for event in found:
        if event.event_id not in early:
            statuses[event.event_id] = "corrected" if event.decision_id in answered else "accepted"
            answered.add(event.decision_id)
    joined = log.mark(statuses, was="pending")
    dead = log.mark(early, was="pending", reason=EARLY)
    log.tally(joined)
    return Swept(joined, dead)


def expire(session: Session, *, now: datetime, patience: timedelta = PATIENCE) -> int:
    """Make dead letters of the events that have waited longer than that; how many they are."""
    late = (
        update(FeedbackRow)
        .where(col(FeedbackRow.status) == "pending", col(FeedbackRow.received_at) < now - patience)
        .values(status="dead", reason=unknown_within(patience))
    )
    return int(session.connection().execute(late).rowcount)


def unknown_within(patience: timedelta) -> str:
    """The reason of an event that waited in vain."""
    return f"no decision of that id became known within {patience / timedelta(hours=1):g} hours"


def sweep(store: Store, decided: Decided, *, now: datetime, patience: timedelta = PATIENCE) -> Swept:
    """Join every waiting event whose decision has become known, then give up those that waited too long.

    Decisions are looked up between transactions, so that nobody waits for files to be read.
    """
    joined = dead = 0
    page: list[Waiting] = []
    while True:
        with store.transaction(write=False) as session:
            page = waiting(session, after=page[-1] if page else None, most=_PAGE)
        if not page:
            break
        known = decided(sorted({event.decision_id for event in page}))
        if known:
            with store.transaction() as session:
                swept = join(session, page, known)
            joined, dead = joined + swept.joined, dead + swept.dead
    if oldest_wait(store, now=now) > patience:
        with store.transaction() as session:
            dead += expire(session, now=now, patience=patience)
    return Swept(joined, dead)


def oldest_wait(store: Store, *, now: datetime) -> timedelta:
    """How long the event has waited that has waited longest; zero where none waits."""
    query = select(func.min(_LOG.received_at)).where(_LOG.status == "pending")
    with store.transaction(write=False) as session:
        oldest = session.connection().execute(query).scalar()
    return timedelta(0) if oldest is None else now - (oldest if isinstance(oldest, datetime) else moment(oldest))


def dead_letters(store: Store, *, after: str = "", most: int | None = None) -> tuple[dict[str, Any], ...]:
    """Everything that counts for nothing, with its reason: conflicting bodies, and events that found no decision.

    Args:
        store: the operational database.
        after: only those of later event ids.
        most: how many at most; all bodies of one event id come together.

    Returns:
        event_id, kind (`conflict`: another body has taken the id; `unknown`: no decision), decision_id, outcome,
        reward_micros, occurred_at, received_at, digest, reason; by event id.
    """
    conflicts = select(DeadLetterRow).where(col(DeadLetterRow.event_id) > after)
    dead = select(FeedbackRow).where(col(FeedbackRow.status) == "dead", col(FeedbackRow.event_id) > after)
    with store.transaction(write=False) as session:
        kept = session.scalars(conflicts.order_by(col(DeadLetterRow.event_id), col(DeadLetterRow.digest)).limit(most))
        letters = [_letter(row, "conflict", row.body) for row in kept]
        lost = session.scalars(dead.order_by(col(FeedbackRow.event_id)).limit(most))
        letters += [_letter(row, "unknown", _said(row)) for row in lost]
    letters.sort(key=lambda letter: (letter["event_id"], letter["kind"], letter["digest"]))
    return tuple(letters[:most])


def retry(store: Store, event_ids: Iterable[str] | None, *, now: datetime) -> int:
    """Let dead events wait once more, all or those named; the next sweep looks for their decisions."""
    with store.transaction() as session:
        again = update(FeedbackRow).where(_dead(session, event_ids))
        again = again.values(status="pending", reason="", received_at=now)
        return int(session.connection().execute(again).rowcount)


def drop(store: Store, event_ids: Sequence[str]) -> int:
    """Give up dead letters for good. Their event ids stay taken; the same record is a duplicate from now on."""
    with store.transaction() as session:
        given_up = update(FeedbackRow).where(_dead(session, event_ids)).values(status="dropped")
        among = col(DeadLetterRow.event_id).in_(listed(session, event_ids, String))
        conflicts = delete(DeadLetterRow).where(among)
        connection = session.connection()
        return int(connection.execute(given_up).rowcount) + int(connection.execute(conflicts).rowcount)


def _dead(session: Session, event_ids: Iterable[str] | None) -> ColumnElement[bool]:
    dead = col(FeedbackRow.status) == "dead"
    return dead if event_ids is None else dead & col(FeedbackRow.event_id).in_(listed(session, event_ids, String))


def _said(row: FeedbackRow) -> dict[str, Any]:
    return {
        "decision_id": row.decision_id,
        "outcome": row.outcome,
        "reward_micros": row.reward_micros,
        "occurred_at": row.occurred_at.isoformat(),
    }


def _letter(row: FeedbackRow | DeadLetterRow, kind: str, said: dict[str, Any]) -> dict[str, Any]:
    at = row.received_at.isoformat()
    return {
        "event_id": row.event_id,
        "kind": kind,
        **said,
        "received_at": at,
        "digest": row.digest,
        "reason": row.reason,
    }
