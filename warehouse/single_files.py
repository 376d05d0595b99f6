"""Single decisions as a decisions file: the columns of any allocation's, and what differs from row to row besides."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from warehouse.columns import compact
from warehouse.decisions import DECISIONS, META, STATUSES, TABLES, Written, decision_schema, write_parquet
from warehouse.singles import Numbers, Single

_TIME = pa.timestamp("us", "UTC")


def write_singles(folder: Path, singles: Sequence[Single], meta: Mapping[str, Any]) -> Written:
    """Write `folder/decisions.parquet`, a row for each decision, ordered by id; see `write_decisions`.

    Beside its columns: `decided_at`; `price` (k,), what the limits charged; `price_version`; `posterior`; `mode`;
    `features` of the request, a JSON text or null.

    Args:
        folder: an existing folder.
        singles: of one release.
        meta: as `write_decisions` keeps it.

    Raises:
        ShapeError: a row is damaged, or of another number of offers.
    """
    k = len(meta["offer_ids"])
    ordered = sorted(singles, key=lambda single: single.decision_id.encode())
    numbers = [Numbers.unpack(single.numbers) for single in ordered]
    plain = decision_schema(k)
    schema = pa.schema([*plain, *_own(k)])
    columns = _columns(ordered, numbers, k)
    batch = pa.RecordBatch.from_arrays([columns[field.name] for field in schema], schema=schema)
    return write_parquet(
        folder / DECISIONS,
        schema.with_metadata({META: compact(dict(meta))}),
        [batch.replace_schema_metadata({META: compact(dict(meta))})],
        texts=["offer_id", "status", "price_version", "posterior", "mode"],
        floats=[f"{name}.list.element" for name in ("probability", *TABLES, "price")],
    )


def _own(k: int) -> list[pa.Field]:
    return [
        pa.field("decided_at", _TIME),
        pa.field("price", pa.list_(pa.float32(), k)),
        pa.field("price_version", pa.string()),
        pa.field("posterior", pa.string()),
        pa.field("mode", pa.string()),
        pa.field("features", pa.string()),
    ]


def _columns(singles: Sequence[Single], numbers: Sequence[Numbers], k: int) -> dict[str, pa.Array]:
    answers = [single.answer for single in singles]
    tables = {name: _lists([getattr(n, name) for n in numbers], k) for name in (*TABLES, "price")}
    status = [STATUSES.index(answer["status"]) for answer in answers]
    features = [None if one.features is None else json.dumps(one.features, sort_keys=True) for one in singles]
    return {
        "decision_id": pa.array([one.decision_id for one in singles], pa.string()),
        "customer_id": pa.array([one.customer_id for one in singles], pa.string()),
        "offer_id": pa.array([one.offer_id for one in singles], pa.string()),
        "status": pa.DictionaryArray.from_arrays(pa.array(status, pa.int8()), pa.array(STATUSES)),
        "held_out": pa.array([answer["status"] == "held_out" for answer in answers]),
        "cell": pa.array([n.cell for n in numbers], pa.int32()),
        "propensity": pa.array([answer["propensity"] for answer in answers], pa.float64()),
        "value": pa.array([answer["expected_value"]["mean"] for answer in answers], pa.float64()),
        "cost": pa.array([answer["cost"] for answer in answers], pa.float64()),
        "probability": _lists([n.probability for n in numbers], k + 1),
        **tables,
        "eligible": _lists([n.reasons == 0 for n in numbers], k),
        "decided_at": pa.array([one.decided_at for one in singles], _TIME),
        "price_version": pa.array([answer["price_version"] for answer in answers], pa.string()),
        "posterior": pa.array([one.posterior for one in singles], pa.string()),
        "mode": pa.array([answer["mode"] for answer in answers], pa.string()),
        "features": pa.array(features, pa.string()),
    }


def _lists(rows: Sequence[Any], width: int) -> pa.FixedSizeListArray:
    flat = np.concatenate(rows) if rows else np.zeros(0)
    return pa.FixedSizeListArray.from_arrays(pa.array(flat), width)
