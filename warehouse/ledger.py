"""Budgets that decisions draw on while they are made: accounts, leases of workers, and what decisions hold of them.

What is taken is checked where it is taken, in the database and in the transaction that makes the decision durable: by a
conditional update of the worker's lease. So neither a worker that died, nor one that slept through its lease, nor a
wrong clock can take more than was lent, and nobody is lent more than a cap leaves. Clocks decide only how soon what a
dead worker had borrowed can be lent again.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, final

from sqlalchemy import delete, insert, select
from sqlmodel import Session

from allot import CampaignError, LeaseLostError, NotFoundError
from warehouse.accounts import (
    ACCOUNTS,
    LEASES,
    Account,
    Borrower,
    end_leases,
    lend,
    lock,
    read_accounts,
    read_leases,
    save_accounts,
)
from warehouse.columns import micros
from warehouse.holds import HOLDS, Claim, Holder, Sums, add_holds, holds_of, lent_of, settle_holds, spent_by, sums_of
from warehouse.leases import left_of, may_gain, take
from warehouse.store import Store

_PATIENCE = timedelta(days=30)

_lease, _hold = LEASES.c, HOLDS.c


@dataclass(frozen=True, slots=True)
class Balance:
    """One account, in micros: cap >= held + spent. `free` may still be lent, `lent` is the unused part of leases.

    `unfunded` was spent outside when there was no room left for it; it goes before what is free.
    """

    limit: str
    cap: int
    held: int
    spent: int
    free: int
    lent: int
    unfunded: int
    frozen: bool


@dataclass(frozen=True, slots=True)
class Recount:
    """One account beside the sum of what it is made of, in micros: leases' unused part and holds; settled holds."""

    limit: str
    held: int
    spent: int
    unfunded: int
    counted_held: int
    counted_spent: int
    counted_unfunded: int

    @property
    def right(self) -> bool:
        """Whether the account says what its parts add up to."""
        counted = (self.counted_held, self.counted_spent, self.counted_unfunded)
        return (self.held, self.spent, self.unfunded) == counted


