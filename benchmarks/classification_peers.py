"""Vowpal Wabbit on the classification tasks: the same log with its chances, the same customers, windows and features.

`python -m benchmarks.classification_peers` tunes, on seeds up to 99. Every variant has six settings, two more than
LinTS; `TUNED` holds the one of each that was best on average over the six sets, seed 90.
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
from benchmarks.classification_tasks import DATA, SETS, Task, made, read, windows
from benchmarks.peers import vowpal, vowpal_missing

Floats = NDArray[np.float64]

_RATES = (1, 2, 5)  # learning rates; .1, .5 and 10 were worse, and so were --coin, --cb_type dr and costs of −1 and 0
_TRIED: Final = {
    "squarecb": ("--squarecb --gamma_scale 10", "--squarecb --gamma_scale 100"),
    "bag": ("--bag 5", "--bag 5 --greedify"),
    "regcb": ("--regcbopt --mellowness 0.01", "--regcbopt --mellowness 0.0001"),
    "epsilon": ("--epsilon 0.02", "--epsilon 0.005"),
}
GRID: Final = {name: [f"{way} -l {rate}" for way, rate in product(ways, _RATES)] for name, ways in _TRIED.items()}
"""Six settings of each variant."""


TUNED: Final = {
    "squarecb": "--squarecb --gamma_scale 10 -l 2",
    "bag": "--bag 5 --greedify -l 1",
    "regcb": "--regcbopt --mellowness 0.0001 -l 2",
    "epsilon": "--epsilon 0.005 -l 5",
    "regcb, crossed": "--regcbopt --mellowness 0.0001 -l 2 --interactions ssa",
}
"""The last learns products of features too: the best of eight such settings, without `optdigits`."""


def right(task: Task, seed: int, options: Sequence[str]) -> Floats:
    """Per cent of right guesses with each of some options (v,)."""
    wide = fit_basis(task.log.customers, task.columns, levels=task.levels, most=task.customers.shape[1] * 20)
    costs = 1.0 - np.eye(task.classes)[task.label]
    answer = vowpal(
        "play",
        customers=wide(task.log.customers),
        arm=task.log.arm,
        cost=1.0 - task.log.outcome,
        chance=task.chance,
        coming=wide(task.customers),
        allowed=np.ones(costs.shape, np.bool_),
        costs=costs,
        offers=task.classes,
        ends=windows(task),
        delay=1,
        seed=seed,
        options=list(options),
    )
    return np.asarray(100.0 * (answer["choice"] == task.label).mean(1))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--sets", nargs="+", default=list(SETS), choices=SETS)
    parser.add_argument("--seeds", type=int, nargs="+", default=[90], help="up to 99; those from 1000 are to report on")
    options = parser.parse_args()
    if absent := vowpal_missing():
        say(absent)
        return
    every = [setting for settings in GRID.values() for setting in settings]
    found = np.array([_mean_right(options.data, name, options.seeds, every) for name in options.sets])
    rows = [
        (way, *np.round(shares, 1), round(float(shares.mean()), 2)) for way, shares in zip(every, found.T, strict=True)
    ]
    table(f"Per cent right, seeds {options.seeds}", ("setting", *options.sets, "mean"), rows)


def _mean_right(folder: Path, name: str, seeds: list[int], ways: list[str]) -> Floats:
    data = read(folder, name)
    return np.asarray(np.mean([right(made(data, seed), seed, ways) for seed in seeds], axis=0))


if __name__ == "__main__":
    main()
