"""HTTP/1.1 by a parser in C; a head that does not end, or is too long, is refused."""

import re
from typing import Any, final

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

LONGEST_HEAD = 65_536
"""Bytes of a request's first line and headers, and of anything else that is neither head nor body."""

_CONNECTIONS = 2_000
_UPGRADE = re.compile(rb"\r\nupgrade:[^\r\n]*(?=\r\n)", re.IGNORECASE)


@final
class Protocol(HttpToolsProtocol):
    """One connection. The parser itself takes whatever comes: it would fill the memory with one endless header."""

    _since_body = 0  # bytes that came since the last piece of a body, or since the last request
    _in_head = True

    def data_received(self, data: bytes) -> None:
        """Read on."""
        self._since_body += len(data)
        super().data_received(_without_upgrade(data) if self._in_head else data)
        if self._since_body > LONGEST_HEAD and self.parser is not None and not self.transport.is_closing():
            self.send_400_response("The head of the request is too long.")

    def on_headers_complete(self) -> None:
        """Begin with the request.

        Raises:
            ValueError: its head is too long, or an upgrade was not seen before; the parser hands it on as its own.
        """
        self._in_head = False
        if self.parser.should_upgrade() and self.parser.get_method() != b"CONNECT":
            raise ValueError("There is no other protocol than HTTP/1.1.")
        if len(self.url) + sum(len(name) + len(value) for name, value in self.headers) > LONGEST_HEAD:
            raise ValueError("The head of the request is too long.")
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Take a piece of the body."""
        self._since_body = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is whole."""
        self._since_body, self._in_head = 0, True
        super().on_message_complete()


def _without_upgrade(data: bytes) -> bytes:
    """The same without the offer to speak another protocol, which we are free to ignore (RFC 9110, 7.8).

    The parser would stop there, and what follows, such as the body, would be lost. Java's client offers it each time.
    """
    head, end, rest = data.partition(b"\r\n\r\n")
    return _UPGRADE.sub(b"", head + b"\r\n")[:-2] + end + rest if b"pgrade" in head else data


def server_of(app: Any, *, patience: int | None = None) -> uvicorn.Server:
    """The server of an application.

    Args:
        app: answers.
        patience: seconds that requests under way have when it is told to end; None: as long as they take.
    """
    config = uvicorn.Config(
        app,
        http=Protocol,
        loop="auto",
        log_config=None,
        access_log=False,
        lifespan="on",
        server_header=False,
        limit_concurrency=_CONNECTIONS,
        timeout_graceful_shutdown=patience,
    )
    return uvicorn.Server(config)
