"""Every contact we know of: logged exposures with an offer, and our own decisions with an offer."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from allot import WorkspaceError
from warehouse.decisions import REALTIME, decisions_meta
from warehouse.relations import lent
from warehouse.statements import statement

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_TIME = pa.timestamp("us", "UTC")
_NO_EXPOSURES = pa.schema(
    [("customer_id", pa.string()), ("offer_id", pa.string()), ("decided_at", _TIME), ("outcome_at", _TIME)]
).empty_table()
_NO_DECISIONS = pa.schema(
    [("decision_id", pa.string()), ("customer_id", pa.string()), ("offer_id", pa.string()), ("at", _TIME)]
).empty_table()
_NO_OUTCOMES = pa.schema([("decision_id", pa.string()), ("outcome", pa.int8()), ("occurred_at", _TIME)]).empty_table()


def contacts_view(
    connection: "DuckDBPyConnection",
    decisions: Sequence[Path],
    outcomes: pa.Table | None,
    *,
    exposures: str | None = "exposures",
    offers: str = "offers",
    name: str = "contacts",
) -> None:
    """Make the temporary table `name` of all contacts, for `memory_features` and contact rules.

    Args:
        connection: to DuckDB, time zone UTC; it may read the decisions files.
        decisions: decisions files; each one's meta has `as_of` (ISO 8601), the time of its contacts; single decisions
            have a time of their own.
        outcomes: decision_id, outcome, occurred_at, one row per decision, as `outcomes` returns; None = none yet.
        exposures: relation of customer_id, offer_id, decided_at, outcome, outcome_at and optionally decision_id (a
            decision that is in the log already counts once); None = there are none.
        offers: relation of offer_id and optionally channel, category.
        name: of the table: customer_id, offer_id, channel, category, at, outcome, outcome_at.

    Raises:
        WorkspaceError: a decisions file is missing, damaged, or does not say when it was decided.
    """
    given = {
        "exposures": _NO_EXPOSURES if exposures is None else exposures,
        "offers": offers,
        "outcomes": _NO_OUTCOMES if outcomes is None else outcomes,
        "decisions": _decided(connection, decisions),
    }
    with lent(connection, given) as names:
        made = connection.sql(statement("contacts.sql", names)).to_arrow_table()
    with lent(connection, {"made": made}) as names:
        connection.execute(statement("contacts_table.sql", {"table": name, **names}))


def _decided(connection: "DuckDBPyConnection", decisions: Sequence[Path]) -> pa.Table:
    if not decisions:
        return _NO_DECISIONS
    times: dict[str, dict[str, str]] = {"as_of": {}, "decided_at": {}}
    for path in decisions:
        meta = decisions_meta(path)
        if meta.get("as_of") is None:
            raise WorkspaceError(
                "the decisions do not say when they were made.", where=str(path), remedy="Allocate again."
            )
        times["decided_at" if meta.get("mechanism") == REALTIME else "as_of"][str(path)] = meta["as_of"]
    found = []
    for moment, files in times.items():
        decided = pa.table({"file": list(files), "as_of": list(files.values())})
        with lent(connection, {"files": decided}) as names:
            sql = statement("contacts_decisions.sql", {**names, "moment": moment})
            if files:
                found.append(connection.sql(sql, params={"files": list(files)}).to_arrow_table())
    return pa.concat_tables(found)
