"""Ten minutes at half load: errors, and memory of every process. `python -m benchmarks.service_half_load`.

About half of what one web process can do, both at once and at a steady pace: `--feedback` events a second in batches of
1,000, and `--decisions` single decisions a second from four clients. Where the machine cannot keep the pace, the rates
that were reached are told. Half of the events are about the release, so the worker folds all the time, and half about
single decisions that were just made, so the ledger settles all the time.

It ends with status 0 if no request failed and the memory of every process is flat: its mean in the last third of the
time is within 5 % of that in the middle third.
"""

import argparse
import json
import os
import random
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

import numpy as np

from benchmarks.loopback import answer, request, told
from benchmarks.service_decisions import Deciding, arguments, deciding
from warehouse import Workspace, read_decisions

BATCH, CLIENTS = 1_000, 4
UNDER_WAY = 20  # of the latest decisions some may not be answered yet
SAMPLE_SECONDS = 1.0
FLAT = 0.05  # how far the last third's mean memory may be from that of the middle third
WARM_SECONDS = 20.0
PAGE_MB = os.sysconf("SC_PAGE_SIZE") / 2**20


@dataclass
class Load:
    """One kind of request at a steady pace, from some clients; what came of it."""

    path: str
    a_second: float
    clients: int
    body: Callable[[], bytes]
    times: list[float] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def fire(self, address: tuple[str, int], key: str, until: float) -> list[threading.Thread]:
        """Start the clients; each sends its share of the pace, late rather than never."""
        pace = self.clients / self.a_second
        threads = [
            threading.Thread(target=self._client, args=(address, key, place, pace, until))
            for place in range(self.clients)
        ]
        for thread in threads:
            thread.start()
        return threads

    def _client(self, address: tuple[str, int], key: str, place: int, pace: float, until: float) -> None:
        due = time.monotonic() + pace * place / self.clients
        with socket.create_connection(address) as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            while (now := time.monotonic()) < until:
                time.sleep(max(0.0, due - now))
                due = max(due + pace, now)  # what could not be sent in time is not made up for
                began = time.perf_counter()
                connection.sendall(request(address, self.path, key, self.body()))
                status, said = answer(connection)
                self.times.append(time.perf_counter() - began)
                if status not in (200, 201):
                    self.errors.append(f"{status} {said.decode()[:200]}")


class Sampled:
    """Resident memory of the service's processes, by name, second by second."""

    def __init__(self, supervisor: int) -> None:
        self._supervisor = supervisor
        self.seconds: dict[str, list[float]] = {}
        self.megabytes: dict[str, list[float]] = {}

    def run(self, until: float) -> None:
        began = time.monotonic()
        while time.monotonic() < until:
            for name, pid in self._processes():
                pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
                self.seconds.setdefault(name, []).append(time.monotonic() - began)
                self.megabytes.setdefault(name, []).append(pages * PAGE_MB)
            time.sleep(SAMPLE_SECONDS)

    def _processes(self) -> list[tuple[str, int]]:
        found = [("supervisor", self._supervisor)]
        children = Path(f"/proc/{self._supervisor}/task/{self._supervisor}/children").read_text().split()
        for child in children:
            words = Path(f"/proc/{child}/cmdline").read_bytes()
            for name in ("web", "worker"):
                if f"api.service.{name}".encode() in words:
                    found.append((f"{name} {child}", int(child)))
        return found


def slope(seconds: list[float], megabytes: list[float]) -> tuple[float, float]:
    """MB an hour and its standard error, the samples taken in ten blocks, since neighbours are alike."""
    x, y = (np.array([block.mean() for block in np.array_split(np.asarray(v), 10)]) for v in (seconds, megabytes))
    from_mean = x - x.mean()
    found = float((from_mean * y).sum() / (from_mean**2).sum())
    left = y - y.mean() - found * from_mean
    error = float(np.sqrt((left**2).sum() / (len(x) - 2) / (from_mean**2).sum()))
    return found * 3_600, error * 3_600


