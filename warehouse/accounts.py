"""What is taken of a campaign's limits, and lending it to workers: under one lock, so that nobody waits in a circle."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Table, bindparam, delete, func, insert, select, update
from sqlmodel import Session

from warehouse.database import alone
from warehouse.ledger_tables import AccountRow, LeaseRow
from warehouse.prepared import connection_of

ACCOUNTS: Table = AccountRow.__table__  # type: ignore[attr-defined]
LEASES: Table = LeaseRow.__table__  # type: ignore[attr-defined]

_PART = 16  # a worker is lent this part of what is free, so that leases shrink as an account empties
_USUAL = 1_000  # where nobody says what a decision may take: this part of the cap

_account, _lease = ACCOUNTS.c, LEASES.c
_AMOUNTS = ("asked", "cap", "held", "spent", "unfunded")
_SAVE = (
    update(ACCOUNTS)
    .where(_account.campaign == bindparam("of"), _account.limit_name == bindparam("limit"))
    .values({f"{name}_micros": bindparam(name) for name in _AMOUNTS})
    .values(fence=bindparam("number"), frozen=bindparam("stopped"))
)
_THIS = (
    _lease.campaign == bindparam("of"),
    _lease.limit_name == bindparam("limit"),
    _lease.fence == bindparam("number"),
)
_CHANGE = update(LEASES).where(*_THIS).values(granted_micros=bindparam("granted"), expires_at=bindparam("until"))
_END = delete(LEASES).where(*_THIS)


def wanted(limit: str, asked: int, need: Mapping[str, int] | None) -> int:
    """What a worker should at least be lent of an account with this cap: what it needs, at most all there is."""
    return min(asked, max(1, asked // _USUAL) if need is None else need.get(limit, 0))


@dataclass(slots=True)
class Lease:
    """What one worker was lent of one account."""

    campaign: str
    limit: str
    fence: int
    worker: str
    granted: int
    used: int
    expires_at: datetime

    @property
    def left(self) -> int:
        """What decisions may still hold of it."""
        return self.granted - self.used


@dataclass(slots=True)
class Account:
    """One account, changed while its lock is held and then saved."""

    campaign: str
    limit: str
    asked: int
    cap: int
    held: int
    spent: int
    unfunded: int
    fence: int
    frozen: bool

    @property
    def free(self) -> int:
        """What may still be lent or set aside."""
        return 0 if self.frozen else max(0, self.room - self.unfunded)

    @property
    def room(self) -> int:
        """What is neither held nor spent; below 0 where the cap was lowered."""
        return self.asked - self.held - self.spent

    def ask(self, cap: int) -> None:
        """Another cap. What is taken already stays taken: such an account is exhausted, and the cap follows down."""
        self.asked = cap
        self.cap = max(cap, self.held + self.spent)

    def give_back(self, amount: int, *, spent: int = 0) -> None:
        """Of what was held some is no longer, and of that some is spent for good."""
        self.held -= amount
        self.spent += spent
        self.cap = max(self.asked, self.held + self.spent)

    def call_in(self, lease: Lease) -> None:
        """Take back what of a lease is not used."""
        self.give_back(lease.left)
        lease.granted = lease.used

    def fill(self, lease: Lease, need: int, others: Iterable[Lease]) -> None:
        """Lend where less is left than is needed; what others do not use is called in if it has to be."""
        missing = need - lease.left
        if missing <= 0:
            return
        if self.free < missing:
            for other in others:
                self.call_in(other)
        amount = min(self.free, max(missing, self.free // _PART))
        self.held += amount
        lease.granted += amount


def lock(session: Session) -> None:
    """Until the transaction ends, nobody else changes accounts."""
    alone(connection_of(session), "budgets")


def read_accounts(session: Session, campaign: str) -> dict[str, Account]:
    """The accounts of a campaign by limit, in the order of their names."""
    rows = session.execute(select(ACCOUNTS).where(_account.campaign == campaign).order_by(_account.limit_name))
    return {row.limit_name: Account(*row) for row in rows}


def most_unfunded(session: Session) -> int:
    """The largest overrun of any account, micros: what was spent when there was no room left for it."""
    return int(session.execute(select(func.max(_account.unfunded_micros))).scalar() or 0)


def save_accounts(session: Session, accounts: Iterable[Account]) -> None:
    """Write accounts back."""
    values = [
        {name: getattr(a, name) for name in (*_AMOUNTS, "limit")}
        | {"of": a.campaign, "number": a.fence, "stopped": a.frozen}
        for a in accounts
    ]
    if values:
        session.connection().execute(_SAVE, values)


def read_leases(session: Session, campaign: str) -> list[Lease]:
    """The leases of a campaign, except those that another transaction is about to hold something of."""
    found = select(LEASES).where(_lease.campaign == campaign).order_by(_lease.fence, _lease.limit_name)
    return [Lease(*row) for row in session.execute(found.with_for_update(skip_locked=True))]


def recall(session: Session, account: Account) -> None:
    """Call in what leases of one account do not use; they go on, and are filled up when there is room again."""
    found = [x for x in read_leases(session, account.campaign) if x.limit == account.limit and x.left > 0]
    for lease in found:
        account.call_in(lease)
    if found:
        session.connection().execute(_CHANGE, [_changed(lease) for lease in found])


def end_leases(session: Session, accounts: dict[str, Account], over: Sequence[Lease]) -> None:
    """End leases; what they had not used is free again."""
    for lease in over:
        accounts[lease.limit].call_in(lease)
    if over:
        session.connection().execute(_END, [_key(lease) for lease in over])


@dataclass(frozen=True, slots=True)
class Borrower:
    """Who borrows: a worker, and the fence of the lease that it believes to have (0 = none yet)."""

    campaign: str
    worker: str
    fence: int


def lend(session: Session, who: Borrower, need: Mapping[str, int] | None, *, now: datetime, term: timedelta) -> int:
    """Fill a worker's lease up wherever less than is needed is left of it, and renew it in time.

    Leases that have expired end, and so does one of an earlier life of the same worker. Where an account has too
    little left, the unused part of everybody's lease is called in: what one worker cannot use, another may.

    Args:
        session: of a writing transaction.
        who: borrows.
        need: by limit, micros; see `wanted`.
        now: by the worker's clock.
        term: how long a lease lasts.

    Returns:
        the fence of the lease that the worker has now, 0 where the campaign has no accounts.
    """
    lock(session)
    accounts = read_accounts(session, who.campaign)
    if not accounts:
        return 0
    old_accounts, known = [replace(a) for a in accounts.values()], read_leases(session, who.campaign)
    over = [x for x in known if x.expires_at <= now or (x.worker == who.worker and x.fence != who.fence)]
    end_leases(session, accounts, over)
    alive = {(x.limit, x.fence): x for x in known if x not in over}
    before = {key: replace(x) for key, x in alive.items()}
    fence = who.fence
    if not any(x.worker == who.worker for x in alive.values()):
        fence = 1 + max(account.fence for account in accounts.values())
    for limit, account in accounts.items():
        account.fence = max(account.fence, fence)
        new = Lease(who.campaign, limit, fence, who.worker, 0, 0, now + term)
        mine = alive.setdefault((limit, fence), new)
        account.fill(
            mine, wanted(limit, account.asked, need), [x for x in alive.values() if x.limit == limit and x is not mine]
        )
        if mine.expires_at < now + term / 2:
            mine.expires_at = now + term
    _save_leases(session, alive, before)
    save_accounts(session, [a for a, old in zip(accounts.values(), old_accounts, strict=True) if a != old])
    return fence


def _save_leases(session: Session, leases: dict[tuple[str, int], Lease], before: dict[tuple[str, int], Lease]) -> None:
    """Write the leases that are new or not what they were before."""
    begun = [_row(x) for key, x in leases.items() if key not in before]
    changed = [_changed(x) for key, x in leases.items() if key in before and x != before[key]]
    if begun:
        session.connection().execute(insert(LEASES), begun)
    if changed:
        session.connection().execute(_CHANGE, changed)


def _key(lease: Lease) -> dict[str, Any]:
    return {"of": lease.campaign, "limit": lease.limit, "number": lease.fence}


def _changed(lease: Lease) -> dict[str, Any]:
    return {**_key(lease), "granted": lease.granted, "until": lease.expires_at}


def _row(lease: Lease) -> dict[str, Any]:
    return {
        "campaign": lease.campaign,
        "limit_name": lease.limit,
        "fence": lease.fence,
        "worker": lease.worker,
        "granted_micros": lease.granted,
        "used_micros": lease.used,
        "expires_at": lease.expires_at,
    }
