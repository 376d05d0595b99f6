"""Who could get which offer: the audience as of a moment, in hash order, and the reasons against every offer."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache
from importlib import resources
from string import Template
from typing import TYPE_CHECKING, NoReturn, Protocol

import numpy as np
from numpy.typing import NDArray

from allot import DataError, RuleError
from warehouse.connection import one_row, quoted

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa
    from duckdb import DuckDBPyConnection

_NO_MEMORY = "(SELECT CAST(NULL AS VARCHAR) AS customer_id WHERE false)"


class Plan(Protocol):
    """The SQL of all rules; c is the customer, m its memory."""

    @property
    def shared(self) -> str: ...  # noqa: D102
    @property
    def masks(self) -> Sequence[str]: ...  # noqa: D102
    @property
    def predicates(self) -> Sequence[tuple[str, str]]: ...  # noqa: D102
    @property
    def reads_memory(self) -> bool: ...  # noqa: D102
    @property
    def household(self) -> int: ...  # noqa: D102


@dataclass(frozen=True, slots=True)
class Candidates:
    """The audience in hash order: n customers, k offers.

    Args:
        customer_id: (n,) texts.
        key: (n,) uint64, ascending; what a customer's uniforms derive from.
        columns: (n,) rows of the customers' columns as of the moment.
        memory: (n,) rows of their memory columns; None where there is no memory.
        reasons: (n, k) uint64, one bit per rule that excludes the offer; 0 is eligible.
    """

    customer_id: "pa.StringArray"
    key: NDArray[np.uint64]
    columns: "pa.Table"
    memory: "pa.Table | None"
    reasons: NDArray[np.uint64]


def view_present(connection: "DuckDBPyConnection", as_of: datetime) -> None:
    """Give the connection a view `present_customers`: one row per customer, as known at the moment; see `attach`."""
    query = "FROM customers"
    if "valid_from" in _columns(connection, "customers"):
        moment = as_of.replace(tzinfo=UTC) if as_of.tzinfo is None else as_of
        query = _sql("candidates_present.sql").substitute(as_of=quoted(moment.isoformat()))
    connection.execute(f"CREATE OR REPLACE TEMP VIEW present_customers AS {query}")


def audience_ids(connection: "DuckDBPyConnection", *, audience_sql: str, as_of: datetime) -> "pa.StringArray":
    """The customers of an audience, ordered by id: the pairs for which memory is needed."""
    view_present(connection, as_of)
    query = f"FROM present_customers AS c SELECT customer_id WHERE {audience_sql} ORDER BY customer_id"
    return _strings(connection.sql(query).to_arrow_table().column(0))


def candidates(
    connection: "DuckDBPyConnection",
    plan: Plan,
    *,
    audience_sql: str,
    as_of: datetime,
    memory: str | None = None,
    said: str | None = None,
) -> Candidates:
    """Evaluate an audience and all rules in one pass over the customers.

    Args:
        connection: with the view `customers`, see `attach`.
        plan: the SQL of all rules.
        audience_sql: a predicate over customer c.
        as_of: the moment; of several rows per customer the latest counts that was valid then.
        memory: a relation with one row per customer_id, or None.
        said: the audience as people wrote it, for what is told them; None = the predicate.

    Raises:
        DataError: the audience is empty.
        RuleError: a rule cannot be evaluated on these customers, or one per household is asked for without households.
    """
    import duckdb

    view_present(connection, as_of)
    customer_columns = list(_columns(connection, "present_customers"))
    if plan.reads_memory and not memory:
        raise RuleError("a rule reads memory, but there is none.", remedy="Load events or exposures, or drop the rule.")
    masks = [f"{plan.shared} AS shared", *(f"{mask} AS r{a}" for a, mask in enumerate(plan.masks))]
    query = _sql("candidates.sql").substitute(
        masks=", ".join(masks),
        memory=memory or _NO_MEMORY,
        audience=audience_sql,
    )
    try:
        table = connection.sql(query).to_arrow_table()
    except (duckdb.ConversionException, duckdb.OutOfRangeException, duckdb.InvalidInputException) as error:
        _blame(connection, plan, audience_sql, memory or _NO_MEMORY, error)
    if table.num_rows == 0:
        raise _empty(connection, said or audience_sql)
    found = _ordered(table, plan, customer_columns)
    del table  # or it would stand beside what follows
    return replace(found, memory=_remembered(connection, memory, found.customer_id)) if memory else found


def _remembered(connection: "DuckDBPyConnection", memory: str, customer_id: "pa.StringArray") -> "pa.Table":
    """The memory columns of some customers; null where there is no memory of one.

    The rules' query does not carry them: they are many, and it would hold each of them twice on the way.
    """
    import pyarrow.compute as pc

    known = connection.sql(f"FROM {memory}").to_arrow_table()
    place = pc.index_in(customer_id, _strings(known.column("customer_id")))
    return known.drop_columns(["customer_id"]).take(place)


def _ordered(table: "pa.Table", plan: Plan, customer_columns: Sequence[str]) -> Candidates:
    """Hash order, equal hashes by id: no order of files or threads shows through."""
    ids = _strings(table.column(customer_columns.index("customer_id")))
    key = _keys(ids)
    order = np.argsort(key, kind="stable")
    if len(order) > 1 and (np.diff(key[order]) == 0).any():
        order = np.lexsort((np.array(ids.to_pylist(), object).astype(str), key))
    n_customer = len(customer_columns)
    first_mask = n_customer + 1
    reasons = np.empty((table.num_rows, len(plan.masks)), np.uint64)
    shared = table.column(first_mask - 1).to_numpy()
    for a in range(len(plan.masks)):
        reasons[:, a] = (shared | table.column(first_mask + a).to_numpy())[order]
    columns = table.select(range(n_customer)).take(order)
    if plan.household:
        _one_per_household(columns, reasons, np.uint64(plan.household))
    return Candidates(_strings(columns.column("customer_id")), key[order], columns, None, reasons)


def _one_per_household(columns: "pa.Table", reasons: NDArray[np.uint64], mask: np.uint64) -> None:
    """Only the first customer in hash order who may get anything at all stands for the household."""
    if "household_id" not in columns.column_names:
        raise RuleError(
            "one offer per household needs households.", where="customers", remedy="Load a column household_id."
        )
    codes = columns.column("household_id").combine_chunks().dictionary_encode().indices
    household = codes.fill_null(-1).to_numpy(zero_copy_only=False)
    rows = np.flatnonzero((household >= 0) & (reasons == 0).any(axis=1))
    _, first = np.unique(household[rows], return_index=True)
    chosen = np.zeros(len(household), bool)
    chosen[rows[first]] = True
    served = np.zeros(household.max(initial=-1) + 2, bool)
    served[household[rows]] = True
    others = (household >= 0) & served[household] & ~chosen
    reasons[others] |= mask


def _keys(ids: "pa.StringArray") -> NDArray[np.uint64]:
    from allot.uniforms import text_keys

    _, offsets, data = ids.buffers()
    starts = np.frombuffer(offsets, np.int32)[ids.offset : ids.offset + len(ids) + 1]
    return text_keys(starts, np.frombuffer(data, np.uint8) if data is not None else np.empty(0, np.uint8))


def _strings(column: "pa.ChunkedArray") -> "pa.StringArray":
    import pyarrow as pa

    return column.cast(pa.string()).combine_chunks()


def _blame(
    connection: "DuckDBPyConnection", plan: Plan, audience_sql: str, memory: str, error: "duckdb.Error"
) -> NoReturn:
    """Find the rule that does not run on these customers, and say so."""
    import duckdb

    joined = f"present_customers AS c LEFT JOIN {memory} AS m ON m.customer_id = c.customer_id"
    for rule, predicate in (("audience", audience_sql), *plan.predicates):
        try:
            connection.execute(f"FROM {joined} SELECT count(*) FILTER (WHERE {predicate})").fetchall()
        except duckdb.Error as found:
            what = str(found).splitlines()[0].partition("Error: ")[2]
            remedy = "Use TRY_CAST, or compare values of like types."
            raise RuleError(f"cannot be evaluated: {what}.", where=f"rule {rule!r}", remedy=remedy) from error
    raise error


def _empty(connection: "DuckDBPyConnection", audience: str) -> DataError:
    known, present = (
        one_row(connection, f"FROM {table} SELECT count(*)")[0] for table in ("customers", "present_customers")
    )
    what = f"the audience is empty: none of {present:,} customers satisfies {audience}."
    if known and not present:
        what = f"the audience is empty: all {known:,} rows of customers are valid only after the moment."
    return DataError(what, where="audience", remedy="Change the audience or the campaign's as_of.")


def _columns(connection: "DuckDBPyConnection", relation: str) -> dict[str, str]:
    return {row[0]: row[1] for row in connection.execute(f"DESCRIBE FROM {relation}").fetchall()}


@cache
def _sql(file: str) -> Template:
    return Template((resources.files("warehouse") / "sql" / file).read_text())
