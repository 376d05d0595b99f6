"""Feedback over HTTP: how much a second, durable, and what one event costs. `python -m benchmarks.service_feedback`.

A real `allot serve` on loopback, the load generator on the same machine; `--postgres` starts a server for it.
"""

import argparse
import json
import random
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa

from benchmarks.loopback import cpu_seconds, database, fired, served, told
from warehouse import Decisions, Keys, StoredAllocation, Workspace, make_store, open_store, write_decisions

AT = datetime(2026, 4, 1, tzinfo=UTC)
ALLOCATION = "alloc-0123456789abcdef"
PATH = "/v1/feedback"


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


def measured(workspace: Workspace, ids: list[str], loads: list[Load], workers: int) -> None:
    """Print a line for each load."""
    with Keys.open(workspace) as keys:
        key = keys.create("main", ["ingest"], actor="benchmark", at=datetime.now(UTC)).text
    with served(workspace, workers) as (host, port, pid):
        fired((host, port), PATH, key, bodies(Load(20, 10, 1), ids, 0), 1)
        for seed, load in enumerate(loads, start=1):
            sent = bodies(load, ids, seed)
            before = cpu_seconds(pid)
            wall, times = fired((host, port), PATH, key, sent, load.clients)
            events = load.requests * max(1, load.batch)
            each = (cpu_seconds(pid) - before) / events * 1e6
            speed = f"{events / wall:,.0f} events/s, {each:,.1f} us of CPU each"
            print(f"{load}: {speed}, {told(times)}", flush=True)


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
    with (
        tempfile.TemporaryDirectory(prefix="allot-benchmark-") as folder,
        database(Path(folder), postgres=asked.postgres),
    ):
        _run(Path(folder), asked.customers, loads, asked.workers)


def _run(folder: Path, customers: int, loads: list[Load], workers: int) -> None:
    workspace = Workspace.init(folder / "workspace")
    make_store(workspace)
    measured(workspace, decided(workspace, customers), loads, workers)


if __name__ == "__main__":
    main()
