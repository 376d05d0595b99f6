"""Single decisions over HTTP: how long one waits, and what it costs. `python -m benchmarks.service_decisions`.

Twenty offers and twelve limits, every decision durable and held in the ledger before it is answered; a real `allot
serve` on loopback, the load generator on the same machine; `--postgres` starts a server for it.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

from benchmarks.command import allot
from benchmarks.loopback import cpu_seconds, database, fired, served, told
from warehouse import Keys, Workspace

PATH = "/v1/decisions"
KEPT = 0.5  # of every limit, for single decisions


def released(folder: Path, customers: int) -> tuple[Workspace, list[str]]:
    """A workspace with a release that keeps a part of its limits for single decisions; and its customers."""
    files, home = folder / "files", folder / "workspace"
    subprocess.run([sys.executable, "-m", "benchmarks.business", str(files), str(customers), "40000"], check=True)
    tables = [word for name in ("customers", "offers", "exposures") for word in (f"--{name}", *files.glob(f"{name}.*"))]
    allot(home, "init")
    allot(home, "load", *tables)
    allot(home, "train", "--as-of", "2026-04-15")
    document = tomllib.loads((files / "campaign.toml").read_text())
    until = datetime.now(UTC) + timedelta(days=1)
    document["single_decisions"] = {"share": KEPT, "expected_per_day": 5 * customers, "until": until.isoformat()}
    campaign = files / "campaign.json"
    campaign.write_text(json.dumps(document, default=str))
    plan = allot(home, "allocate", campaign).document
    assert plan["status"] == "released", plan["status"]
    return Workspace.open(home), _customers(Path(plan["decisions"]))


def _customers(decisions: Path) -> list[str]:
    from warehouse import read_decisions

    found: list[str] = read_decisions(decisions, ["customer_id"])["customer_id"].to_pylist()
    return found


def bodies(customers: list[str], requests: int, seed: int) -> list[bytes]:
    """Requests of customers drawn at random."""
    drawn = np.random.default_rng(seed).choice(len(customers), requests)
    asked = (
        {"campaign": "benchmark", "customer_id": customers[i], "decision_id": f"{seed}-{n}"}
        for n, i in enumerate(drawn)
    )
    return [json.dumps(one).encode() for one in asked]


@dataclass(frozen=True)
class Deciding:
    """A running service that decides within a release: where it answers, who it is, a key, and of whom it knows."""

    address: tuple[str, int]
    pid: int
    key: str
    workspace: Workspace
    customers: list[str]


@contextmanager
def deciding(asked: argparse.Namespace) -> Iterator[Deciding]:
    """A service as `arguments` ask for it, until the block ends."""
    with (
        tempfile.TemporaryDirectory(prefix="allot-benchmark-") as folder,
        database(Path(folder), postgres=asked.postgres),
    ):
        workspace, customers = released(Path(folder), asked.customers)
        with Keys.open(workspace) as keys:
            key = keys.create("main", ["ingest"], actor="benchmark", at=datetime.now(UTC)).text
        with served(workspace, asked.workers) as (host, port, pid):
            yield Deciding((host, port), pid, key, workspace, customers)


def arguments(what: str | None, customers: int) -> argparse.ArgumentParser:
    """What every measurement of single decisions can be asked."""
    parser = argparse.ArgumentParser(description=what)
    parser.add_argument("--postgres", action="store_true")
    parser.add_argument("--customers", type=int, default=customers)
    parser.add_argument("--workers", type=int, default=1)
    return parser


def main() -> None:
    """Measure, on SQLite or PostgreSQL."""
    parser = arguments(__doc__, customers=100_000)
    parser.add_argument("--requests", type=int, default=4_000)
    parser.add_argument("--clients", type=int, default=4)
    asked = parser.parse_args()
    with deciding(asked) as service:
        fired(service.address, PATH, service.key, bodies(service.customers, 200, 0), asked.clients)
        before = cpu_seconds(service.pid)
        sent = bodies(service.customers, asked.requests, 1)
        wall, times = fired(service.address, PATH, service.key, sent, asked.clients)
        each = (cpu_seconds(service.pid) - before) / asked.requests * 1e3
        speed = f"{asked.requests / wall:,.0f} decisions/s, {each:.2f} ms of CPU each"
        print(f"{asked.clients} clients: {speed}, {told(times)}", flush=True)


if __name__ == "__main__":
    main()
