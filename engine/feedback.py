"""Feedback: outcomes come in, and are durable before anything is learnt from them."""

from datetime import datetime
from pathlib import Path
from typing import Any

from warehouse import Item, Workspace, find_decisions, open_store, read_feedback, take_feedback


def feedback(workspace: Workspace, path: Path, *, now: datetime) -> dict[str, Any]:
    """Take a file of outcomes into the log; when this returns they are durable.

    Returns:
        accepted, duplicate, corrected, pending, rejected, and the reason of every rejected record.

    Raises:
        DataError: the file cannot be read as feedback at all.
    """
    items = list(read_feedback(path))
    with workspace.lock(), open_store(workspace) as store:
        allocations = store.allocations()
        decided = {a.allocation_id: a.as_of for a in allocations}
        superseded = {a.allocation_id for a in allocations if a.status == "superseded"}
        items = [_after_its_decision(item, decided) for item in items]
        paths = [workspace.root / a.decisions_path for a in allocations if a.decisions_path is not None]
        receipt = take_feedback(store, items, lambda ids: find_decisions(paths, ids), received_at=now)
    idle = sorted({i.body.decision_id.rpartition("-")[0] for i in items if i.body is not None} & superseded)
    reasons = [{"line": line, "event_id": event, "reason": reason} for line, event, reason in receipt.reasons]
    return {
        "accepted": receipt.accepted,
        "duplicate": receipt.duplicate,
        "corrected": receipt.corrected,
        "pending": receipt.pending,
        "rejected": receipt.rejected,
        "joined": receipt.joined,
        "reasons": reasons,
        "warnings": [f"{name} was superseded: its outcomes are kept, but do not count" for name in idle],
    }


def _after_its_decision(item: Item, decided: dict[str, datetime]) -> Item:
    """The record, refused where it says that the outcome came before the decision."""
    if item.body is None:
        return item
    at = decided.get(item.body.decision_id.rpartition("-")[0])
    if at is None or item.body.occurred_at >= at:
        return item
    reason = f"occurred_at {item.body.occurred_at.isoformat()} lies before the decision ({at.isoformat()})"
    return Item(item.line, None, item.event_id or item.body.event_id, reason)
