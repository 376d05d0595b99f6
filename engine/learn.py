"""Learning: the posterior is folded again over the calendar windows of the decisions whose outcomes came in."""

from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from engine.fold import PARTS, Folded, RowReader, fold, overlaid, untrained, windows_of
from engine.models import Foundation, load_models, posterior_id
from engine.rows import column_keys, learnt_of, released
from engine.stages import Reporter, Stages, silent
from engine.stamp import current_posterior_id
from warehouse import (
    AuditEntry,
    Counted,
    Store,
    StoredModel,
    Workspace,
    connect,
    history,
    open_store,
    outcomes,
    pack_arrays,
)


def learn(
    workspace: Workspace, *, as_of: datetime, reporter: Reporter = silent, counted: Counted | None = None
) -> dict[str, Any]:
    """Fold every matured decision that the model was not trained on, each once.

    The fold goes over windows of one day of decision time. A window whose rows are as they were keeps its checkpoint; a
    late or corrected outcome folds again from the checkpoint before its window. So the order of arrival changes no bit.

    An offer that came after training is learnt as a cold arm until the next one.

    Younger decisions are laid over a copy of the folded state: their successes count fully, their silence by the share
    of outcomes that arrive by their age. The next fold starts from the state without them.

    Args:
        workspace: with a trained model.
        as_of: only decisions whose outcome_days have passed by then are folded.
        reporter: told about progress.
        counted: of the log, by an earlier call in this process.

    Returns:
        folded: outcomes newly folded; filled: decisions without feedback newly counted as outcome 0; waiting: decisions
        that are too young; overlaid: those of them that count for now; refolded: windows that had to be folded again;
        newcomers: offers that came after training and have decisions to learn from; posterior: the one now in use;
        experts: who of it is believed, and by how much (a plain posterior has one).

    Raises:
        NotFoundError: no model has been trained.
    """
    stages = Stages(reporter)
    with workspace.lock(), open_store(workspace) as store:
        current = store.model("posterior", current_posterior_id(store))
        base = str(current.watermark["base"])
        foundation, start = load_models(workspace, store, base)
        allocations = store.allocations(status="released")
        with stages("log"), connect(workspace) as connection:
            heard = outcomes(store, up_to=as_of, counted=counted)
            log = history(connection, released(workspace, allocations), heard, as_of)
        by_id = {a.allocation_id: a for a in allocations}
        keys = column_keys(log["decision_id"])
        fresh = untrained(log, keys, foundation, by_id)
        windows = windows_of(fresh, {name: a.versions for name, a in by_id.items()}, foundation.prior.kind)
        with stages("fold", max(1, sum(w.rows.num_rows for w in windows))):
            folded = fold(RowReader(workspace, store, foundation, by_id), windows, base, start)
        with stages("overlay", fresh.num_rows):
            (widened, posterior), young = overlaid(folded, fresh, as_of)
        before = {w["window"]: w for w in current.watermark["windows"]}
        watermark = {"base": base, "windows": [w.mark for w in windows], "newcomers": list(widened.newcomers)}
        prior_id = foundation.id
        new = posterior_id(posterior, prior_id, widened.newcomers)
        blob = pack_arrays(posterior.to_arrays())
        made = StoredModel("posterior", new, datetime.now(UTC), (prior_id,), current.manifest, watermark, blob)
        _keep(store, current, made, folded)
    gained = {part: sum(w.mark[part] - before.get(w.day, {}).get(part, 0) for w in windows) for part in PARTS}
    return {
        "folded": max(0, gained["answered"]),
        "filled": max(0, gained["silent"]),
        "overlaid": young,
        "waiting": int((~np.asarray(fresh["matured"], bool)).sum()),
        "refolded": sum(1 for w in windows[folded.kept :] if w.day in before),
        "windows": len(windows),
        "newcomers": list(widened.newcomers),
        "experts": posterior.shares,
        "posterior": new,
        "prior": prior_id,
        "warnings": [*_silent(fresh), *_changed(log, keys, foundation)],
        "seconds": stages.seconds,
    }


def _keep(store: Store, current: StoredModel, made: StoredModel, folded: Folded) -> None:
    """Checkpoints and posterior in one transaction; nothing where nothing changed."""
    windows = made.watermark["windows"]
    with store.transaction():
        if len(windows) > folded.kept:
            store.drop_checkpoints(made.watermark["base"], from_window=windows[folded.kept]["window"])
        for checkpoint in folded.checkpoints:
            store.put_checkpoint(checkpoint)
        if made.model_id != current.model_id or made.watermark != current.watermark:
            store.put_model(made)
            store.audit(AuditEntry(made.created_at, "allot", "learn", made.model_id, {"windows": len(windows)}))


def _changed(log: pa.Table, keys: NDArray[np.uint64], foundation: Foundation) -> list[str]:
    """Decisions that were trained on with another outcome than the one that is known now."""
    if not len(foundation.seen):
        return []
    at = np.minimum(np.searchsorted(foundation.seen, keys), len(foundation.seen) - 1)
    trained = foundation.seen[at] == keys
    changed = int((trained & (foundation.outcome[at] != learnt_of(log, foundation.prior.kind))).sum())
    if not changed:
        return []
    return [f"{changed:,} decisions that the model was trained on have another outcome by now: run `allot train`"]


def _silent(log: pa.Table) -> list[str]:
    """Allocations of which nothing at all was heard, although silence would count as failure."""
    counts = np.asarray(log["matured"], bool) & np.asarray(log["silence_counts"], bool)
    mute = counts & ~np.asarray(log["silence_is_failure"], bool)
    names = sorted(log["allocation_id"].filter(pa.array(mute)).unique().to_pylist())
    return [
        f"no feedback at all has come for {name}: it is not learnt from, as if it had not been sent" for name in names
    ]
