"""Feedback: outcomes come in, and are durable before anything is learnt from them."""

from datetime import datetime
from pathlib import Path
from typing import Any

from warehouse import KnownDecisions, Workspace, open_store, read_feedback, source_of, take_feedback


def feedback(workspace: Workspace, path: Path, *, now: datetime) -> dict[str, Any]:
    """Take a file of outcomes into the log; when this returns they are durable.

    Returns:
        accepted, duplicate, corrected, pending, rejected, and the reason of every rejected record.

    Raises:
        DataError: the file cannot be read as feedback at all.
    """
    items = list(read_feedback(path))
    with workspace.lock(), open_store(workspace) as store:
        receipt = take_feedback(store, items, KnownDecisions(workspace, store), received_at=now)
        superseded = {a.allocation_id for a in store.allocations(status="superseded")}
    idle = sorted({source_of(i.body.decision_id) for i in items if i.body is not None} & superseded)
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
