"""One allocation: computed from its stamp, checked by the gates, published whole, and recorded."""

import shutil
from dataclasses import replace
from datetime import datetime
from typing import Any

from allot import CampaignError
from engine.campaign import Campaign, read_campaign
from engine.stages import Reporter, Stages, silent
from engine.stamp import Stamp, code_version, stamp_now
from warehouse import (
    AuditEntry,
    Store,
    StoredAllocation,
    Workspace,
    open_store,
    outcomes,
    publish,
)

SUPERSEDED = "superseded"
"""Status of an allocation that a later one of the same campaign and moment has replaced: kept, not counted."""


def allocate(
    workspace: Workspace, campaign: Campaign, *, now: datetime, again: bool = False, reporter: Reporter = silent
) -> dict[str, Any]:
    """Decide for everybody in a campaign's audience, and keep the decisions.

    The allocation's id derives from its version stamp, so the same request in the same state is the same allocation: it
    is not computed again but found. `reproduce` computes it again. In another state, an earlier allocation of the same
    campaign and moment is superseded: it no longer counts, unless its outcomes have begun to come in.

    Args:
        workspace: with data and a trained model.
        campaign: the request.
        now: for the record; decisions do not depend on it.
        again: supersede an earlier allocation of the same campaign and moment even if its outcomes have come in.
        reporter: told about progress.

    Returns:
        the allocation's summary; `decisions` and `exclusions` are paths of files.

    Raises:
        CampaignError, RuleError, DataError, LimitError: what is wrong with the request; nothing was kept. Also where
            the same campaign and moment was released before, has outcomes, and `again` is not set.
        WorkspaceError: a gate found the plan at fault (a defect of ours), or the disk is full.
    """
    stages = Stages(reporter)
    with workspace.lock(), open_store(workspace) as store:
        _sweep(workspace, store)
        stamp = stamp_now(workspace, store, campaign)
        same = [a for a in store.allocations(campaign=campaign.name) if a.as_of == campaign.as_of]
        found = next((a for a in same if a.allocation_id == stamp.allocation_id), None)
        if found is not None and found.status != SUPERSEDED:
            return with_paths(workspace, found.summary)
        earlier = [a for a in same if a.status == "released"]
        _check_superseded(store, campaign, earlier, again)

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
            summary["warnings"] += [f"{a.allocation_id}, made before, no longer counts" for a in earlier]
            try:
                if found is None:
                    publish(folder, workspace.decisions / stamp.allocation_id)
                _record(store, stamp, summary, earlier, now)
            except BaseException:
                _sweep(workspace, store)
                raise
    return with_paths(workspace, summary)


def _check_superseded(store: Store, campaign: Campaign, earlier: list[StoredAllocation], again: bool) -> None:
    """Two plans for the same people and moment cannot both have been sent."""
    heard = (
        {decision.rpartition("-")[0] for decision in outcomes(store)["decision_id"].to_pylist()} if earlier else set()
    )
    sent = [a.allocation_id for a in earlier if a.allocation_id in heard]
    if sent and not again:
        raise CampaignError(
            f"was already released as of {campaign.as_of.isoformat()} as {sent[0]}, and outcomes of it have come in.",
            where=f"campaign {campaign.name!r}",
            remedy="Give another as_of or name; or --again to put this one in its place, which then no longer counts.",
        )


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


def _record(
    store: Store, stamp: Stamp, summary: dict[str, Any], earlier: list[StoredAllocation], now: datetime
) -> None:
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
    with store.transaction():
        store.put_campaign(campaign.name, campaign.to_document(), digest=campaign.digest, at=now)
        for before in earlier:
            store.put_allocation(replace(before, status=SUPERSEDED))
        store.put_allocation(row)
        store.audit(AuditEntry(now, "allot", "allocate", stamp.allocation_id, {"campaign": campaign.name}))
