"""The decisions of one allocation as one immutable Parquet file: what was chosen, how likely it was, and why."""

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from allot import NotFoundError, ShapeError, WorkspaceError
from allot.uniforms import keys as text_keys
from warehouse.columns import compact
from warehouse.workspace import is_full

DECISIONS = "decisions.parquet"
STATUSES = ("chosen", "no_offer", "no_eligible", "held_out")
TABLES = ("mean", "sd", "values", "costs")
_CHUNK = 32_768  # rows in memory and in a row group; finding one customer reads one group
META = b"allot"
REALTIME = "realtime"
"""The mechanism of single decisions: each row has its own `decided_at`, and rows are ordered by decision id."""
_HEX = np.frombuffer(b"0123456789abcdef", np.uint8)


@dataclass(frozen=True, slots=True)
class Decisions:
    """The outcome of an allocation for n customers and k offers, rows in ascending order of `key`.

    customer_id: (n,) text. key: (n,) uint64, `allot.uniforms.text_keys` of it, each different.
    choice: (n,) int, the offer's index, -1 for none. held_out: (n,) bool. cell: (n,) int.
    propensity: (n,) probability of the choice. value, cost: (n,) currency units of the chosen offer, 0 for none.
    probability: (n, k + 1), the last column no offer. mean, sd: (n, k) beliefs on the logit scale.
    values, costs: (n, k) currency units. eligible: (n, k) bool.

    Raises:
        ShapeError: arrays disagree, keys are not ascending, or a choice is out of range.
    """

    customer_id: pa.Array
    key: NDArray[np.uint64]
    choice: NDArray[np.integer[Any]]
    held_out: NDArray[np.bool_]
    cell: NDArray[np.integer[Any]]
    propensity: NDArray[np.floating[Any]]
    value: NDArray[np.floating[Any]]
    cost: NDArray[np.floating[Any]]
    probability: NDArray[np.floating[Any]]
    mean: NDArray[np.floating[Any]]
    sd: NDArray[np.floating[Any]]
    values: NDArray[np.floating[Any]]
    costs: NDArray[np.floating[Any]]
    eligible: NDArray[np.bool_]

    def __post_init__(self) -> None:
        n, k = self.eligible.shape
        flat = ("key", "choice", "held_out", "cell", "propensity", "value", "cost")
        wide = ("probability", *TABLES)
        for name in (*flat, *wide):
            found: tuple[int, ...] = getattr(self, name).shape
            shape = (n,) if name in flat else (n, k + (name == "probability"))
            if found != shape:
                raise ShapeError(f"{name} has shape {found}, not {shape}.", where="decisions")
        if len(self.customer_id) != n:
            raise ShapeError(f"there are {len(self.customer_id)} customer ids for {n} rows.", where="decisions")
        if not (self.key[1:] > self.key[:-1]).all():
            raise ShapeError("keys are not ascending, or one repeats.", where="decisions")
        if n and (self.choice.min() < -1 or self.choice.max() >= k):
            raise ShapeError(f"a choice is outside -1 … {k - 1}.", where="decisions")


@dataclass(frozen=True, slots=True)
class Written:
    """A file that was written: where, the SHA-256 of its bytes, and how many rows it has."""

    path: Path
    sha256: str
    rows: int


def decision_ids(allocation_id: str, key: NDArray[np.uint64]) -> pa.StringArray:
    """The ids of decisions: the allocation's, a hyphen, the customer's key as 16 hexadecimal digits.

    Args:
        allocation_id: of the allocation.
        key: (n,) uint64.

    Returns:
        (n,) text, in the order of the keys where these ascend.
    """
    n, prefix = len(key), np.frombuffer(f"{allocation_id}-".encode(), np.uint8)
    octets = np.ascontiguousarray(key, np.dtype(">u8")).view(np.uint8).reshape(n, 8)
    width = len(prefix) + 16
    letters = np.empty((n, width), np.uint8)
    letters[:, : len(prefix)] = prefix
    letters[:, len(prefix) :: 2] = _HEX[octets >> 4]
    letters[:, len(prefix) + 1 :: 2] = _HEX[octets & 15]
    offsets = np.arange(n + 1, dtype=np.int64) * width
    large = pa.LargeStringArray.from_buffers(n, pa.py_buffer(offsets), pa.py_buffer(letters))
    return large.cast(pa.string())


