"""Bodies as JSON, read once and strictly: what one reader would take for another thing than the next is refused."""

import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Annotated, Any, NoReturn, TypeVar

from fastapi import Depends, Request
from pydantic import BaseModel, ValidationError

from api.service.problems import Problem, echo, pointer

MAX_DEPTH = 32
MAX_TEXT = 16_384
"""Characters of one string; a rule may have 10,000."""

_LONGEST_INTEGER = 19  # digits: beyond them no database column takes it
_TITLE = "The body is wrong"
_UNSOUND_TEXT = re.compile(rb"\\u(?:[dD][89a-fA-F]|0000)")  # the only ways to write a lone surrogate, or NUL
_JSON_TYPE = re.compile(r"application/(?:[\w.-]+\+)?json\Z")
M = TypeVar("M", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Unsound:
    """Stands where a body that is read item by item has something that is no JSON value; `what` says what."""

    what: str


def _refuse(what: str) -> NoReturn:
    raise Problem(400, "json", "The body is not strict JSON", what)


def _unsound(strict: bool, what: str) -> Unsound:
    return _refuse(what) if strict else Unsound(what)


def _decoder(*, strict: bool) -> json.JSONDecoder:
    def pairs(items: list[tuple[str, Any]]) -> Any:
        found = dict(items)
        if len(found) == len(items):
            return found
        names = [name for name, _ in items]
        twice = next(name for place, name in enumerate(names) if name in names[:place])
        return _unsound(strict, f"The key {echo(twice)} occurs twice in one object.")

    def number(text: str) -> Any:
        value = float(text)
        return value if math.isfinite(value) else _unsound(strict, f"{echo(text)} is beyond every finite number.")

    def whole(text: str) -> Any:
        if len(text) < _LONGEST_INTEGER:
            return int(text)
        value = int(text) if len(text) <= _LONGEST_INTEGER + 1 else 2**63
        return value if -(2**63) <= value < 2**63 else _unsound(strict, f"{echo(text)} has more than 64 bits.")

    def constant(text: str) -> Any:
        return _unsound(strict, f"{text} is not a number of JSON.")

    return json.JSONDecoder(object_pairs_hook=pairs, parse_float=number, parse_int=whole, parse_constant=constant)


_STRICT, _BY_ITEM, _PLAIN = _decoder(strict=True), _decoder(strict=False), json.JSONDecoder()


def parse(raw: bytes, *, by_item: bool = False) -> Any:
    """One strict JSON document.

    Args:
        raw: UTF-8.
        by_item: put `Unsound` where a number, an object or a text is not sound, instead of refusing the whole: for
            arrays in which one poisonous item must not take the others with it.

    Raises:
        Problem: 400: not UTF-8 or JSON, a duplicate key, a number that is not finite or has more than 64 bits, a lone
            surrogate, NUL, a text of more than 16,384 characters, more than 32 levels.
    """
    value = _decoded(raw, _BY_ITEM if by_item else _STRICT)
    return _sound(value, not by_item, suspicious=_UNSOUND_TEXT.search(raw) is not None)


def parse_records(raw: bytes) -> Any:
    """As `parse` by item, for who looks at every value anyhow: texts and levels are as they came.

    Raises:
        Problem: 400: not UTF-8 or JSON.
    """
    return _decoded(raw, _BY_ITEM)


def parse_alike(raw: bytes, names: Sequence[str], *, lines: bool = False) -> list[tuple[Any, ...]] | None:
    """Objects that all have the same keys, read as fast as the plain decoder goes.

    Without escapes a text cannot hold a quoted name, so a key that occurs twice is seen by counting: a name then stands
    in the body more often than there are objects.

    Args:
        raw: one object, an array of objects, or with `lines` an object on each line.
        names: of the keys.
        lines: NDJSON.

    Returns:
        The values of each object in the order of the names; the caller looks at them, for NaN and 1e400 are let
        through. None where it takes a closer look: at any escape, and at whatever is not of that form.
    """
    if b"\\" in raw:
        return None
    try:
        text = raw.decode()
        found = list(map(_PLAIN.decode, text.rstrip(" \t\r\n").split("\n"))) if lines else _PLAIN.decode(text)
        objects = [found] if type(found) is dict else found
        rows = list(map(itemgetter(*names), objects))
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    if set(map(type, objects)) != {dict} or set(map(len, objects)) != {len(names)}:
        return None
    return rows if all(raw.count(f'"{name}"'.encode()) == len(objects) for name in names) else None


def _decoded(raw: bytes, decoder: json.JSONDecoder) -> Any:
    try:
        return decoder.decode(raw.decode())
    except UnicodeDecodeError as error:
        _refuse(f"Byte {error.start} is not UTF-8.")
    except json.JSONDecodeError as error:
        _refuse(f"{error.msg} at line {error.lineno}, column {error.colno}.")
    except RecursionError:
        _refuse(f"It nests deeper than {MAX_DEPTH} levels.")


def _sound(root: Any, strict: bool, *, suspicious: bool) -> Any:
    """Check levels and texts, level by level; unsound texts of items are replaced."""

    def text(value: str) -> Any:
        if len(value) > MAX_TEXT:
            return _unsound(strict, f"A text has more than {MAX_TEXT:,} characters.")
        if suspicious and not value.isprintable():
            if "\x00" in value:
                return _unsound(strict, "A text contains NUL.")
            if any("\ud800" <= letter <= "\udfff" for letter in value):
                return _unsound(strict, "A text contains half of a surrogate pair.")
        return value

    level: list[Any] = [holder := [root]]
    for _ in range(MAX_DEPTH + 1):
        below: list[Any] = []
        for container in level:
            for key, value in container.items() if isinstance(container, dict) else enumerate(container):
                kind = type(value)
                if kind is str:
                    container[key] = text(value)
                elif kind is dict or kind is list:
                    below.append(value)
                if type(key) is str and isinstance(text(key), Unsound):
                    container[key] = Unsound("A key is not sound.")
        if not below:
            return holder[0]
        level = below
    return _refuse(f"It nests deeper than {MAX_DEPTH} levels.")


def media_type(request: Request) -> str:
    """What the body says it is, without parameters.

    Raises:
        Problem: 415: text in another encoding than UTF-8.
    """
    kind, _, rest = request.headers.get("content-type", "").partition(";")
    charset = re.search(r"charset\s*=\s*\"?([\w.:-]+)", rest, re.IGNORECASE)
    if charset is not None and charset[1].lower() not in ("utf-8", "utf8", "us-ascii"):
        raise Problem(415, "media-type", "This kind of body is not taken", "Send text as UTF-8.")
    return kind.strip().lower()


async def raw_body(request: Request) -> bytes:
    """The whole body, as long as the service's limit allows.

    Raises:
        Problem: 411: nothing says whether there is one; 413: too large.
    """
    if "content-length" not in request.headers and "transfer-encoding" not in request.headers:
        raise Problem(411, "length", "The length of the body is missing", "Send Content-Length.")
    return await request.body()


async def body(request: Request) -> Any:
    """The body as strict JSON; see `parse`.

    Raises:
        Problem: 411, 413, 415, or 400 as `parse`.
    """
    return parse(await json_bytes(request))


async def json_bytes(request: Request) -> bytes:
    """The bytes of a body that says it is JSON.

    Raises:
        Problem: 411, 413 or 415.
    """
    kind = media_type(request)
    if _JSON_TYPE.match(kind) is None:
        what = f"{echo(kind)} is not application/json." if kind else "Say Content-Type: application/json."
        raise Problem(415, "media-type", "This kind of body is not taken", what)
    return await raw_body(request)


def model_body(model: type[M]) -> Any:
    """A dependency: the strict body as a model, which should be of `StrictModel`. Its schema is in the contract."""

    async def read(request: Request) -> M:
        raw = await json_bytes(request)
        parse(raw)
        return checked(model, raw)

    read.body_model = model  # type: ignore[attr-defined]  # the contract finds it there
    return Depends(read)


def document_body(schema: dict[str, Any]) -> Any:
    """A dependency: the strict body as an object that a reader of its own checks; `schema` is for the contract."""

    async def read(request: Request) -> dict[str, Any]:
        document = await body(request)
        if not isinstance(document, dict):
            raise Problem(422, "body", _TITLE, "Send one JSON object.", errors=[{"path": "", "what": "is no object"}])
        return document

    read.body_schema = schema  # type: ignore[attr-defined]  # the contract finds it there
    return Depends(read)


def checked(model: type[M], raw: bytes) -> M:
    """A model from the bytes of strict JSON.

    Raises:
        Problem: 422 with the path of every wrong field.
    """
    try:
        return model.model_validate_json(raw, strict=True)
    except ValidationError as error:
        found = error.errors(include_url=False, include_context=False, include_input=False)
        errors = [{"path": pointer(each["loc"]), "what": each["msg"]} for each in found[:100]]
        first = errors[0]
        detail = f"{first['path'] or 'The body'}: {first['what']}."
        raise Problem(422, "body", _TITLE, detail, errors=errors) from None


Body = Annotated[Any, Depends(body)]
