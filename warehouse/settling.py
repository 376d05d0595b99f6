"""Outcomes settle what decisions hold: a little at a time, and again where an outcome is corrected."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, final

from sqlalchemy import Row

from warehouse.decision_outcomes import LATEST, counting, outcome_of
from warehouse.feedback_log import EventLog, tallies
from warehouse.holds import Place, settle_holds, spent_by, watched
from warehouse.store import Store

_AT_ONCE = 2_000  # decisions: so long, and no longer, does one transaction keep others from the accounts


@dataclass(frozen=True, slots=True)
class Settled:
    """What one turn did: decisions settled, and micros by limit that could not be spent any more."""

    decisions: int
    short: dict[str, int]


@final
class Settling:
    """Goes through the decisions that hold something, in the order in which they are due, and begins again.

    A success spends all that is held; a failure, or silence until the decision is due, what is sure. Until then
    corrections count as well. Which of several events counts is the campaign's `[feedback] aggregation`, as in
    learning. After a whole round it rests until there is new feedback, or `rest` seconds are over.

    Args:
        store: the operational database.
        rest: seconds.
    """

    def __init__(self, store: Store, *, rest: float = 60.0) -> None:
        self._store = store
        self._rest = rest
        self._place: Place | None = None
        self._seen: dict[str, int] = {}
        self._begun: datetime | None = None

    def turn(self, now: datetime) -> Settled | None:
        """Settle some decisions; None where there was nothing to look at.

        Raises:
            WorkspaceError: the database cannot be used; the next turn begins where this one did.
        """
        if self._place is None and not self._begins(now):
            return None
        with self._store.transaction(write=False) as session:
            holds = watched(session, self._place, now, _AT_ONCE)
            events = EventLog(session).events_of(holds) if holds else {}
            other = counting(session, events) if events else {}
        outcomes = {
            decision: bool(outcome_of([outcome for _, outcome, _ in known], other.get(decision, LATEST)))
            for decision, known in events.items()
        }
        changed = [name for name, of in holds.items() if any(self._changes(x, outcomes, now) for x in of)]
        short = {}
        if changed:
            with self._store.transaction() as session:
                short = settle_holds(session, changed, lambda hold: _spends(hold, outcomes))
        last = next(reversed(holds.values()), None)
        self._place = None if last is None or len(holds) < _AT_ONCE else Place(last[0].due_at, last[0].decision_id)
        return Settled(len(changed), short)

    def _begins(self, now: datetime) -> bool:
        """Whether another round is worth it."""
        with self._store.transaction(write=False) as session:
            seen = tallies(session)
        waited = self._begun is None or not 0.0 <= (now - self._begun).total_seconds() < self._rest
        if seen == self._seen and not waited:
            return False
        self._seen, self._begun = seen, now
        return True

    @staticmethod
    def _changes(hold: Row[Any], outcomes: dict[str, bool], now: datetime) -> bool:
        if hold.decision_id not in outcomes and (hold.due_at > now or hold.spent_micros is not None):
            return False
        return bool(hold.spent_micros != _spends(hold, outcomes))


def _spends(hold: Row[Any], outcomes: dict[str, bool]) -> int:
    return spent_by(hold, outcomes.get(hold.decision_id, False))
