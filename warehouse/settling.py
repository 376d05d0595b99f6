"""Outcomes settle what decisions hold: a little at a time, and again where an outcome is corrected or comes late."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, final

from sqlalchemy import Row, func, select
from sqlmodel import Session

from warehouse.columns import moment
from warehouse.decision_outcomes import LATEST, counting, outcome_of
from warehouse.feedback_log import JOINED, EventLog, tallies
from warehouse.holds import HOLDS, Place, due_holds, holds_by_decision, settle_holds, spent_by, unfunded_ids
from warehouse.store import Store
from warehouse.tables import FeedbackRow

_AT_ONCE = 2_000  # decisions: so long, and no longer, does one transaction keep others from the accounts
_EVENTS = 50_000  # numbers of the log that are gone through at once
_OVERLAP = timedelta(hours=1)  # longer than a round takes: what is due within it is looked at both ways
_OPEN = timedelta(seconds=15)  # so long at most, but for accidents, is a transaction open
_ANEW = timedelta(days=1)  # the log is read again: what waited for its decision has an old number in it

_log = FeedbackRow.__table__.c  # type: ignore[attr-defined]  # SQLModel makes it


@dataclass(frozen=True, slots=True)
class Settled:
    """What one turn did: decisions settled, and micros by limit for which there was no room any more."""

    decisions: int
    short: dict[str, int]


@final
class Settling:
    """Goes through the decisions that hold something, in the order in which they are due, and begins again.

    A success spends all that is held; a failure, or silence until the decision is due, what is sure. An outcome that
    comes later than that, or is corrected later, settles again: it is found in the log, where feedback has its number.
    Which of several events counts is the campaign's `[feedback] aggregation`, as in learning. After a whole round it
    rests until there is new feedback, or `rest` seconds are over.

    Args:
        store: the operational database.
        rest: seconds.
    """

    def __init__(self, store: Store, *, rest: float = 60.0) -> None:
        self._store = store
        self._rest = rest
        self._seen: dict[str, int] = {}
        self._begun: datetime | None = None
        self._first = Place(moment(0), "")  # all that was due before is settled
        self._place: Place | None = None
        self._read, self._reading, self._read_since = 0, False, moment(0)
        self._marks, self._marked = (0, 0), moment(0)  # how far the log was read the last two times that it was noted

    def turn(self, now: datetime) -> Settled | None:
        """Settle some decisions; None where there was nothing to look at.

        Raises:
            WorkspaceError: the database cannot be used; the next turn begins where this one did.
        """
        if self._place is None and not self._reading and not self._begins(now):
            return None
        with self._store.transaction(write=False) as session:
            due = {} if self._place is None else due_holds(session, self._place, now, _AT_ONCE)
            late, read, more = self._late(session, now) if self._reading else ([], self._read, False)
            again = unfunded_ids(session, _AT_ONCE) if self._place == self._first else []
            holds = due | holds_by_decision(
                session, [name for name in dict.fromkeys((*late, *again)) if name not in due]
            )
            outcomes = _outcomes(session, holds)
        changed = [name for name, of in holds.items() if any(_changes(x, outcomes, now) for x in of)]
        settled = Settled(0, {})
        if changed:
            posted = self._store.repeated(
                lambda session: settle_holds(session, changed, lambda hold: _spends(hold, outcomes))
            )
            settled = Settled(posted.decisions, posted.short if posted.decisions else {})
        self._goes_on(due)
        self._read, self._reading = read, more
        return settled

    def _begins(self, now: datetime) -> bool:
        """Whether another round is worth it."""
        with self._store.transaction(write=False) as session:
            seen = tallies(session)
        waited = self._begun is None or not 0.0 <= (now - self._begun).total_seconds() < self._rest
        if seen == self._seen and not waited:
            return False
        if abs(now - self._marked) >= _OPEN:  # a number may be given early and committed late: go back behind those
            before, last = self._marks
            self._marks, self._marked, self._read = (last, self._read), now, before
        if abs(now - self._read_since) >= _ANEW:
            self._read, self._read_since = 0, now
        self._seen, self._begun, self._place, self._reading = seen, now, self._first, True
        return True

    def _late(self, session: Session, now: datetime) -> tuple[list[str], int, bool]:
        """Decisions that were due, or nearly so, of which the next events tell; how far that is, and whether there are
        more."""
        held = select(HOLDS.c.decision_id).where(
            HOLDS.c.decision_id == _log.decision_id, HOLDS.c.due_at <= now + _OVERLAP, HOLDS.c.spent_micros.is_not(None)
        )
        newest = session.execute(select(func.max(_log.sequence))).scalar() or 0
        end = min(newest, self._read + _EVENTS)
        page = select(_log.sequence, _log.decision_id).where(
            _log.sequence > self._read, _log.sequence <= end, _log.status.in_(JOINED), held.exists()
        )
        found = session.execute(page.order_by(_log.sequence).limit(_AT_ONCE)).all()
        read = found[-1].sequence if len(found) == _AT_ONCE else end
        return [row.decision_id for row in found], read, read < newest

    def _goes_on(self, due: dict[str, list[Row[Any]]]) -> None:
        """Where the next turn begins to look at what is due."""
        if len(due) == _AT_ONCE:
            last = next(reversed(due.values()))[0]
            self._place = Place(last.due_at, last.decision_id)
        elif self._place is not None and self._begun is not None:  # the round is over
            self._place = None
            self._first = Place(max(self._begun - _OVERLAP, self._first.due_at), "")


def _outcomes(session: Session, holds: dict[str, list[Row[Any]]]) -> dict[str, bool]:
    """Whether decisions have succeeded, of those of which something was heard."""
    heard = EventLog(session).heard(holds) if holds else {}
    other = counting(session, heard) if heard else {}
    return {name: bool(outcome_of(said, other.get(name, LATEST))) for name, said in heard.items()}


def _changes(hold: Row[Any], outcomes: dict[str, bool], now: datetime) -> bool:
    if hold.decision_id not in outcomes and (hold.due_at > now or hold.spent_micros is not None):
        return False
    return bool((hold.spent_micros, hold.unfunded_micros) != (_spends(hold, outcomes), 0))


def _spends(hold: Row[Any], outcomes: dict[str, bool]) -> int:
    return spent_by(hold, outcomes.get(hold.decision_id, False))
