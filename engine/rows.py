"""Rows that a model reads: who was offered what, when, and everything that was known of them at that time."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from allot.uniforms import text_keys
from bandit import SUCCESSES, Kind
from engine.campaign import read_campaign
from engine.features import FeatureSpec
from warehouse import (
    DECISIONS,
    MemorySpec,
    Released,
    StoredAllocation,
    contacts_view,
    customer_rows,
    memory_features,
    outcomes,
    read_decisions,
)

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from warehouse import Store, Workspace

Floats: TypeAlias = NDArray[np.float64]

_NOT_FEATURES = ("customer_id", "household_id", "consent", "valid_from", "pair_id")
_DAY = 86_400_000_000
_MOST_OFFERS = 50  # with memory columns of their own, the first by id: each costs every customer four numbers


@dataclass(frozen=True, slots=True)
class Past:
    """What of our own log a moment may look back on.

    Args:
        allocations: released before that moment.
        feedback_until: only feedback received up to then is known; None = none was.
    """

    allocations: tuple[str, ...] = ()
    feedback_until: datetime | None = None


def column_keys(column: pa.ChunkedArray | pa.Array) -> NDArray[np.uint64]:
    """64-bit keys of a text column."""
    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    array = array.cast(pa.large_string())
    _, offsets, data = array.buffers()
    place = np.frombuffer(offsets, np.int64)[array.offset : array.offset + len(array) + 1]
    return text_keys(place, np.frombuffer(data, np.uint8) if data is not None else np.zeros(0, np.uint8))


def chosen(rows: pa.Table, which: NDArray[np.bool_]) -> pa.Table:
    """Some of the rows; all of them without a copy, as is usual."""
    return rows if which.all() else rows.filter(pa.array(which))


def days(column: pa.ChunkedArray | pa.Array) -> Floats:
    """Days since 1970 of a time column."""
    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    return np.asarray(array.cast(pa.timestamp("us", "UTC")).cast(pa.int64()).to_numpy(), np.float64) / _DAY


def learnt_of(rows: pa.Table, kind: Kind) -> NDArray[Any]:
    """What a model of this kind learns of each row: whether it was a success, or the amount that it brought."""
    return np.asarray(rows["outcome"], np.int8) if kind == SUCCESSES else np.asarray(rows["reward"], np.float64)


def released(workspace: "Workspace", allocations: Sequence[StoredAllocation]) -> list[Released]:
    """Stored allocations as the log reads them."""
    out = []
    for a in allocations:
        campaign = read_campaign(a.summary["document"])
        if a.decisions_path is not None:
            path = workspace.root / a.decisions_path
            heard_with = a.summary.get("release_id", "")
            out.append(
                Released(a.allocation_id, path, a.as_of, campaign.outcome_days, campaign.no_feedback, heard_with)
            )
    return out


def own_keys(workspace: "Workspace", store: "Store") -> NDArray[np.uint64]:
    """What an exposures file may call our own decisions: their ids, or customer, offer and moment (`row_key`)."""
    keys = [np.zeros(0, np.uint64)]
    for one in released(workspace, store.allocations(status="released")):
        single = ["decided_at"] if one.heard_with else []
        table = read_decisions(one.path, ["decision_id", "customer_id", "offer_id", *single])
        moment: Any = str(int(one.decided_at.timestamp() * 1_000_000))
        if single:
            moment = table["decided_at"].cast(pa.int64()).cast(pa.string())
        offer = pc.fill_null(table["offer_id"].cast(pa.string()), "")
        named = pc.binary_join_element_wise(table["customer_id"], offer, moment, "|")
        keys += [column_keys(table["decision_id"]), column_keys(named)]
    return np.concatenate(keys)


def memory_of(
    connection: "DuckDBPyConnection",
    store: "Store",
    workspace: "Workspace",
    people: tuple[pa.Array, datetime],
    asked: tuple[Past, tuple[int, ...]],
) -> pa.Table | None:
    """What we remember of each customer strictly before a moment; None where there is nothing to remember from.

    Args:
        connection: with the data version attached.
        store: our own log.
        workspace: where its files are.
        people: (n,) ids and the moment.
        asked: what of our own log counts, and days of further windows of contacts that a contact policy asks for.

    Returns:
        n rows: customer_id and the memory columns.
    """
    customers, as_of = people
    pairs = _pairs(customers, pa.repeat(pa.scalar(as_of, pa.timestamp("us", "UTC")), len(customers)))
    table = _remember(connection, store, workspace, pairs, asked)
    if table is None:
        return None
    return table.drop_columns(["pair_id"]).add_column(0, "customer_id", customers)


def customer_features(
    connection: "DuckDBPyConnection", customers: pa.Array, as_of: datetime, memory: pa.Table | None, read: FeatureSpec
) -> pa.Table:
    """The columns that a model reads, prefixed by where they come from, for customers at one moment.

    Args:
        connection: to the data.
        customers: their ids.
        as_of: the moment.
        memory: of the same customers, in the same order, or None.
        read: the model's columns; of the customers' own, no others are read.
    """
    pairs = _pairs(customers, pa.repeat(pa.scalar(as_of, pa.timestamp("us", "UTC")), len(customers)))
    return _prefixed(customer_rows(connection, pairs, only=_own(read)), memory)


def row_features(
    connection: "DuckDBPyConnection",
    store: "Store",
    workspace: "Workspace",
    rows: tuple[pa.Array, pa.Array],
    past: Past,
    read: FeatureSpec | None = None,
) -> pa.Table:
    """The same for rows (customers, moments) that each have their own moment: what was known of the customer then.

    With a model's columns to `read`, others of the customers' own and of single offers need not be made; None: all are.
    """
    pairs = _pairs(*rows)
    memory = _remember(connection, store, workspace, pairs, (past, ()), read)
    return _prefixed(customer_rows(connection, pairs, only=None if read is None else _own(read)), memory)


def _own(read: FeatureSpec) -> set[str]:
    """The customers' own columns among those that a model reads."""
    return {name.removeprefix("customer.") for name in read.names if name.startswith("customer.")}


