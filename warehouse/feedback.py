"""Feedback as a log of events: acknowledged is durable, an event counts once, the order of arrival changes nothing."""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, NamedTuple, TypeAlias, get_args

from sqlmodel import Session

from warehouse.columns import micros, moment
from warehouse.dead_letters import expire, join, waiting
from warehouse.feedback_log import EventLog, NewEvent, decision_key
from warehouse.feedback_records import Body, Item
from warehouse.store import Store

Result: TypeAlias = Literal["accepted", "corrected", "pending", "duplicate", "conflict", "rejected"]
RESULTS: tuple[Result, ...] = get_args(Result)
KnownDecisions: TypeAlias = Callable[[Sequence[str]], Collection[str]]

TAKEN = "the event id is already taken by another body"
AlsoDecided: TypeAlias = Callable[[Session, Collection[str]], Mapping[str, int]]
_EVER = -(1 << 62)  # before any time: a decision that is known, and about whose time nothing is said


@dataclass(frozen=True, slots=True)
class Batch:
    """Records that came together.

    items: as `read_feedback` or `feedback_items` yield them.
    decided: of the decisions that they name, those that exist, with the microsecond at which each was made.
    received_at: when they came.
    """

    items: Sequence[Item]
    decided: Mapping[str, int]
    received_at: datetime


