"""Who learns best, ours or the usual libraries? `python -m benchmarks.arena`.

Vowpal Wabbit and MABWiser in the worlds `nbo` and `nbo-trees`, day by day without limits: the same log with its
chances, the same customers, features (ψ), outcomes and delay as ours. They are told what each choice earned, scaled to
[0, 1] by the largest and smallest possible profit; whether Vowpal Wabbit hears such costs, and learns, is printed.
`--tune` tries eight settings of every variant and of the baselines, on seeds up to 99; `TUNED` holds the best of each.
Ours has no setting to tune.
"""

import argparse
from dataclasses import replace
from itertools import product
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from api.console import say, table
from benchmarks.measure import difference, timed
from benchmarks.peers import elsewhere, missing
from sims import WORLDS
from sims.days import DELAY_DAYS, LEARNERS, Known, linear, oracle_share
from sims.description import Description
from sims.learners import EpsilonGreedy
from sims.world import build

Floats = NDArray[np.float64]

FIRST_SEED: Final = 1000
PER_DAY: Final = 1_500  # customers, as the worlds have; Vowpal Wabbit decides and learns for ten seconds a run
TRIED_IN: Final = ("nbo", "nbo-trees")
EARLY, LATE = slice(0, 5), slice(20, 25)  # days, all before the drift: has somebody learnt between them?
_UNKNOWN: Final = (np.nan,) * 4  # of whom only the share of all days is counted

_RATES: Final = (0.1, 0.5)  # learning rates; 2 was worse
_PRODUCTS: Final = ("", " --interactions ssa")  # with the second, products of two features too
_RANGE: Final = (
    "--cb_min_cost -1 --cb_max_cost 0"  # a cost is what was not earned; in [0, 1] new offers look free: worse
)


def _settings(*ways: str) -> tuple[str, ...]:
    """Eight of a variant of Vowpal Wabbit."""
    return tuple(f"{way} -l {rate} {_RANGE}{more}" for way, rate, more in product(ways, _RATES, _PRODUCTS))


VOWPAL: Final = {
    "VW squarecb": _settings("--squarecb --gamma_scale 100", "--squarecb --gamma_scale 1000"),
    "VW regcb": _settings("--regcbopt --mellowness 0.01", "--regcbopt --mellowness 0.0001"),
    "VW bag": _settings("--bag 5", "--bag 5 --greedify"),
    "VW ε-greedy": _settings("--epsilon 0.02", "--epsilon 0.005"),
}
_WIDTHS: Final = (0.05, 0.1, 0.2, 0.3, 0.5, 1, 2, 3)  # standard errors
_NARROW: Final = (0.003, 0.01, 0.02, 0.03, 0.05, 0.1, 0.3, 1)  # of rewards in [0, 1]
_PARTS: Final = (0.0, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2)  # of the customers
MABWISER: Final = {
    "MABWiser LinTS": tuple(f"LinTS alpha={width}" for width in _NARROW),
    "MABWiser LinUCB": tuple(f"LinUCB alpha={width}" for width in _NARROW),
    "MABWiser LinGreedy": tuple(f"LinGreedy epsilon={share}" for share in _PARTS),
}
BASELINES: Final = {
    "LinTS, log": tuple(map(str, _WIDTHS)),
    "LinUCB, log": tuple(map(str, _WIDTHS)),
    "ε-greedy, log": tuple(map(str, _PARTS)),
}
"""Ours of the same kinds, in the learner's own unit: standard errors, or the share of customers."""