def growth(megabytes: list[float]) -> float:
    """How much more the last third of the samples is on average than the middle third, as a share of that."""
    _, middle, last = np.array_split(np.asarray(megabytes), 3)
    return float(last.mean() / middle.mean() - 1.0)


def memory_line(name: str, seconds: list[float], megabytes: list[float]) -> str:
    """What a process's memory did in the last two thirds: while it warmed up it may grow."""
    _, middle, last = np.array_split(np.asarray(megabytes), 3)
    change = growth(megabytes)
    third = len(megabytes) // 3
    rise, error = slope(seconds[third:], megabytes[third:])
    flat = "flat" if abs(change) <= FLAT else "NOT flat"
    thirds = f"{middle.mean():.0f} MB in the middle third, {last.mean():.0f} MB in the last ({change:+.1%})"
    return f"{name}: {thirds}, {rise:+.1f} ± {error:.1f} MB/h, {flat}"


def measured(service: Deciding, asked: argparse.Namespace) -> bool:
    """Load for so many seconds, and what it did; whether nothing failed and memory was flat."""
    made: list[str] = []
    batch, draw, numbers = _batch_of(service.workspace), random.Random(1), count()

    def decide() -> bytes:
        name = f"half-{next(numbers)}"
        made.append(name)
        customer = draw.choice(service.customers)
        return json.dumps({"campaign": "benchmark", "customer_id": customer, "decision_id": name}).encode()

    def hear() -> bytes:
        at, settled = datetime.now(UTC).isoformat(), len(made) - UNDER_WAY
        single = [made[draw.randrange(settled)] for _ in range(BATCH // 2)]
        about = single + draw.choices(batch, k=BATCH - len(single))
        return json.dumps([_event(f"half-{next(numbers)}", decision, at, draw) for decision in about]).encode()

    decisions = Load("/v1/decisions", asked.decisions, CLIENTS, decide)
    feedback = Load("/v1/feedback", asked.feedback / BATCH, 1, hear)
    warm = time.monotonic() + min(WARM_SECONDS, asked.seconds / 5)
    for thread in decisions.fire(service.address, service.key, warm):
        thread.join()
    decisions.times.clear()
    began = time.monotonic()
    sampled, until = Sampled(service.pid), began + asked.seconds
    threads = [t for load in (decisions, feedback) for t in load.fire(service.address, service.key, until)]
    sampled.run(until)
    for thread in threads:
        thread.join()
    wall = time.monotonic() - began
    for load, each, what in ((decisions, 1, "decisions"), (feedback, BATCH, "events")):
        rate = len(load.times) * each / wall
        errors = f"{len(load.errors)} errors{''.join(f', first: {e}' for e in load.errors[:1])}"
        print(f"{what}: {rate:,.0f}/s of {load.a_second * each:,.0f}/s asked, {told(load.times)}, {errors}", flush=True)
    for name in sampled.seconds:
        print(memory_line(name, sampled.seconds[name], sampled.megabytes[name]), flush=True)
    flat = all(abs(growth(megabytes)) <= FLAT for megabytes in sampled.megabytes.values())
    return flat and not decisions.errors and not feedback.errors


def _batch_of(workspace: Workspace) -> list[str]:
    """The ids of the release's decisions."""
    (path,) = workspace.decisions.glob("*/decisions.parquet")
    found: list[str] = read_decisions(path, ["decision_id"])["decision_id"].to_pylist()
    return found


def _event(event_id: str, decision_id: str, at: str, draw: random.Random) -> dict[str, object]:
    won = int(draw.random() < 0.1)
    return {"event_id": event_id, "decision_id": decision_id, "outcome": won, "reward": 10.0 * won, "occurred_at": at}


def main() -> None:
    """Measure, on SQLite or PostgreSQL."""
    parser = arguments(__doc__, customers=50_000)
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--decisions", type=float, default=60.0, help="a second")
    parser.add_argument("--feedback", type=float, default=5_000.0, help="events a second")
    asked = parser.parse_args()
    with deciding(asked) as service:
        kept = measured(service, asked)
    raise SystemExit(0 if kept else 1)


if __name__ == "__main__":
    main()
