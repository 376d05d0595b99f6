"""A decisions file over HTTP: whole or in pages, as NDJSON or Parquet, never more of it in memory than a page."""

import asyncio
import io
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from fastapi import Request
from starlette.responses import FileResponse, Response, StreamingResponse

from api.service.accepting import NDJSON, PARQUET, wanted

if TYPE_CHECKING:
    import pyarrow as pa

MOST_ROWS = 100_000
"""Rows of a page at most."""

_PIECE = 2_000  # rows that are turned into text at once


async def page_of(path: Path, request: Request, after: str | None, limit: int | None, *, sha256: str) -> Response:
    """Decisions after an id, at most so many; `Link` names the next page where there is more.

    Args:
        path: of the decisions file, which never changes.
        request: its Accept header says NDJSON (the default) or Parquet.
        after: a decision id.
        limit: rows at most; None: all that follow.
        sha256: of the file, for the ETag.

    Raises:
        Problem: 406: another kind of answer is wanted.
        WorkspaceError: the file is missing or damaged.
    """
    from warehouse import decisions_meta

    kind = wanted(request.headers, (NDJSON, PARQUET))
    await asyncio.to_thread(decisions_meta, path)  # what is missing or damaged is said before the answer begins
    headers = {"ETag": f'"{sha256}"'} if after is None and limit is None else {}
    if kind == PARQUET and after is None and limit is None:
        return FileResponse(path, media_type=PARQUET, headers=headers, filename="decisions.parquet")
    if limit is None and kind == NDJSON:
        return StreamingResponse(_pieces(path, after), 200, headers, NDJSON)
    rows = await asyncio.to_thread(_page, path, after, (limit or MOST_ROWS) + 1)
    if rows.num_rows > (limit or MOST_ROWS):
        rows = rows.slice(0, limit or MOST_ROWS)
        last = rows["decision_id"][rows.num_rows - 1].as_py()
        headers["Link"] = f'<{request.url.path}?after={quote(last)}&limit={limit or MOST_ROWS}>; rel="next"'
    return Response(await asyncio.to_thread(_bytes, rows, kind), 200, headers, kind)


async def _pieces(path: Path, after: str | None) -> AsyncIterator[bytes]:
    """The rows as lines; the file is read in a thread, a row group at a time."""
    from warehouse import decision_groups

    groups: Iterator[pa.Table] = decision_groups(path, after)
    while (group := await asyncio.to_thread(next, groups, None)) is not None:
        for first in range(0, group.num_rows, _PIECE):
            yield await asyncio.to_thread(_lines, group.slice(first, _PIECE))


def _page(path: Path, after: str | None, most: int) -> "pa.Table":
    """The first rows after an id, `most` at most."""
    import pyarrow as pa

    from warehouse import decision_groups

    found: list[pa.Table] = []
    for group in decision_groups(path, after):
        found.append(group.slice(0, most - sum(part.num_rows for part in found)))
        if sum(part.num_rows for part in found) >= most:
            break
    return pa.concat_tables(found)


def _bytes(rows: "pa.Table", kind: str) -> bytes:
    if kind == NDJSON:
        return _lines(rows)
    import pyarrow.parquet as pq

    sink = io.BytesIO()
    pq.write_table(rows, sink, compression="zstd")
    return sink.getvalue()


def _lines(rows: "pa.Table") -> bytes:
    return "".join(json.dumps(row, separators=(",", ":")) + "\n" for row in rows.to_pylist()).encode()
