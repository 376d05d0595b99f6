"""What learning has seen: a mark that is different as soon as there may be something new to learn from."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any

from sqlmodel import select

from warehouse.columns import micros
from warehouse.database import put
from warehouse.feedback_log import tallies
from warehouse.feedback_tables import LearningRow
from warehouse.heads import posterior_head
from warehouse.store import Store
from warehouse.tables import AllocationRow

_SUBJECT = "posterior"
_PERIOD = timedelta(hours=1)  # in which time alone changes little: decisions mature, silence says more


@dataclass(frozen=True, slots=True)
class LearningMark:
    """What there was to see when it was last learnt, when that was, and how long it took."""

    seen: dict[str, Any]
    at: datetime
    seconds: float


def to_be_seen(store: Store, now: datetime) -> dict[str, Any]:
    """What a learner would look at: how much feedback there is, which releases, on which model, in which hour."""
    ids = select(AllocationRow.allocation_id).where(AllocationRow.status == "released")
    with store.transaction(write=False) as session:
        taken = tallies(session)
        released = sha256("\n".join(sorted(session.exec(ids))).encode()).hexdigest()
    hour = micros(now) // (_PERIOD // timedelta(microseconds=1))
    return {"feedback": taken, "released": released, "posterior": posterior_head(store), "hour": hour}


def learning_mark(store: Store) -> LearningMark | None:
    """What was seen last; None before the first time."""
    with store.transaction(write=False) as session:
        row = session.get(LearningRow, _SUBJECT)
    return None if row is None else LearningMark(row.mark["seen"], row.at, row.mark["seconds"])


def put_learning_mark(store: Store, mark: LearningMark) -> None:
    """Remember what was seen."""
    with store.transaction() as session:
        row = {"subject": _SUBJECT, "mark": {"seen": mark.seen, "seconds": mark.seconds}, "at": mark.at}
        put(session, LearningRow, [row])
