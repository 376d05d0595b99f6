"""Our own log: every decision that was released, joined with what became of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from allot import DataError, WorkspaceError

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_MICROSECONDS = pa.timestamp("us", "UTC")
_LONGEST_DAYS = 36_500


@dataclass(frozen=True, slots=True)
class Released:
    """One allocation as the log needs it: where its decisions are, when they were made, how long outcomes take."""

    allocation_id: str
    path: Path
    decided_at: datetime
    outcome_days: float
    no_feedback: str


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
    rows = [(str(r.path), r.allocation_id, r.decided_at, r.outcome_days, r.no_feedback) for r in released]
    columns = list(zip(*rows, strict=True)) or [(), (), (), (), ()]
    kinds = (pa.string(), pa.string(), _MICROSECONDS, pa.float64(), pa.string())
    names = ("path", "allocation_id", "decided_at", "outcome_days", "no_feedback")
    given = [pa.array(values, kind) for values, kind in zip(columns, kinds, strict=True)]
    if not rows:
        return _EMPTY.empty_table()
    connection.register("allocations", pa.table(given, names=list(names)))
    connection.register("outcomes", outcomes)
    sql = files("warehouse").joinpath("sql/history.sql").read_text()
    gone = next((r.path for r in released if not r.path.is_file()), None)
    if gone is not None:
        raise WorkspaceError("the decisions are gone.", where=str(gone), remedy="Restore them from a backup.")
    try:
        found = connection.sql(sql, params={"paths": [str(r.path) for r in released], "as_of": as_of})
        return found.to_arrow_table()
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
