"""What a model was shown of decisions: columns as of their release, with what requests said in their place."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from allot import DataError
from engine.features import FeatureSpec
from engine.rows import Past, row_features
from warehouse import StoredAllocation, attach, connect, read_decisions, read_version

if TYPE_CHECKING:
    from warehouse import Store, Workspace

SINCE = "days_since_"


def served_columns(
    workspace: "Workspace",
    store: "Store",
    allocation: StoredAllocation,
    rows: pa.Table,
    read: FeatureSpec | None = None,
) -> pa.Table:
    """The columns that a model reads of some decisions of one allocation, as they were served.

    Args:
        workspace, store: where everything is.
        allocation: whose decisions they are.
        rows: decision_id, customer_id and decided_at of each.
        read: the model's columns, so that others need not be made; None: all are.
    """
    until = allocation.versions["past"]["feedback_until"]
    past = Past(tuple(allocation.versions["past"]["allocations"]), datetime.fromisoformat(until) if until else None)
    customer, at = (rows[c].combine_chunks() for c in ("customer_id", "decided_at"))
    known_at = served_at(allocation)
    if known_at is not None:
        at = pa.repeat(pa.scalar(known_at, pa.timestamp("us", "UTC")), len(customer))
    with connect(workspace) as connection:
        attach(connection, workspace, read_version(workspace, allocation.versions["data"]))
        table = row_features(connection, store, workspace, (customer, at), past, read)
    if known_at is None:
        return table
    path = workspace.root / str(allocation.decisions_path)
    said = read_decisions(path, ["decision_id", "features"])
    place = pc.index_in(rows["decision_id"], said["decision_id"].combine_chunks())
    texts = said["features"].combine_chunks().take(place.combine_chunks()).to_pylist()
    return overlaid(table, [None if text is None else json.loads(text) for text in texts], known_at)


def served_at(allocation: StoredAllocation) -> datetime | None:
    """When what is known of customers was looked up for single decisions; None: of others, at their moment."""
    at = allocation.summary.get("features_at")
    return None if at is None else datetime.fromisoformat(at)


def overlaid(table: pa.Table, features: Sequence[Mapping[str, Any] | None], as_of: datetime) -> pa.Table:
    """Columns as the model reads them, with what requests said of some of the rows.

    Args:
        table: n rows, as `row_features` makes them.
        features: (n,) of each row's request.
        as_of: the moment that days count to.
    """
    given = {name for one in features if one for name in one}
    for place, full in enumerate(table.column_names):
        name = full.removeprefix("customer.")
        since = name.startswith(SINCE) and name.removeprefix(SINCE) in given
        if not full.startswith("customer.") or not (name in given or since):
            continue
        said = name.removeprefix(SINCE) if since else name
        column = table[full].combine_chunks()
        kind = plain_type(column.type)
        values = column.to_pylist()
        for i, one in enumerate(features):
            if one and said in one:
                values[i] = _days(one[said], as_of) if since else typed(said, one[said], kind)
        table = table.set_column(place, full, pa.array(values, kind))
    return table


def plain_type(kind: pa.DataType) -> pa.DataType:
    """A column's type; of a dictionary's, that of its values."""
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def typed(name: str, value: Any, kind: pa.DataType) -> Any:
    """A JSON value as a column's type has it.

    Raises:
        DataError: it is of another type.
    """
    if value is None:
        return None
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if pa.types.is_boolean(kind):
        fits = isinstance(value, bool)
    elif pa.types.is_integer(kind):
        fits = number and float(value).is_integer()
        value = int(value) if fits else value
    elif pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        fits = number
    else:
        fits = isinstance(value, str)
    try:
        if fits and (pa.types.is_timestamp(kind) or pa.types.is_date(kind)):
            value = datetime.fromisoformat(value)
        if fits:
            return pa.array([value], kind)[0].as_py()
    except (ValueError, pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
        pass
    raise DataError(f"{str(value)[:60]!r} is no {kind}.", where=f"/features/{name}", remedy="Send what is loaded.")


def _days(value: Any, as_of: datetime) -> float | None:
    if value is None:
        return None
    at = datetime.fromisoformat(value)
    return (as_of - (at if at.tzinfo is not None else at.replace(tzinfo=as_of.tzinfo))).total_seconds() / 86_400
