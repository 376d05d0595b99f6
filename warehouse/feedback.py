"""Feedback as a log of events: acknowledged is durable, an event counts once, the order of arrival changes nothing."""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeAlias

from sqlalchemy import BigInteger, insert, type_coerce, update
from sqlalchemy import select as columns_of
from sqlmodel import Session, col, select

from warehouse.columns import micros
from warehouse.feedback_files import Body, Item
from warehouse.store import Store
from warehouse.tables import DeadLetterRow, FeedbackRow

if TYPE_CHECKING:
    import pyarrow as pa

KnownDecisions: TypeAlias = Callable[[Sequence[str]], set[str]]

PATIENCE = timedelta(hours=24)
TAKEN = "the event id is already taken by another body"
UNKNOWN = "no decision of that id became known within 24 hours"
JOINED = ("accepted", "corrected")
_AT_ONCE = 500  # values in one IN list


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of the records of one call, and of the earlier ones that waited for their decision.

    accepted: joined to a decision that had no outcome.
    corrected: joined to a decision that had one; the latest `occurred_at` counts, ties by event id.
    duplicate: the same event id with the same body again.
    pending: no such decision yet; kept, and joined when it becomes known within 24 hours.
    rejected: not sound, or an event id that another body has taken; `reasons` says (line, event id, why).
    joined, dead: events of earlier calls that found their decision now, or gave up waiting for it.
    """

    accepted: int = 0
    duplicate: int = 0
    corrected: int = 0
    pending: int = 0
    rejected: int = 0
    reasons: tuple[tuple[int, str, str], ...] = ()
    joined: int = 0
    dead: int = 0


@dataclass(slots=True)
class _Sorted:
    """The records of one call, told apart by their event ids."""

    fresh: dict[str, Body] = field(default_factory=dict)
    retried: dict[str, Body] = field(default_factory=dict)
    conflicts: list[Body] = field(default_factory=list)
    reasons: list[tuple[int, str, str]] = field(default_factory=list)
    duplicate: int = 0


def digest(body: Body) -> str:
    """Names what an event says; equal bodies, equal digests."""
    said = (body.decision_id, body.outcome, body.reward_micros, micros(body.occurred_at))
    return hashlib.blake2b("\x1f".join(map(str, said)).encode(), digest_size=16).hexdigest()


def take_feedback(
    store: Store, items: Iterable[Item], known_decisions: KnownDecisions, *, received_at: datetime
) -> Receipt:
    """Take records into the log in one transaction: when this returns they are durable, all of them or none.

    A dead event that is sent again is tried again.

    Args:
        store: the operational database.
        items: as `read_feedback` or `feedback_items` yields them.
        known_decisions: the subset of some decision ids that exist.
        received_at: now.
    """
    items = tuple(items)
    known = _known(store, known_decisions, [item.body.decision_id for item in items if item.body is not None])
    with store.transaction() as session:
        sorted_ = _sort(session, items)
        _keep_conflicts(session, sorted_.conflicts, received_at)
        _revive(session, sorted_.retried, received_at)
        _add(session, sorted_.fresh, received_at)
        new = set(sorted_.fresh) | set(sorted_.retried)
        joined = _join(session, known)
        dead = _expire(session, received_at)
    ours = [status for event_id, status in joined.items() if event_id in new]
    return Receipt(
        accepted=ours.count("accepted"),
        corrected=ours.count("corrected"),
        duplicate=sorted_.duplicate,
        pending=len(new) - len(ours),
        rejected=len(sorted_.reasons),
        reasons=tuple(sorted_.reasons),
        joined=len(joined) - len(ours),
        dead=dead,
    )


def rejoin(store: Store, known_decisions: KnownDecisions, *, now: datetime) -> Receipt:
    """Join the waiting events whose decision has become known; those that waited longer than 24 hours die."""
    return take_feedback(store, (), known_decisions, received_at=now)


def _known(store: Store, known_decisions: KnownDecisions, named: list[str]) -> set[str]:
    """Asked before the transaction, so that nobody waits for a scan of files."""
    waiting = select(FeedbackRow.decision_id).where(FeedbackRow.status == "pending")
    with store.transaction(write=False) as session:
        wanted = sorted({*named, *session.exec(waiting)})
    return set(known_decisions(wanted)) if wanted else set()


def _chunks(values: Iterable[str]) -> Iterator[list[str]]:
    ordered = list(values)
    for start in range(0, len(ordered), _AT_ONCE):
        yield ordered[start : start + _AT_ONCE]


def _sort(session: Session, items: Sequence[Item]) -> _Sorted:
    """Fresh, duplicate, conflicting or unsound, in the order of the lines."""
    log = (FeedbackRow.event_id, FeedbackRow.digest, FeedbackRow.status)
    seen: dict[str, tuple[str, str]] = {}
    for chunk in _chunks({item.event_id: None for item in items if item.body is not None}):
        for event_id, said, status in session.exec(select(*log).where(col(FeedbackRow.event_id).in_(chunk))):
            seen[event_id] = (said, status)
    out = _Sorted()
    for item in items:
        if item.body is None:
            out.reasons.append((item.line, item.event_id, item.reason))
            continue
        said = digest(item.body)
        before, status = seen.get(item.event_id, ("", ""))
        if before == "":
            out.fresh[item.event_id] = item.body
        elif before != said:
            out.conflicts.append(item.body)
            out.reasons.append((item.line, item.event_id, TAKEN))
        elif status == "dead":
            out.retried[item.event_id] = item.body
        else:
            out.duplicate += 1
        if before in ("", said):
            seen[item.event_id] = (said, "pending")
    return out


def _keep_conflicts(session: Session, conflicts: Sequence[Body], received_at: datetime) -> None:
    for body in conflicts:
        said = {
            "decision_id": body.decision_id,
            "outcome": body.outcome,
            "reward_micros": body.reward_micros,
            "occurred_at": body.occurred_at.isoformat(),
        }
        row = DeadLetterRow(
            event_id=body.event_id, digest=digest(body), body=said, reason=TAKEN, received_at=received_at
        )
        session.merge(row)
    session.flush()


def _revive(session: Session, bodies: Iterable[str], received_at: datetime) -> None:
    for chunk in _chunks(bodies):
        again = update(FeedbackRow).where(col(FeedbackRow.event_id).in_(chunk))
        session.execute(again.values(status="pending", reason="", received_at=received_at))


def _add(session: Session, bodies: dict[str, Body], received_at: datetime) -> None:
    rows: list[dict[str, Any]] = [
        {
            "event_id": body.event_id,
            "decision_id": body.decision_id,
            "outcome": body.outcome,
            "reward_micros": body.reward_micros,
            "occurred_at": body.occurred_at,
            "received_at": received_at,
            "digest": digest(body),
            "status": "pending",
            "reason": "",
        }
        for body in bodies.values()
    ]
    if rows:
        session.execute(insert(FeedbackRow), rows)


def _join(session: Session, known: set[str]) -> dict[str, str]:
    """Give every waiting event whose decision is known its status; returns {event id: status}."""
    waiting = (
        select(FeedbackRow.event_id, FeedbackRow.decision_id)
        .where(FeedbackRow.status == "pending")
        .order_by(col(FeedbackRow.received_at), col(FeedbackRow.occurred_at), FeedbackRow.event_id)
    )
    pairs = [(event_id, decision) for event_id, decision in session.exec(waiting) if decision in known]
    decided: set[str] = set()
    for chunk in _chunks({decision: None for _, decision in pairs}):
        query = select(FeedbackRow.decision_id).where(
            col(FeedbackRow.decision_id).in_(chunk), col(FeedbackRow.status).in_(JOINED)
        )
        decided.update(session.exec(query))
    out: dict[str, str] = {}
    for event_id, decision in pairs:
        out[event_id] = "corrected" if decision in decided else "accepted"
        decided.add(decision)
    for status in ("accepted", "corrected"):
        for chunk in _chunks(event_id for event_id, given in out.items() if given == status):
            session.execute(update(FeedbackRow).where(col(FeedbackRow.event_id).in_(chunk)).values(status=status))
    return out


def _expire(session: Session, now: datetime) -> int:
    late = (
        update(FeedbackRow)
        .where(col(FeedbackRow.status) == "pending", col(FeedbackRow.received_at) < now - PATIENCE)
        .values(status="dead", reason=UNKNOWN)
    )
    return int(session.connection().execute(late).rowcount)


def outcomes(store: Store, *, up_to: datetime | None = None, received_until: datetime | None = None) -> "pa.Table":
    """What is known of every decision: one row each, of its latest event; ties by event id.

    Args:
        store: the operational database.
        up_to: leave out events that occurred later; None takes all. It looks at `occurred_at`, so that the same events
            give the same answer whenever they arrived.
        received_until: leave out events that were received later: what was known at that time.

    Returns:
        decision_id text, outcome int8, reward float64 (currency units), occurred_at and received_at timestamps in UTC;
        ordered by decision_id.
    """
    import pyarrow as pa

    log = FeedbackRow.__table__.c  # type: ignore[attr-defined]  # SQLModel makes it
    times = (type_coerce(log.occurred_at, BigInteger), type_coerce(log.received_at, BigInteger))
    query = columns_of(log.decision_id, log.outcome, log.reward_micros, *times).where(log.status.in_(JOINED))
    if up_to is not None:
        query = query.where(log.occurred_at <= up_to)
    if received_until is not None:
        query = query.where(log.received_at <= received_until)
    query = query.order_by(log.decision_id, log.occurred_at, log.event_id)
    with store.transaction(write=False) as session:
        latest = {row[0]: row for row in session.connection().execute(query)}  # a later event overwrites an earlier one
    columns = list(zip(*latest.values(), strict=True)) or [()] * 5
    time = pa.timestamp("us", "UTC")
    return pa.table(
        {
            "decision_id": pa.array(columns[0], pa.string()),
            "outcome": pa.array(columns[1], pa.int8()),
            "reward": pa.array([reward / 1_000_000 for reward in columns[2]], pa.float64()),
            "occurred_at": pa.array(columns[3], pa.int64()).cast(time),
            "received_at": pa.array(columns[4], pa.int64()).cast(time),
        }
    )


def dead_letters(store: Store) -> tuple[dict[str, Any], ...]:
    """Everything that counts for nothing, with its reason: conflicting bodies, and events that found no decision."""
    with store.transaction(write=False) as session:
        conflicts = session.exec(select(DeadLetterRow).order_by(DeadLetterRow.event_id, DeadLetterRow.digest)).all()
        dead = session.exec(
            select(FeedbackRow).where(FeedbackRow.status == "dead").order_by(FeedbackRow.event_id)
        ).all()
    kept = [{"event_id": row.event_id, **row.body, "reason": row.reason} for row in conflicts]
    lost = [
        {
            "event_id": row.event_id,
            "decision_id": row.decision_id,
            "outcome": row.outcome,
            "reward_micros": row.reward_micros,
            "occurred_at": row.occurred_at.isoformat(),
            "reason": row.reason,
        }
        for row in dead
    ]
    return (*kept, *lost)