class Answer(NamedTuple):
    """What became of one record.

    accepted: joined to a decision that had no outcome. corrected: joined to one that had. pending: no such decision
    yet; kept, and joined when it becomes known in time. duplicate: the same event id with the same body again.
    conflict: the event id is taken by another body; kept as a dead letter. rejected: not sound, for a `reason`.

    `receipt` names what was said under the event id: the same record has the same receipt whenever it comes.
    """

    line: int
    event_id: str
    result: Result
    receipt: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of the records of one call, and of the earlier ones that waited for their decision.

    accepted, corrected, duplicate, pending: as `Answer` says. rejected: also those in conflict; `reasons` says (line,
    event id, why). joined, dead: events of earlier calls that found their decision now, or gave up waiting for it.
    """

    accepted: int = 0
    duplicate: int = 0
    corrected: int = 0
    pending: int = 0
    rejected: int = 0
    reasons: tuple[tuple[int, str, str], ...] = ()
    joined: int = 0
    dead: int = 0


def take_feedback(
    store: Store, items: Iterable[Item], known_decisions: KnownDecisions, *, received_at: datetime
) -> Receipt:
    """Take records into the log in one transaction: when this returns they are durable, all of them or none.

    A dead event that is sent again is tried again.

    Args:
        store: the operational database.
        items: as `read_feedback` or `feedback_items` yields them.
        known_decisions: the subset of some decision ids that exist; a mapping also says at which microsecond each was
            made, and an outcome that came before is rejected.
        received_at: now.
    """
    items = tuple(items)
    with store.transaction(write=False) as session:
        before = waiting(session)
    named = {item.body.decision_id for item in items if item.body is not None}
    decided = _asked(known_decisions, sorted(named | {event.decision_id for event in before}))
    with store.transaction() as session:
        (answers,) = write_feedback(session, [Batch(items, decided, received_at)])
        swept = join(session, before, decided)
        dead = swept.dead + expire(session, now=received_at)
    counts = Counter(answer.result for answer in answers)
    unsound = [answer for answer in answers if answer.reason]
    return Receipt(
        accepted=counts["accepted"],
        duplicate=counts["duplicate"],
        corrected=counts["corrected"],
        pending=counts["pending"],
        rejected=len(unsound),
        reasons=tuple((answer.line, answer.event_id, answer.reason) for answer in unsound),
        joined=swept.joined,
        dead=dead,
    )


def rejoin(store: Store, known_decisions: KnownDecisions, *, now: datetime) -> Receipt:
    """Join the waiting events whose decision has become known; those that waited longer than 24 hours die."""
    return take_feedback(store, (), known_decisions, received_at=now)


def _asked(known_decisions: KnownDecisions, ids: Sequence[str]) -> dict[str, int]:
    found = known_decisions(ids) if ids else {}
    return dict(found) if isinstance(found, Mapping) else dict.fromkeys(found, _EVER)


def no_more(_session: Session, _ids: Collection[str]) -> Mapping[str, int]:
    """The database knows of no further decisions."""
    return {}


def write_feedback(
    session: Session, batches: Sequence[Batch], *, also_decided: AlsoDecided = no_more
) -> list[list[Answer]]:
    """Write batches into the log, inside a transaction: durable with it.

    Args:
        session: of the transaction.
        batches: in the order in which they came.
        also_decided: of decisions that their batch does not know, those that the database does, with their times.

    Returns:
        An answer for each record of each batch.
    """
    log = EventLog(session)
    bodies = [(batch, item.body) for batch in batches for item in batch.items if item.body is not None]
    unknown = {body.decision_id for batch, body in bodies if body.decision_id not in batch.decided}
    decided = also_decided(session, unknown) if unknown else {}
    known = {body.decision_id for _, body in bodies}.difference(unknown) | decided.keys()
    kept = log.kept({body.event_id for _, body in bodies}) if bodies else {}
    sorting = _Sorting(kept, log.answered(known) if known else set(), decided)
    answers = [sorting.told(batch) for batch in batches]
    added = log.add(list(sorting.new.values())) if sorting.new else set()
    lost = sorting.new.keys() - added
    if lost:  # another process was quicker
        sorting.lose(log.kept(lost))
        answers = [
            [_after(answer, item, batch, sorting, lost) for answer, item in zip(told, batch.items, strict=True)]
            for told, batch in zip(answers, batches, strict=True)
        ]
    log.mark(sorting.again, was="dead", at=batches[-1].received_at)
    log.keep_conflicts(sorting.conflicts, TAKEN)
    log.tally(len(sorting.again))
    return answers


@dataclass(slots=True)
class _Sorting:
    """Tells the records of one transaction apart.

    kept: {event id: (digest, status)}, in the log or earlier in this transaction. answered: decisions that have an
    event. decided: decisions that the database knows besides those of the batches. new: events to add. again: dead
    events that came once more, with their status from now on. conflicts: bodies whose event id is taken.
    """

    kept: dict[str, tuple[str, str]]
    answered: set[str]
    decided: Mapping[str, int]
    new: dict[str, NewEvent] = field(default_factory=dict)
    again: dict[str, str] = field(default_factory=dict)
    conflicts: list[tuple[Body, str, datetime]] = field(default_factory=list)

    def told(self, batch: Batch) -> list[Answer]:
        """What becomes of the records of a batch."""
        received = micros(batch.received_at)
        return [self._told(item, batch, received) for item in batch.items]

    def _told(self, item: Item, batch: Batch, received: int) -> Answer:
        body = item.body
        if body is None:
            return Answer(item.line, item.event_id, "rejected", reason=item.reason)
        event_id, decision_id, _, _, occurred = body
        decided = batch.decided.get(decision_id)
        if decided is None:
            decided = self.decided.get(decision_id)
        if decided is not None and occurred < decided:
            return Answer(item.line, event_id, "rejected", reason=_early(body, decided))
        digest = body.digest
        before = self.kept.get(event_id)
        if before is not None and before != (digest, "dead"):
            return self.repeated(item, body, digest, batch.received_at)
        result = self._result(decision_id, known=decided is not None)
        self.kept[event_id] = (digest, result)
        if before is None:
            self.new[event_id] = NewEvent(*body, received, digest, result, decision_key(decision_id))
        else:
            self.again[event_id] = result
        return Answer(item.line, event_id, result, digest)

    def repeated(self, item: Item, body: Body, digest: str, received_at: datetime) -> Answer:
        """What becomes of a record whose event id is in the log."""
        if self.kept[body.event_id][0] == digest:
            return Answer(item.line, item.event_id, "duplicate", digest)
        self.conflicts.append((body, digest, received_at))
        return Answer(item.line, item.event_id, "conflict", digest, TAKEN)

    def lose(self, kept: Mapping[str, tuple[str, str]]) -> None:
        """Learn what another process has taken in the meantime."""
        self.kept |= kept
        self.conflicts = [one for one in self.conflicts if self.kept[one[0].event_id][0] != one[1]]

    def _result(self, decision_id: str, *, known: bool) -> Result:
        if not known:
            return "pending"
        if decision_id in self.answered:
            return "corrected"
        self.answered.add(decision_id)
        return "accepted"


def _after(answer: Answer, item: Item, batch: Batch, sorting: _Sorting, lost: Collection[str]) -> Answer:
    """The answer to a record whose event id another process has taken in the meantime."""
    if item.body is None or answer.result == "rejected" or item.body.event_id not in lost:
        return answer
    return sorting.repeated(item, item.body, answer.receipt, batch.received_at)


def _early(body: Body, decided: int) -> str:
    return f"occurred_at {body.occurred_at.isoformat()} lies before the decision ({moment(decided).isoformat()})"