GRID: Final = VOWPAL | MABWISER | BASELINES
_BEST: Final = {
    "VW squarecb": (4, 0),
    "VW regcb": (0, 0),
    "VW bag": (0, 4),
    "VW ε-greedy": (7, 4),
    "MABWiser LinTS": (2, 5),
    "MABWiser LinUCB": (0, 3),
    "MABWiser LinGreedy": (3, 2),
    "LinTS, log": (5, 7),
    "LinUCB, log": (0, 5),
    "ε-greedy, log": (3, 2),
}
TUNED: Final = {world: {who: GRID[who][place[w]] for who, place in _BEST.items()} for w, world in enumerate(TRIED_IN)}
"""The best of the grid: in `nbo` of all eight, on seeds 90 and 91, 1,500 customers a day; in `nbo-trees` of four,
without products, on seed 90, 300 a day.
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--worlds", nargs="+", choices=TRIED_IN, default=TRIED_IN)
    parser.add_argument("--seeds", type=int, default=5, help="at least 2")
    parser.add_argument("--first", type=int, default=FIRST_SEED, help="the first seed; up to 99 are for tuning")
    parser.add_argument("--per-day", type=int, default=PER_DAY, help="customers of a day; the worlds have 1,500")
    parser.add_argument("--tune", action="store_true", help="print the shares of all settings instead")
    parser.add_argument("--only", nargs="+", choices=GRID, default=[*GRID], help="these variants alone, beside ours")
    options = parser.parse_args()
    absent = {who: missing(package) for package, who in (("vowpalwabbit", "VW"), ("mabwiser", "MABWiser"))}
    say(*(line for line in absent.values() if line))
    who = [name for name in options.only if not absent.get(name.split()[0], "")]
    seeds = range(options.first, options.first + options.seeds)
    for world in options.worlds:
        seconds = (_tried if options.tune else _compared)(replace(WORLDS[world], per_day=options.per_day), who, seeds)
        say(f"{seconds:.0f} CPU s of this process")


def shares(known: Known, who: str, settings: tuple[str, ...]) -> Floats:
    """(settings, 5) per cent of the oracle: of all days, of the early ones and of the late ones before the drift; then
    the lowest and the highest cost that Vowpal Wabbit was told. NaN where there is no such figure.
    """
    if who in BASELINES:
        return np.array([[_baseline(known, who, setting), *_UNKNOWN] for setting in settings])
    job = job_of(known) | {"options": list(settings)}
    answer = elsewhere("vowpal.py", "play", **job) if who in VOWPAL else elsewhere("mabwiser_peer.py", **job)
    told = answer.get("told", np.full((len(settings), 2), np.nan))
    return np.column_stack([[_earned(known, choice) for choice in answer["choice"]], told])


def job_of(known: Known) -> dict[str, Any]:
    """What the peers are told, see `play` in `benchmarks/vowpal.py`; customers in the order in which they come."""
    world, money, k = known.world, known.money, known.offers
    psi, logged, _ = known.basis
    low, high = -float(money.fee.max()), float((money.net - money.fee).max())
    shown = known.log.arm < k
    arm = known.log.arm[shown]
    rows = _order(known)
    outcome = np.column_stack([world.outcomes(rows, a, world.arrival[rows])[0] for a in range(k)])
    return {
        "customers": logged[shown].astype(np.float64),
        "arm": arm,
        "cost": (high - (known.log.outcome[shown] * money.net[arm] - money.fee[arm])) / (high - low),
        "chance": world.history.probability[shown, arm],
        "coming": psi[rows].astype(np.float64),
        "allowed": world.eligible[rows],
        "costs": (high - money.worth(outcome.astype(np.float64))) / (high - low),
        "offers": k,
        "ends": np.searchsorted(world.arrival[rows], np.arange(world.days + 1)),
        "delay": DELAY_DAYS,
        "seed": world.seed,
    }


def _order(known: Known) -> NDArray[np.int64]:
    return np.argsort(known.world.arrival, kind="stable")


def _earned(known: Known, choice: NDArray[np.int64]) -> Floats:
    """(3,) true expected profit of choices (n,), in the order in which customers come, in per cent of the oracle's."""
    world, rows = known.world, _order(known)
    each = np.empty((world.days, 2))
    for day in range(world.days):
        here = world.arrival[rows] == day
        worth = np.where(world.eligible[rows[here]], world.value(day, rows[here])[:, :-1], -np.inf)
        each[day] = worth[np.arange(len(worth)), choice[here]].sum(), np.maximum(worth.max(1), 0.0).sum()
    return np.array([100.0 * part[:, 0].sum() / part[:, 1].sum() for part in (each, each[EARLY], each[LATE])])


def _baseline(known: Known, who: str, setting: str) -> float:
    x = float(setting)
    if who == "ε-greedy, log":
        return 100.0 * oracle_share(known, EpsilonGreedy(linear(known, 0.0, log=True), x))
    return 100.0 * oracle_share(known, linear(known, x, add=who == "LinUCB, log", log=True))


def _tried(about: Description, who: list[str], seeds: range) -> float:
    worlds = [Known(build(about, seed)) for seed in seeds]
    found, seconds = timed(
        lambda: {name: np.mean([shares(k, name, GRID[name]) for k in worlds], axis=0) for name in who}
    )
    rows = [
        (name, setting, *np.round(share[:3], 2), "best" if share[0] == part[:, 0].max() else "")
        for name, part in found.items()
        for setting, share in zip(GRID[name], part, strict=True)
    ]
    table(f"{about.name}, seeds {[*seeds]}, % of the oracle", ("", "setting", "all days", "early", "late", ""), rows)
    return seconds


def _compared(about: Description, who: list[str], seeds: range) -> float:
    each, seconds = timed(lambda: [played(about, who, seed) for seed in seeds])
    _told(about.name, {name: np.array([one[name] for one in each]) for name in each[0]}, seeds)
    return seconds


def played(about: Description, who: list[str], seed: int) -> dict[str, Floats]:
    """`shares` (5,) of everybody with his best setting in the world of a seed, ours and chance among them."""
    known = Known(build(about, seed))
    own = {name: oracle_share(known, LEARNERS[name](known)) for name in ("allot", "logistic-ts", "uniform")}
    out = {name: np.array([100.0 * share, *_UNKNOWN]) for name, share in own.items()}
    return out | {name: shares(known, name, (TUNED[about.name][name],))[0] for name in who}


def _told(world: str, found: dict[str, Floats], seeds: range) -> None:
    """Shares (seeds, 5) of everybody, the best first, and what is to be known of Vowpal Wabbit."""
    own = found["allot"][:, 0]
    rows = [
        (
            name,
            *np.round(part[:, :3].mean(0), 1),
            round(part[:, 0].min(), 1),
            difference(own, part[:, 0]) if name != "allot" else "",
        )
        for name, part in sorted(found.items(), key=lambda item: -item[1][:, 0].mean())
    ]
    columns = ("", "all days", "early", "late", "worst seed", "allot minus it, 95 %")
    table(f"{world} without limits, {len(seeds)} seeds from {seeds.start}, % of the oracle", columns, rows)
    say(*(checked(name, part) for name, part in found.items() if name in VOWPAL))


def checked(name: str, part: Floats) -> str:
    """Whether a variant of Vowpal Wabbit was told costs of its range, and whether it learnt; of `shares` (seeds, 5)."""
    low, high = part[:, 3].min(), part[:, 4].max()
    rise = difference(part[:, 2], part[:, 1])
    costs = f"costs from {low:.2f} to {high:.2f}, {'in' if -1 <= low <= high <= 0 else 'OUT OF'} the declared [-1, 0]"
    learns = "learns" if rise.above else "DOES NOT LEARN"
    return f"{name}: {costs}; {learns}, {rise} points from days 1-5 to days 21-25"


if __name__ == "__main__":
    main()
