"""Around every request: its id, limits of size and time, one log line, the counts."""

import asyncio
import re
import secrets
import time
from typing import Any, final

import structlog
from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.service.accepting import check_accept
from api.service.problems import Problem, response_of
from api.service.settings import Settings
from api.service.state import Service
from api.service.telemetry import span_of, tracer_of

UPLOADS = "/v1/tables/"
GONE = 499
"""The status in log and metrics where the caller hung up before the request was whole."""

_ID = re.compile(r"[A-Za-z0-9._-]{1,64}\Z")
_DRAINED = 256 * 2**20  # bytes of a refused body that are read, so that the sender gets to see the answer
_log = structlog.get_logger()


@final
class Shell:
    """The outermost of our layers, plain ASGI: what it does for each request costs some ten microseconds."""

    def __init__(self, app: ASGIApp, service: Service) -> None:
        self._app = app
        self._service = service
        self._tracer = tracer_of(service.settings)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request; other kinds of scope pass through."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = _Guarded(scope, receive, send, self._service.settings)
        began = time.perf_counter()
        try:
            with span_of(self._tracer, scope):
                await request.serve(self._app)
        finally:
            self._tell(scope, request.status, time.perf_counter() - began)

    def _tell(self, scope: Scope, status: int, seconds: float) -> None:
        route = getattr(scope.get("route"), "path", "unknown")
        metrics = self._service.metrics
        metrics.answered(scope["method"], route, status, seconds)
        if status in (401, 403, 429):
            metrics.refused.labels(str(status)).inc()
        line = {"request_id": scope["request_id"], "method": scope["method"], "route": route, "status": status}
        caller = scope.get("principal")
        if caller is not None:
            line |= {"caller": caller.id, "tenant": caller.tenant}
        line |= scope.get("noted", {})
        _log.log(40 if status >= 500 else 20, "request", ms=round(seconds * 1e3, 2), **line)


def note(scope: Scope, name: str, value: Any) -> None:
    """Add to the log line of a request, such as its decision id."""
    scope.setdefault("noted", {})[name] = value


def _check_address(scope: Scope) -> None:
    """Refuse an address with NUL in it: no text of ours has one, and PostgreSQL fails where it is asked for one."""
    if "\x00" in scope["path"]:
        raise Problem(404, "not-found", "There is no such thing", "The address contains NUL.")
    if b"%00" in scope["query_string"]:
        raise Problem(422, "query", "The query is wrong", "It contains NUL.")


@final
class _Guarded:
    """One request with its limits."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, settings: Settings) -> None:
        headers = Headers(scope=scope)
        given = headers.get("x-request-id", "")
        scope["request_id"] = given if _ID.match(given) else secrets.token_hex(8)
        upload = scope["path"].startswith(UPLOADS)
        self._scope, self._receive, self._send = scope, receive, send
        self._most = settings.max_upload_bytes if upload else settings.max_body_bytes
        self._seconds = settings.upload_seconds if upload else settings.request_seconds
        self._promised = headers.get("content-length", "0")
        self._asks_first = "expect" in headers
        self._headers = headers
        self._taken = 0
        self._whole = False
        self._until: asyncio.Timeout | None = None
        self.status = 500

    async def serve(self, app: ASGIApp) -> None:
        """Run the application inside the limits."""
        try:
            self._check(int(self._promised) if self._promised.isdigit() else 0)
            check_accept(self._scope, self._headers)
            _check_address(self._scope)
            async with asyncio.timeout(self._seconds) as self._until:
                await app(self._scope, self.receive, self.send)
        except Problem as problem:  # raised here before the application began
            await self._refuse(problem)
        except ClientDisconnect:  # nobody is there to be answered
            self.status = GONE
        except TimeoutError:
            if self._until is None or not self._until.expired() or self.status != 500:
                raise
            self._until = None
            await self._refuse(self._late())

    async def receive(self) -> Message:
        """The next piece of the body, as long as it is not too much."""
        message = await self._receive()
        if message["type"] == "http.request":
            self._taken += len(message.get("body", b""))
            self._whole = not message.get("more_body", False)
            self._check(self._taken)
        return message

    async def send(self, message: Message) -> None:
        """Send on; from the first piece of the answer on, time is not limited."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            message["headers"].append((b"x-request-id", self._scope["request_id"].encode()))
            if self._until is not None:
                self._until.reschedule(None)
            if not self._whole and self._taken > self._most:
                await self._drain()
        await self._send(message)

    def _check(self, size: int) -> None:
        if size > self._most:
            detail = f"At most {self._most:,} bytes are taken."
            raise Problem(413, "too-large", "The body is too large", detail)

    def _late(self) -> Problem:
        detail = f"It took longer than {self._seconds:g} s."
        if self._promised != "0" and not self._whole:
            return Problem(408, "timeout", "The body did not arrive in time", detail)
        return Problem(503, "timeout", "The answer took too long", detail, headers={"Retry-After": "1"})

    async def _refuse(self, problem: Problem) -> None:
        if problem.status == 413 and not self._asks_first:
            await self._drain()
        await response_of(problem, self._scope["request_id"])(self._scope, self._receive, self.send)

    async def _drain(self) -> None:
        """Read on for a while, so that a sender who never looks up gets to see the answer."""
        read = 0
        try:
            async with asyncio.timeout(10.0):
                while not self._whole and read <= _DRAINED:
                    message = await self._receive()
                    read += len(message.get("body", b""))
                    self._whole = not message.get("more_body", False)
        except TimeoutError:
            return
