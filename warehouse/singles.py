"""Single decisions in the operational database: kept once by their id, and read again."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from operator import itemgetter
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import BigInteger, bindparam, type_coerce, update
from sqlalchemy import select as columns_of
from sqlmodel import Session, col

from allot import ShapeError
from warehouse.columns import compact, micros, moment
from warehouse.feedback_log import JOINED, EventLog
from warehouse.prepared import connection_of, insert_rows, rows_of, text_of
from warehouse.single_tables import SingleRow
from warehouse.tables import FeedbackRow

Singles: TypeAlias = NDArray[np.float32]

_TABLE = SingleRow.__table__  # type: ignore[attr-defined]  # SQLModel makes it
_HOUR_US = 3_600_000_000
_AT_ONCE = 500  # values in one IN list
_WIDE = ("mean", "sd", "values", "costs", "price")


@dataclass(frozen=True, slots=True)
class Numbers:
    """What a decision was drawn from, for k offers.

    probability: (k + 1,) float32, no offer last: as it was drawn. mean, sd: (k,) beliefs. values, costs: (k,) currency
    units. price: (k,) what the limits charged. reasons: (k,) uint64, one bit per rule against the offer.
    cell: of the customer, among the release's.
    """

    probability: Singles
    mean: Singles
    sd: Singles
    values: Singles
    costs: Singles
    price: Singles
    reasons: NDArray[np.uint64]
    cell: int

    def pack(self) -> bytes:
        """As one blob: k and the cell, the reasons, then the tables."""
        k = len(self.reasons)
        tables = np.concatenate([self.probability, *(getattr(self, name) for name in _WIDE)], dtype=np.float32)
        if len(tables) != 6 * k + 1:
            raise ShapeError(f"{len(tables)} numbers are not those of {k} offers.", where="single decision")
        return np.array([k, self.cell], "<i4").tobytes() + self.reasons.astype("<u8").tobytes() + tables.tobytes()

    @staticmethod
    def unpack(blob: bytes) -> "Numbers":
        """What `pack` made.

        Raises:
            ShapeError: the blob is damaged.
        """
        k, cell = (int(x) for x in np.frombuffer(blob, "<i4", 2)) if len(blob) >= 8 else (-1, 0)
        if k < 0 or len(blob) != 8 + 8 * k + 4 * (6 * k + 1):
            raise ShapeError("the numbers of a decision are damaged.", remedy="Restore the database from a backup.")
        reasons = np.frombuffer(blob, "<u8", k, 8)
        tables = np.frombuffer(blob, "<f4", 6 * k + 1, 8 + 8 * k)
        mean, sd, values, costs, price = np.split(tables[k + 1 :], 5)
        return Numbers(tables[: k + 1], mean, sd, values, costs, price, reasons, cell)


@dataclass(frozen=True, slots=True)
class Single:
    """One kept decision; see `SingleRow`."""

    decision_id: str
    campaign: str
    release_id: str
    customer_id: str
    customer_key: int
    decided_at: datetime
    digest: str
    offer_id: str | None
    prior: str
    posterior: str
    answer: dict[str, Any]
    numbers: bytes
    features: dict[str, Any] | None = None
    sealed_in: str | None = None


_COLUMNS = tuple(_TABLE.c[name] for name in Single.__dataclass_fields__)
_BY_ID = columns_of(*_COLUMNS).where(_TABLE.c.decision_id == bindparam("of"))
_CONTACTS = columns_of(_TABLE.c.decision_id, _TABLE.c.decided_at, _TABLE.c.sealed_in).where(
    _TABLE.c.customer_key == bindparam("key"), _TABLE.c.decided_at > bindparam("after"), _TABLE.c.offer_id.is_not(None)
)


def signed(key: int) -> int:
    """A customer's 64-bit key as databases hold it."""
    return key - (1 << 64) if key >> 63 else key


@cache
def _contacts(dialect: str) -> str:
    return text_of(_CONTACTS, dialect)


def add_single(session: Session, single: Single) -> bool:
    """Keep a decision, durable with the transaction; False where its id is taken, and then nothing changes."""
    return add_singles(session, [single]) > 0