@final
class Ledger:
    """The budgets of one operational database, as one worker sees them. Not for several threads at a time.

    Args:
        store: the operational database.
        worker: a name that no other living process has; who has it ends the leases of whoever had it before.
        clock: now, in UTC.
        lease_seconds: how long a lease lasts that is not renewed.
    """

    def __init__(
        self, store: Store, *, worker: str, clock: Callable[[], datetime], lease_seconds: float = 30.0
    ) -> None:
        self.store = store
        self._worker = worker
        self._clock = clock
        self._term = timedelta(seconds=lease_seconds)
        self._fences: dict[str, int] = {}

    def open(self, campaign: str, caps: Mapping[str, int]) -> None:
        """Open accounts, or change the caps of those that are open.

        A cap below what is held and spent leaves that in place: the account is exhausted until the cap is raised.

        Args:
            campaign: whose limits.
            caps: by limit, micros.

        Raises:
            CampaignError: a cap is negative.
        """
        for limit, cap in caps.items():
            if cap < 0:
                remedy = "Only limits with a maximum of 0 or more have an account."
                raise CampaignError(f"the cap {cap} is negative.", where=f"limit {limit!r}", remedy=remedy)
        self.store.repeated(lambda session: self._open(session, campaign, caps))

    def _open(self, session: Session, campaign: str, caps: Mapping[str, int]) -> None:
        lock(session)
        accounts = read_accounts(session, campaign)
        self._recall(session, accounts)
        for limit, cap in caps.items():
            if limit in accounts:
                accounts[limit].ask(cap)
            else:
                session.connection().execute(insert(ACCOUNTS), [_new_account(campaign, limit, cap)])
        save_accounts(session, accounts.values())

    def freeze(self, campaign: str, *, frozen: bool = True) -> None:
        """Stop a campaign's budgets from being drawn on, or let them again; what is held stays held.

        Raises:
            NotFoundError: the campaign has no accounts.
        """
        self.store.repeated(lambda session: self._freeze(session, campaign, frozen))

    def _freeze(self, session: Session, campaign: str, frozen: bool) -> None:
        lock(session)
        accounts = _known(session, campaign)
        self._recall(session, accounts)
        for account in accounts.values():
            account.frozen = frozen
        save_accounts(session, accounts.values())

    def room(self, session: Session, campaign: str, need: Mapping[str, int] | None = None) -> dict[str, int]:
        """What the next decision may hold of each limit, micros. What is said holds until the transaction ends.

        Args:
            session: of the transaction that will hold.
            campaign: whose accounts.
            need: by limit, the most that the decision can take, micros: where the worker's lease has less it is filled
                up, at the cost of what other workers do not use if it has to be. Default: a thousandth of the cap.

        Returns:
            by limit; one that is missing has no account, and nothing can be held of it.
        """
        now, fence = self._clock(), self._fences.get(campaign, 0)
        who = Borrower(campaign, self._worker, fence)
        rows = left_of(session, who)
        soon = micros(now + self._term / 2)
        old = not rows or any(row.expires_us < soon for row in rows)
        if old or may_gain(session, who, [row.limit for row in rows if row.is_short(need)]):
            who = replace(who, fence=lend(session, who, need, now=now, term=self._term))
            self._fences[campaign] = who.fence
            rows = left_of(session, who)
        return {row.limit: row.left for row in rows}

    def hold(
        self,
        session: Session,
        campaign: str,
        decision_id: str,
        amounts: Mapping[str, int],
        *,
        sure: Mapping[str, int] | None = None,
        due: datetime | None = None,
    ) -> None:
        """Hold what a decision may cost at most, in the transaction that makes the decision durable.

        Where this raises, the transaction (or the savepoint around the decision) must be rolled back.

        Args:
            session: of that transaction.
            campaign: whose accounts.
            decision_id: holds once.
            amounts: by limit, micros, 0 or more.
            sure: of these, what is spent whatever the outcome; default 0.
            due: when silence means that there was no success; default in 30 days.

        Raises:
            LeaseLostError: the lease is over, or less is left of it; ask for `room` again, and decide again.
        """
        self.hold_all(session, campaign, [Claim(decision_id, amounts, sure or {}, due)])

    def hold_all(self, session: Session, campaign: str, claims: Sequence[Claim]) -> None:
        """Hold for several decisions as `hold` does for one: for all of them, or for none.

        Raises:
            LeaseLostError: as `hold`.
        """
        now, fence = self._clock(), self._fences.get(campaign, 0)
        taken: dict[str, int] = {}
        for claim in claims:
            for limit, amount in claim.amounts.items():
                taken[limit] = taken.get(limit, 0) + amount
        if not any(taken.values()):
            return
        if not take(session, Borrower(campaign, self._worker, fence), _above_zero(taken), now):
            remedy = "Ask for the room again and decide again."
            raise LeaseLostError(
                "the lease is over or holds too little.", where=f"campaign {campaign!r}", remedy=remedy
            )
        late = now + _PATIENCE
        add_holds(
            session,
            (
                (Holder(claim.decision_id, campaign, fence, claim.due or late), _above_zero(claim.amounts), claim.sure)
                for claim in claims
            ),
        )

    def set_aside(self, session: Session, campaign: str, holder: str, amounts: Mapping[str, int]) -> dict[str, int]:
        """Hold for a whole batch, without a lease; `settle` posts what the batch uses and frees the rest.

        Args:
            session: of a writing transaction.
            campaign: whose accounts.
            holder: the batch; a second time it is answered what it was set aside the first time.
            amounts: by limit, micros.

        Returns:
            what is set aside: less than was asked for where less is free.

        Raises:
            NotFoundError: a limit has no account.
        """
        lock(session)
        held = {row.limit_name: row.amount_micros for row in holds_of(session, [holder])}
        if held:
            return {limit: int(amount) for limit, amount in held.items()}
        if not amounts:
            return {}
        accounts = _known(session, campaign, amounts)
        self._recall(session, accounts)
        given = {limit: min(amount, accounts[limit].free) for limit, amount in amounts.items()}
        for limit, amount in given.items():
            accounts[limit].held += amount
        save_accounts(session, accounts.values())
        add_holds(session, [(Holder(holder, campaign, 0, None), given, {})])
        return given

    def taken(self, session: Session, holder: str) -> dict[str, int]:
        """What a decision or a batch holds, or has spent, by limit, micros."""
        return {
            row.limit_name: int(row.amount_micros if row.spent_micros is None else row.spent_micros)
            for row in holds_of(session, [holder])
        }

    def settle(self, session: Session, decision_id: str, amounts: Mapping[str, int]) -> dict[str, int]:
        """Spend these of what a decision holds and free the rest; a limit that is not named is freed whole.

        A decision may be settled again, as a corrected outcome demands. What was freed before may be gone by then; it
        is kept beside the account as unfunded, until there is room.

        Returns:
            by limit, what could not be spent: beyond what was held, or freed before and taken by others since.
        """
        return settle_holds(session, [decision_id], lambda hold: amounts.get(hold.limit_name, 0)).short

    def settle_outcomes(self, session: Session, succeeded: Mapping[str, bool]) -> dict[str, int]:
        """Settle many decisions: a success spends all that it holds, a failure what is sure. Returns as `settle`."""
        return settle_holds(session, list(succeeded), lambda hold: spent_by(hold, succeeded[hold.decision_id])).short

    def cancel(self, session: Session, holder: str) -> None:
        """Free all that a batch, or a decision that was never played, holds or has spent, as if it had not been."""
        self.settle(session, holder, {})
        session.execute(delete(HOLDS).where(_hold.decision_id == holder))

    def reclaim(self, now: datetime) -> int:
        """End every lease that has expired by this clock; returns how many micros are free again."""
        late = select(_lease.campaign).where(_lease.expires_at <= now).distinct().order_by(_lease.campaign)
        with self.store.transaction(write=False) as session:
            campaigns = session.execute(late).scalars().all()
        return self.store.repeated(lambda session: _reclaim(session, campaigns, now)) if campaigns else 0

    def balances(self, campaign: str) -> tuple[Balance, ...]:
        """The accounts of a campaign, by limit."""
        with self.store.transaction(write=False) as session:
            accounts = read_accounts(session, campaign)
            lent = lent_of(session, campaign)
        return tuple(
            Balance(a.limit, a.cap, a.held, a.spent, a.free, lent.get(a.limit, 0), a.unfunded, a.frozen)
            for a in accounts.values()
        )

    def recount(self, campaign: str) -> tuple[Recount, ...]:
        """Every account of a campaign beside the sum of its leases and of what its decisions hold and spent."""

        def count(session: Session) -> tuple[dict[str, Account], Sums]:
            lock(session)  # so that nothing changes between the questions
            return read_accounts(session, campaign), sums_of(session, campaign)

        accounts, parts = self.store.repeated(count)
        return tuple(
            Recount(
                name,
                a.held,
                a.spent,
                a.unfunded,
                parts.lent.get(name, 0) + parts.held.get(name, 0),
                parts.spent.get(name, 0),
                parts.unfunded.get(name, 0),
            )
            for name, a in accounts.items()
        )

    def _recall(self, session: Session, accounts: dict[str, Account]) -> None:
        """End all leases of a campaign, so that what they do not use is free."""
        for campaign in {account.campaign for account in accounts.values()}:
            end_leases(session, accounts, read_leases(session, campaign))


def _reclaim(session: Session, campaigns: Iterable[str], now: datetime) -> int:
    lock(session)
    freed = 0
    for campaign in campaigns:
        over = [lease for lease in read_leases(session, campaign) if lease.expires_at <= now]
        freed += sum(lease.left for lease in over)
        accounts = read_accounts(session, campaign)
        end_leases(session, accounts, over)
        save_accounts(session, accounts.values())
    return freed


def _new_account(campaign: str, limit: str, cap: int) -> dict[str, Any]:
    amounts = {"asked_micros": cap, "cap_micros": cap, "held_micros": 0, "spent_micros": 0, "unfunded_micros": 0}
    return {"campaign": campaign, "limit_name": limit, "fence": 0, "frozen": False, **amounts}


def _above_zero(amounts: Mapping[str, int]) -> dict[str, int]:
    return {limit: amount for limit, amount in amounts.items() if amount}


def _known(session: Session, campaign: str, limits: Iterable[str] = ()) -> dict[str, Account]:
    accounts = read_accounts(session, campaign)
    missing = next((repr(limit) for limit in limits if limit not in accounts), "" if accounts else "any limit")
    if missing:
        raise NotFoundError(f"there is no account of {missing}.", where=f"campaign {campaign!r}")
    return accounts
