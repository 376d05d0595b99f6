"""One record of feedback, checked: NaN, infinities, booleans as numbers, missing and unreadable fields are refused."""

import hashlib
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import MAXYEAR, MINYEAR, date, datetime
from typing import Any, NamedTuple

from warehouse.columns import micros, moment

COLUMNS = ("event_id", "decision_id", "outcome", "reward", "occurred_at")
_FIELDS = frozenset(COLUMNS)
_LONGEST_ID = 200
_LARGEST_REWARD = 9e12  # currency units: in micros it just fits 64 bits


class Body(NamedTuple):
    """One sound record of feedback: what is compared when an event id comes again. `occurred_us`: UTC, since 1970.

    A tuple, as are `Item` and `Answer`: tens of thousands are made each second.
    """

    event_id: str
    decision_id: str
    outcome: int
    reward_micros: int
    occurred_us: int

    @property
    def occurred_at(self) -> datetime:
        """When it happened."""
        return moment(self.occurred_us)

    @property
    def digest(self) -> str:
        """Names what the event says; equal bodies, equal digests."""
        said = f"{self.decision_id}\x1f{self.outcome}\x1f{self.reward_micros}\x1f{self.occurred_us}"
        return hashlib.blake2b(said.encode(), digest_size=16).hexdigest()

    def to_json(self) -> dict[str, Any]:
        """What it says, for people."""
        return {
            "decision_id": self.decision_id,
            "outcome": self.outcome,
            "reward_micros": self.reward_micros,
            "occurred_at": self.occurred_at.isoformat(),
        }


class Item(NamedTuple):
    """One record at its place in the source, counted from 1: a sound body, or the reason why there is none."""

    line: int
    body: Body | None
    event_id: str = ""
    reason: str = ""


class _RefusedError(ValueError):
    """Why one record is not sound."""


def feedback_items(records: Iterable[Any], *, strict: bool = False) -> Iterator[Item]:
    """Records that are already in memory, e.g. a request's JSON array; the line is the record's number."""
    for line, record in enumerate(records, start=1):
        yield parse_item(line, record, strict=strict)


def parse_item(line: int, record: Any, *, strict: bool = False) -> Item:
    """One record, checked.

    Args:
        line: its place.
        record: as JSON, CSV or Parquet have it.
        strict: numbers are numbers, times are text, and there are no other fields; for JSON that programs send. Else
            numbers may be written as text, as in CSV.
    """
    if not isinstance(record, Mapping):
        return Item(line, None, reason=f"the record is {short(record)}, not an object")
    event_id = record.get("event_id")
    shown = event_id if isinstance(event_id, str) and is_identifier(event_id) else ""
    try:
        if strict:
            _only_known(record)
        body = Body(
            _identifier(record, "event_id"),
            _identifier(record, "decision_id"),
            _outcome(record, strict),
            _reward_micros(record, strict),
            _occurred_us(record),
        )
    except _RefusedError as refusal:
        return Item(line, None, shown, str(refusal))
    return Item(line, body, body.event_id)


def plain_bodies(rows: Sequence[tuple[Any, ...]]) -> list[Body] | None:
    """The bodies of records in their plainest form, as nearly all come, checked column by column.

    Args:
        rows: the fields of each record in the order of COLUMNS, as JSON has them.

    Returns:
        What a closer look at each record would give; None where one of them takes that look.
    """
    if not rows:
        return []
    events, decisions, outcomes, rewards, times = zip(*rows, strict=True)
    ids = events + decisions
    if {*map(type, ids), *map(type, times)} != {str} or set(map(type, outcomes)) != {int}:
        return None
    if not set(map(type, rewards)) <= {int, float} or not all(abs(reward) <= _LARGEST_REWARD for reward in rewards):
        return None
    lengths = set(map(len, ids))
    if (
        min(lengths) < 1
        or max(lengths) > _LONGEST_ID
        or not "".join(ids).isprintable()
        or not {0, 1}.issuperset(outcomes)
    ):
        return None
    try:
        moments = list(map(datetime.fromisoformat, times))
    except ValueError:
        return None
    if not all(MINYEAR < at.year < MAXYEAR for at in moments):
        return None
    amounts = [round(float(reward) * 1_000_000) for reward in rewards]
    return list(map(Body._make, zip(events, decisions, outcomes, amounts, map(micros, moments), strict=True)))


def short(value: Any) -> str:
    """A value as it may be repeated in a message."""
    text = ascii(value) if not isinstance(value, int) or abs(value) < 1 << 64 else "a very large number"
    return text if len(text) <= 60 else text[:57] + "..."


def _only_known(record: Mapping[str, Any]) -> None:
    if not record.keys() <= _FIELDS:
        strange = next(name for name in record if name not in _FIELDS)
        raise _RefusedError(f"the field {short(strange)} is unknown")


def _field(record: Mapping[str, Any], name: str) -> Any:
    value = record.get(name)
    if value is None or value == "":
        raise _RefusedError(f"{name} is missing")
    return value


def is_identifier(value: str) -> bool:
    """Whether an event or a decision may be called so: not empty, not too long, and everybody sees every letter of it.

    Lone surrogates, which cannot be stored, and control characters are not printable.
    """
    return 0 < len(value) <= _LONGEST_ID and value.isprintable()


def _identifier(record: Mapping[str, Any], name: str) -> str:
    value = _field(record, name)
    if not isinstance(value, str):
        raise _RefusedError(f"{name} is {short(value)}, not text")
    if not is_identifier(value):
        raise _RefusedError(f"{name} {short(value)} is not a printable text of at most {_LONGEST_ID} characters")
    return value


def _number(record: Mapping[str, Any], name: str, strict: bool) -> float:
    value = _field(record, name)
    if isinstance(value, bool) or not isinstance(value, (int, float) if strict else (int, float, str)):
        raise _RefusedError(f"{name} is {short(value)}, not a number")
    try:
        number = float(value)
    except (ValueError, OverflowError):
        raise _RefusedError(f"{name} is {short(value)}, not a number") from None
    if not math.isfinite(number):
        raise _RefusedError(f"{name} is {short(value)}, not a finite number")
    return number


def _outcome(record: Mapping[str, Any], strict: bool) -> int:
    number = _number(record, "outcome", strict)
    if number not in (0.0, 1.0):
        raise _RefusedError(f"outcome is {short(record['outcome'])}, not 0 or 1")
    return int(number)


def _reward_micros(record: Mapping[str, Any], strict: bool) -> int:
    number = _number(record, "reward", strict)
    if abs(number) > _LARGEST_REWARD:
        raise _RefusedError(f"reward {short(record['reward'])} is too large")
    return round(number * 1_000_000)


def _occurred_us(record: Mapping[str, Any]) -> int:
    value = _field(record, "occurred_at")
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value.strip())
        except ValueError:
            raise _RefusedError(f"occurred_at is {short(value)}, not an ISO 8601 time") from None
    if isinstance(value, date) and not isinstance(value, datetime):
        value = datetime(value.year, value.month, value.day)
    if not isinstance(value, datetime):
        raise _RefusedError(f"occurred_at is {short(value)}, not a time")
    at = micros(value)
    try:
        moment(at)
    except OverflowError:  # the last hours of the calendar, in another zone
        raise _RefusedError(f"occurred_at is {short(value)}, outside the calendar") from None
    return at
