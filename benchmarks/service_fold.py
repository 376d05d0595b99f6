"""How long does it take to learn from a million events in the log? `python -m benchmarks.service_fold`.

A release to a made-up retailer's customers, one event for each decision taken into the log, and the commands that take
and fold them, measured from outside; then once more, with nothing new. `--postgres` starts a server for the log.
"""

import argparse
import subprocess
import sys
import tempfile
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from api.console import table
from benchmarks.command import allot
from benchmarks.loopback import database


def main() -> None:
    """Release, feedback, learn, learn again."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--customers", type=int, default=1_000_000)
    parser.add_argument("--postgres", action="store_true")
    asked = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="allot-benchmark-") as folder,
        database(Path(folder), postgres=asked.postgres),
    ):
        files, home = Path(folder) / "files", Path(folder) / "workspace"
        size = (str(asked.customers), "40000")
        subprocess.run([sys.executable, "-m", "benchmarks.business", str(files), *size], check=True)
        named = [word for t in ("customers", "offers", "exposures") for word in (f"--{t}", next(files.glob(f"{t}.*")))]
        allot(home, "init")
        allot(home, "load", *named)
        allot(home, "train", "--as-of", "2026-04-15")
        plan = allot(home, "allocate", files / "campaign.toml").document
        events = _events(
            Path(plan["decisions"]), Path(folder) / "events.parquet", datetime.fromisoformat(plan["as_of"])
        )
        runs = {"allot feedback": allot(home, "feedback", events)}
        for name in ("allot learn", "allot learn, nothing new"):
            runs[name] = allot(home, "learn", "--as-of", "2026-12-31")
    rows = [(name, r.seconds, r.cpu_seconds, round(r.peak_memory_mb)) for name, r in runs.items()]
    table(f"{asked.customers:,} events", ("command", "wall s", "CPU s", "peak memory MB"), rows)
    table("allot learn, by stage", ("stage", "wall s"), [*runs["allot learn"].document["seconds"].items()])


def _events(decisions: Path, to: Path, decided: datetime) -> Path:
    """One event for every decision, a tenth of them successes."""
    ids = pq.read_table(decisions, columns=["decision_id"])["decision_id"].combine_chunks()
    n = len(ids)
    outcome = (np.random.default_rng(3).random(n) < 0.1).astype(np.int64)
    at = pa.array(np.full(n, int((decided + timedelta(days=2)).timestamp() * 1e6)), pa.timestamp("us", "UTC"))
    events = pa.array([f"e{i}" for i in range(n)])
    columns = {"event_id": events, "decision_id": ids, "outcome": outcome, "reward": outcome * 10.0, "occurred_at": at}
    pq.write_table(pa.table(columns), to)
    return to


if __name__ == "__main__":
    main()