def _pairs(customers: pa.Array, at: pa.Array) -> pa.Table:
    number = pa.array(np.arange(len(customers)), pa.int64())
    return pa.table({"pair_id": number, "customer_id": customers, "at": at})


def _prefixed(customers: pa.Table, memory: pa.Table | None) -> pa.Table:
    columns = {f"customer.{c}": customers[c] for c in customers.column_names if c not in _NOT_FEATURES}
    if memory is not None:
        columns |= {f"memory.{c}": memory[c] for c in memory.column_names if c not in _NOT_FEATURES}
    if not columns:
        return pa.table({"none": pa.nulls(customers.num_rows)}).select([])
    return pa.table(columns)


def _remember(
    connection: "DuckDBPyConnection",
    store: "Store",
    workspace: "Workspace",
    pairs: pa.Table,
    asked: tuple[Past, tuple[int, ...]],
    read: FeatureSpec | None = None,
) -> pa.Table | None:
    past, windows = asked
    tables = {row[0] for row in connection.execute("SHOW TABLES").fetchall()}
    events = "events" if "events" in tables else None
    exposures = "exposures" if "exposures" in tables else None
    if events is None and exposures is None and not past.allocations:
        return None
    heard = past.feedback_until if past.allocations else None  # outcomes are those of allocations
    known = _as_received(outcomes(store, received_until=heard)) if heard else None
    paths = [workspace.decisions / a / DECISIONS for a in past.allocations]
    contacts_view(connection, paths, known, exposures=exposures)
    offers = connection.sql("FROM offers").to_arrow_table()
    channels, categories = (_distinct(offers, column) for column in ("channel", "category"))
    single = tuple(sorted(offers["offer_id"].to_pylist())[:_MOST_OFFERS])
    single = single if read is None else read.offers_among(single)
    spec = MemorySpec(channels=channels, categories=categories, offers=single)
    table = memory_features(connection, pairs, spec, events=events)
    for days_back in (w for w in windows if w not in spec.windows):
        more = memory_features(connection, pairs, MemorySpec(windows=(days_back,)), events=None)
        table = table.append_column(f"contacts_{days_back}d", more[f"contacts_{days_back}d"])
    return table


def _as_received(known: pa.Table) -> pa.Table:
    """An outcome is known once it has happened and has been received: what training sees is what serving saw."""
    both = (known[c].cast(pa.int64()) for c in ("occurred_at", "received_at"))
    at = pc.max_element_wise(*both).cast(pa.timestamp("us", "UTC"))
    return known.set_column(known.column_names.index("occurred_at"), "occurred_at", at)


def _distinct(offers: pa.Table, column: str) -> tuple[str, ...]:
    if column not in offers.column_names:
        return ()
    return tuple(sorted({str(value) for value in offers[column].to_pylist() if value is not None}))
