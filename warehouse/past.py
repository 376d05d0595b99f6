"""Our own log: every decision that was released, joined with what became of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from allot import DataError, WorkspaceError
from warehouse.statements import statement

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_MICROSECONDS = pa.timestamp("us", "UTC")
_LONGEST_DAYS = 36_500


@dataclass(frozen=True, slots=True)
class Released:
    """One allocation as the log needs it: where its decisions are, when they were made, how long outcomes take.

    Single decisions, which were each made at their own time, are `heard_with` all others of their release: an hour of
    them may well bring nothing. Empty: the allocation is heard alone.
    """

    allocation_id: str
    path: Path
    decided_at: datetime
    outcome_days: float
    no_feedback: str
    heard_with: str = ""


def history(
    connection: "DuckDBPyConnection", released: Sequence[Released], outcomes: pa.Table, as_of: datetime
) -> pa.Table:
    """Decisions of some allocations with their outcomes, ordered by decision id.

    Args:
        connection: an in-memory connection that may read the decisions files.
        released: the allocations.
        outcomes: decision_id, outcome, reward, occurred_at; one row per decision (`feedback.outcomes`).
        as_of: decisions whose outcome_days have passed by then are `matured`.

    Returns:
        decision_id, allocation_id, customer_id, offer_id, held_out, propensity, decided_at, answered, outcome, reward,
        occurred_at, delay_us (of successes), matured, silence_is_failure, silence_counts. Without feedback, outcome and
        reward are 0 and answered is false. Silence is failure where the campaign says that it counts and anything at
        all has been heard of the allocation.

    Raises:
        WorkspaceError: a decisions file is gone or damaged.
    """
    gone = next((r.path for r in released if not r.path.is_file()), None)
    if gone is not None:
        raise WorkspaceError("the decisions are gone.", where=str(gone), remedy="Restore them from a backup.")
    singles = [r for r in released if r.heard_with]
    batches = [r for r in released if not r.heard_with]
    found = [
        _joined(connection, some, moment, outcomes, as_of)
        for some, moment in ((batches, "as_of"), (singles, "decided_at"))
        if some
    ]
    if len(found) < 2:
        return found[0] if found else _EMPTY.empty_table()
    return pa.concat_tables(found).sort_by("decision_id")


def _joined(
    connection: "DuckDBPyConnection", some: Sequence[Released], moment: str, outcomes: pa.Table, as_of: datetime
) -> pa.Table:
    """The decisions of allocations whose decisions were made at the same `moment`, by the column that says when."""
    rows = [
        (str(r.path), r.allocation_id, r.decided_at, r.outcome_days, r.no_feedback, r.heard_with or r.allocation_id)
        for r in some
    ]
    given = [pa.array(values, kind) for values, kind in zip(zip(*rows, strict=True), _ALLOCATIONS.types, strict=True)]
    connection.register("allocations", pa.table(given, schema=_ALLOCATIONS))
    connection.register("outcomes", outcomes)
    try:
        parameters = {"paths": [str(r.path) for r in some], "as_of": as_of}
        return connection.sql(statement("history.sql", {"moment": moment}), params=parameters).to_arrow_table()
    finally:
        connection.unregister("allocations")
        connection.unregister("outcomes")


def exposures_log(connection: "DuckDBPyConnection", outcome_days: float, as_of: datetime) -> pa.Table:
    """The connection's `exposures`, in an order of their own.

    Args:
        connection: with a relation `exposures`.
        outcome_days: how long an outcome may take.
        as_of: rows that are as old as that by then are `matured`.

    Returns:
        customer_id, offer_id, decided_at, propensity, outcome, reward, reward_known, delay_us, row_key, matured, place.
        An outcome that came after `as_of` is 0; a success whose reward is not known counts 1; `delay_us` is how long a
        success took, null else; `place` is the row's in `exposures`, from 0.

    Raises:
        DataError: outcome_days is not between 0 and a hundred years.
    """
    if not 0 <= outcome_days <= _LONGEST_DAYS:
        what = f"outcome_days = {outcome_days:g} is not between 0 and {_LONGEST_DAYS:,}."
        raise DataError(what, where="outcome_days", remedy="Say how many days an outcome may take, such as 30.")
    sql = files("warehouse").joinpath("sql/exposures.sql").read_text()
    return connection.sql(sql, params={"outcome_days": outcome_days, "as_of": as_of}).to_arrow_table()


def distinct_values(connection: "DuckDBPyConnection", relation: str, column: str) -> list[Any]:
    """All values of a column that are not null."""
    from duckdb import ColumnExpression

    found = connection.view(relation).select(ColumnExpression(column)).distinct().fetchall()
    return [row[0] for row in found if row[0] is not None]


_ALLOCATIONS = pa.schema(
    [
        ("path", pa.string()),
        ("allocation_id", pa.string()),
        ("as_of", _MICROSECONDS),
        ("outcome_days", pa.float64()),
        ("no_feedback", pa.string()),
        ("heard_with", pa.string()),
    ]
)
_EMPTY = pa.schema(
    [
        ("decision_id", pa.string()),
        ("allocation_id", pa.string()),
        ("customer_id", pa.string()),
        ("offer_id", pa.string()),
        ("held_out", pa.bool_()),
        ("propensity", pa.float64()),
        ("decided_at", _MICROSECONDS),
        ("answered", pa.bool_()),
        ("outcome", pa.float64()),
        ("reward", pa.float64()),
        ("occurred_at", _MICROSECONDS),
        ("delay_us", pa.int64()),
        ("matured", pa.bool_()),
        ("silence_is_failure", pa.bool_()),
        ("silence_counts", pa.bool_()),
    ]
)
