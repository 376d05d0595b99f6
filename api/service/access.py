"""Who is calling? Bearer tokens: API keys and JSON web tokens; how often they may, and how often they may fail."""

import asyncio
import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Protocol, TypeAlias, final

from fastapi import Request

from allot import WorkspaceError
from api.service.problems import Problem
from api.service.roles import Principal
from api.service.settings import Settings
from api.service.throttle import Buckets
from warehouse import Keys

CheckKey: TypeAlias = Callable[[str, datetime], Principal | None]
KEY_PREFIX = "allot_"
REMEMBERED_SECONDS = 30.0
_TRUSTED_SECONDS = 900.0  # how long a token is believed that cannot be checked because the database is gone
_REMEMBERED = 10_000  # tokens
_LONGEST = 8_192  # characters of a token


class Tokens(Protocol):
    """Checks JSON web tokens."""

    def check(self, token: str, now: datetime) -> Principal | None:
        """Who it is; None for a token that is not sound."""


@final
class Access:
    """Checks tokens, remembers what it found for 30 seconds, and counts.

    A key that is revoked is refused after at most those 30 seconds. Only while nobody can look it up, since the
    database is gone, a key that was sound is believed for a quarter of an hour.
    """

    def __init__(self, settings: Settings, check_key: CheckKey, tokens: Tokens | None = None) -> None:
        self._check_key = check_key
        self._tokens = tokens
        self._found: OrderedDict[bytes, tuple[float, Principal | None]] = OrderedDict()
        self._checking: dict[bytes, asyncio.Future[Principal | None]] = {}
        share = max(1, settings.workers)
        self._requests = Buckets(settings.requests_per_second / share, settings.burst / share)
        self._failures = Buckets(settings.failures_per_minute / 60, settings.failures_per_minute)

    async def admit(self, request: Request) -> Principal:
        """The caller, charged for one request.

        Raises:
            Problem: 401 or 429.
        """
        now = time.monotonic()
        address = request.client.host if request.client else ""
        token = _bearer(request.headers.get("authorization", ""))
        digest = hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
        at, found = self._found.get(digest, (-REMEMBERED_SECONDS, None))
        if now - at >= REMEMBERED_SECONDS:
            if found is None:  # who was known stays welcome, whoever else fails at the same address
                self._spend(self._failures, address, now, take=0.0)
            found = await self._check_once(digest, token)
        if found is None:
            self._spend(self._failures, address, now, take=1.0)
            raise _unauthorised("The token is unknown, has expired or was revoked." if token else "Send a token.")
        self._spend(self._requests, found.id, now, take=1.0)
        return found

    def _spend(self, buckets: Buckets, name: str, now: float, *, take: float) -> None:
        wait = buckets.wait(name, now, take)
        if wait > 0:
            detail = f"Try again in {wait:.0f} s."
            headers = {"Retry-After": str(max(1, round(wait)))}
            raise Problem(429, "too-many", "Too many requests", detail, headers=headers)

    async def _check_once(self, digest: bytes, token: str) -> Principal | None:
        """Check a token; who comes with the same one meanwhile waits for the same answer."""
        waiting = self._checking.get(digest)
        if waiting is not None:
            return await asyncio.shield(waiting)
        answer = self._checking[digest] = asyncio.get_running_loop().create_future()
        try:
            found = await asyncio.to_thread(self._check, token)
        except WorkspaceError as error:
            at, found = self._found.get(digest, (-_TRUSTED_SECONDS, None))
            if found is None or time.monotonic() - at >= _TRUSTED_SECONDS:
                answer.set_exception(error)
                answer.exception()  # nobody may be waiting for it
                raise
            answer.set_result(found)
            return found
        except BaseException as error:
            answer.set_exception(error)
            answer.exception()  # nobody may be waiting for it
            raise
        else:
            answer.set_result(found)
            self._found[digest] = (time.monotonic(), found)
            self._found.move_to_end(digest)
            while len(self._found) > _REMEMBERED:
                self._found.popitem(last=False)
            return found
        finally:
            del self._checking[digest]

    def _check(self, token: str) -> Principal | None:
        if not token or len(token) > _LONGEST or not token.isascii():
            return None
        if token.startswith(KEY_PREFIX):
            return self._check_key(token, datetime.now(UTC))
        return None if self._tokens is None else self._tokens.check(token, datetime.now(UTC))


def checker(keys: Keys) -> CheckKey:
    """How the keys of a home are checked."""

    def check(text: str, now: datetime) -> Principal | None:
        record = keys.check(text, now)
        return None if record is None else Principal(record.key_id, record.tenant, frozenset(record.roles), "key")

    return check


def _bearer(header: str) -> str:
    scheme, _, token = header.partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def _unauthorised(detail: str) -> Problem:
    return Problem(401, "unauthorised", "A valid token is needed", detail, headers={"WWW-Authenticate": "Bearer"})
