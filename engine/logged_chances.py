"""How likely was everything that could have been done? The chances of all offers, where a file of them has columns."""

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from allot import DataError

Floats: TypeAlias = NDArray[np.float64]

ROUNDING = 5e-4
"""Chances may be written with three digits: that of no offer, which is what they leave, is off by so much per offer."""


def whole_rows(
    table: pa.Table, offer_ids: Sequence[str], arm: NDArray[np.int64], propensity: Floats, name: str
) -> tuple[Floats | None, tuple[str, ...]]:
    """The logging policy's probability of each offer and of none, from the columns `p_<offer_id>`.

    Offers that have no column had no chance. What the columns leave is the chance of no offer.

    Args:
        table: r rows, with or without such columns.
        offer_ids: the k offers.
        arm, propensity: (r,) what was done, k = no offer, and how likely it was.
        name: of the file.

    Returns:
        (r, k + 1), None where the file does not say; and notes: why it is not used although there are such columns.

    Raises:
        DataError: chances of a row sum to more than 1.
    """
    present = [a for a, offer in enumerate(offer_ids) if f"p_{offer}" in table.column_names]
    if not present:
        return None, ()
    columns = [table[f"p_{offer_ids[a]}"] for a in present]
    empty = sum(column.null_count for column in columns)
    if empty:
        return None, (f"{empty:,} cells of the columns p_<offer_id> are empty: these columns are not used",)
    k, slack = len(offer_ids), ROUNDING * len(present)
    out = np.zeros((len(arm), k + 1))
    for a, column in zip(present, columns, strict=True):
        out[:, a] = column.to_numpy()
    total = out.sum(1)
    _refuse_beyond_one(total, slack, table, name)
    rest = np.maximum(1.0 - total, 0.0)
    out[:, k] = np.where((arm == k) & (np.abs(rest - propensity) <= slack), propensity, rest)
    out /= out.sum(1, keepdims=True)
    return out, ()


def _refuse_beyond_one(total: Floats, slack: float, table: pa.Table, name: str) -> None:
    beyond = np.flatnonzero(total > 1.0 + slack)
    if not len(beyond):
        return
    first = table.slice(int(beyond[0]), 1).to_pylist()[0]
    raise DataError(
        f"the chances of {len(beyond):,} rows sum to more than 1, e.g. to {total[beyond[0]]:.6g} for customer "
        f"{first['customer_id']} at {first['decided_at']:%Y-%m-%d %H:%M:%S}.",
        where=f"{name}, columns p_<offer_id>",
        remedy="Write the chance of every offer; what they leave to 1 is that of no offer.",
    )
