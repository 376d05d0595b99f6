"""One allocation: computed from its stamp, checked by the gates, published whole, and recorded."""

import shutil
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from engine.approval import APPROVED, DRAFT, RELEASED, SUPERSEDED, check_superseded, earlier_than, put_released, sent_of
from engine.approval import release as release_approved
from engine.budgets import give_back, set_aside
from engine.campaign import Campaign, read_campaign
from engine.house import under_house_rules
from engine.stages import Reporter, Stages, silent
from engine.stamp import Stamp, code_version, same_request, stamp_now
from warehouse import AuditEntry, Releases, Store, StoredAllocation, Workspace, open_store, publish

if TYPE_CHECKING:
    from sqlmodel import Session


def allocate(
    workspace: Workspace,
    campaign: Campaign,
    *,
    now: datetime,
    by: str = "allot",
    release: bool = True,
    again: bool = False,
    reporter: Reporter = silent,
) -> dict[str, Any]:
    """Decide for everybody in a campaign's audience, and keep the decisions.

    The allocation's id derives from its version stamp, so the same request in the same state is the same allocation: it
    is not computed again but found. `reproduce` computes it again. In another state, an earlier allocation of the same
    campaign and moment is superseded: it no longer counts, unless its outcomes have begun to come in.

    A campaign that asks for a second person's approval gives a draft, which supersedes nothing yet.

    Args:
        workspace: with data and a trained model.
        campaign: the request.
        now: for the record; decisions do not depend on it.
        by: who asks, for the record.
        release: release it at once where no approval is asked for; else it waits, approved.
        again: supersede an earlier allocation of the same campaign and moment even if its outcomes have come in.
        reporter: told about progress.

    Returns:
        the allocation's summary; `decisions` and `exclusions` are paths of files.

    Raises:
        CampaignError, RuleError, DataError, LimitError: what is wrong with the request; nothing was kept. Also where
            the same campaign and moment was released before, has outcomes, and `again` is not set.
        LockedError: another command is writing.
        WorkspaceError: a gate found the plan at fault (a defect of ours), or the disk is full.
    """
    stages = Stages(reporter)
    with workspace.lock(), open_store(workspace) as store:
        _sweep(workspace, store)
        campaign = under_house_rules(store, campaign)
        stamp = stamp_now(workspace, store, campaign)
        batches = (a for a in store.allocations(campaign=campaign.name) if not a.single)
        same = [a for a in batches if a.as_of == campaign.as_of]
        found = next((a for a in same if a.status != SUPERSEDED and same_request(a.versions, stamp)), None)
        if found is not None:
            if found.status == APPROVED and release:
                found = release_approved(store, found.allocation_id, by=by, now=now, again=again)
            return with_paths(workspace, found.summary)
        at_once = release and campaign.approval == "none"
        earlier = earlier_than(store, campaign.name, campaign.as_of)
        check_superseded(store, campaign.name, earlier if at_once else [], again)
        unsent = {a.allocation_id for a in earlier} - sent_of(store, earlier)
        ask = _Ask(by, now, at_once, tuple(a.allocation_id for a in earlier) if at_once else ())
        room = set_aside(store, campaign, sorted(unsent), now=now)
        try:
            summary = _make(workspace, store, campaign, replace(stamp, room=room), ask, stages)
        except BaseException:
            give_back(store, campaign, now=now)
            raise
        if summary["status"] not in (RELEASED, APPROVED, DRAFT):
            give_back(store, campaign, now=now)
    return with_paths(workspace, summary)


@dataclass(frozen=True, slots=True)
class _Ask:
    """Who asks, when, whether to release it at once, and what that replaces."""

    by: str
    now: datetime
    at_once: bool
    replaces: tuple[str, ...]


def _make(
    workspace: Workspace, store: Store, campaign: Campaign, stamp: Stamp, ask: _Ask, stages: Stages
) -> dict[str, Any]:
    """Compute an allocation, publish its files and record it; returns its summary."""
    from engine.computed import compute  # only here: what was found or refused needs none of it
    from engine.release import chance_of, summarised, write_files

    computed = compute(workspace, store, campaign, stamp, stages)
    with stages("cost of chance"):
        chance = chance_of(computed)
    with workspace.staging() as folder:
        with stages("write", len(computed.choice)):
            written = write_files(folder, computed, stamp)
        summary = summarised(computed, stamp, written, chance)
        summary |= {"seconds": stages.seconds, "peak_memory_mb": stages.peak_memory_mb()}
        summary["warnings"] += [f"{before}, made before, no longer counts" for before in ask.replaces]
        if summary["status"] == RELEASED and not ask.at_once:
            summary["status"] = APPROVED if campaign.approval == "none" else DRAFT
        try:
            if not (workspace.decisions / stamp.allocation_id).exists():  # a superseded one that counts again
                publish(folder, workspace.decisions / stamp.allocation_id)
            _record(store, stamp, summary, ask.by, ask.now)
        except BaseException:
            _sweep(workspace, store)
            raise
    return summary


def _sweep(workspace: Workspace, store: Store) -> None:
    """Remove decisions that were published but not recorded: something stopped us in between. Under the lock."""
    recorded = {a.allocation_id for a in store.allocations()}
    for folder in workspace.decisions.glob("alloc-*"):
        if folder.name not in recorded:
            shutil.rmtree(folder)


def reproduce(workspace: Workspace, allocation_id: str, *, reporter: Reporter = silent) -> dict[str, Any]:
    """Compute a past allocation again from its version stamp and compare the bytes.

    Raises:
        NotFoundError: no such allocation.
        WorkspaceError: something that the stamp names is gone.
    """
    from engine.computed import compute
    from engine.release import write_files

    stages = Stages(reporter)
    with workspace.lock(), open_store(workspace) as store:
        stored = store.allocation(allocation_id)
        campaign = read_campaign(stored.summary["document"])
        stamp = Stamp.from_json(stored.versions)
        computed = compute(workspace, store, campaign, stamp, stages)
        with workspace.staging() as folder:
            written = write_files(folder, computed, stamp)
    return {
        "allocation_id": allocation_id,
        "identical": written.sha256 == stored.decisions_sha256,
        "sha256": written.sha256,
        "same_code": stamp.code == code_version(),
    }


def with_paths(workspace: Workspace, summary: dict[str, Any]) -> dict[str, Any]:
    """A stored summary with the absolute paths of its files."""
    folder = workspace.decisions / summary["allocation_id"]
    files = {"decisions": folder / "decisions.parquet", "exclusions": folder / "exclusions.parquet"}
    return {**summary, **{name: str(path) for name, path in files.items()}}


def _record(store: Store, stamp: Stamp, summary: dict[str, Any], by: str, now: datetime) -> None:
    campaign = read_campaign(summary["document"])
    path = f"decisions/{stamp.allocation_id}/decisions.parquet"
    row = StoredAllocation(
        allocation_id=stamp.allocation_id,
        campaign=campaign.name,
        campaign_digest=campaign.digest,
        status=summary["status"],
        as_of=campaign.as_of,
        versions=stamp.to_json(),
        summary=summary,
        created_at=now,
        decisions_path=path,
        decisions_sha256=summary["decisions_sha256"],
    )

    def record(_: "Session") -> None:
        store.put_campaign(campaign.name, campaign.to_document(), digest=campaign.digest, at=now)
        store.put_allocation(row)
        Releases(store).ask(row.allocation_id, by=by, now=now)
        store.audit(AuditEntry(now, by, "allocate", stamp.allocation_id, {"campaign": campaign.name}))
        if row.status == RELEASED:
            put_released(store, row, by=by, now=now)

    store.repeated(record)