def write_decisions(folder: Path, decisions: Decisions, meta: Mapping[str, Any]) -> Written:
    """Write `folder/decisions.parquet`; the same decisions and meta give the same bytes.

    Args:
        folder: an existing folder, e.g. a staging folder of the workspace.
        decisions: what to write.
        meta: finite JSON kept in the file. `allocation_id`, `offer_ids` (k texts) and `as_of` (ISO 8601) are read
            again; the rest says how the decisions were made: versions, exploration share, mechanism, seed, attempt,
            rejection rate, quadrature residual, price version.

    Raises:
        ShapeError: `offer_ids` does not name k offers.
    """
    k = decisions.eligible.shape[1]
    if len(meta["offer_ids"]) != k:
        raise ShapeError(f"there are {len(meta['offer_ids'])} offer ids for {k} offers.", where="decisions")
    floats = ("probability", *TABLES)
    return write_parquet(
        folder / DECISIONS,
        decision_schema(k).with_metadata({META: compact(dict(meta))}),
        (_batch(decisions, meta, start) for start in range(0, len(decisions.key), _CHUNK)),
        texts=["offer_id", "status"],
        floats=[f"{name}.list.element" for name in floats],
    )


def decision_schema(k: int) -> pa.Schema:
    """The columns of a decisions file for k offers."""
    per_offer = pa.list_(pa.float32(), k)
    return pa.schema(
        [
            ("decision_id", pa.string()),
            ("customer_id", pa.string()),
            ("offer_id", pa.string()),
            ("status", pa.dictionary(pa.int8(), pa.string())),
            ("held_out", pa.bool_()),
            ("cell", pa.int32()),
            ("propensity", pa.float64()),
            ("value", pa.float64()),
            ("cost", pa.float64()),
            ("probability", pa.list_(pa.float32(), k + 1)),
            *((name, per_offer) for name in TABLES),
            ("eligible", pa.list_(pa.bool_(), k)),
        ]
    )


def _rows(table: NDArray[Any], dtype: Any) -> pa.FixedSizeListArray:
    flat = np.ascontiguousarray(table, dtype).reshape(-1)
    return pa.FixedSizeListArray.from_arrays(pa.array(flat), table.shape[1])


