"""Single decisions of closed hours become allocations: files that history, learning, evaluation and memory read."""

import json
import shutil
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any

import numpy as np

from warehouse import AuditEntry, Store, StoredAllocation, Workspace, publish
from warehouse.decisions import DECISIONS, REALTIME
from warehouse.records import SINGLE
from warehouse.single_files import write_singles
from warehouse.singles import Numbers, Single, mark_sealed, open_hours, open_singles

_PATIENCE = timedelta(minutes=1)  # for decisions of the last hour whose transactions are still under way


def seal(workspace: Workspace, store: Store, *, now: datetime, patience: timedelta = _PATIENCE) -> tuple[str, ...]:
    """Write the single decisions of every closed hour into files, each decision into exactly one.

    A file is published before the database says, in one transaction, that it counts and whose decisions are in it. What
    was published and not recorded, because something stopped us in between, is swept. A decision that comes late, for
    an hour that is sealed already, goes into a file of its own.

    Args:
        workspace, store: whose.
        now: an hour is closed once it is over by `patience`.
        patience: how long a decision may take from its moment to its commit.

    Returns:
        the ids of the allocations that were made.

    Raises:
        WorkspaceError: another command is writing, or the disk is full; nothing is lost, and it may be called again.
    """
    closed = (now - patience).replace(minute=0, second=0, microsecond=0)
    with store.transaction(write=False) as session:
        hours = open_hours(session, closed)
    if not hours:
        return ()
    made = []
    with workspace.lock():
        _sweep(workspace, store)
        for release_id, prior, hour in hours:
            with store.transaction(write=False) as session:
                singles = open_singles(session, release_id, prior, hour)
            if singles:
                made.append(_sealed(workspace, store, store.allocation(release_id), singles, now))
    return tuple(made)


def _sweep(workspace: Workspace, store: Store) -> None:
    recorded = {a.allocation_id for a in store.allocations()}
    for folder in workspace.decisions.glob(f"{SINGLE}*"):
        if folder.name not in recorded:
            shutil.rmtree(folder)


def _sealed(workspace: Workspace, store: Store, release: StoredAllocation, singles: list[Single], now: datetime) -> str:
    named = json.dumps([release.allocation_id, *(single.decision_id for single in singles)])
    allocation_id = f"{SINGLE}{sha256(named.encode()).hexdigest()[:16]}"
    summary = _summary(release, singles) | {"allocation_id": allocation_id}
    with workspace.staging() as folder:
        written = write_singles(folder, singles, _meta(summary, release))
        publish(folder, workspace.decisions / allocation_id)
    first = min(single.decided_at for single in singles)
    row = StoredAllocation(
        allocation_id=allocation_id,
        campaign=release.campaign,
        campaign_digest=release.campaign_digest,
        status="released",
        as_of=first.replace(minute=0, second=0, microsecond=0),
        versions=summary["versions"],
        summary=summary | {"decisions_sha256": written.sha256},
        created_at=now,
        decisions_path=f"decisions/{allocation_id}/{DECISIONS}",
        decisions_sha256=written.sha256,
    )
    with store.transaction() as session:
        store.put_allocation(row)
        marked = mark_sealed(session, [single.decision_id for single in singles], allocation_id)
        if marked != len(singles):
            raise AssertionError(f"{len(singles) - marked} decisions were sealed by somebody else, under our lock")
        store.audit(AuditEntry(now, "allot", "seal", allocation_id, {"decisions": len(singles)}))
    return allocation_id


def _meta(summary: dict[str, Any], release: StoredAllocation) -> dict[str, Any]:
    """What the file says of how its decisions were made; prices stand in its rows."""
    names = (
        "allocation_id",
        "as_of",
        "objective",
        "offer_ids",
        "versions",
        "mechanism",
        "exploration",
        "seed",
        "cells",
    )
    plain = {name: summary[name] for name in names if name in summary}
    return {**plain, "campaign": release.campaign, "release_id": release.allocation_id, "charges": [], "limits": []}


def _summary(release: StoredAllocation, singles: list[Single]) -> dict[str, Any]:
    """An allocation's summary, as far as one can be made of decisions that were made one at a time."""
    from governance import books_of

    numbers = [Numbers.unpack(single.numbers) for single in singles]
    ids = release.summary["offer_ids"]
    place = {offer: a for a, offer in enumerate(ids)} | {None: -1}
    choice = np.array([place[single.offer_id] for single in singles])
    reasons = np.stack([n.reasons for n in numbers])
    held = np.array([single.answer["status"] == "held_out" for single in singles])
    books = books_of(choice, reasons == 0, held)
    kept = ("objective", "offer_ids", "exploration", "seed", "cells", "document", "campaign")
    offers = [_offer(told, a, choice, reasons, singles) for a, told in enumerate(release.summary["offers"])]
    return {
        **{name: release.summary[name] for name in kept if name in release.summary},
        "release_id": release.allocation_id,
        "features_at": release.as_of.isoformat(),
        "as_of": min(single.decided_at for single in singles).isoformat(),
        "until": max(single.decided_at for single in singles).isoformat(),
        "versions": {**release.versions, "posterior": singles[-1].posterior or release.versions["posterior"]},
        "mechanism": REALTIME,
        "status": "released",
        "breached": [],
        **books.told(),
        "planned_value": sum(single.answer["expected_value"]["mean"] for single in singles),
        "planned_cost": sum(single.answer["cost"] for single in singles),
        "offers": offers,
        "limits": [],
        "funnel": _funnel(release, reasons),
        "modes": {mode: modes.count(mode) for modes in [[s.answer["mode"] for s in singles]] for mode in set(modes)},
        "warnings": [],
    }


def _offer(told: dict[str, Any], a: int, choice: Any, reasons: Any, singles: list[Single]) -> dict[str, Any]:
    picked = np.flatnonzero(choice == a).tolist()
    return {
        "offer_id": told["offer_id"],
        "name": told["name"],
        "chosen": len(picked),
        "eligible": int((reasons[:, a] == 0).sum()),
        "planned_value": sum(singles[i].answer["expected_value"]["mean"] for i in picked),
        "planned_cost": sum(singles[i].answer["cost"] for i in picked),
    }


def _funnel(release: StoredAllocation, reasons: Any) -> list[dict[str, Any]]:
    """How many pairs each rule excludes: as the first rule that does, and in all."""
    from engine.serving.snapshot import BUDGET, UNKNOWN

    rules = [(line["rule"], line["reason"], bit) for bit, line in enumerate(release.summary["funnel"])]
    rules += [(rule.name, rule.reason, rule.bit) for rule in (UNKNOWN, BUDGET)]
    left = np.ones(reasons.shape, bool)
    out = []
    for name, reason, bit in rules:
        hit = (reasons >> np.uint64(bit) & np.uint64(1)).astype(bool)
        counts = {"first_hit": int((hit & left).sum()), "all_hits": int(hit.sum())}
        out.append({"rule": name, "reason": reason, **counts})
        left &= ~hit
    return out
