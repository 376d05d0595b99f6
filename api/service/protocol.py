"""HTTP/1.1 by a parser in C; a head that does not end, or is too long, is refused."""

from typing import Any, final

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

LONGEST_HEAD = 65_536
"""Bytes of a request's first line and headers, and of anything else that is neither head nor body."""

_CONNECTIONS = 2_000


@final
class Protocol(HttpToolsProtocol):
    """One connection. The parser itself takes whatever comes: it would fill the memory with one endless header."""

    _since_body = 0  # bytes that came since the last piece of a body, or since the last request

    def data_received(self, data: bytes) -> None:
        """Read on."""
        self._since_body += len(data)
        super().data_received(data)
        if self._since_body > LONGEST_HEAD and self.parser is not None and not self.transport.is_closing():
            self.send_400_response("The head of the request is too long.")

    def on_headers_complete(self) -> None:
        """Begin with the request.

        Raises:
            ValueError: its head is too long; the parser hands it on as its own.
        """
        if len(self.url) + sum(len(name) + len(value) for name, value in self.headers) > LONGEST_HEAD:
            raise ValueError("The head of the request is too long.")
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Take a piece of the body."""
        self._since_body = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is whole."""
        self._since_body = 0
        super().on_message_complete()


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
