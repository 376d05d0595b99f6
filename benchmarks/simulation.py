"""Who wins within the limits, and how fast are worlds played? `python -m benchmarks.simulation`.

The same policies as `allot simulate` plays; runs are kept in --to, so that an interrupted comparison goes on. Decisions
a second: 20 offers, two worlds side by side, from an empty folder. Starting processes, worlds and trees are in the
time of "end to end", and the oracle's decisions in its count.
"""

import argparse
import os
import resource
import time
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from api.console import say, table
from benchmarks.measure import said
from sims import WORLDS, described
from sims.comparison import Compared, interval, summarised
from sims.description import Offering
from sims.policies import policies_of
from sims.runs import played
from sims.study import Study

PARTS: Final = ("speed", "limits")
FIRST_SEED: Final = 1000
SPEED_FLOOR: Final = 50_000  # decisions a second on two cores, end to end
FLOORS: Final = {"allot/first-come": 0.15, "allot/best-first": 0.03}  # how much more the product's plan earns
POLICIES: Final = (
    "allot,allot/optimum,allot/best-first,allot/first-come,logistic-ts,lints-log,epsilon-greedy,best-static"
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS, help="these parts alone")
    parser.add_argument("--worlds", nargs="+", default=["nbo", "nbo-trees"], help="of the comparison within limits")
    parser.add_argument("--seeds", type=int, default=10, help="of the comparison, at least 2")
    parser.add_argument("--to", type=Path, help="keep the runs of the comparison here")
    parser.add_argument("--per-day", type=int, default=50_000, help="customers of a day when speed is measured")
    parser.add_argument("--days", type=int, default=10, help="of the worlds when speed is measured")
    options = parser.parse_args()
    say(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    if "speed" in options.only:
        _speed(options.per_day, options.days)
    if "limits" in options.only:
        with TemporaryDirectory() as passing:
            for world in options.worlds:
                _limits(world, options.seeds, options.to or Path(passing))


def _speed(per_day: int, days: int) -> None:
    about = replace(WORLDS["nbo"], days=days, per_day=per_day, offers=Offering(count=20, warm=14))
    study = Study(about, policies_of("allot"), (FIRST_SEED, FIRST_SEED + 1))
    with TemporaryDirectory() as folder:
        wall, used = time.perf_counter(), _children()
        runs = played(study, Path(folder), processes=2)
        wall, used = time.perf_counter() - wall, _children() - used
    rows: list[tuple[object, ...]] = []
    for policy in ("allot", "oracle"):
        own = [run for run in runs if run.policy == policy]
        count, seconds = sum(int(run.decisions.sum()) for run in own), sum(float(run.seconds.sum()) for run in own)
        rows.append((f"{policy}, deciding and learning", count, round(seconds, 1), round(2 * count / seconds), "", ""))
    count = sum(int(run.decisions.sum()) for run in runs)
    fast = 2 * count / used
    rows.append(("end to end, by CPU time", count, round(used, 1), round(fast), SPEED_FLOOR, said(fast >= SPEED_FLOOR)))
    rows.append(("end to end, by the clock", count, round(wall, 1), round(count / wall), "", ""))
    columns = ("work", "decisions", "seconds", "a second on two cores", "floor", "kept")
    table(f"20 offers, {per_day:,} customers a day, {days} days, two worlds", columns, rows)


def _children() -> float:
    """CPU seconds of all processes that this one has waited for."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _limits(world: str, seeds: int, folder: Path) -> None:
    about = described(world)
    study = Study(about, policies_of(POLICIES), tuple(range(FIRST_SEED, FIRST_SEED + seeds)))
    compared = Compared(played(study, folder, processes=os.cpu_count() or 1))
    d = summarised(about.name, compared)
    rows = []
    own = compared.daily("allot", "reward").sum(1)
    for policy, x in sorted(d["summary"].items(), key=lambda item: -item[1]["oracle_share"]):
        behind = "" if x["behind"] is None else f"{100 * x['behind']['value']:+.1f} ± {_half(x['behind']):.1f}"
        more = own / compared.daily(policy, "reward").sum(1) - 1.0
        floor = FLOORS.get(policy)
        kept = None if floor is None else bool(more.mean() >= floor and (interval(more)["low"] or 0.0) > 0.0)
        share, worst = (round(100 * x[name], 1) for name in ("oracle_share", "worst"))
        rows.append((policy, share, worst, behind, f"{100 * more.mean():+.1f}", said(kept)))
    columns = ("policy", "% of the oracle", "worst seed", "points behind allot, 95 %", "allot earns more, %", "kept")
    table(f"World {about.name} within its limits, {seeds} seeds from {FIRST_SEED}", columns, rows)


def _half(x: dict[str, float]) -> float:
    return 100 * (x["high"] - x["value"])


if __name__ == "__main__":
    main()
