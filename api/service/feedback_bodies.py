"""Bodies of feedback as records: one object, an array, NDJSON or CloudEvents. Poison stays one record."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from api.service.problems import Problem, echo
from api.service.strict_json import Unsound, parse_alike, parse_records
from warehouse import Item
from warehouse.feedback_records import COLUMNS, parse_item, plain_bodies

NDJSON = ("application/x-ndjson", "application/ndjson", "application/jsonl", "application/x-jsonlines")
EVENT, EVENTS = "application/cloudevents+json", "application/cloudevents-batch+json"
KINDS = ("application/json", *NDJSON, EVENT, EVENTS)

_SPECIFICATION = "1.0"


@dataclass(frozen=True, slots=True)
class Records:
    """The records of one body; `single` where it is one object, which is answered with a status of its own."""

    items: tuple[Item, ...]
    single: bool


def records_of(raw: bytes, kind: str) -> Records:
    """The records of a body, each checked.

    Args:
        raw: the body.
        kind: its media type, one of KINDS.

    Raises:
        Problem: 400: no JSON at all; 415: another media type; 422: not what the media type says, or no record.
    """
    plain = _plain(raw, kind)
    if plain:
        return Records(plain, single=kind not in NDJSON and raw.lstrip()[:1] == b"{")
    if kind in NDJSON:
        return _some(tuple(_lines(raw)), single=False)
    if kind not in KINDS:
        raise Problem(415, "media-type", "This kind of body is not taken", f"Send one of {', '.join(KINDS)}.")
    document = parse_records(raw)
    if isinstance(document, list) and kind != EVENT:
        of = _of_event if kind == EVENTS else _of_record
        return _some(tuple(of(place, record) for place, record in enumerate(document, start=1)), single=False)
    if isinstance(document, dict) and kind != EVENTS:
        return _some(((_of_event if kind == EVENT else _of_record)(1, document),), single=True)
    wanted = {EVENT: "an object", EVENTS: "an array of objects"}.get(kind, "an object or an array of objects")
    raise Problem(422, "body", "The body is wrong", f"{kind} must be {wanted}.")


def _plain(raw: bytes, kind: str) -> tuple[Item, ...]:
    """The records of an ordinary body; empty where each takes a look of its own."""
    if kind != KINDS[0] and kind not in NDJSON:
        return ()
    rows = parse_alike(raw, COLUMNS, lines=kind in NDJSON)
    bodies = plain_bodies(rows) if rows else None
    return tuple(Item(line, body, body.event_id) for line, body in enumerate(bodies or (), start=1))


def _some(items: tuple[Item, ...], *, single: bool) -> Records:
    if not items:
        raise Problem(422, "body", "The body is wrong", "There is no record in it.")
    return Records(items, single)


def _lines(raw: bytes) -> Iterator[Item]:
    for line, text in enumerate(raw.split(b"\n"), start=1):
        if text.strip():
            try:
                record = parse_records(text)
            except Problem as problem:
                yield Item(line, None, reason=f"the line is not JSON: {problem.detail}")
            else:
                yield _of_record(line, record)


def _of_record(line: int, record: Any) -> Item:
    item = parse_item(line, record, strict=True)
    return item if item.body is not None else _worded(item, record)


def _worded(item: Item, record: Any) -> Item:
    """The item with the reason why a part of its record is no JSON value at all, where there is such a part."""
    parts = record.items() if isinstance(record, dict) else [("the record", record)]
    for name, value in parts:
        if isinstance(value, Unsound):
            return Item(item.line, None, item.event_id, f"{echo(name)}: {value.what}")
    return item


def _of_event(line: int, event: Any) -> Item:
    """A CloudEvent: source and id together name it, `data` says what happened, `time` when if `data` does not."""
    if not isinstance(event, dict):
        return _of_record(line, event)
    for name, wrong, what in _ENVELOPE:
        if wrong(event.get(name)):
            return Item(line, None, reason=f"{name} {what}")
    data = event["data"]
    known = {
        "event_id": f"{event['source']}#{event['id']}",
        "decision_id": event.get("subject"),
        "occurred_at": event.get("time"),
    }
    twice = "event_id" in data
    item = Item(line, None, reason="event_id is the event's id; data has none") if twice else None
    return item or _of_record(line, {name: value for name, value in known.items() if value is not None} | data)


def _is_no_text(value: Any) -> bool:
    return not isinstance(value, str) or not value


_ENVELOPE: tuple[tuple[str, Callable[[Any], bool], str], ...] = (
    ("specversion", lambda value: value != _SPECIFICATION, f"is not {_SPECIFICATION!r}"),
    ("id", _is_no_text, "is not a text"),
    ("source", _is_no_text, "is not a text"),
    ("type", _is_no_text, "is not a text"),
    ("datacontenttype", lambda value: value not in (None, "application/json"), "is not application/json"),
    ("data", lambda value: not isinstance(value, dict), "is not an object"),
)
