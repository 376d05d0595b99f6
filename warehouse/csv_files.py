"""CSV as people write it: which separator, which columns, and what is wrong with a line, in words."""

import csv
import gzip
import re
from collections import Counter
from collections.abc import Collection
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from allot import DataError
from warehouse.connection import quoted

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_DELIMITERS = (",", ";", "\t", "|")
_UTF8 = "Save it again as UTF-8 (spreadsheets call it CSV UTF-8), or as Parquet."
_MISNAMED = (
    (b"PAR1", "is a Parquet file.", "Let its name end in .parquet."),
    (b"PK\x03\x04", "is a spreadsheet or an archive, not text.", "Export the sheet as CSV in UTF-8."),
    (b"\xff\xfe", "is UTF-16, not UTF-8.", _UTF8),
    (b"\xfe\xff", "is UTF-16, not UTF-8.", _UTF8),
)
_LINE = re.compile(r"CSV Error on Line: (\d+)(?:\nOriginal Line: (.*))?")
_WIDTHS = re.compile(r"Expected Number of Columns: (\d+) Found: (\d+)")
_SHOWN = 80  # characters of a line


def is_csv(path: Path) -> bool:
    """Whether a file calls itself CSV."""
    return path.name.lower().endswith((".csv", ".csv.gz"))


def csv_relation(connection: "DuckDBPyConnection", path: Path, texts: Collection[str]) -> str:
    """How SQL reads a CSV file: `texts` and ids as text, so that "007" stays "007"; all other types are guessed.

    Raises:
        DataError: it is something else than its name says, or its header names a column twice.
        duckdb.Error: a line cannot be read; see `said_of_line`.
    """
    import duckdb

    delimiter, width = _header(path)
    dialect = f"header = true, skip = 0, delim = {quoted(delimiter)}, quote = '\"', escape = '\"', comment = ''"
    options = f"{dialect}, sample_size = -1"
    try:
        described = connection.execute(f"DESCRIBE FROM read_csv({quoted(path)}, {options})").fetchall()
    except duckdb.InvalidInputException as error:
        if "sniffing" not in str(error):
            raise
        # the guesser only says that it is at a loss; reading everything as text says where
        every = ", ".join(f"'c{j}': 'VARCHAR'" for j in range(width))
        read = f"read_csv({quoted(path)}, {dialect}, auto_detect = false, columns = {{{every}}})"
        connection.execute(f"FROM {read} SELECT max(COLUMNS(*))").fetchall()
        raise
    ids = [row[0] for row in described if row[0].lower() in texts or row[0].lower().endswith("_id")]
    types = ", ".join(f"{quoted(column)}: 'VARCHAR'" for column in ids)
    return f"read_csv({quoted(path)}, {options}{f', types = {{{types}}}' if ids else ''})"


def _open(path: Path, mode: str, **text: Any) -> IO[Any]:
    opener: Any = gzip.open if path.name.lower().endswith(".gz") else open
    found: IO[Any] = opener(path, mode, **text)
    return found


def _header(path: Path) -> tuple[str, int]:
    """What separates the cells of a CSV file, by its header, and how many columns that makes."""
    with _open(path, "rb") as file:
        start = file.read(4)
    for magic, what, remedy in _MISNAMED:
        if start.startswith(magic):
            raise DataError(what, where=path.name, remedy=remedy)
    headers = {}
    for delimiter in _DELIMITERS:
        with _open(path, "rt", encoding="utf-8-sig", errors="replace", newline="") as file:
            headers[delimiter] = next(csv.reader(file, delimiter=delimiter), [])
    delimiter = max(_DELIMITERS, key=lambda d: len(headers[d]))
    header = headers[delimiter]
    if any("\0" in cell for cell in header):
        raise DataError("its header holds zero bytes, as UTF-16 does.", where=path.name, remedy=_UTF8)
    named = Counter(cell.strip().lower() for cell in header if cell.strip())
    twice = next((name for name, count in named.items() if count > 1), None)
    if twice is not None:
        what = f"the header names column {twice!r} more than once."
        raise DataError(what, where=f"{path.name}, line 1", remedy="Rename or remove one of them.")
    return delimiter, len(header)


def said_of_line(path: Path, error: Exception) -> DataError | None:
    """What DuckDB found wrong with a line of a CSV file: where, what and what to do. None: it speaks of no line."""
    found = _LINE.search(str(error))
    if found is None:
        return None
    line, written = int(found[1]), (found[2] or "").strip()
    if "Invalid unicode" in str(error):
        line, written = _not_utf8(path) or (line, written)
        what, remedy = "is not UTF-8", _UTF8
    elif (widths := _WIDTHS.search(str(error))) is not None:
        wanted, cells = int(widths[1]), int(widths[2])
        what = f"has {_cells(cells)} where the header has {wanted}"
        remedy = "Add the missing cells; an unknown value is an empty cell."
        if cells > wanted:
            remedy = "Put cells that hold the separator in double quotes, or remove what is too much."
    elif "quote" in str(error):
        what, remedy = "has a quote that is not closed", 'Close it; inside a quoted cell write a quote twice: "".'
    else:
        return None
    shown = f": {written[:_SHOWN]}" if written else ""
    return DataError(f"{what}{shown}.", where=f"{path.name}, line {line:,}", remedy=remedy)


def _cells(count: int) -> str:
    return "1 cell" if count == 1 else f"{count} cells"


def _not_utf8(path: Path) -> tuple[int, str] | None:
    """The first line that is not UTF-8, counted from 1, and how it reads in the commonest other encoding."""
    with _open(path, "rb") as lines:
        for line, raw in enumerate(lines, start=1):
            try:
                raw.decode()
            except UnicodeDecodeError:
                return line, raw.decode("cp1252", "replace").strip()
    return None
