"""The versions of the prices that single decisions are made at: kept, so that every decision can name its own."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import func
from sqlmodel import Session, col, select

from warehouse.arrays import pack_arrays, unpack_arrays
from warehouse.single_tables import PriceRow, SingleRow


@dataclass(frozen=True, slots=True)
class StoredPrices:
    """One version; `tables` are arrays by name."""

    price_version: str
    account: str
    solved_at: datetime
    prices: dict[str, float]
    remaining: dict[str, int]
    demand: dict[str, float]
    tables: dict[str, Any]


def add_prices(session: Session, new: StoredPrices) -> None:
    """Keep a version; one that is there already stays as it is."""
    if session.get(PriceRow, new.price_version) is None:
        values = {name: getattr(new, name) for name in StoredPrices.__dataclass_fields__}
        session.add(PriceRow(**values | {"tables": pack_arrays(new.tables)}))


def latest_prices(session: Session, account: str) -> StoredPrices | None:
    """The newest version of an account; None before the first."""
    newest = select(PriceRow).where(PriceRow.account == account).order_by(col(PriceRow.solved_at).desc()).limit(1)
    row = session.exec(newest).first()
    if row is None:
        return None
    values = {name: getattr(row, name) for name in StoredPrices.__dataclass_fields__}
    return StoredPrices(**values | {"tables": unpack_arrays(row.tables)})


def decisions_so_far(session: Session, release_id: str) -> int:
    """How many single decisions were made in a release."""
    return int(
        session.exec(select(func.count()).select_from(SingleRow).where(SingleRow.release_id == release_id)).one()
    )
