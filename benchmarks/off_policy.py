"""Do off-policy estimates find the truth? `python -m benchmarks.off_policy`.

The product decides in a world within its limits, by balanced draws whose chances are known. Every week of its decisions
is a log, which is asked what 20 other policies would have earned on the same customers; the world knows it. Counted is,
per verdict, how often a 95 % interval holds the truth. Bias is looked at over all estimates, not only over those that
are supported: a verdict that likes lucky logs would hide it. Weeks and policies of a world are not independent of each
other, so intervals are taken over worlds.
"""

import argparse
import json
import os
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, replace
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import numpy as np

from api.console import say, table
from benchmarks.measure import said
from engine.objective import Worth
from engine.policy import Setting, policy_of
from portfolio import Limit
from sims import described
from sims.allocations import EXPLORATION_SHARE, Drawn, optimum
from sims.comparison import interval
from sims.days import LEARNERS, Known, best_static, logistic_ts, ours
from sims.description import Description
from sims.judged import Judged
from sims.learners import Learner, Residual
from sims.people import Floats
from sims.play import play
from sims.policies import Policy
from sims.targets import ITSELF, TARGETS, Target, by_chance, certain, greedy, itself, mixed, nobody
from sims.world import build
from warehouse.workspace import write_atomically

FIRST_SEED: Final = 1000
COVERED: Final = 0.94
VERDICTS: Final = ("supported", "insufficient", "invalid")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--world", default="nbo")
    parser.add_argument("--seeds", type=int, default=20, help="worlds, at least 2")
    parser.add_argument("--first-seed", type=int, default=FIRST_SEED)
    parser.add_argument("--days", type=int, default=21, help="of each world")
    parser.add_argument("--per-day", type=int, help="customers of a day; the world's own without it")
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    parser.add_argument(
        "--to", type=Path, help="keep the estimates of every world here, so that it need not play again"
    )
    options = parser.parse_args()
    say(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    world = described(options.world)
    about = replace(world, days=options.days, per_day=options.per_day or world.per_day)
    seeds = range(options.first_seed, options.first_seed + options.seeds)
    with (
        TemporaryDirectory() as passing,
        ProcessPoolExecutor(options.processes, mp_context=get_context("spawn")) as pool,
    ):
        folder = options.to or Path(passing)
        folder.mkdir(parents=True, exist_ok=True)
        worlds = list(pool.map(judged_in, [about] * len(seeds), seeds, [folder] * len(seeds)))
    what = f"{len(worlds)} worlds {about.name} from seed {seeds[0]}, {about.days} days of {about.per_day:,} customers"
    _show_verdicts(what, worlds)
    _show_targets(worlds)


def judged_in(about: Description, seed: int, folder: Path) -> list[Judged]:
    """All estimates of one world: those kept in the folder, or after playing it."""
    path = folder / f"{about.name}-{about.days}x{about.per_day}-{seed}.json"
    if path.exists():
        return [Judged(**one) for one in json.loads(path.read_text(encoding="utf-8"))]
    known = Known(build(about, seed))
    days = play(known, Policy("allot", "balanced"), targets=targets_of(known), checked=about.per_day)
    found = [one for day in days for one in day.judged]
    write_atomically(path, json.dumps([asdict(one) for one in found]).encode())
    return found


def targets_of(known: Known) -> dict[str, Target]:
    """Twenty others and itself: mixtures, greedier and bolder ones, other limits, other learners.

    Learners know the log alone: nothing that the decisions brought.
    """
    static = best_static(known)
    return {
        **TARGETS,
        "a tenth by chance": mixed(itself, by_chance, 0.1),
        "a tenth less contacted": mixed(itself, nobody, 0.1),
        "half contacted": mixed(itself, nobody, 0.5),
        "greedy, a tenth by chance": mixed(greedy, by_chance, 0.1),
        "best offer for everybody": lambda day: _best(day, static),
        "without limits": lambda day: _within(day, day.worth, ()),
        "half the budget": lambda day: _within(day, day.worth, _budget(day, 0.5)),
        "budget 1.5 times": lambda day: _within(day, day.worth, _budget(day, 1.5)),
        "without caps": lambda day: _within(day, day.worth, _budget(day, 1.0)[:1]),
        "bolder": lambda day: _within(day, _scaled(day.worth, 2.0), day.batch.limits),
        "calmer": lambda day: _within(day, _scaled(day.worth, 0.5), day.batch.limits),
        "itself, log alone": _after_log(known, ours),
        "without trees, log alone": _after_log(known, logistic_ts),
        "trees as they are, optimum": _planned(known, "prior-greedy"),
        "LinTS, log alone, optimum": _planned(known, "lints-log"),
    }


def _best(day: Drawn, static: Learner) -> Floats:
    scores = np.where(day.batch.eligible, static.scores(day.batch.rows, np.random.default_rng(0)), -np.inf)
    return certain(np.where(scores.max(1) > 0, scores.argmax(1), -1), scores.shape[1])


def _within(day: Drawn, worth: Worth, limits: tuple[Limit, ...]) -> Floats:
    """The product's chances for some beliefs within some limits."""
    problem = replace(day.batch.problem(worth.value), limits=limits)
    chances = policy_of(worth.scores, problem, Setting(EXPLORATION_SHARE)).probability.astype(np.float64)
    out: Floats = chances / chances.sum(1, keepdims=True)
    return out


def _budget(day: Drawn, factor: float) -> tuple[Limit, ...]:
    budget, *caps = day.batch.limits
    return replace(budget, maximum=factor * (budget.maximum or 0.0)), *caps


def _scaled(worth: Worth, factor: float) -> Worth:
    return replace(worth, scores=replace(worth.scores, sd=worth.scores.sd * np.float32(factor)))


def _after_log(known: Known, start: Callable[[Known], Residual]) -> Target:
    learner = start(known)
    return lambda day: _within(day, learner.worth(day.batch.rows, day.batch.eligible), day.batch.limits)


def _planned(known: Known, name: str) -> Target:
    """The optimum of a learner's scores."""
    learner, r = LEARNERS[name](known), np.random.default_rng([known.world.seed, 4])

    def chances(day: Drawn) -> Floats:
        return certain(optimum(day.batch, learner.scores(day.batch.rows, r)).choice, day.batch.eligible.shape[1])

    return chances


def _show_verdicts(what: str, worlds: list[list[Judged]]) -> None:
    others = [[one for one in world if one.target != ITSELF] for world in worlds]
    rows = []
    for verdict in VERDICTS:
        some = [[one for one in world if one.verdict == verdict] for world in others]
        count = sum(map(len, some))
        if count == 0:
            continue
        inside = np.mean([held(one) for world in some for one in world])
        half = interval(np.array([np.mean([held(one) for one in world]) for world in some if world]))
        kept = None if verdict != "supported" else bool(inside >= COVERED)
        floor = f"{COVERED:.0%}" if verdict == "supported" else ""
        rows.append(
            (verdict, count, _percent(count / sum(map(len, others))), _percent(inside), _span(half), floor, said(kept))
        )
    heads = ("verdict", "estimates", "share", "interval holds the truth", "95 % over worlds", "floor", "kept")
    table(what, heads, rows)


def _show_targets(worlds: list[list[Judged]]) -> None:
    rows = [_row(name, [[one for one in world if one.target == name] for world in worlds]) for name in _names(worlds)]
    rows.append(_row("all", worlds))
    rows.append(_row("all supported", [[one for one in world if one.verdict == "supported"] for world in worlds]))
    heads = ("policy", "supported, %", "holds, %", "truth", "estimate too high, %", "no bias seen")
    table("Every policy: supported estimates, of these intervals that hold the truth; money per decision", heads, rows)


def _names(worlds: list[list[Judged]]) -> list[str]:
    return list(dict.fromkeys(one.target for one in worlds[0]))


def _row(name: str, worlds: list[list[Judged]]) -> tuple[object, ...]:
    """Bias is a mean over worlds of the mean of all estimates of a world, whatever their verdict."""
    everything = [one for world in worlds for one in world]
    supported = [held(one) for one in everything if one.verdict == "supported"]
    truth = float(np.mean([one.truth for one in everything]))
    found = [[one.value - one.truth for one in world if np.isfinite(one.value)] for world in worlds]
    gap = interval(np.array([100 * np.mean(world) / truth for world in found if world]))
    low, high = gap["low"] or 0.0, gap["high"] or 0.0
    return (
        name,
        _percent(len(supported) / len(everything)),
        _percent(np.mean(supported)) if supported else "",
        round(truth, 3),
        f"{gap['value']:+.2f} ± {high - (gap['value'] or 0.0):.2f}",
        said(low <= 0.0 <= high),
    )


def held(one: Judged) -> bool:
    """Whether the interval holds the truth."""
    return one.low <= one.truth <= one.high


def _percent(x: float) -> str:
    return f"{100 * x:.1f}"


def _span(x: dict[str, float | None]) -> str:
    return "" if x["low"] is None or x["high"] is None else f"{100 * x['low']:.1f} to {100 * x['high']:.1f}"


if __name__ == "__main__":
    main()
