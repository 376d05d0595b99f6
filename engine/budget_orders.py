"""What people do to a campaign's budget by hand: look, freeze, thaw, another cap."""

from datetime import datetime
from typing import Any

from sqlmodel import Session

from allot import NotFoundError
from engine.budgets import MICROS, account_of
from engine.campaign import read_campaign
from warehouse import AuditEntry, Ledger, Store
from warehouse.accounts import read_accounts
from warehouse.heads import release_head


def budget(store: Store, campaign: str, *, now: datetime, recounted: bool = True) -> dict[str, Any]:
    """The accounts of a campaign's newest release, in currency units (contacts for counts).

    `unfunded` is what outcomes that came late have cost beyond what was left; it goes before everything else.
    `recounted` adds whether each account is the sum of its decisions (`right`); nobody is lent anything meanwhile.

    Raises:
        NotFoundError: nothing of the campaign was released, or it keeps nothing for single decisions.
    """
    account = _account(store, campaign)
    ledger = _ledger(store, now)
    right = {one.limit: {"right": one.right} for one in ledger.recount(account)} if recounted else {}
    rows = [
        {
            "limit": x.limit,
            "cap": x.cap / MICROS,
            "spent": x.spent / MICROS,
            "held": (x.held - x.lent) / MICROS,
            "left": (x.free + x.lent) / MICROS,
            "unfunded": x.unfunded / MICROS,
            "frozen": x.frozen,
        }
        | right.get(x.limit, {})
        for x in ledger.balances(account)
    ]
    return {"campaign": campaign, "account": account, "limits": rows}


def freeze(store: Store, campaign: str, *, frozen: bool, by: str, now: datetime) -> dict[str, Any]:
    """Stop single decisions from drawing on a campaign's budget, or let them again. Returns `budget`.

    Raises:
        NotFoundError: as `budget`.
    """
    account = _account(store, campaign)

    def order(_: Session) -> None:
        _ledger(store, now).freeze(account, frozen=frozen)
        store.audit(AuditEntry(now, by, "freeze budget" if frozen else "thaw budget", account))

    store.repeated(order)
    return budget(store, campaign, now=now)


def change_cap(store: Store, campaign: str, limit: str, cap: float, *, by: str, now: datetime) -> dict[str, Any]:
    """Give a limit another cap, until the campaign is allocated again. Returns `budget`.

    Raises:
        NotFoundError: as `budget`, or the limit has no account.
        CampaignError: the cap is negative.
    """
    account, ledger = _account(store, campaign), _ledger(store, now)
    if limit not in {x.limit for x in ledger.balances(account)}:
        raise NotFoundError(f"there is no account of {limit!r}.", where=account, remedy="See `allot budget show`.")

    def order(_: Session) -> None:
        ledger.open(account, {limit: round(cap * MICROS)})
        store.audit(AuditEntry(now, by, "change cap", account, {"limit": limit, "cap": cap}))

    store.repeated(order)
    return budget(store, campaign, now=now)


def _ledger(store: Store, now: datetime) -> Ledger:
    return Ledger(store, worker="people", clock=lambda: now)


def _account(store: Store, campaign: str) -> str:
    found = release_head(store, campaign)
    if found is None:
        raise NotFoundError(f"nothing of campaign {campaign!r} was released.", remedy="Allocate it first.")
    account = account_of(read_campaign(store.allocation(found.allocation_id).summary["document"]))
    with store.transaction(write=False) as session:
        known = read_accounts(session, account)
    if not known:
        remedy = "Add a table [single_decisions] to the campaign and allocate it."
        raise NotFoundError("keeps no budget for single decisions.", where=f"campaign {campaign!r}", remedy=remedy)
    return account
