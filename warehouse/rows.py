"""Point-in-time rows: what was known of each customer at each time. Training and serving read the same SQL."""

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from allot import DataError
from warehouse.relations import lent
from warehouse.statements import statement

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

DAY_US = 86_400_000_000


def pairs_in_order(connection: "DuckDBPyConnection", pairs: str) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Ids and times of the pairs, by id.

    Args:
        connection: to DuckDB, time zone UTC.
        pairs: relation with pair_id (integer), customer_id, at.

    Returns:
        (p,) pair ids ascending and (p,) times in microseconds since 1970, UTC.

    Raises:
        DataError: an id repeats, or an id or time is null.
    """
    found = connection.sql(statement("rows_pairs.sql", {"pairs": pairs})).to_arrow_table()
    if found["pair_id"].null_count or found["at_us"].null_count:
        raise DataError("a pair has no id or no time.", where=pairs, remedy="Give every pair both.")
    ids: NDArray[np.int64] = found["pair_id"].to_numpy()
    if (ids[1:] == ids[:-1]).any():
        raise DataError(f"pair {ids[1:][ids[1:] == ids[:-1]][0]} repeats.", where=pairs, remedy="Number the pairs.")
    return ids, found["at_us"].to_numpy()


def customer_rows(
    connection: "DuckDBPyConnection",
    pairs: str | pa.Table,
    *,
    customers: str = "customers",
    only: Collection[str] | None = None,
) -> pa.Table:
    """The customers' columns as of each pair's time.

    Where customers have `valid_from`, the latest row at or before the time counts. A date or time column becomes
    `days_since_<column>`: days up to the pair's time, negative where it lies ahead (a contract's end, say).

    Args:
        connection: to DuckDB, time zone UTC.
        pairs: relation or table of pair_id (integer, unique), customer_id, at.
        customers: relation with customer_id and any other columns.
        only: columns of the result that are wanted, those that there are; the others are not read. None = all.

    Returns:
        pair_id and the customers' columns without customer_id and valid_from; a row for each pair, by pair_id.

    Raises:
        DataError: pairs are broken, or customers repeat without valid_from, or have a column pair_id.
    """
    from duckdb import ColumnExpression

    columns = connection.sql(statement("columns.sql", {"relation": customers})).columns
    if "pair_id" in columns:
        raise DataError("the column 'pair_id' is reserved.", where=customers, remedy="Give it another name.")
    name = "rows_customers_as_of.sql" if "valid_from" in columns else "rows_customers.sql"
    with lent(connection, {"pairs": pairs, "customers": customers}) as names:
        ids, at_us = pairs_in_order(connection, names["pairs"])
        found = connection.sql(statement(name, names))
        read = found.columns if only is None else _read(found.columns, only)
        rows = found.select(*(ColumnExpression(column) for column in read)).to_arrow_table()
    if rows.num_rows != len(ids):
        raise DataError("a customer has several rows.", where=customers, remedy="Give each its valid_from.")
    return pa.table(dict(_column(rows, column, at_us) for column in rows.column_names))


def _read(columns: list[str], only: Collection[str]) -> list[str]:
    """What has to be read for some columns of the result."""
    return [c for c in columns if c == "pair_id" or c in only or f"days_since_{c}" in only]


def _column(rows: pa.Table, name: str, at_us: NDArray[np.int64]) -> tuple[str, Any]:
    column = rows[name].combine_chunks()
    if not pa.types.is_timestamp(column.type) and not pa.types.is_date(column.type):
        return name, column
    since: NDArray[np.datetime64] = column.cast(pa.timestamp("us")).to_numpy(zero_copy_only=False)
    days = (at_us - since.astype("datetime64[us]").view(np.int64)) / DAY_US
    return f"days_since_{name}", pa.array(days, mask=np.isnat(since))
