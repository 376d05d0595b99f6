"""Who asked for an allocation, approved and released it, and whom each release is delivered to."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import TYPE_CHECKING, Literal, TypeAlias, cast, final

from sqlalchemy import update
from sqlmodel import col, select

from allot import NotFoundError
from warehouse.columns import micros
from warehouse.database import alone
from warehouse.release_tables import DeliveryRow, ReleaseRow, WebhookRow

if TYPE_CHECKING:
    from warehouse.store import Store

DeliveryState: TypeAlias = Literal["waiting", "delivered", "dead"]


@dataclass(frozen=True, slots=True)
class StoredRelease:
    """The hands that an allocation went through; None where it has not come so far."""

    allocation_id: str
    asked_by: str
    asked_at: datetime
    approved_by: str | None
    approved_at: datetime | None
    released_by: str | None
    released_at: datetime | None


@dataclass(frozen=True, slots=True)
class Webhook:
    """An address that releases are delivered to, and the key that deliveries to it are signed with."""

    webhook_id: str
    url: str
    signing_key: str
    created_by: str
    created_at: datetime
    ended_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Delivery:
    """One release for one address. `body` is what is sent, the same each time; `attempts` counts the times."""

    delivery_id: str
    webhook_id: str
    allocation_id: str
    body: str
    state: DeliveryState
    attempts: int
    next_at: datetime
    last_error: str
    created_at: datetime
    ended_at: datetime | None


@final
class Releases:
    """Of one operational database. Every method is one transaction, or joins the one it is called in."""

    def __init__(self, store: "Store") -> None:
        self._store = store

    def ask(self, allocation_id: str, *, by: str, now: datetime) -> None:
        """Remember who asked for an allocation first."""
        with self._store.transaction() as session:
            if session.get(ReleaseRow, allocation_id) is None:
                session.add(ReleaseRow(allocation_id=allocation_id, asked_by=by, asked_at=now))
                session.flush()

    def get(self, allocation_id: str) -> StoredRelease | None:
        """The hands that an allocation went through; None for one of before they were remembered."""
        with self._store.transaction(write=False) as session:
            row = session.get(ReleaseRow, allocation_id, populate_existing=True)
        return None if row is None else _record(row)

    def approve(self, allocation_id: str, *, by: str, now: datetime) -> bool:
        """Remember who approved it; false where somebody has already."""
        open_ = (col(ReleaseRow.allocation_id) == allocation_id, col(ReleaseRow.approved_by).is_(None))
        with self._store.transaction() as session:
            done = session.connection().execute(
                update(ReleaseRow).where(*open_).values(approved_by=by, approved_at=now)
            )
            return done.rowcount == 1

    def release(self, allocation_id: str, *, by: str, now: datetime) -> None:
        """Remember who released it."""
        which = col(ReleaseRow.allocation_id) == allocation_id
        with self._store.transaction() as session:
            session.connection().execute(update(ReleaseRow).where(which).values(released_by=by, released_at=now))

    def one_at_a_time(self, campaign: str) -> None:
        """Until the transaction ends, nobody else releases anything of this campaign."""
        with self._store.transaction() as session:
            alone(session.connection(), f"release of {campaign}")

    def put_webhook(self, webhook: Webhook) -> None:
        """Deliver releases to an address from now on."""
        with self._store.transaction() as session:
            session.add(WebhookRow(**{name: getattr(webhook, name) for name in Webhook.__dataclass_fields__}))

    def end_webhook(self, webhook_id: str, *, now: datetime) -> None:
        """Deliver nothing to an address from now on, what waits included; ended once, it stays as it is.

        Raises:
            NotFoundError: there is none of that id.
        """
        self.webhook(webhook_id)
        with self._store.transaction() as session:
            which = (col(WebhookRow.webhook_id) == webhook_id, col(WebhookRow.ended_at).is_(None))
            session.connection().execute(update(WebhookRow).where(*which).values(ended_at=now))
            waits = (col(DeliveryRow.webhook_id) == webhook_id, col(DeliveryRow.state) == "waiting")
            ended = {"state": "dead", "ended_at": now, "last_error": "the address was taken off the list"}
            session.connection().execute(update(DeliveryRow).where(*waits).values(**ended))

    def webhook(self, webhook_id: str) -> Webhook:
        """An address by id.

        Raises:
            NotFoundError: there is none.
        """
        with self._store.transaction(write=False) as session:
            row = session.get(WebhookRow, webhook_id, populate_existing=True)
        if row is None:
            raise NotFoundError(f"there is no webhook {webhook_id!r}.", remedy="Check the id.")
        return _webhook(row)

    def webhooks(self) -> tuple[Webhook, ...]:
        """The addresses that releases are delivered to now, oldest first."""
        query = select(WebhookRow).where(col(WebhookRow.ended_at).is_(None))
        query = query.order_by(col(WebhookRow.created_at), col(WebhookRow.webhook_id))
        with self._store.transaction(write=False) as session:
            return tuple(_webhook(row) for row in session.exec(query))

    def announce(self, allocation_id: str, body: str, *, now: datetime) -> tuple[str, ...]:
        """Make a delivery of a release to every address; call it in the release's transaction. Gives their ids."""
        ids = []
        with self._store.transaction() as session:
            for webhook in self.webhooks():
                ids.append(delivery_id_of(webhook.webhook_id, allocation_id, now))
                session.add(
                    DeliveryRow(
                        delivery_id=ids[-1],
                        webhook_id=webhook.webhook_id,
                        allocation_id=allocation_id,
                        body=body,
                        state="waiting",
                        next_at=now,
                        created_at=now,
                    )
                )
        return tuple(ids)

    def delivery(self, delivery_id: str) -> Delivery:
        """A delivery by id.

        Raises:
            NotFoundError: there is none.
        """
        with self._store.transaction(write=False) as session:
            row = session.get(DeliveryRow, delivery_id, populate_existing=True)
        if row is None:
            raise NotFoundError(f"there is no delivery {delivery_id!r}.", remedy="Check the id.")
        return _delivery(row)

    def deliveries(self, *, allocation_id: str) -> tuple[Delivery, ...]:
        """The deliveries of an allocation, oldest first."""
        query = select(DeliveryRow).where(DeliveryRow.allocation_id == allocation_id)
        return self._deliveries(query.order_by(col(DeliveryRow.created_at), col(DeliveryRow.delivery_id)))

    def due(self, *, now: datetime, most: int) -> tuple[Delivery, ...]:
        """Deliveries that are to be sent now, those that have waited longest first."""
        query = select(DeliveryRow).where(DeliveryRow.state == "waiting", col(DeliveryRow.next_at) <= now)
        return self._deliveries(query.order_by(col(DeliveryRow.next_at), col(DeliveryRow.delivery_id)).limit(most))

    def _deliveries(self, query: object) -> tuple[Delivery, ...]:
        with self._store.transaction(write=False) as session:
            rows = cast("Sequence[DeliveryRow]", session.exec(query).all())  # type: ignore[call-overload]
        return tuple(map(_delivery, rows))

    def take(self, delivery: Delivery, *, until: datetime) -> bool:
        """Take one attempt at a delivery: nobody else tries it before `until`. False where somebody else has it."""
        mine = (
            col(DeliveryRow.delivery_id) == delivery.delivery_id,
            col(DeliveryRow.state) == "waiting",
            col(DeliveryRow.attempts) == delivery.attempts,
        )
        values = {"attempts": delivery.attempts + 1, "next_at": until}
        with self._store.transaction() as session:
            return session.connection().execute(update(DeliveryRow).where(*mine).values(**values)).rowcount == 1

    def settle(self, delivery_id: str, *, delivered: bool, error: str, next_at: datetime | None, now: datetime) -> None:
        """What came of an attempt: delivered, to be tried again at `next_at`, or dead where that is None."""
        over = delivered or next_at is None
        values = {
            "state": "delivered" if delivered else "dead" if next_at is None else "waiting",
            "last_error": error,
            "ended_at": now if over else None,
            "next_at": now if next_at is None else next_at,
        }
        which = (col(DeliveryRow.delivery_id) == delivery_id, col(DeliveryRow.state) == "waiting")
        with self._store.transaction() as session:
            session.connection().execute(update(DeliveryRow).where(*which).values(**values))

    def resend(self, delivery_id: str, *, now: datetime) -> Delivery:
        """Try a dead or delivered one again from the start, under the same id.

        Raises:
            NotFoundError: there is none, or its address is off the list.
        """
        with self._store.transaction() as session:
            found = self.delivery(delivery_id)
            if self.webhook(found.webhook_id).ended_at is not None:
                what = f"the address of delivery {delivery_id!r} was taken off the list."
                raise NotFoundError(what, remedy="Make a webhook anew; later releases go there.")
            again = {"state": "waiting", "attempts": 0, "next_at": now, "ended_at": None}
            which = (col(DeliveryRow.delivery_id) == delivery_id, col(DeliveryRow.state) != "waiting")
            session.connection().execute(update(DeliveryRow).where(*which).values(**again))
            return self.delivery(delivery_id)


def delivery_id_of(webhook_id: str, allocation_id: str, released_at: datetime) -> str:
    """The one id that a release has at an address, however often it is sent."""
    told = f"{webhook_id} {allocation_id} {micros(released_at)}"
    return f"delivery-{sha256(told.encode()).hexdigest()[:20]}"


def _record(row: ReleaseRow) -> StoredRelease:
    return StoredRelease(**{name: getattr(row, name) for name in StoredRelease.__dataclass_fields__})


def _webhook(row: WebhookRow) -> Webhook:
    return Webhook(**{name: getattr(row, name) for name in Webhook.__dataclass_fields__})


def _delivery(row: DeliveryRow) -> Delivery:
    return Delivery(**{name: getattr(row, name) for name in Delivery.__dataclass_fields__})