def _batch(decisions: Decisions, meta: Mapping[str, Any], start: int) -> pa.RecordBatch:
    part = slice(start, start + _CHUNK)
    choice, held = decisions.choice[part], decisions.held_out[part]
    none = choice < 0
    status = np.where(held, 3, np.where(~decisions.eligible[part].any(1), 2, none)).astype(np.int8)
    offers = pa.array(meta["offer_ids"], pa.string())
    schema = decision_schema(len(offers))
    arrays = [
        decision_ids(meta["allocation_id"], decisions.key[part]),
        decisions.customer_id[part].cast(pa.string()),
        offers.take(pa.array(choice.astype(np.int64), mask=none)),
        pa.DictionaryArray.from_arrays(pa.array(status), pa.array(STATUSES)),
        pa.array(held),
        pa.array(decisions.cell[part].astype(np.int32)),
        *(pa.array(getattr(decisions, name)[part].astype(np.float64)) for name in ("propensity", "value", "cost")),
        *(_rows(getattr(decisions, name)[part], np.float32) for name in ("probability", *TABLES)),
        _rows(decisions.eligible[part], np.bool_),
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def write_parquet(
    path: Path, schema: pa.Schema, batches: Iterable[pa.RecordBatch], *, texts: list[str], floats: list[str]
) -> Written:
    """Row groups one by one into a temporary name, then a rename: nobody ever sees half a file."""
    partial = path.with_name(f"{path.name}.partial")
    rows = 0
    try:
        with pq.ParquetWriter(
            partial,
            schema,
            compression="zstd",
            compression_level=1,
            use_dictionary=texts,
            use_byte_stream_split=floats,
        ) as writer:
            for batch in batches:
                writer.write_batch(batch)
                rows += batch.num_rows
        with partial.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError as error:
        if is_full(error):
            raise
        remedy = "Check who may write there and run it again."
        raise WorkspaceError(f"the file cannot be written: {error}.", where=str(path), remedy=remedy) from error
    finally:
        partial.unlink(missing_ok=True)
    return Written(path, sha256, rows)


def _open(path: Path) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(path)
    except (OSError, pa.ArrowInvalid) as error:
        remedy = "Restore it from a backup, or allocate again."
        raise WorkspaceError("the decisions are missing or damaged.", where=str(path), remedy=remedy) from error


def read_decisions(path: Path, columns: Sequence[str] | None = None) -> pa.Table:
    """The rows of a decisions file, of some columns where named, ordered by customer key.

    Raises:
        WorkspaceError: the file is missing or damaged.
    """
    with _open(path) as file:
        return file.read(columns=None if columns is None else list(columns))


def decision_groups(path: Path, after: str | None = None) -> Iterator[pa.Table]:
    """The rows of a decisions file in pieces of bounded size, those after a decision id where one is given.

    A piece may be empty; there is one at least. Rows ascend by decision id.

    Raises:
        WorkspaceError: the file is missing or damaged.
    """
    with _open(path) as file:
        for group in range(file.metadata.num_row_groups):
            statistics = file.metadata.row_group(group).column(0).statistics
            if after is not None and statistics is not None and statistics.has_min_max and statistics.max <= after:
                continue
            rows = file.read_row_group(group)
            yield rows if after is None else rows.filter(pc.greater(rows["decision_id"], after))
        if file.metadata.num_row_groups == 0 or after is not None:
            yield file.schema_arrow.empty_table()


def decisions_meta(path: Path) -> dict[str, Any]:
    """The `meta` that a file was written with.

    Raises:
        WorkspaceError: the file is missing, damaged, or was not written here.
    """
    with _open(path) as file:
        said = (file.schema_arrow.metadata or {}).get(META)
    if said is None:
        raise WorkspaceError("the file does not say how it was made.", where=str(path), remedy="Allocate again.")
    meta: dict[str, Any] = json.loads(said)
    return meta


def decision_row(path: Path, customer_id: str) -> dict[str, Any]:
    """One customer's decision, all columns, lists as lists.

    Raises:
        NotFoundError: the customer is not in the allocation.
        WorkspaceError: the file is missing or damaged.
    """
    wanted = decision_ids(decisions_meta(path)["allocation_id"], text_keys([customer_id]))[0].as_py()
    with _open(path) as file:
        for group in _groups_with(file, wanted):
            rows = file.read_row_group(group, columns=["decision_id", "customer_id"])
            at = pc.index(rows["decision_id"], wanted).as_py()
            if at >= 0 and rows["customer_id"][at].as_py() == customer_id:
                row: dict[str, Any] = file.read_row_group(group).slice(at, 1).to_pylist()[0]
                return row
    remedy = "Check the id, or name an allocation whose audience the customer is in."
    raise NotFoundError(f"customer {customer_id!r} is not in this allocation.", where=str(path), remedy=remedy)


def _groups_with(file: pq.ParquetFile, decision_id: str) -> Iterator[int]:
    """Row groups whose range of decision ids holds one: they ascend, so it is one at most."""
    for group in range(file.metadata.num_row_groups):
        statistics = file.metadata.row_group(group).column(0).statistics
        if statistics is None or not statistics.has_min_max or statistics.min <= decision_id <= statistics.max:
            yield group
