"""Which release, and which model, count now? Asked every second or so: without documents, summaries and arrays."""

from dataclasses import dataclass
from datetime import datetime

from sqlmodel import col, select

from warehouse.records import SINGLE
from warehouse.store import Store
from warehouse.tables import AllocationRow, ModelRow


@dataclass(frozen=True, slots=True)
class Head:
    """A released allocation."""

    allocation_id: str
    campaign: str
    as_of: datetime


def release_heads(store: Store) -> tuple[Head, ...]:
    """The released allocations, newest first, without those that single decisions were sealed into."""
    of = (AllocationRow.allocation_id, AllocationRow.campaign, AllocationRow.as_of)
    newest = (col(AllocationRow.created_at).desc(), col(AllocationRow.as_of).desc(), col(AllocationRow.allocation_id))
    query = select(*of).where(AllocationRow.status == "released").order_by(*newest)
    with store.transaction(write=False) as session:
        found = session.exec(query).all()
    return tuple(Head(*row) for row in found if not row[0].startswith(SINGLE))


def posterior_head(store: Store) -> str | None:
    """The id of the posterior in use; None before the first."""
    query = select(ModelRow.model_id).where(ModelRow.kind == "posterior", col(ModelRow.is_current))
    with store.transaction(write=False) as session:
        return session.exec(query).first()
