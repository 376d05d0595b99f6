"""Offers one by one: each change is a new version of the data, and every version stays readable."""

import fcntl
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from allot import DataError, NotFoundError
from engine.workspaces import load
from warehouse import DataVersion, Workspace, attach, connect, current_version, read_version

_DAYS = ("starts_on", "ends_on")


def offers_of(workspace: Workspace, version_id: str | None = None) -> tuple[str, list[dict[str, Any]]]:
    """The offers of a data version, of the current one by default: its id, and the rows by offer id.

    Raises:
        NotFoundError: no such version, or it has no offers.
    """
    version = current_version(workspace) if version_id is None else read_version(workspace, version_id)
    if "offers" not in version.tables:
        raise NotFoundError("there are no offers yet.", remedy="Post some, or run `allot load --offers FILE`.")
    with connect(workspace) as connection:
        attach(connection, workspace, DataVersion({"offers": version.tables["offers"]}))
        rows: list[dict[str, Any]] = connection.sql("FROM offers ORDER BY offer_id").to_arrow_table().to_pylist()
    return version.id, rows


def put_offers(workspace: Workspace, offers: Sequence[Mapping[str, Any]], folder: Path) -> dict[str, Any]:
    """Add offers; one whose id is known takes the place of the known one, all others stay.

    Args:
        workspace: where.
        offers: columns and values; days as text, such as 2026-03-01.
        folder: for a temporary file.

    Returns:
        as `load`: the new version, rows, warnings.

    Raises:
        DataError, RuleError: as `load`; nothing was changed.
    """
    with _one_at_a_time(workspace):
        try:
            _, rows = offers_of(workspace)
        except NotFoundError:
            rows = []
        merged = {str(row["offer_id"]): _plain(row) for row in rows}
        merged |= {str(offer.get("offer_id")): _whole(offer) for offer in offers}
        path = folder / "offers.parquet"
        pq.write_table(_table(list(merged.values())), path)
        return load(workspace, {"offers": path})


@contextmanager
def _one_at_a_time(workspace: Workspace) -> Iterator[None]:
    """Changes are made to what is there: nobody else may change it in between."""
    handle = os.open(workspace.data, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _whole(offer: Mapping[str, Any]) -> dict[str, Any]:
    """A new offer with what the contract fills in where a file has no such column."""
    return {"name": offer.get("offer_id"), "contact_cost": 0.0, "redemption_cost": 0.0, **offer}


def _plain(row: Mapping[str, Any]) -> dict[str, Any]:
    """A stored row as it would be written: its days as text."""
    return {name: str(value) if name in _DAYS and value is not None else value for name, value in row.items()}


def _table(rows: Sequence[Mapping[str, Any]]) -> pa.Table:
    """Rows as columns: of one type each, empty where a row does not have it."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    return pa.table({name: _column(name, [row.get(name) for row in rows]) for name in names})


def _column(name: str, values: list[Any]) -> pa.Array:
    """One column: moments stay moments where what is new reads as one.

    Raises:
        DataError: its values are of several kinds.
    """
    stored = next((type(value) for value in values if isinstance(value, date)), None)
    try:
        if stored is not None:
            read = datetime.fromisoformat if stored is datetime else date.fromisoformat
            values = [read(value) if isinstance(value, str) else value for value in values]
        column = pa.array(values)
        return pa.nulls(len(values), pa.string()) if pa.types.is_null(column.type) else column
    except (pa.ArrowInvalid, pa.ArrowTypeError, ValueError, OverflowError) as error:
        what = "has values of different kinds."
        raise DataError(what, where=f"offers, column {name}", remedy="Write all as numbers, or all as text.") from error
