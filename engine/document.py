"""Reading documents: every field is asked for by name and type, and a wrong one is answered in words."""

import difflib
import json
import math
import tomllib
import unicodedata
from collections.abc import Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Final

from allot import CampaignError

_REQUIRED: Final = object()

LONGEST_NAME = 200
"""Characters of a name that people and addresses repeat."""


def is_number(value: Any) -> bool:
    """A finite number that a float can hold; true and false are none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:
        return False


def is_unicode(value: str) -> bool:
    """A text that can be written; JSON can spell halves of characters that cannot."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


class Reader:
    """Takes fields out of one table of a document and complains about what is missing, mistyped or left over.

    Args:
        table: the parsed TOML or JSON table.
        where: how to call it in messages, e.g. "campaign" or "limit 'budget'".
    """

    def __init__(self, table: Any, where: str) -> None:
        if not isinstance(table, Mapping):
            remedy = "Write fields with their values, such as `name = ...`."
            raise CampaignError(f"is {table!r}, not a table of fields.", where=where, remedy=remedy)
        self._rest = dict(table)
        self._asked: list[str] = []
        self.where = where

    def take(self, key: str, default: Any = _REQUIRED) -> Any:
        """The raw value of a field."""
        self._asked.append(key)
        if key not in self._rest:
            if default is _REQUIRED:
                raise CampaignError(f"{key!r} is missing.", where=self.where, remedy=f"Add a line `{key} = ...`.")
            return default
        return self._rest.pop(key)

    def text(self, key: str, default: Any = _REQUIRED, *, choices: tuple[str, ...] = ()) -> str:
        """A text, one of `choices` if there are any."""
        value = self.take(key, default)
        if not isinstance(value, str) or not value.strip() or not is_unicode(value):
            raise self._wrong(key, value, "a text that is not empty")
        if choices and value not in choices:
            raise self._wrong(key, value, "one of " + ", ".join(choices))
        return value

    def name(self, key: str) -> str:
        """A text that can be repeated in an address and on one line: not too long, no control characters."""
        value = self.text(key)
        if len(value) > LONGEST_NAME:
            what = f"{key} = {value[:20]!r}... has {len(value):,} characters."
            raise CampaignError(what, where=self.where, remedy=f"Give at most {LONGEST_NAME}.")
        for place, character in enumerate(value, 1):
            if unicodedata.category(character) == "Cc":
                what = f"{key} has a control character ({character!a}) at place {place}."
                raise CampaignError(what, where=self.where, remedy="Take it out.")
        return value

    def number(
        self, key: str, default: Any = _REQUIRED, *, low: float = -math.inf, high: float = math.inf
    ) -> float | None:
        """A finite number in [low, high], or the default."""
        value = self.take(key, default)
        if value is None and default is None:
            return None
        if not is_number(value):
            raise self._wrong(key, value, "a finite number")
        if not low <= value <= high:
            raise self._wrong(key, value, f"between {low:g} and {high:g}" if high < math.inf else f"at least {low:g}")
        return float(value)

    def amount(self, key: str, default: float, *, low: float = -math.inf, high: float = math.inf) -> float:
        """A finite number in [low, high] that always is there."""
        value = self.number(key, default, low=low, high=high)
        return default if value is None else value

    def whole(self, key: str, default: Any = _REQUIRED, *, low: int = 0, high: int = 2**63 - 1) -> int:
        """A whole number in [low, high]."""
        value = self.take(key, default)
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise self._wrong(key, value, f"a whole number between {low} and {high}")
        return value

    def flag(self, key: str, default: bool) -> bool:
        """True or false."""
        value = self.take(key, default)
        if not isinstance(value, bool):
            raise self._wrong(key, value, "true or false")
        return value

    def moment(self, key: str) -> datetime:
        """A time with time zone; a naive one or a date is taken as UTC."""
        value = self.take(key)
        if isinstance(value, str):
            try:
                value = datetime.fromisoformat(value)
            except ValueError:
                raise self._wrong(key, value, "a time such as 2026-03-01T00:00:00Z") from None
        if isinstance(value, date) and not isinstance(value, datetime):
            value = datetime(value.year, value.month, value.day, tzinfo=UTC)
        if not isinstance(value, datetime):
            raise self._wrong(key, value, "a time such as 2026-03-01T00:00:00Z")
        try:
            return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
        except OverflowError:  # the first or last hours of the calendar, in another zone
            raise self._wrong(key, value, "a time such as 2026-03-01T00:00:00Z") from None

    def tables(self, key: str) -> list[Any]:
        """A list of tables, empty when it is not there."""
        value = self.take(key, [])
        if not isinstance(value, list):
            raise self._wrong(key, value, f"a list of tables ([[{key}]])")
        return value

    def done(self) -> None:
        """Complain about fields that nobody asked for."""
        for key in self._rest:
            near = difflib.get_close_matches(key, self._asked, 1)
            hint = f"Did you mean {near[0]!r}?" if near else "Known are " + ", ".join(self._asked) + "."
            raise CampaignError(f"field {key!r} is unknown.", where=self.where, remedy=hint)

    def _wrong(self, key: str, value: Any, wanted: str) -> CampaignError:
        return CampaignError(f"{key} = {value!r} is not {wanted}.", where=self.where, remedy=f"Give {wanted}.")


def document_from_file(path: Path, *, remedy: str) -> Any:
    """The parsed document of a TOML file, or of a JSON file where the name ends in .json.

    Args:
        remedy: what to do where there is no such file.

    Raises:
        CampaignError: no such file, not UTF-8, or a syntax error with its position.
    """
    try:
        text = path.read_text()
    except OSError as error:
        raise CampaignError(f"cannot be read ({error.strerror}).", where=str(path), remedy=remedy) from error
    except UnicodeDecodeError as error:
        raise CampaignError("is not UTF-8 text.", where=str(path), remedy="Save it as UTF-8.") from error
    try:
        return json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
    except ValueError as error:  # the syntax, or a number of thousands of digits
        raise CampaignError(f"{error}.", where=str(path), remedy="Mend the syntax at that place.") from error
    except RecursionError:
        raise CampaignError("nests too deep.", where=str(path), remedy="Three levels are enough.") from None
