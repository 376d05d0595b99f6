"""Files that come as bodies: kept in a claimed folder of the workspace while they are needed."""

import asyncio
import io
import os
import re
import secrets
import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import IO, Any

from fastapi import Request

from api.service.problems import Problem, echo
from api.service.strict_json import media_type, parse
from warehouse import Workspace
from warehouse.workspace import claim

_PIECE = 2**20  # bytes written at once, away from the event loop
_LINES = 10_000  # rows made into columns at once
FORMATS = {
    "application/vnd.apache.parquet": ".parquet",
    "application/x-ndjson": ".ndjson",
    "application/jsonl": ".ndjson",
    "text/csv": ".csv",
}


@contextmanager
def folder_of_ours(workspace: Workspace) -> Iterator[Path]:
    """A temporary folder that is swept, at the latest, by the next writer after our death."""
    folder = workspace.spills / secrets.token_hex(8)
    handle = claim(folder)
    try:
        yield folder
    finally:
        os.close(handle)
        shutil.rmtree(folder, ignore_errors=True)


@asynccontextmanager
async def uploaded(request: Request, workspace: Workspace, table: str) -> AsyncIterator[Path]:
    """The body as a file named after its table, of a kind that tables are loaded from.

    Raises:
        Problem: 411, 413, 415; 400 for lines that are not strict JSON objects, 422 for values that fit no column.
    """
    kind = media_type(request)
    suffix = FORMATS.get(kind)
    if suffix is None:
        detail = f"{echo(kind)} is none of {', '.join(FORMATS)}."
        raise Problem(415, "media-type", "This kind of body is not taken", detail)
    with folder_of_ours(workspace) as folder:
        path = folder / f"{table}{suffix}"
        with path.open("wb") as file:
            await _receive(request, file)
        if suffix == ".ndjson":
            path = await asyncio.to_thread(_columns, path)
        yield path


async def _receive(request: Request, file: IO[bytes]) -> None:
    waiting = io.BytesIO()
    async for piece in request.stream():
        waiting.write(piece)
        if waiting.tell() >= _PIECE:
            await asyncio.to_thread(file.write, waiting.getvalue())
            waiting = io.BytesIO()
    file.write(waiting.getvalue())


def _columns(path: Path) -> Path:
    """NDJSON as Parquet: a column for each key, of the one kind that its values have."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    pieces: list[Any] = []
    rows: list[dict[str, Any]] = []
    with path.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            if line.strip():
                rows.append(_row(line, number))
            if len(rows) == _LINES:
                pieces.append(_piece(rows))
                rows = []
    pieces.append(_piece(rows))
    try:
        table = pa.concat_tables(pieces, promote_options="permissive")
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise _mixed(str(error)) from error
    nothing = [field.name for field in table.schema if pa.types.is_null(field.type)]
    for name in nothing:
        place = table.schema.get_field_index(name)
        table = table.set_column(place, name, pa.nulls(table.num_rows, pa.string()))
    staged = path.with_suffix(".parquet")
    pq.write_table(table, staged)
    return staged


def _row(line: bytes, number: int) -> dict[str, Any]:
    try:
        row = parse(line)
    except Problem as problem:
        problem.detail = f"Line {number}: {problem.detail}"
        raise
    if not isinstance(row, dict) or any(isinstance(value, dict | list) for value in row.values()):
        detail = f"Line {number} is not one flat object."
        raise Problem(400, "json", "The body is not strict JSON", detail)
    return row


def _piece(rows: list[dict[str, Any]]) -> Any:
    import pyarrow as pa

    columns = {}
    for name in dict.fromkeys(name for row in rows for name in row):
        try:
            columns[name] = pa.array([row.get(name) for row in rows])
        except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError) as error:
            raise _mixed(f"column {echo(name)}") from error
    return pa.table(columns)


def _mixed(which: str) -> Problem:
    said = re.sub(r"\s+", " ", which)[:200]
    detail = f"A column has values of different kinds ({said}); write all as numbers, or all as text."
    return Problem(422, "data", "The data break their contract", detail)
