"""Which release, and which model, count now? Asked every second or so: without documents, summaries and arrays."""

from dataclasses import dataclass
from datetime import datetime

from sqlmodel import col, func, select

from warehouse.records import SINGLE
from warehouse.release_tables import ReleaseRow
from warehouse.store import Store
from warehouse.tables import AllocationRow, ModelRow

_RELEASED = (
    select(AllocationRow.allocation_id, AllocationRow.campaign, AllocationRow.as_of)
    .where(AllocationRow.status == "released", ~col(AllocationRow.allocation_id).startswith(SINGLE))
    .order_by(col(AllocationRow.created_at).desc(), col(AllocationRow.as_of).desc(), col(AllocationRow.allocation_id))
)


@dataclass(frozen=True, slots=True)
class Head:
    """A released allocation."""

    allocation_id: str
    campaign: str
    as_of: datetime


@dataclass(frozen=True, slots=True)
class ReleaseMark:
    """How many allocations were ever released, and when the latest was: where both are as before, so are releases."""

    count: int
    latest: datetime | None


def release_mark(store: Store) -> ReleaseMark:
    """Where releases are now. Ask for it before the releases themselves."""
    query = select(func.count(col(ReleaseRow.released_at)), func.max(col(ReleaseRow.released_at)))
    with store.transaction(write=False) as session:
        return ReleaseMark(*session.exec(query).one())


def release_heads(store: Store) -> tuple[Head, ...]:
    """The released allocations, newest first, without those that single decisions were sealed into."""
    with store.transaction(write=False) as session:
        return tuple(Head(*row) for row in session.exec(_RELEASED))


def release_head(store: Store, campaign: str) -> Head | None:
    """The newest release of a campaign; None where nothing of it was released."""
    with store.transaction(write=False) as session:
        row = session.exec(_RELEASED.where(AllocationRow.campaign == campaign).limit(1)).first()
    return None if row is None else Head(*row)


def posterior_head(store: Store) -> str | None:
    """The id of the posterior in use; None before the first."""
    query = select(ModelRow.model_id).where(ModelRow.kind == "posterior", col(ModelRow.is_current))
    with store.transaction(write=False) as session:
        return session.exec(query).first()
