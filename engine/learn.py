"""Learning: outcomes come in, and the posterior is folded again over the calendar windows of their decisions."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from bandit import Posterior, Rows
from engine.computed import load_models
from engine.models import Foundation, current_posterior_id, posterior_id
from engine.rows import column_keys, days, released, row_features
from engine.stages import Reporter, Stages, silent
from engine.stamp import Stamp
from warehouse import (
    AuditEntry,
    Checkpoint,
    Store,
    StoredAllocation,
    StoredModel,
    Workspace,
    attach,
    connect,
    find_decisions,
    history,
    outcomes,
    pack_arrays,
    read_feedback,
    read_version,
    take_feedback,
    unpack_arrays,
)


def feedback(workspace: Workspace, path: Path, *, now: datetime) -> dict[str, Any]:
    """Take a file of outcomes into the log; when this returns they are durable.

    Returns:
        accepted, duplicate, corrected, pending, rejected, and the reason of every rejected record.

    Raises:
        DataError: the file cannot be read as feedback at all.
    """
    items = list(read_feedback(path))
    with workspace.lock(), Store.open(workspace.store_path) as store:
        paths = [r.path for r in released(workspace, store.allocations())]
        receipt = take_feedback(store, items, lambda ids: find_decisions(paths, ids), received_at=now)
    reasons = [{"line": line, "event_id": event, "reason": reason} for line, event, reason in receipt.reasons]
    return {
        "accepted": receipt.accepted,
        "duplicate": receipt.duplicate,
        "corrected": receipt.corrected,
        "pending": receipt.pending,
        "rejected": receipt.rejected,
        "joined": receipt.joined,
        "reasons": reasons,
    }


@dataclass(frozen=True, slots=True)
class _Window:
    """One calendar day of matured decisions, sorted by decision id."""

    day: int
    rows: pa.Table
    digest: str

    @property
    def answered(self) -> int:
        """Rows with feedback."""
        return int(np.asarray(self.rows["answered"]).sum())


def learn(workspace: Workspace, *, as_of: datetime, reporter: Reporter = silent) -> dict[str, Any]:
    """Fold every matured decision that the model was not trained on, each once.

    The fold goes over windows of one day of decision time. A window whose rows are as they were keeps its checkpoint; a
    late or corrected outcome folds again from the checkpoint before its window. So the order of arrival changes no bit.

    Args:
        workspace: with a trained model.
        as_of: only decisions whose outcome_days have passed by then are folded.
        reporter: told about progress.

    Returns:
        folded: outcomes newly folded; filled: decisions without feedback newly counted as failures; waiting: decisions
        that are too young; refolded: windows that had to be folded again; posterior: the posterior now in use.

    Raises:
        NotFoundError: no model has been trained.
    """
    stages = Stages(reporter)
    with workspace.lock(), Store.open(workspace.store_path) as store:
        current = store.model("posterior", current_posterior_id(store))
        base = str(current.watermark["base"])
        foundation, start = load_models(workspace, store, base)
        allocations = store.allocations(status="released")
        with stages("log"), connect(workspace) as connection:
            log = history(connection, released(workspace, allocations), outcomes(store), as_of)
        fresh = log.filter(pa.array(~np.isin(column_keys(log["decision_id"]), foundation.seen)))
        windows = _windows(fresh, {a.allocation_id: a.versions for a in allocations})
        with stages("fold", max(1, sum(w.rows.num_rows for w in windows))):
            folded = _fold(workspace, store, windows, (base, foundation, start), allocations)
        posterior, checkpoints, kept = folded
        before = {w["window"]: w for w in current.watermark["windows"]}
        watermark = {"base": base, "windows": [_mark(w) for w in windows]}
        new = posterior_id(posterior, foundation.id)
        now = datetime.now(UTC)
        with store.transaction():
            if len(windows) > kept:
                store.drop_checkpoints(base, from_window=windows[kept].day)
            for checkpoint in checkpoints:
                store.put_checkpoint(checkpoint)
            if new != current.model_id or watermark != current.watermark:
                blob = pack_arrays(posterior.to_arrays())
                made = StoredModel("posterior", new, now, (foundation.id,), current.manifest, watermark, blob)
                store.put_model(made)
                store.audit(AuditEntry(now, "allot", "learn", new, {"windows": len(windows)}))
    gained = {part: sum(_mark(w)[part] - before.get(w.day, {}).get(part, 0) for w in windows) for part in _PARTS}
    return {
        "folded": max(0, gained["answered"]),
        "filled": max(0, gained["silent"]),
        "waiting": int((~np.asarray(fresh["matured"], bool)).sum()),
        "refolded": sum(1 for w in windows[kept:] if w.day in before),
        "windows": len(windows),
        "posterior": new,
        "prior": foundation.id,
        "seconds": stages.seconds,
    }


_PARTS = ("answered", "silent")


def _mark(window: _Window) -> dict[str, Any]:
    answered = window.answered
    return {"window": window.day, "digest": window.digest, "answered": answered, "silent": len(window.rows) - answered}


def _windows(log: pa.Table, versions: dict[str, dict[str, Any]]) -> list[_Window]:
    """Matured rows that say something, by day; digests name decisions, outcomes and the data they were made from."""
    says = np.asarray(log["answered"], bool) | np.asarray(log["silence_is_failure"], bool)
    rows = log.filter(pa.array(np.asarray(log["matured"], bool) & says))
    day = np.floor(days(rows["decided_at"])).astype(np.int64)
    out = []
    for one in np.unique(day).tolist():
        part = rows.filter(pa.array(day == one))
        digest = sha256()
        for allocation in sorted(set(part["allocation_id"].to_pylist())):
            digest.update(repr((allocation, versions[allocation]["data"])).encode())
        digest.update("\n".join(part["decision_id"].to_pylist()).encode())
        digest.update(np.asarray(part["outcome"], np.int8).tobytes())
        digest.update(np.asarray(part["answered"], bool).tobytes())
        out.append(_Window(one, part, digest.hexdigest()))
    return out


def _fold(
    workspace: Workspace,
    store: Store,
    windows: list[_Window],
    model: tuple[str, Foundation, Posterior],
    allocations: tuple[StoredAllocation, ...],
) -> tuple[Posterior, list[Checkpoint], int]:
    """The posterior after all windows, new checkpoints, and how many windows at the start were kept as they were."""
    base, foundation, state = model
    known = {c.window: c for c in store.checkpoints(base)}
    chain, kept = base, 0
    for window in windows:
        link = sha256(f"{chain}{window.day}{window.digest}".encode()).hexdigest()
        checkpoint = known.get(window.day)
        if checkpoint is None or checkpoint.digest != link:
            break
        state, chain, kept = Posterior.from_arrays(unpack_arrays(checkpoint.blob)), link, kept + 1
    made = []
    by_id = {a.allocation_id: a for a in allocations}
    for window in windows[kept:]:
        chain = sha256(f"{chain}{window.day}{window.digest}".encode()).hexdigest()
        state = state.update(_rows(workspace, store, window, foundation, by_id), window=window.day)
        made.append(Checkpoint(base, window.day, chain, pack_arrays(state.to_arrays()), datetime.now(UTC)))
    return state, made, kept


def _rows(
    workspace: Workspace,
    store: Store,
    window: _Window,
    foundation: Foundation,
    allocations: dict[str, StoredAllocation],
) -> Rows:
    """The window as the posterior reads it: features as they were served, from the versions of each stamp."""
    k = len(foundation.offer_ids)
    arms = {offer_id: arm for arm, offer_id in enumerate(foundation.offer_ids)} | {None: k}
    parts: list[Rows] = []
    names: list[NDArray[np.str_]] = []
    for allocation_id in sorted(set(window.rows["allocation_id"].to_pylist())):
        part = window.rows.filter(pa.array(np.array(window.rows["allocation_id"].to_pylist()) == allocation_id))
        arm = np.array([arms.get(offer, -1) for offer in part["offer_id"].to_pylist()])
        part, arm = part.filter(pa.array(arm >= 0)), arm[arm >= 0]  # offers that the model no longer has
        stamp = Stamp.from_json(allocations[allocation_id].versions)
        with connect(workspace) as connection:
            attach(connection, workspace, read_version(workspace, stamp.data))
            customer, at = (part[c].combine_chunks() for c in ("customer_id", "decided_at"))
            table = row_features(connection, store, workspace, (customer, at), stamp.past)
        customers = foundation.features.encode(table)
        logit = foundation.prior.logits(customers)[np.arange(len(arm)), arm]
        outcome = np.asarray(part["outcome"], np.float64)
        parts.append(Rows(foundation.basis(customers), logit, arm, outcome))
        names.append(np.array(part["decision_id"].to_pylist(), str))
    order = np.argsort(np.concatenate(names), kind="stable")
    joined = (np.concatenate([getattr(p, f) for p in parts])[order] for f in ("basis", "logit", "arm", "outcome"))
    basis, logit, arm, outcome = joined
    return replace(parts[0], basis=basis, logit=logit, arm=arm, outcome=outcome)
