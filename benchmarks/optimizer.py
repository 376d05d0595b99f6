"""The optimizer's figures, ours beside the peers', in one run: `python -m benchmarks.optimizer`.

Every piece runs in a process of its own, one after the other. CPU seconds are those of all threads, after a warm-up on
a small problem; what is measured starts at `solve(Problem)` or `affordable_policy(...)` with C-contiguous float32
arrays and customers in no order.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from typing import Any, Final

from api.console import print_json, safe, say

# this process stays small while it measures: Linux counts a parent's memory as its child's

USUAL: Final = ("lp", "pdlp", "1m", "200-limits", "pass", "frontier", "diagnose", "policy", "policy-200", "deviations")
LARGE: Final = ("10m", "policy-explored")


def main() -> None:
    options = _options()
    names = options.only or [*USUAL, *(LARGE if options.large else ())]
    rows = [row for name in names for row in _run(name)]
    if options.output == "json":
        print_json({"cores": os.cpu_count(), "load": os.getloadavg()[0], "rows": rows})
    else:
        _print(rows)
    broken = [f"{row['work']}: {row['wrong']}" for row in rows if row["wrong"]]
    if broken:
        sys.exit("wrong answers: " + "; ".join(broken))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", choices=(*USUAL, *LARGE), help="these pieces alone")
    parser.add_argument("--large", action="store_true", help="ten million customers as well, and a draw that explores")
    parser.add_argument("--output", choices=("text", "json"), default="text")
    return parser.parse_args()


def _run(name: str) -> list[dict[str, Any]]:
    """One piece in a process of its own; its rows."""
    started = time.perf_counter()
    command = [sys.executable, "-m", "benchmarks.optimizer_rows", name]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=False)
    sys.stderr.write(f"{name}: {time.perf_counter() - started:.0f} s\n")
    if done.returncode:
        return [{"work": name, "wrong": f"stopped with status {done.returncode}", "ours": None}]
    rows: list[dict[str, Any]] = json.loads(done.stdout)
    return rows


def _print(rows: list[dict[str, Any]]) -> None:
    """Ready for docs/benchmarks.md."""
    columns = ("work", "ours, CPU s", "peer, CPU s", "peer / ours", "gap", "status", "floor", "kept")
    lines = [columns, ("---",) * len(columns), *map(_cells, rows)]
    say(*(safe(f"| {' | '.join(line)} |") for line in lines), "")
    say(*(safe(f"- {row['work']}: {row['detail']}.") for row in rows if row.get("detail")), "")
    say(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, OMP_NUM_THREADS={os.environ.get('OMP_NUM_THREADS')}")


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    ours, peer, gap, kept = (row.get(key) for key in ("ours", "peer", "gap", "kept"))
    return (
        str(row["work"]),
        _seconds(ours),
        _seconds(peer),
        f"{peer / ours:.{0 if peer >= 10 * ours else 2}f}" if peer and ours else "-",
        "-" if gap is None else f"{gap:.1e}",
        f"WRONG: {row['wrong']}" if row["wrong"] else row.get("status") or "-",
        row.get("floor") or "-",
        "-" if kept is None else "yes" if kept else "NO",
    )


def _seconds(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.3f}" if value < 1 else f"{value:.1f}" if value < 100 else f"{value:.0f}"


if __name__ == "__main__":
    main()
