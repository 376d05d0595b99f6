"""Who else guesses on the classification tasks: Vowpal Wabbit, and LinTS (Agrawal and Goyal 2013).

They know the same log with its chances, the same customers, windows and features. Everybody has twelve settings;
`python -m benchmarks.classification_peers` tries them on seeds 90 and 91, and the best of each set plays. Six of each
variant of Vowpal Wabbit learn products of two features too.
"""

import argparse
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from api.console import say, table
from bandit import fit_basis
from benchmarks.classification_tasks import DATA, SETS, Task, made, read, share_right, windows
from benchmarks.peers import vowpal, vowpal_missing
from sims.learners import Linear, Money

Floats = NDArray[np.float64]

VW: Final = "VW "  # begins the name of each variant of Vowpal Wabbit
LINTS, LINTS_LOG = "LinTS", "LinTS and log"

_RATES: Final = (
    1,
    2,
    5,
)  # learning rates; .1, .5 and 10 were worse, and so were --coin, --cb_type dr and costs of −1, 0
_PRODUCTS: Final = ("", " --interactions ssa")  # with the second, products of two features too
_WAYS: Final = {
    "squarecb": ("--squarecb --gamma_scale 10", "--squarecb --gamma_scale 100"),
    "bag": ("--bag 5", "--bag 5 --greedify"),
    "regcb": ("--regcbopt --mellowness 0.01", "--regcbopt --mellowness 0.0001"),
    "epsilon": ("--epsilon 0.02", "--epsilon 0.005"),
}
VOWPAL: Final = {
    VW + name: tuple(f"{way} -l {rate}{more}" for way, more, rate in product(ways, _PRODUCTS, _RATES))
    for name, ways in _WAYS.items()
}
_WIDTHS: Final = tuple(map(str, (0.01, 0.02, 0.03, 0.05, 0.07, 0.1, 0.15, 0.2, 0.3, 0.5, 1, 2)))  # standard errors
GRID: Final = VOWPAL | {LINTS: _WIDTHS, LINTS_LOG: _WIDTHS}
"""Twelve settings of everybody."""

_BEST: Final = {
    "VW squarecb": (5, 9, 10, 11, 6, 10),
    "VW bag": (10, 10, 9, 9, 6, 3),
    "VW regcb": (10, 10, 9, 9, 6, 9),
    "VW epsilon": (4, 9, 10, 9, 6, 9),
    LINTS: (7, 7, 2, 4, 1, 0),
    LINTS_LOG: (5, 3, 2, 4, 4, 0),
}
TUNED: Final = {name: {who: GRID[who][place[s]] for who, place in _BEST.items()} for s, name in enumerate(SETS)}
"""The best of the grid on each set: seeds 90 and 91."""


def guessed(task: Task, seed: int, options: Sequence[str]) -> Floats:
    """Per cent of right guesses of Vowpal Wabbit with each of some options (v,)."""
    costs = 1.0 - np.eye(task.classes)[task.label]
    logged, coming = _features(task)
    answer = vowpal(
        "play",
        customers=logged,
        arm=task.log.arm,
        cost=1.0 - task.log.outcome,
        chance=task.chance,
        coming=coming,
        allowed=np.ones(costs.shape, np.bool_),
        costs=costs,
        offers=task.classes,
        ends=windows(task),
        delay=1,
        seed=seed,
        options=list(options),
    )
    return np.asarray(100.0 * (answer["choice"] == task.label).mean(1))


def lints(task: Task, width: float, *, log: bool) -> Linear:
    """LinTS that draws so many standard errors; with `log`, after the log's rows."""
    logged, coming = _features(task)
    made = Linear(coming, Money(np.ones(task.classes), np.zeros(task.classes)), width)
    if log:
        made.add(logged, task.log.arm, task.log.outcome)
    return made


def _features(task: Task) -> tuple[Floats, Floats]:
    """Of the log's customers, and of those to come: every number and every level, standardised."""
    basis = fit_basis(task.log.customers, task.columns, levels=task.levels, most=task.customers.shape[1] * 20)
    return basis(task.log.customers).astype(np.float64), basis(task.customers).astype(np.float64)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--sets", nargs="+", default=list(SETS), choices=SETS)
    parser.add_argument("--only", nargs="+", default=list(GRID), choices=GRID)
    parser.add_argument("--seeds", type=int, nargs="+", default=[90, 91], help="to 99; those from 1000 are reported on")
    options = parser.parse_args()
    absent = vowpal_missing()
    say(absent)
    for who in options.only:
        if absent and who in VOWPAL:
            continue
        found = np.array([_tried(options.data, name, options.seeds, who) for name in options.sets]).T
        rows = [(way, *np.round(shares, 1)) for way, shares in zip(GRID[who], found, strict=True)]
        places = ("place of the best", *map(str, found.argmax(0)))
        table(f"{who}, per cent right, seeds {options.seeds}", ("setting", *options.sets), [*rows, places])


def _tried(folder: Path, name: str, seeds: list[int], who: str) -> Floats:
    """(12,) per cent right of every setting of somebody on a set, mean over seeds."""
    data = read(folder, name)
    tasks = [(made(data, seed), seed) for seed in seeds]
    if who in VOWPAL:
        return np.asarray(np.mean([guessed(task, seed, GRID[who]) for task, seed in tasks], axis=0))
    widths = [float(width) for width in GRID[who]]
    shares = [[share_right(t, lints(t, width, log=who == LINTS_LOG), seed) for width in widths] for t, seed in tasks]
    return np.asarray(np.mean(shares, axis=0))


if __name__ == "__main__":
    main()