def add_singles(session: Session, singles: Sequence[Single]) -> int:
    """Keep decisions, except those whose id is taken; returns how many were kept."""
    rows = sorted(map(_row, singles), key=itemgetter("decision_id"))  # so that two processes never wait crosswise
    return insert_rows(connection_of(session), _TABLE, rows, unless=("decision_id",))


def _row(single: Single) -> dict[str, Any]:
    row = {name: getattr(single, name) for name in Single.__dataclass_fields__}
    row["decided_at"], row["answer"] = micros(single.decided_at), compact(single.answer)
    row["features"] = None if single.features is None else compact(single.features)
    return row


def single_of(session: Session, decision_id: str) -> Single | None:
    """A kept decision; None where there is none of that id."""
    row = session.connection().execute(_BY_ID, {"of": decision_id}).first()
    return None if row is None else Single(*row)


@dataclass(frozen=True, slots=True)
class Contact:
    """A single decision with an offer; `sealed_in` as in `SingleRow`."""

    decision_id: str
    at: datetime
    sealed_in: str | None


def single_contacts(session: Session, customer_key: int, after: datetime) -> list[Contact]:
    """The contacts that single decisions made with a customer after a moment."""
    connection = connection_of(session)
    given = {"key": signed(customer_key), "after": micros(after)}
    found = rows_of(connection, _contacts(connection.dialect.name), given)
    return [Contact(name, moment(int(at)), sealed) for name, at, sealed in found]


def open_hours(session: Session, before: datetime) -> list[tuple[str, str, int]]:
    """The releases, priors and hours (since 1970) with decisions that are not sealed yet and older than a moment."""
    hour = type_coerce(_TABLE.c.decided_at, BigInteger) // _HOUR_US
    query = columns_of(_TABLE.c.release_id, _TABLE.c.prior, hour).distinct()
    found = session.connection().execute(query.where(_TABLE.c.sealed_in.is_(None), _TABLE.c.decided_at < before))
    return sorted((release, prior, int(number)) for release, prior, number in found)


def open_singles(session: Session, release_id: str, prior: str, hour: int) -> list[Single]:
    """The decisions of one hour that are not sealed yet, by id."""
    first, last = moment(hour * _HOUR_US), moment((hour + 1) * _HOUR_US)
    query = columns_of(*_COLUMNS).where(
        _TABLE.c.sealed_in.is_(None),
        _TABLE.c.release_id == release_id,
        _TABLE.c.prior == prior,
        _TABLE.c.decided_at >= first,
        _TABLE.c.decided_at < last,
    )
    return [Single(*row) for row in session.connection().execute(query.order_by(_TABLE.c.decision_id))]


def mark_sealed(session: Session, decision_ids: Sequence[str], allocation_id: str) -> int:
    """Say in which allocation's file some decisions are, unless they are in one; returns how many were marked."""
    marked = 0
    for first in range(0, len(decision_ids), _AT_ONCE):
        some = update(SingleRow).where(
            col(SingleRow.decision_id).in_(decision_ids[first : first + _AT_ONCE]), col(SingleRow.sealed_in).is_(None)
        )
        marked += session.connection().execute(some.values(sealed_in=allocation_id)).rowcount
    return marked


def sealed_single(session: Session, customer_key: int, allocation_id: str) -> Single | None:
    """The customer's latest decision of those in one allocation's file."""
    query = columns_of(*_COLUMNS).where(
        _TABLE.c.customer_key == signed(customer_key), _TABLE.c.sealed_in == allocation_id
    )
    row = session.connection().execute(query.order_by(_TABLE.c.decided_at.desc()).limit(1)).first()
    return None if row is None else Single(*row)


def heard_releases(session: Session) -> set[str]:
    """The releases of whose single decisions anything has been heard."""
    events = FeedbackRow.__table__  # type: ignore[attr-defined]
    named = events.join(_TABLE, events.c.decision_id == _TABLE.c.decision_id)  # by its key: events have no such index
    query = columns_of(_TABLE.c.release_id).distinct().select_from(named).where(events.c.status.in_(JOINED))
    return set(session.connection().execute(query).scalars())


def last_refusal(session: Session, decision_ids: Sequence[str]) -> datetime | None:
    """When the latest of some decisions was refused whose outcome is known to be 0; None where none was."""
    heard = EventLog(session).heard(decision_ids).values()
    return max((said.latest_at for said in heard if said.latest == 0), default=None)
