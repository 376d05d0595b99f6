"""Answers as JSON."""

import json
from collections.abc import Mapping
from typing import Any

from starlette.responses import Response

from api.console import plain

_STRICT = json.JSONEncoder(separators=(",", ":"), allow_nan=False, default=str)


class Answer(Response):
    """A JSON document with its status; numbers that JSON cannot say become null."""

    media_type = "application/json"

    def __init__(self, document: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(document, status, headers)

    def render(self, content: Any) -> bytes:
        """The document as bytes."""
        try:
            return _STRICT.encode(content).encode()
        except ValueError:
            return _STRICT.encode(plain(content)).encode()
