"""A real service on loopback, in a thread of its own, and clients with a key for each role."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from unittest.mock import patch

import httpx
import uvicorn
from argon2 import PasswordHasher
from fastapi import FastAPI

from api.service.app import create_app
from api.service.protocol import server_of
from api.service.roles import ROLES
from api.service.settings import Settings
from warehouse import Keys, Workspace
from warehouse import keys as keys_module

CHEAP = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)


@dataclass
class Running:
    """A service that answers at `url`; `client(role)` calls it with that role's key."""

    url: str
    app: FastAPI
    home: Path
    keys: dict[str, str]
    clients: list[httpx.Client] = field(default_factory=list)

    def client(self, role: str | None = "admin") -> httpx.Client:
        headers = {} if role is None else {"Authorization": f"Bearer {self.keys[role]}"}
        # certificates take 100 ms to load, and http needs none
        made = httpx.Client(base_url=self.url, headers=headers, timeout=60.0, verify=False)
        self.clients.append(made)
        return made


@contextmanager
def serving(settings: Settings) -> Iterator[Running]:
    """A real server in a thread of its own, on a port that was free."""
    # six hashes for each service, with as much work as the product's, would take longer than most tests of it
    with patch.object(keys_module, "_HASHER", CHEAP), Keys.open(Workspace.open(settings.home)) as book:
        keys = {role: book.create("main", [role], actor="test", at=datetime.now(UTC)).text for role in ROLES}
    app = create_app(settings)
    with socket.socket(proto=socket.IPPROTO_TCP) as listener:  # asyncio answers without delay only on such
        listener.bind(("127.0.0.1", 0))
        server = server_of(app)
        thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
        thread.start()
        running = Running(f"http://127.0.0.1:{listener.getsockname()[1]}", app, settings.home, keys)
        try:
            _wait(server, thread)
            yield running
        finally:
            for client in running.clients:
                client.close()
            server.should_exit = True
            thread.join(20.0)
            assert not thread.is_alive()


def _wait(server: uvicorn.Server, thread: threading.Thread) -> None:
    for _ in range(2_000):
        if server.started:
            return
        thread.join(0.005)
        assert thread.is_alive(), "the service did not start"
    raise AssertionError("the service did not start within 10 s")
