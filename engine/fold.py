"""The fold: matured decisions by calendar window, each as it was served, and the young ones laid over."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from bandit import Kind, Learnt, Rows, arrival_share, learnt_from_arrays
from engine.catalogue import catalogue
from engine.kin import kin_keys
from engine.models import Foundation
from engine.rows import chosen, days, learnt_of
from engine.served import served_columns
from engine.stamp import Stamp
from warehouse import (
    Checkpoint,
    Store,
    StoredAllocation,
    Workspace,
    attach,
    connect,
    pack_arrays,
    read_version,
    unpack_arrays,
)

Floats: TypeAlias = NDArray[np.float64]

PARTS = ("answered", "silent")
_FEWEST_DELAYS = 30  # successes whose delay is known, before young decisions are judged by it
_DAY_US = 86_400_000_000


@dataclass(frozen=True, slots=True)
class Window:
    """One calendar day of matured decisions, sorted by decision id; `digest` names what is in it."""

    day: int
    rows: pa.Table
    digest: str

    @property
    def mark(self) -> dict[str, Any]:
        """For the watermark: rows with feedback, and rows whose silence counts."""
        answered = int(np.asarray(self.rows["answered"]).sum())
        silent = self.rows.num_rows - answered
        return {"window": self.day, "digest": self.digest, "answered": answered, "silent": silent}


def untrained(
    log: pa.Table, keys: NDArray[np.uint64], foundation: Foundation, allocations: Mapping[str, StoredAllocation]
) -> pa.Table:
    """Decisions to learn from that a model was not trained on; `keys` are those of their ids.

    An offer that the training did not know came later if the model itself decided on it: a newcomer. Earlier models'
    decisions on it are left out, as the training left them out: it was retired then.
    """
    trained = np.isin(keys, foundation.seen)
    prior_id = foundation.id
    own = [name for name, a in allocations.items() if a.versions["prior"] == prior_id]
    known = _among(log["offer_id"], [*foundation.offer_ids, None])
    return chosen(log, ~trained & (known | _among(log["allocation_id"], own)))


def _among(column: pa.ChunkedArray, values: list[Any]) -> NDArray[np.bool_]:
    return np.asarray(pc.is_in(column, value_set=pa.array(values, column.type)), np.bool_)


def windows_of(log: pa.Table, versions: dict[str, dict[str, Any]], kind: Kind) -> list[Window]:
    """Matured rows that say something, by day; digests name decisions, outcomes and the data they were made from."""
    rows = chosen(log, np.asarray(log["matured"], bool) & _says(log))
    day = np.floor(days(rows["decided_at"])).astype(np.int64)
    out = []
    for one in np.unique(day).tolist():
        part = chosen(rows, day == one)
        digest = sha256()
        for allocation in sorted(part["allocation_id"].unique().to_pylist()):
            digest.update(repr((allocation, versions[allocation]["data"])).encode())
        digest.update(_lines(part["decision_id"]))
        digest.update(learnt_of(part, kind).tobytes())
        digest.update(np.asarray(part["answered"], bool).tobytes())
        out.append(Window(one, part, digest.hexdigest()))
    return out


def _lines(column: pa.ChunkedArray) -> pa.Buffer:
    """The texts of a column, one on each line."""
    everything = pa.ListArray.from_arrays([0, len(column)], column.combine_chunks())
    return pc.binary_join(everything, "\n")[0].as_buffer()


def _says(log: pa.Table) -> NDArray[np.bool_]:
    says: NDArray[np.bool_] = np.asarray(log["answered"], bool) | np.asarray(log["silence_is_failure"], bool)
    return says


@dataclass(frozen=True, slots=True)
class RowReader:
    """Reads decisions as the posterior sees them: features as they were served, from the versions of each stamp."""

    workspace: Workspace
    store: Store
    foundation: Foundation
    allocations: dict[str, StoredAllocation]

    def __call__(self, rows: pa.Table, weight: Floats | None = None) -> Rows:
        """Rows in their order.

        Args:
            rows: r decisions with their outcomes, by decision id, about offers that the foundation has (see `meeting`).
            weight: (r,) or None.
        """
        offers = pa.array([*self.foundation.offer_ids, None], pa.string())
        read = self.foundation.features
        parts: list[Rows] = []
        places: list[NDArray[np.int64]] = []
        for allocation_id in sorted(rows["allocation_id"].unique().to_pylist()):
            here = np.asarray(pc.equal(rows["allocation_id"], allocation_id), np.bool_)
            part, mine = chosen(rows, here), None if weight is None else weight[here]
            arm = np.asarray(pc.index_in(part["offer_id"].cast(pa.string()), offers))
            served = served_columns(self.workspace, self.store, self.allocations[allocation_id], part, read)
            basis, logit = self.foundation.shown(served, arm)
            outcome = learnt_of(part, self.foundation.prior.kind).astype(np.float64)
            parts.append(Rows(basis, logit, arm, outcome, mine))
            places.append(np.flatnonzero(here))
        if len(parts) == 1:  # as it is, without a copy
            return parts[0]
        order = np.argsort(np.concatenate(places))

        def joined(column: str) -> NDArray[Any]:
            return np.asarray(np.concatenate([getattr(part, column) for part in parts])[order])

        counted = None if weight is None else joined("weight")
        return Rows(joined("basis"), joined("logit"), joined("arm"), joined("outcome"), counted)

    def meeting(self, rows: pa.Table) -> "RowReader":
        """With the offers in some decisions as newcomers where the foundation has them not, by id."""
        named = rows["offer_id"].drop_null().unique().to_pylist()
        return replace(self, foundation=self.foundation.widened(sorted(named)))

    def fitting(self, state: Learnt, rows: pa.Table) -> Learnt:
        """A state with the newcomers in some decisions, each as the first allocation (by id) that chose it knew it."""
        new = self.foundation.offer_ids[len(state.count) - 1 :]
        if not new:
            return state
        named, source = rows["offer_id"].to_pylist(), rows["allocation_id"].to_pylist()
        kin = []
        for offer in new:
            first = min(a for o, a in zip(named, source, strict=True) if o == offer)
            with connect(self.workspace) as connection:
                data = Stamp.from_json(self.allocations[first].versions).data
                attach(connection, self.workspace, read_version(self.workspace, data))
                kin.append(kin_keys(catalogue(connection), [offer], self.foundation.prior.columns))
        return state.widened(len(new), np.concatenate(kin))


@dataclass(frozen=True, slots=True)
class Folded:
    """What a fold gives.

    Args:
        state: after all windows.
        reader: whose foundation has met the newcomers of all windows, in the order in which windows first name them.
        checkpoints: new ones.
        kept: how many windows at the start were kept as they were.
    """

    state: Learnt
    reader: RowReader
    checkpoints: list[Checkpoint]
    kept: int


def fold(reader: RowReader, windows: list[Window], base: str, start: Learnt) -> Folded:
    """Fold windows in their order; a newcomer becomes an arm with the first window that names it."""
    known = {c.window: c for c in reader.store.checkpoints(base)}
    state, chain, kept = start, base, 0
    for window in windows:
        link = _link(chain, window)
        checkpoint = known.get(window.day)
        if checkpoint is None or checkpoint.digest != link:
            break
        state, chain, kept = learnt_from_arrays(unpack_arrays(checkpoint.blob)), link, kept + 1
        reader = reader.meeting(window.rows)
    made = []
    for window in windows[kept:]:
        chain, reader = _link(chain, window), reader.meeting(window.rows)
        state = reader.fitting(state, window.rows).update(reader(window.rows), window=window.day)
        made.append(Checkpoint(base, window.day, chain, pack_arrays(state.to_arrays()), datetime.now(UTC)))
    return Folded(state, reader, made, kept)


def _link(chain: str, window: Window) -> str:
    return sha256(f"{chain}{window.day}{window.digest}".encode()).hexdigest()


def overlaid(folded: Folded, log: pa.Table, as_of: datetime) -> tuple[tuple[Foundation, Learnt], int]:
    """The model with the decisions laid over that are not yet mature, and how many these are.

    Their known outcomes count fully. Silence counts by the share of outcomes that arrive by the decision's age, learnt
    from the delays of the log and of our own successes. Where these are too few to say, and where silence says nothing
    (then successes, which are reported first, would stand alone), young decisions wait until they are mature.
    """
    reader, state = folded.reader, folded.state
    age = days(pa.array([as_of], pa.timestamp("us", "UTC")))[0] - days(log["decided_at"])
    young = ~np.asarray(log["matured"], bool) & np.asarray(log["silence_is_failure"], bool) & (age > 0)
    delays = np.concatenate([reader.foundation.delays, _delays(log)])
    if not young.any() or len(delays) < _FEWEST_DELAYS:
        return (reader.foundation, state), 0
    rows, age = chosen(log, young), age[young]
    answered = np.asarray(rows["answered"], bool)
    weight = np.where(answered, 1.0, 0.0)
    for allocation_id in rows["allocation_id"].unique().to_pylist():
        horizon = float(reader.allocations[allocation_id].summary["document"]["outcome_days"])
        here = np.asarray(pc.equal(rows["allocation_id"], allocation_id), np.bool_) & ~answered
        weight[here] = arrival_share(delays[delays <= horizon], horizon)(age[here])
    reader = reader.meeting(rows)
    return (reader.foundation, reader.fitting(state, rows).overlay(reader(rows, weight))), rows.num_rows


def _delays(log: pa.Table) -> Floats:
    """Days that matured successes took to arrive."""
    known = log.filter(log["matured"])["delay_us"].drop_null().to_numpy() / _DAY_US
    return np.asarray(known[known >= 0], np.float64)
