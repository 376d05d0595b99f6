"""What went wrong, told to programs: RFC 9457 problem documents that name the field and echo little of what came in."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from starlette.responses import Response

from allot import (
    AccessError,
    AllotError,
    BusyError,
    CampaignError,
    DataError,
    LimitError,
    NotFoundError,
    RuleError,
    ShapeError,
    WorkspaceError,
)

MEDIA_TYPE = "application/problem+json"
_ECHOED, _SAID = 60, 2_000  # characters
_UNSEEN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_LONG_QUOTE = re.compile(r"'([^'\n]{60})[^'\n]{2,}'")
_KINDS: dict[type[AllotError], tuple[int, str, str]] = {
    NotFoundError: (404, "not-found", "There is no such thing"),
    LimitError: (422, "limits", "These limits cannot be kept"),
    CampaignError: (422, "campaign", "The campaign document is wrong"),
    RuleError: (422, "rule", "The rule is wrong"),
    DataError: (422, "data", "The data break their contract"),
    ShapeError: (422, "data", "The data break their contract"),
    WorkspaceError: (503, "unavailable", "The workspace cannot be used now"),
    BusyError: (503, "busy", "Too much is waiting"),
    AccessError: (422, "access", "This cannot be given"),
    AllotError: (500, "unexpected", "The service could not do it"),
}


class Problem(Exception):  # noqa: N818 (RFC 9457 calls it so)
    """A request that is refused.

    Args:
        status: of HTTP.
        kind: the last part of the problem's type, such as "not-found"; docs/service.md lists them.
        title: the same for every problem of the kind.
        detail: what is wrong here, and what can be done.
        errors: `{"path": JSON pointer into the body, "what": ...}` for each wrong field.
        headers: sent along, such as Retry-After.
    """

    def __init__(
        self,
        status: int,
        kind: str,
        title: str,
        detail: str = "",
        *,
        errors: Sequence[Mapping[str, Any]] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail or title)
        self.status = status
        self.type = f"urn:allot:problem:{kind}"
        self.title = title
        self.detail = detail
        self.errors = list(errors)
        self.headers = dict(headers or {})

    def document(self, request_id: str = "") -> dict[str, Any]:
        """The problem document; empty members are left out."""
        whole = {
            "type": self.type,
            "title": self.title,
            "status": self.status,
            "detail": said(self.detail),
            "errors": self.errors,
            "request_id": request_id,
        }
        return {name: value for name, value in whole.items() if value not in ("", [])}


def wrong_field(path: str, what: str) -> Problem:
    """422 about one field of the body, named by its JSON pointer."""
    return Problem(422, "body", "The body is wrong", f"{path}: {what}", errors=[{"path": path, "what": what}])


def problem_of(error: AllotError) -> Problem:
    """What an error of ours is over HTTP."""
    status, kind, title = next(_KINDS[base] for base in type(error).__mro__ if base in _KINDS)
    headers = {"Retry-After": "1"} if status == 503 else None
    return Problem(status, kind, title, str(error), headers=headers)


def response_of(problem: Problem, request_id: str = "") -> Response:
    """The problem as an answer."""
    body = json.dumps(problem.document(request_id)).encode()
    return Response(body, problem.status, problem.headers, MEDIA_TYPE)


def echo(value: object) -> str:
    """What came in, in quotes: at most 60 characters, none of them invisible."""
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    return "'" + _visible(text[:_ECHOED]) + ("…" if len(text) > _ECHOED else "") + "'"


def pointer(parts: Sequence[str | int]) -> str:
    """A JSON pointer (RFC 6901) that is safe to echo."""
    return "".join("/" + _visible(str(part)[:_ECHOED]).replace("~", "~0").replace("/", "~1") for part in parts)


def said(text: str) -> str:
    """A sentence of ours that may quote what came in: long quotations shortened, nothing invisible."""
    return _visible(_LONG_QUOTE.sub(r"'\1…'", text[: 10 * _SAID])[:_SAID])


def _visible(text: str) -> str:
    return _UNSEEN.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
