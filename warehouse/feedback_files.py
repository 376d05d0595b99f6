"""Feedback as it comes in: NDJSON, a JSON array, CSV or Parquet. One bad record leaves the others."""

import csv
import json
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from allot import DataError
from warehouse.feedback_records import COLUMNS, Item, feedback_items, parse_item, short


def read_feedback(path: Path) -> Iterator[Item]:
    """The records of a file, by its suffix: .ndjson, .jsonl, .json (an array), .csv or .parquet.

    Lines count from 1; in Parquet and JSON arrays the line is the record's number.

    Raises:
        DataError: no such file, an unknown suffix, a missing column, or not readable as what its suffix says.
    """
    readers = {".ndjson": _ndjson, ".jsonl": _ndjson, ".json": _json, ".csv": _csv, ".parquet": _parquet}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise DataError(
            f"feedback cannot be read from {path.suffix!r}.",
            where=path.name,
            remedy=f"Use one of {', '.join(readers)}.",
        )
    if not path.is_file():
        raise DataError("there is no such file.", where=str(path), remedy="Check the path.")
    return reader(path)


def _ndjson(path: Path) -> Iterator[Item]:
    with path.open("rb") as lines:
        for line, raw in enumerate(lines, start=1):
            if raw.strip():
                yield _json_line(line, raw)


def _json_line(line: int, raw: bytes) -> Item:
    try:
        record = json.loads(raw)
    except (ValueError, RecursionError):  # not UTF-8, not JSON, an integer of thousands of digits, or nested too deep
        return Item(line, None, reason=f"the line is not JSON: {short(raw.strip()[:80])}")
    return parse_item(line, record)


def _json(path: Path) -> Iterator[Item]:
    try:
        records = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise DataError(f"the file is not JSON: {error}.", where=path.name, remedy="Give one JSON array.") from error
    if isinstance(records, dict):
        records = [records]
    if not isinstance(records, list):
        raise DataError("the file is not a JSON array.", where=path.name, remedy="Give an array of objects, or NDJSON.")
    return feedback_items(records)


def _fields(names: Iterable[str], path: Path) -> list[str]:
    """What each column of a file is called here: capitals and blanks around a name mean nothing."""
    fields = [name.strip().lower() for name in names]
    count = Counter(fields)
    remedy = f"Feedback has the columns {', '.join(COLUMNS)}."
    for name in COLUMNS:
        if count[name] != 1:
            what = "is missing" if count[name] == 0 else "is there more than once"
            raise DataError(f"column {name!r} {what}.", where=path.name, remedy=remedy)
    return fields


def _csv(path: Path) -> Iterator[Item]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as lines:
            reader = csv.DictReader(lines)
            reader.fieldnames = _fields(reader.fieldnames or (), path)
            for record in reader:
                yield parse_item(reader.line_num, record)
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(
            f"the file is not CSV in UTF-8: {error}.", where=path.name, remedy="Save it as UTF-8."
        ) from error


def _parquet(path: Path) -> Iterator[Item]:
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            names = file.schema_arrow.names
            fields = {field: name for field, name in zip(_fields(names, path), names, strict=True) if field in COLUMNS}
            line = 0
            for batch in file.iter_batches(columns=list(fields.values())):
                for record in batch.select(list(fields.values())).rename_columns(list(fields)).to_pylist():
                    line += 1
                    yield parse_item(line, record)
    except (ValueError, OSError) as error:
        raise DataError(f"the file is not Parquet: {error}.", where=path.name, remedy="Write it again.") from error
