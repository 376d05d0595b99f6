"""From a plan to a release: who asked for it, who approved it, what a release replaces, and who is told."""

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING

from allot import CampaignError
from engine.budgets import post
from engine.campaign import read_campaign
from warehouse import AuditEntry, Releases, Store, StoredAllocation, outcomes

if TYPE_CHECKING:
    from sqlmodel import Session

DRAFT = "draft"
"""Status of an allocation that waits for a second person: kept, not counted, not delivered."""

APPROVED = "approved"
"""Status of an allocation that may be released and has not been yet."""

RELEASED = "released"
"""Status of an allocation that counts: its decisions are our log."""

SUPERSEDED = "superseded"
"""Status of an allocation that a later one of the same campaign and moment has replaced: kept, not counted."""


def approve(store: Store, allocation_id: str, *, by: str, now: datetime) -> StoredAllocation:
    """A second person approves a draft; approving again changes nothing.

    Raises:
        NotFoundError: no such allocation.
        CampaignError: it is no draft, or `by` asked for it.
    """
    where = f"allocation {allocation_id!r}"
    with store.transaction():
        stored, hands = store.allocation(allocation_id), Releases(store).get(allocation_id)
        if hands is not None and hands.approved_by is not None:
            return stored
        if stored.status != DRAFT or hands is None:
            raise CampaignError(f"is {stored.status}, not a draft.", where=where, remedy="Only drafts are approved.")
        if hands.asked_by == by:
            remedy = "Let a second person approve it: the campaign says approval = 'second_person'."
            raise CampaignError(f"was asked for by {by!r}, who cannot approve it.", where=where, remedy=remedy)
        if Releases(store).approve(allocation_id, by=by, now=now):
            stored = _in_status(stored, APPROVED)
            store.put_allocation(stored)
            store.audit(AuditEntry(now, by, "approve", allocation_id))
    return stored


def release(store: Store, allocation_id: str, *, by: str, now: datetime, again: bool = False) -> StoredAllocation:
    """Let an approved allocation count, from now on and for ever; releasing it again changes nothing.

    Args:
        store: of the workspace.
        allocation_id: an approved allocation.
        by: who releases it.
        now: for the record.
        again: supersede an earlier one of the same campaign and moment even if its outcomes have come in.

    Raises:
        NotFoundError: no such allocation.
        CampaignError: it is not approved, or an earlier one has outcomes and `again` is not set.
    """

    def once(_: "Session") -> StoredAllocation:
        stored = store.allocation(allocation_id)
        Releases(store).one_at_a_time(stored.campaign)
        stored = store.allocation(allocation_id)
        if stored.status == RELEASED:
            return stored
        if stored.status != APPROVED:
            remedy = "A second person approves it first." if stored.status == DRAFT else "Allocate anew."
            raise CampaignError(
                f"is {stored.status}, and cannot be released.", where=f"allocation {allocation_id!r}", remedy=remedy
            )
        check_superseded(store, stored.campaign, earlier_than(store, stored.campaign, stored.as_of), again)
        return put_released(store, stored, by=by, now=now)

    return store.repeated(once)


def put_released(store: Store, stored: StoredAllocation, *, by: str, now: datetime) -> StoredAllocation:
    """The rows of a release: the allocation counts, what it replaces does not, and every address will be told.

    One transaction: of a release either all of this is there or nothing.
    """
    with store.transaction():
        Releases(store).one_at_a_time(stored.campaign)
        earlier = earlier_than(store, stored.campaign, stored.as_of)
        earlier = [before for before in earlier if before.allocation_id != stored.allocation_id]
        for before in earlier:
            store.put_allocation(_in_status(before, SUPERSEDED))
        _spend(store, stored, earlier, now)
        stored = _in_status(stored, RELEASED)
        store.put_allocation(stored)
        Releases(store).release(stored.allocation_id, by=by, now=now)
        Releases(store).announce(stored.allocation_id, _announcement(stored, now), now=now)
        store.audit(AuditEntry(now, by, "release", stored.allocation_id, {"campaign": stored.campaign}))
    return stored


def _spend(store: Store, stored: StoredAllocation, earlier: list[StoredAllocation], now: datetime) -> None:
    """Post what a release uses of the budget that it shares with single decisions; unsent plans before it use nothing.

    Raises:
        CampaignError: single decisions have taken too much meanwhile.
    """
    campaign = read_campaign(stored.summary["document"])
    sent = sent_of(store, earlier)
    nothing: dict[str, Mapping[str, float]] = {a.allocation_id: {} for a in earlier if a.allocation_id not in sent}
    used = {limit["name"]: limit["used"] for limit in stored.summary["limits"]}
    post(store, campaign, {**nothing, stored.allocation_id: used}, now=now)


def earlier_than(store: Store, campaign: str, as_of: datetime) -> list[StoredAllocation]:
    """What a release of this campaign and moment would replace; single decisions are made already."""
    every = store.allocations(campaign=campaign, status=RELEASED)
    return [a for a in every if a.as_of == as_of and not a.single]


def sent_of(store: Store, earlier: list[StoredAllocation]) -> set[str]:
    """Those of some releases that have surely been sent: outcomes of them have come in."""
    heard = (
        {decision.rpartition("-")[0] for decision in outcomes(store)["decision_id"].to_pylist()} if earlier else set()
    )
    return heard & {a.allocation_id for a in earlier}


def check_superseded(store: Store, campaign: str, earlier: list[StoredAllocation], again: bool) -> None:
    """Two plans for the same people and moment cannot both have been sent.

    Raises:
        CampaignError: outcomes of an earlier one have come in, and `again` is not set.
    """
    heard = sent_of(store, earlier)
    sent = [a for a in earlier if a.allocation_id in heard]
    if sent and not again:
        raise CampaignError(
            f"was already released as of {sent[0].as_of.isoformat()} as {sent[0].allocation_id}, and outcomes of it "
            "have come in.",
            where=f"campaign {campaign!r}",
            remedy="Give another as_of or name; or --again to put this one in its place, which then no longer counts.",
        )


def _in_status(stored: StoredAllocation, status: str) -> StoredAllocation:
    summary = stored.summary if status == SUPERSEDED else {**stored.summary, "status": status}
    return replace(stored, status=status, summary=summary)


def _announcement(stored: StoredAllocation, now: datetime) -> str:
    """What receivers are told of a release: where its decisions are, and how to know that they are whole."""
    return json.dumps(
        {
            "type": "allocation.released",
            "allocation_id": stored.allocation_id,
            "campaign": stored.campaign,
            "as_of": stored.as_of.isoformat(),
            "released_at": now.isoformat(),
            "decisions": {
                "url": f"/v1/allocations/{stored.allocation_id}/decisions",
                "sha256": stored.decisions_sha256,
                "rows": stored.summary["audience"],
            },
        },
        sort_keys=True,
    )
