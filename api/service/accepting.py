"""Which of the kinds of answer that there are does somebody want? By the Accept header, before anything is done."""

import re
from collections.abc import Sequence
from functools import lru_cache

from starlette.datastructures import Headers
from starlette.types import Scope

from api.service.problems import Problem

JSON, STREAM, TEXT = "application/json", "text/event-stream", "text/plain"
NDJSON, PARQUET = "application/x-ndjson", "application/vnd.apache.parquet"
_OTHERS = (
    (re.compile(r"/v1/(allocations|evaluations|simulations)/[^/]+/events"), (STREAM,)),
    (re.compile(r"/v1/allocations/[^/]+/decisions"), (NDJSON, PARQUET)),
    (re.compile(r"/metrics"), (TEXT,)),
)
_WEIGHT = re.compile(r";\s*q\s*=\s*([01](?:\.\d{0,3})?)\s*(?:;|$)", re.IGNORECASE)


def wanted(headers: Headers, kinds: Sequence[str]) -> str:
    """The kind of answer that is liked best, the earlier where two are liked alike (RFC 9110, 12.5.1).

    Args:
        headers: of the request; without Accept anything will do.
        kinds: media types that there are.

    Raises:
        Problem: 406: none of them will do.
    """
    found = _best(",".join(headers.getlist("accept")), tuple(kinds))
    if found is None:
        raise Problem(406, "accept", "No such kind of answer", f"There is {' and '.join(kinds)}.")
    return found


def check_accept(scope: Scope, headers: Headers) -> None:
    """Refuse a request that accepts nothing that its path can answer.

    Raises:
        Problem: 406.
    """
    if headers.get("accept", "*/*") != "*/*":
        wanted(headers, _kinds_of(scope["path"]))


def _kinds_of(path: str) -> tuple[str, ...]:
    return next((kinds for pattern, kinds in _OTHERS if pattern.fullmatch(path)), (JSON,))


@lru_cache(256)
def _best(accept: str, kinds: tuple[str, ...]) -> str | None:
    ranges = {part.partition(";")[0].strip().lower(): _weight(part) for part in accept.split(",") if part.strip()}
    if not ranges:
        return kinds[0]

    def liked(kind: str) -> float:
        names = (kind, f"{kind.partition('/')[0]}/*", "*/*")  # what is said most exactly counts
        return next((ranges[name] for name in names if name in ranges), 0.0)

    best = max(kinds, key=liked)
    return best if liked(best) > 0 else None


def _weight(part: str) -> float:
    found = _WEIGHT.search(part)
    return 1.0 if found is None else float(found[1])
