"""What do known chances cost within limits, and which part of it costs what? `python -m benchmarks.chance`.

Every tenth day of the world `nbo` within its limits is planned in several ways from the very same beliefs of `allot`;
what each plan, or table of chances, truly earns. Tables that keep less headroom are compared only: none is drawn.
"""

import argparse
from dataclasses import replace
from typing import Final

import numpy as np

from api.console import say, table
from benchmarks.measure import timed
from engine.objective import Worth
from engine.plan import without_forbidden
from engine.policy import Setting, policy_of
from portfolio import compile_rows, initial_headroom
from sims import WORLDS
from sims.allocations import EXPLORATION_SHARE, Batch, balanced, batch_of, optimum
from sims.days import Known, ours
from sims.news import News
from sims.people import Floats, Ints
from sims.visits import Visits
from sims.world import build

FIRST_SEED: Final = 1000
ORACLE, DRAWN, LESS = "the oracle", "the drawn plan", "chances, {}"
TABLES: Final = {
    "as drawn: exploration and headroom": (EXPLORATION_SHARE, 1.0),
    "no headroom": (EXPLORATION_SHARE, 0.0),
    "no exploration": (0.0, 1.0),
    "neither": (0.0, 0.0),
}
"""Tables of chances: exploration share, and part of the headroom."""

_NONE: Final = 0.01  # of the headroom: without any, prices would have to be exact


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--per-day", type=int, nargs="+", default=[1_500, 15_000], help="customers of a day")
    parser.add_argument("--every", type=int, default=10, help="days between two that are taken apart")
    options = parser.parse_args()
    found: dict[str, list[float]] = {}
    seconds = 0.0
    for per_day in options.per_day:
        days = max(10, 75_000 // per_day)
        about = replace(WORLDS["nbo"], per_day=per_day, days=days)
        every = max(1, min(options.every, days // 5))
        for seed in range(FIRST_SEED, FIRST_SEED + options.seeds):
            known = Known(build(about, seed))
            earned, more = timed(lambda known=known, every=every: taken_apart(known, every))
            seconds += more
            for how, value in earned.items():
                found.setdefault(how, []).append(100.0 * value / earned[ORACLE])
    rows = [(how, *np.round(np.reshape(shares, (-1, options.seeds)).mean(1), 2)) for how, shares in found.items()]
    columns = ("from the same beliefs", *(f"{n:,} a day" for n in options.per_day))
    table(f"% of the oracle within the limits, {options.seeds} seeds from {FIRST_SEED}", columns, rows)
    say(f"{seconds:.0f} CPU s")


def taken_apart(known: Known, every: int) -> dict[str, float]:
    """True expected profit of every way to plan, summed over every so many days; `allot` goes on with its own plan."""
    world, learner, r = known.world, ours(known), np.random.default_rng([known.world.seed, 2])
    news, visits = News(world), Visits(world)
    earned: dict[str, float] = {}
    prices: dict[str, float] | None = None
    for day in range(world.days):
        rows = visits.on(day)
        batch = batch_of(world, day, rows, visits.eligible[rows], visits.contacts[rows])
        news.tell(learner, day)
        worth = learner.worth(rows, batch.eligible)
        decided = balanced(batch, worth, prices)
        if day % every == every - 1:
            values = _tables(batch, worth) | {
                ORACLE: _truly(batch, optimum(batch, batch.value).choice),
                DRAWN: _truly(batch, decided.choice),
                "the optimum of one draw of the beliefs": _truly(batch, optimum(batch, learner.scores(rows, r)).choice),
                "the optimum of their means": _truly(batch, optimum(batch, worth.value.astype(np.float64)).choice),
            }
            earned = {how: earned.get(how, 0.0) + value for how, value in values.items()}
        shown = decided.choice >= 0
        news.decided(rows[shown], decided.choice[shown], day, visits.contacts[rows[shown]])
        visits.contacted(rows[shown], day)
        prices = decided.prices or prices
    return earned


def _tables(batch: Batch, worth: Worth) -> dict[str, float]:
    """True expected profit of tables of chances."""
    asked, problem = without_forbidden(worth, batch.problem(worth.value))
    kept = initial_headroom(compile_rows(problem.limits, problem.n_cells, problem.value.shape[1]), problem)
    out = {}
    for how, (share, part) in TABLES.items():
        policy = policy_of(asked.scores, problem, Setting(share, kept * max(part, _NONE)))
        out[LESS.format(how)] = _expected(batch, policy.probability[:, :-1].astype(np.float64))
    return out


def _expected(batch: Batch, chance: Floats) -> float:
    return float((chance * batch.value).sum())


def _truly(batch: Batch, choice: Ints) -> float:
    contacted = np.flatnonzero(choice >= 0)
    return float(batch.value[contacted, choice[contacted]].sum())


if __name__ == "__main__":
    main()
