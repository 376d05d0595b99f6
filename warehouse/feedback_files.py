"""Feedback as it comes in: NDJSON, a JSON array, CSV or Parquet. One bad record leaves the others."""

import csv
import json
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

from allot import DataError
from warehouse.columns import micros, moment

COLUMNS = ("event_id", "decision_id", "outcome", "reward", "occurred_at")
_LONGEST_ID = 200
_LARGEST_REWARD = 9e12  # currency units: in micros it just fits 64 bits


@dataclass(frozen=True, slots=True)
class Body:
    """One sound record of feedback: what is compared when an event id comes again."""

    event_id: str
    decision_id: str
    outcome: int
    reward_micros: int
    occurred_at: datetime


@dataclass(frozen=True, slots=True)
class Item:
    """One record at its place in the source, counted from 1: a sound body, or the reason why there is none."""

    line: int
    body: Body | None
    event_id: str = ""
    reason: str = ""


class _RefusedError(ValueError):
    """Why one record is not sound."""


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


def feedback_items(records: Iterable[Any]) -> Iterator[Item]:
    """Records that are already in memory, e.g. a request's JSON array; the line is the record's number."""
    for line, record in enumerate(records, start=1):
        yield parse_item(line, record)


def parse_item(line: int, record: Any) -> Item:
    """One record, checked: NaN, infinities, booleans as numbers, missing and unreadable fields are refused."""
    if not isinstance(record, Mapping):
        return Item(line, None, reason=f"the record is {_short(record)}, not an object")
    event_id = record.get("event_id")
    shown = event_id if isinstance(event_id, str) and _is_text(event_id) else ""
    try:
        body = Body(
            _identifier(record, "event_id"),
            _identifier(record, "decision_id"),
            _outcome(record),
            _reward_micros(record),
            _occurred_at(record),
        )
    except _RefusedError as refusal:
        return Item(line, None, shown, str(refusal))
    return Item(line, body, body.event_id)


def _short(value: Any) -> str:
    text = ascii(value) if not isinstance(value, int) or abs(value) < 1 << 64 else "a very large number"
    return text if len(text) <= 60 else text[:57] + "..."


def _field(record: Mapping[str, Any], name: str) -> Any:
    value = record.get(name)
    if value is None or value == "":
        raise _RefusedError(f"{name} is missing")
    return value


def _is_text(value: str) -> bool:
    """Whether it can be stored: no lone surrogates, no control characters."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return value.isprintable()


def _identifier(record: Mapping[str, Any], name: str) -> str:
    value = _field(record, name)
    if not isinstance(value, str):
        raise _RefusedError(f"{name} is {_short(value)}, not text")
    if len(value) > _LONGEST_ID or not _is_text(value):
        raise _RefusedError(f"{name} {_short(value)} is not a printable text of at most {_LONGEST_ID} characters")
    return value


def _number(record: Mapping[str, Any], name: str) -> float:
    value = _field(record, name)
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise _RefusedError(f"{name} is {_short(value)}, not a number")
    try:
        number = float(value)
    except (ValueError, OverflowError):
        raise _RefusedError(f"{name} is {_short(value)}, not a number") from None
    if not math.isfinite(number):
        raise _RefusedError(f"{name} is {_short(value)}, not a finite number")
    return number


def _outcome(record: Mapping[str, Any]) -> int:
    number = _number(record, "outcome")
    if number not in (0.0, 1.0):
        raise _RefusedError(f"outcome is {_short(record['outcome'])}, not 0 or 1")
    return int(number)


def _reward_micros(record: Mapping[str, Any]) -> int:
    number = _number(record, "reward")
    if abs(number) > _LARGEST_REWARD:
        raise _RefusedError(f"reward {_short(record['reward'])} is too large")
    return round(number * 1_000_000)


def _occurred_at(record: Mapping[str, Any]) -> datetime:
    value = _field(record, "occurred_at")
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value.strip())
        except ValueError:
            raise _RefusedError(f"occurred_at is {_short(value)}, not an ISO 8601 time") from None
    if isinstance(value, date) and not isinstance(value, datetime):
        value = datetime(value.year, value.month, value.day)
    if not isinstance(value, datetime):
        raise _RefusedError(f"occurred_at is {_short(value)}, not a time")
    try:
        return moment(micros(value))
    except OverflowError:  # the last hours of the calendar, in another zone
        raise _RefusedError(f"occurred_at is {_short(value)}, outside the calendar") from None


def _ndjson(path: Path) -> Iterator[Item]:
    with path.open("rb") as lines:
        for line, raw in enumerate(lines, start=1):
            if raw.strip():
                yield _json_line(line, raw)


def _json_line(line: int, raw: bytes) -> Item:
    try:
        record = json.loads(raw)
    except (ValueError, RecursionError):  # not UTF-8, not JSON, an integer of thousands of digits, or nested too deep
        return Item(line, None, reason=f"the line is not JSON: {_short(raw.strip()[:80])}")
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
