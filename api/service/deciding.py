"""One customer now, in one process of the service: durable before it is answered, and answered whatever is missing."""

import asyncio
import os
import secrets
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import final

import structlog
from sqlalchemy.exc import DBAPIError
from sqlmodel import Session

from allot import LeaseLostError, WorkspaceError
from api.service.state import Tenant
from engine.serving.customer import Customer, from_audience, of_nobody
from engine.serving.decide import Decider, answered
from engine.serving.features import Asked, from_features
from engine.serving.prices import newest_prices
from engine.serving.releases import Releases
from engine.serving.requests import Decision, Refusal, Request
from warehouse import Ledger
from warehouse.singles import Single, single_of
from warehouse.spool import Spool, drain_orphans

_LOG = structlog.get_logger()

_EVERY = 2.0  # seconds between two looks for what is new
_ATTEMPTS = 3  # to decide within a lease
_AWAY = 1.0  # seconds for which a database that could not be reached is not asked again


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True, eq=False)
class _Asked:
    """A customer who waits for the writer's turn, and who decides then; `budgeted` as in `Decider.decide`."""

    decider: Decider
    request: Request
    customer: Customer
    budgeted: bool


@final
class Deciding:
    """What a tenant needs to decide, one per process: `tenant.one(Deciding)`."""

    def __init__(self, tenant: Tenant) -> None:
        self._tenant = tenant
        worker = f"web-{os.getpid()}-{secrets.token_hex(4)}"
        ledger, looking = (Ledger(tenant.store, worker=name, clock=_now) for name in (worker, f"{worker}-prices"))
        self._releases = Releases(
            tenant.workspace,
            tenant.store,
            ledger,
            lambda release: newest_prices(tenant.store, looking, release, _now()),
        )
        self._spool = Spool(tenant.workspace.serving, worker)
        self._away_until = 0.0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._keep_up, name="decisions", daemon=True)
        self._thread.start()

    async def decide(self, request: Request) -> Decision | Refusal:
        """The answer, once it is durable.

        Raises:
            NotFoundError: nothing of the campaign was released, or its audience leaves the customer out.
            DataError: features that cannot be read.
            BusyError: too much waits to be written.
            WorkspaceError: neither the database nor the disk takes anything.
        """
        decider = self._releases.known(request.campaign)
        if decider is None:
            decider = await asyncio.to_thread(self._releases.open, request.campaign)
        customer = await self._customer(decider, request)
        if customer is None:
            what = f"customer {request.name!r} is not in the audience of the campaign's last release."
            return Refusal("unknown", what, "Send the customer's features, or allocate again.")
        if time.monotonic() < self._away_until:
            return await asyncio.to_thread(self._aside, decider, request, customer)
        try:
            return await self._written(decider, request, customer)
        except (WorkspaceError, DBAPIError):
            self._away_until = time.monotonic() + _AWAY
            return await asyncio.to_thread(self._aside, decider, request, customer)

    async def _customer(self, decider: Decider, request: Request) -> Customer | None:
        snapshot = decider.snapshot
        if snapshot.book.lost:
            return of_nobody(snapshot, request.name)
        if request.features is None:
            return from_audience(snapshot, request.name)
        asked = Asked(request.name, request.features)
        tenant = self._tenant
        try:
            return await asyncio.to_thread(from_features, tenant.workspace, tenant.store, snapshot, asked)
        except WorkspaceError:
            return of_nobody(snapshot, request.name)

    async def _written(self, decider: Decider, request: Request, customer: Customer) -> Decision | Refusal:
        """In the database; where the ledger's leases are lost again and again, without its budgets."""
        for attempt in range(_ATTEMPTS + 1):
            budgeted = attempt < _ATTEMPTS
            try:
                item = _Asked(decider, request, customer, budgeted)
                return await asyncio.wrap_future(self._tenant.writer.submit_item(item, self._decided))
            except LeaseLostError:  # somebody else took what was left: look again
                if not budgeted:
                    raise
        raise AssertionError("the last attempt answers or raises")

    def _decided(self, session: Session, asked: Sequence["_Asked"]) -> list[Decision | Refusal]:
        """Decide what shares a commit: at once where the same release decides it all, else one by one."""
        first = asked[0]
        with self._tenant.metrics.stage("decide"):
            if all(each.decider is first.decider and each.budgeted for each in asked):
                return first.decider.decide_all(session, [(each.request, each.customer) for each in asked])
            return [each.decider.decide(session, each.request, each.customer, budgeted=each.budgeted) for each in asked]

    def _aside(self, decider: Decider, request: Request, customer: Customer) -> Decision | Refusal:
        """Into the spool, where the database is away: only what draws on no budget."""
        before = self._spool.find(request.decision_id)
        if before is None:
            before = self._spool.keep(decider.without_store(request, customer))
        return answered(before, request)

    def find(self, decision_id: str) -> Single | None:
        """A kept decision.

        Raises:
            WorkspaceError: the database cannot be read, and the decision is not among those that wait for it.
        """
        waiting = self._spool.find(decision_id)
        if waiting is not None:
            return waiting
        with self._tenant.store.transaction(write=False) as session:
            return single_of(session, decision_id)

    def refresh(self) -> None:
        """Pick up what is new, and hand over what waits for the database."""
        self._pick_up()
        self._hand_over()

    def _pick_up(self) -> None:
        for failure in self._releases.refresh(time.monotonic()):
            _LOG.warning("not refreshed", tenant=self._tenant.name, what=failure)

    def _hand_over(self) -> None:
        try:
            taken = self._spool.drain(self._tenant.store)
            taken += drain_orphans(self._tenant.store, self._tenant.workspace.serving)
        except WorkspaceError as error:
            _LOG.warning("decisions wait for the database", waiting=len(self._spool), what=str(error))
        else:
            if taken:
                _LOG.info("decisions that waited were written", count=taken)

    def close(self) -> None:
        """Stop looking, and let go of the spool."""
        self._stop.set()
        self._thread.join()
        self._spool.close()

    def _keep_up(self) -> None:
        while not self._stop.wait(_EVERY):
            for step in (self._pick_up, self._hand_over):
                try:
                    step()
                except Exception:  # noqa: BLE001 - without this thread, all that is served grows old unseen
                    _LOG.exception("keeping up failed, and is tried again", tenant=self._tenant.name)
