"""One budget for an allocation and the single decisions after it: what is whose, in the ledger's micros."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

from allot import CampaignError, LimitError
from engine.campaign import Campaign, LimitSpec, SingleDecisions

if TYPE_CHECKING:
    from sqlmodel import Session

    from warehouse import Ledger, Store

MICROS = 1_000_000
"""Of one currency unit, and of one contact."""

Amount: TypeAlias = float | NDArray[np.floating]

_HAIR = 1e-6  # of a micro: what binary fractions add to decimal ones


def account_of(campaign: Campaign) -> str:
    """The name of a campaign's accounts: a recurring campaign has new ones for every moment it is decided for."""
    return f"{campaign.name} as of {campaign.as_of.isoformat()}"


def caps_of(campaign: Campaign) -> dict[str, int]:
    """The cap of every account, micros: hard maxima."""
    return {x.name: _down(x.maximum) for x in campaign.limits if x.rations}


def batch_of(campaign: Campaign) -> dict[str, int]:
    """What of every account is the allocation's, micros: all of it without single decisions."""
    return {x.name: _down(_part(x, campaign.single_decisions)) for x in campaign.limits if x.rations}


def for_batch(campaign: Campaign, room: Mapping[str, int] | None = None) -> Campaign:
    """The campaign as an allocation keeps it: what is kept for single decisions is not in its limits.

    Args:
        campaign: the request.
        room: micros by limit, where less is left for the allocation than its part: an earlier one of the same moment
            was sent, or single decisions have taken more.

    Raises:
        LimitError: a limit's minimum is above what is left of its maximum.
    """
    single = campaign.single_decisions
    if single is None and not room:
        return campaign
    limits = tuple(_batch_limit(limit, single, (room or {}).get(limit.name)) for limit in campaign.limits)
    return replace(campaign, limits=limits, single_decisions=None)


def _batch_limit(limit: LimitSpec, single: SingleDecisions | None, room: int | None) -> LimitSpec:
    if not limit.rations:
        return limit
    most = _part(limit, single) if room is None else min(_part(limit, single), room / MICROS)
    if limit.minimum is not None and limit.minimum > most:
        raise LimitError(
            f"the minimum {limit.minimum:,.6g} is above what single decisions leave of the maximum, {most:,.6g}.",
            where=f"limit {limit.name!r}",
            remedy="Lower the minimum, or what is kept for single decisions.",
        )
    return replace(limit, maximum=most, single_share=None)


def _part(limit: LimitSpec, single: SingleDecisions | None) -> float:
    if single is None:
        return limit.maximum or 0.0
    kept = single.share if limit.single_share is None else limit.single_share
    return (1.0 - kept) * (limit.maximum or 0.0)


def _down(amount: float | None) -> int:
    return int(np.floor(max(amount or 0.0, 0.0) * MICROS + _HAIR))


def micros_up(amount: Amount) -> NDArray[np.int64]:
    """Micros of an amount or of many, rounded up; less than nothing is nothing."""
    return np.ceil(np.maximum(amount, 0.0) * MICROS - _HAIR).astype(np.int64)


def set_aside(store: "Store", campaign: Campaign, replaced: Sequence[str], *, now: datetime) -> dict[str, int]:
    """Before an allocation is computed: hold its part, so that nobody takes it meanwhile.

    Accounts that are open keep their caps until the allocation is released: a plan that fails, or that nobody has
    approved, changes nothing of what single decisions may take.

    Args:
        store: of the workspace.
        campaign: the request.
        replaced: ids of earlier allocations of the same moment that were not sent: what they use is to be had.
        now: the time.

    Returns:
        micros by limit, where less can be had than the allocation's part.
    """
    ledger = _ledger(store, now)
    room = store.repeated(lambda session: _set_aside(session, ledger, campaign, replaced))
    parts = batch_of(campaign)
    return {name: amount for name, amount in room.items() if amount < parts[name]}


def _set_aside(session: "Session", ledger: "Ledger", campaign: Campaign, replaced: Sequence[str]) -> dict[str, int]:
    """What the allocation may use of every account, micros, and none else from now on."""
    if not _shared(ledger, campaign):
        return {}
    account, caps, parts = account_of(campaign), caps_of(campaign), batch_of(campaign)
    known = {balance.limit for balance in ledger.balances(account)}
    ledger.open(account, {name: cap for name, cap in caps.items() if name not in known})
    ledger.cancel(session, _holder(campaign))  # of an allocation that was interrupted
    had = [ledger.taken(session, allocation_id) for allocation_id in replaced]
    ours = {name: sum(one.get(name, 0) for one in had) for name in parts}
    room = {}
    for balance in (x for x in ledger.balances(account) if x.limit in parts):
        name, taken = balance.limit, balance.held + balance.spent + balance.unfunded
        within = ours[name] if balance.frozen else caps[name] - (taken - ours[name])
        room[name] = max(0, min(parts[name], within))
    missing = {name: max(0, room[name] - ours[name]) for name in room}
    ledger.set_aside(session, account, _holder(campaign), missing)
    return room


def give_back(store: "Store", campaign: Campaign, *, now: datetime) -> None:
    """The allocation was not made: what was held for it is free again."""
    ledger = _ledger(store, now)

    def free(session: "Session") -> None:
        if _shared(ledger, campaign):
            ledger.cancel(session, _holder(campaign))

    store.repeated(free)


def _shared(ledger: "Ledger", campaign: Campaign) -> bool:
    """Whether single decisions draw on the same limits, or have drawn on them before the campaign was changed."""
    return campaign.single_decisions is not None or bool(ledger.balances(account_of(campaign)))


def post(store: "Store", campaign: Campaign, use: Mapping[str, Mapping[str, float]], *, now: datetime) -> None:
    """An allocation is released: it has spent what its decisions use, and leaves the rest to single decisions.

    Args:
        store: of the workspace.
        campaign: the request.
        use: by id of the allocation, what it uses of every limit; earlier ones that it takes the place of use nothing.
        now: the time.

    Raises:
        CampaignError: single decisions have taken too much meanwhile; nothing was changed.
    """
    ledger = _ledger(store, now)
    store.repeated(lambda session: _post(session, ledger, campaign, use))


def _post(session: "Session", ledger: "Ledger", campaign: Campaign, use: Mapping[str, Mapping[str, float]]) -> None:
    if not _shared(ledger, campaign):
        return
    account, caps = account_of(campaign), caps_of(campaign)
    ledger.open(account, caps)
    for holder in (_holder(campaign), *use):
        ledger.cancel(session, holder)
    for allocation_id, used in use.items():
        amounts = {name: int(micros_up(used[name])) for name in caps if name in used}
        given = ledger.set_aside(session, account, allocation_id, amounts)
        short = [repr(name) for name, amount in amounts.items() if given[name] < amount]
        if short:
            raise CampaignError(
                f"of {', '.join(short)} single decisions have left less than the allocation uses.",
                where=allocation_id,
                remedy="Allocate anew, within what is left.",
            )
        ledger.settle(session, allocation_id, amounts)


def _ledger(store: "Store", now: datetime) -> "Ledger":
    from warehouse import Ledger

    return Ledger(store, worker="allocations", clock=lambda: now)


def _holder(campaign: Campaign) -> str:
    return f"allocation of {account_of(campaign)}"
