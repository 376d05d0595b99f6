"""Column types of the operational database that mean the same on SQLite and PostgreSQL."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any, final

from sqlalchemy import BigInteger, Text
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_COMPACT = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False, allow_nan=False)  # made once: it is used a lot


def micros(at: datetime) -> int:
    """Microseconds since 1970 in UTC; a time without zone is taken as UTC."""
    aware = at if at.tzinfo is not None else at.replace(tzinfo=UTC)
    since = aware - _EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def moment(at_micros: int) -> datetime:
    """The UTC time of some microseconds since 1970."""
    return _EPOCH + at_micros * _MICROSECOND


def compact(document: Any) -> str:
    """JSON without blanks, keys in their order. ValueError where a number is not finite, which JSON cannot say."""
    return _COMPACT.encode(document)


@final
class UtcTime(TypeDecorator[datetime]):
    """A UTC time as integer microseconds: exact, ordered, and without the zone that SQLite would drop."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:  # noqa: ARG002
        """Time to integer."""
        return None if value is None else micros(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """Integer to time."""
        return None if value is None else moment(int(value))


@final
class Document(TypeDecorator[Any]):
    """A JSON document as text."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:  # noqa: ARG002
        """Document to text."""
        return None if value is None else compact(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> Any:  # noqa: ARG002
        """Text to document."""
        return None if value is None else json.loads(value)
