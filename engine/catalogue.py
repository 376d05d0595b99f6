"""The offers as they are loaded, and their money."""

from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from engine.campaign import Campaign
from engine.objective import Terms

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

Floats: TypeAlias = NDArray[np.float64]


def catalogue(connection: "DuckDBPyConnection") -> pa.Table:
    """The offers, ordered by id."""
    return connection.sql("FROM offers ORDER BY offer_id").to_arrow_table()


def terms_of(offers: pa.Table, campaign: Campaign, relative: Floats | None = None) -> Terms:
    """The offers' money; `relative` (n, k + 1) as in `Terms`."""

    def money(column: str) -> NDArray[np.float64]:
        values: list[Any] = offers[column].to_pylist() if column in offers.column_names else [0.0] * offers.num_rows
        return np.array([0.0 if v is None else float(v) for v in values])

    return Terms(money("margin"), money("contact_cost"), money("redemption_cost"), campaign.outside_margin, relative)
