"""Which pairs of customer and offer were excluded, and by which rules: one Parquet file beside the decisions."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from allot import ShapeError
from warehouse.columns import compact
from warehouse.decisions import META, Written, decisions_meta, write_parquet

EXCLUSIONS = "exclusions.parquet"
_CUSTOMERS = 16_384  # at once


def write_exclusions(
    folder: Path,
    customer_id: pa.Array,
    reasons: NDArray[np.uint64],
    *,
    rules: Sequence[str],
    meta: Mapping[str, Any],
) -> Written:
    """Write `folder/exclusions.parquet`: a row for each excluded pair, by customer, then by offer.

    Args:
        folder: an existing folder.
        customer_id: (n,) text.
        reasons: (n, k) uint64; bit r is set where rule r excludes the pair; 0 is eligible.
        rules: names in the order of their bits.
        meta: finite JSON kept in the file; `offer_ids` (k texts) is read here.

    Raises:
        ShapeError: arrays disagree, or a bit has no rule.
    """
    n, k = reasons.shape
    if (len(customer_id), len(meta["offer_ids"])) != (n, k):
        found = f"{len(customer_id)} customers and {len(meta['offer_ids'])} offers"
        raise ShapeError(f"reasons are {n} × {k}, but there are {found}.", where="exclusions")
    if n and int(reasons.max()) >> len(rules):
        raise ShapeError(f"a reason has a bit beyond the {len(rules)} rules.", where="exclusions")
    schema = pa.schema(
        [
            ("customer_id", pa.string()),
            ("offer_id", pa.dictionary(pa.int32(), pa.string())),
            ("reasons", pa.uint64()),
            ("first_reason", pa.dictionary(pa.int8(), pa.string())),
        ],
        metadata={META: compact({**meta, "rules": list(rules)})},
    )
    batches = _batches(customer_id, reasons, pa.array(meta["offer_ids"], pa.string()), pa.array(rules, pa.string()))
    texts = ["customer_id", "offer_id", "reasons", "first_reason"]
    return write_parquet(folder / EXCLUSIONS, schema, batches, texts=texts, floats=[])


def excluded_by(path: Path, customer_id: str) -> dict[str, list[str]]:
    """The rules that exclude each offer for one customer: offer_id to names, in the order of their bits.

    Raises:
        WorkspaceError: the file is missing or damaged.
    """
    rules = decisions_meta(path)["rules"]
    found = pq.read_table(path, filters=[("customer_id", "=", customer_id)], columns=["offer_id", "reasons"])
    return {
        offer: [rule for bit, rule in enumerate(rules) if reasons >> bit & 1]
        for offer, reasons in zip(found["offer_id"].to_pylist(), found["reasons"].to_pylist(), strict=True)
    }


def _batches(
    customer_id: pa.Array, reasons: NDArray[np.uint64], offers: pa.Array, rules: pa.Array
) -> Iterator[pa.RecordBatch]:
    for start in range(0, len(reasons), _CUSTOMERS):
        part = reasons[start : start + _CUSTOMERS]
        row, offer = np.nonzero(part)
        mask = part[row, offer]
        lowest = np.bitwise_count((mask & (~mask + np.uint64(1))) - np.uint64(1))
        yield pa.RecordBatch.from_arrays(
            [
                customer_id[start : start + _CUSTOMERS].cast(pa.string()).take(pa.array(row)),
                pa.DictionaryArray.from_arrays(pa.array(offer.astype(np.int32)), offers),
                pa.array(mask),
                pa.DictionaryArray.from_arrays(pa.array(lowest.astype(np.int8)), rules),
            ],
            names=["customer_id", "offer_id", "reasons", "first_reason"],
        )
