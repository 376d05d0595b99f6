"""How long does a whole allocation take, and how does the solver compare? `python -m benchmarks.allocate`.

Everything runs through the installed command on files; the comparison takes the values and costs that the command
itself has logged with the decisions.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from api.console import number, say, table
from benchmarks.command import Run, allot

if TYPE_CHECKING:  # this process stays small while it measures: Linux counts a parent's memory as its child's
    from portfolio import Problem

TABLES = ("customers", "offers", "exposures")
PART = 10_000


def main() -> None:
    options = _options()
    what = "40 features, 30 limits, 8 rules" if options.wide else "10 features, 12 limits"
    say(f"{options.customers:,} customers, 20 offers, {options.exposures:,} exposures, {what}")
    say(f"{os.cpu_count()} cores, OMP_NUM_THREADS={os.environ.get('OMP_NUM_THREADS', 'unset')}")
    with tempfile.TemporaryDirectory(prefix="allot-bench-") as folder:
        files, home = Path(folder) / "files", Path(folder) / "workspace"
        size = (str(options.customers), str(options.exposures), *(["wide"] if options.wide else []))
        subprocess.run([sys.executable, "-m", "benchmarks.business", str(files), *size], check=True)
        runs = {"init": allot(home, "init")}
        runs["load"] = allot(home, "load", *_files(files))
        runs["train"] = allot(home, "train", "--as-of", "2026-04-15")
        runs["allocate"] = allot(home, "allocate", files / "campaign.toml")
        _commands(runs)
        _limits(runs["allocate"])
        problem = _problem(home, runs["allocate"])
    _optimum(problem, runs["allocate"])
    _peers(problem, options.part)


def _files(folder: Path) -> list[object]:
    return [word for name in TABLES for word in (f"--{name}", next(folder.glob(f"{name}.*")))]


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--customers", type=int, default=200_000)
    parser.add_argument("--exposures", type=int, default=40_000)
    parser.add_argument("--wide", action="store_true", help="more features, limits and rules")
    parser.add_argument("--part", type=int, default=PART, help="customers of the comparison with a linear program")
    return parser.parse_args()


def _commands(runs: dict[str, Run]) -> None:
    rows = [(f"allot {name}", r.seconds, r.cpu_seconds, round(r.peak_memory_mb)) for name, r in runs.items()]
    table("Commands", ("command", "wall s", "CPU s", "peak memory MB"), rows)
    for name in ("train", "allocate"):
        stages = runs[name].document["seconds"]
        inside = [(stage, round(seconds, 2)) for stage, seconds in stages.items()]
        outside = round(runs[name].seconds - sum(stages.values()), 2)
        table(f"allot {name}, by stage", ("stage", "wall s"), [*inside, ("start, imports, answer", outside)])


def _limits(run: Run) -> None:
    plan = run.document
    say(
        f"{plan['status']}: {plan['chosen']:,} of {plan['audience']:,} get an offer, planned profit "
        f"{number(plan['planned_value'])} at a cost of {number(plan['planned_cost'])}; peak memory "
        f"{plan['peak_memory_mb']:,.0f} MB; rejection rate {plan['rejection_rate']:.1%}"
    )
    rows = [(x["name"], x["used"], x["minimum"] or "-", x["maximum"] or "-", x["price"]) for x in plan["limits"]]
    table("Limits", ("limit", "used", "minimum", "maximum", "price"), rows)


def _problem(home: Path, run: Run) -> "Problem":
    """What was allocated, from the decisions file."""
    from engine.frontier import stored_problem
    from warehouse import Workspace, open_store

    workspace = Workspace.open(home)
    with open_store(workspace) as store:
        return stored_problem(workspace, store.allocation(run.document["allocation_id"]))[0]


def _optimum(problem: "Problem", run: Run) -> None:
    """What the chance that learning and evaluation live on costs, against the best plan without it."""
    from benchmarks import peers

    peers.warm()
    best = peers.ours(problem)
    planned = run.document["planned_value"]
    say(
        f"The best whole plan without chance is worth {number(best.value)} (bound {number(best.bound)}, "
        f"{best.cpu_seconds:.2f} CPU s); the released random plan {number(planned)}, {planned / best.value:.1%} of it."
    )


def _peers(problem: "Problem", part: int) -> None:
    from benchmarks import peers

    few = _part(problem, part)
    best, program, naive = peers.ours(few), peers.linear_program(few), peers.best_customer_first(few)
    rows = [
        (
            a.solver,
            a.value,
            f"{a.value / best.bound:.2%}",
            f"{a.whole:.2%}",
            a.broken or "none",
            round(a.cpu_seconds, 2),
        )
        for a in (best, program, naive)
    ]
    columns = ("solver", "value", "of bound", "whole", "broken limits", "CPU s")
    table(f"The same {len(few.value):,} customers, values and limits", columns, rows)
    ratio = program.cpu_seconds / best.cpu_seconds
    say(f"The linear program takes {ratio:.1f} times the CPU seconds of portfolio.solve, and is not yet a plan.")


def _part(problem: "Problem", size: int) -> "Problem":
    """Every so many-th customer, sums in limits scaled to them."""
    import numpy as np

    from engine.segments import rescaled
    from portfolio import Problem

    n = len(problem.value)
    rows = np.linspace(0, n - 1, min(size, n)).astype(np.int64)
    limits = rescaled(problem.limits, len(rows) / n)
    return Problem(problem.value[rows], problem.cost[rows], problem.eligible[rows], problem.cell[rows], limits)


if __name__ == "__main__":
    main()
