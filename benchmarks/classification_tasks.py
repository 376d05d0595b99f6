"""Real classification sets turned into decisions: guess a customer's class, and hear only whether the guess was right.

A third of the classes was never guessed in the log: these are the new offers. The truth is known, so that every
learner's share of right guesses is exact.
"""

import os
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bandit import Columns, Log
from sims.learners import Learner

Floats = NDArray[np.float64]

DATA = Path(os.environ.get("ALLOT_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
SETS: Final = ("letter", "pendigits", "optdigits", "segment", "waveform5000", "nursery")
_WINDOWS = 40
_LOG_SHARE = 0.5  # of the customers; the others are decided on
_ROWS_PER_CLASS, _FEWEST_ROWS = 400, 2000  # of the log
_SHOWN_BEFORE = 10  # labelled customers of each class that the logger knows
_AT_RANDOM = 0.5  # of the log


@dataclass(frozen=True, slots=True, eq=False)
class Data:
    """A set: `customers` (n, dc) float64 with categories as codes, `label` (n,) 0..k − 1, and its columns."""

    customers: Floats
    label: NDArray[np.int64]
    columns: Columns
    levels: dict[str, int]


@dataclass(frozen=True, slots=True, eq=False)
class Task:
    """A log with outcomes, and customers to decide on, in the order in which they come; arms 0..k − 1 are classes.

    `chance` (r,) is how likely the logger was to guess what he guessed.
    """

    log: Log
    chance: Floats
    customers: Floats
    label: NDArray[np.int64]
    columns: Columns
    levels: dict[str, int]
    offers: Floats

    @property
    def classes(self) -> int:
        """k; the last row of `offers` is no offer, which nobody chooses here."""
        return len(self.offers) - 1


def read(folder: Path, name: str) -> Data:
    """A set of `folder`, one Parquet file with a column `label`."""
    import pyarrow.parquet as pq

    table = pq.read_table(folder / "classification" / f"{name}.parquet")
    names = [column for column in table.column_names if column != "label"]
    values, levels = [], {}
    for column in names:
        raw = table[column].to_numpy(zero_copy_only=False)
        if raw.dtype == object:
            kinds, raw = np.unique(raw.astype(str), return_inverse=True)
            levels[column] = len(kinds)
        values.append(raw.astype(np.float64))
    label = np.unique(table["label"].to_numpy(zero_copy_only=False).astype(str), return_inverse=True)[1]
    categories = tuple(names.index(column) for column in levels)
    columns = Columns(tuple(names), ("class",), (*categories, len(names)))
    return Data(np.column_stack(values), label.astype(np.int64), columns, levels)


def made(data: Data, seed: int) -> Task:
    """A task of a set; customers of the log are not those to decide on.

    Half of the log is guessed at random among the known classes, half by the nearest mean of ten customers a class. All
    of it has one date, so that folds are by customer: one who is in the log twice never vouches for himself.
    """
    r = np.random.default_rng(seed)
    classes = int(data.label.max()) + 1
    order = r.permutation(len(data.label))
    logged, coming = np.split(order, [int(_LOG_SHARE * len(order))])
    known = np.sort(r.permutation(classes)[: classes - round(classes / 3)])
    rows = r.choice(logged, max(_FEWEST_ROWS, _ROWS_PER_CLASS * len(known)))
    guess = _nearest(data, r, logged, known, rows)
    arm = np.where(r.random(len(rows)) < _AT_RANDOM, r.choice(known, len(rows)), guess)
    outcome = (arm == data.label[rows]).astype(np.float64)
    log = Log(data.customers[rows], arm, outcome, np.zeros(len(rows)), rows.astype(np.uint64))
    chance = _AT_RANDOM / len(known) + (1.0 - _AT_RANDOM) * (arm == guess)
    offers = np.arange(classes + 1.0)[:, None]
    return Task(log, chance, data.customers[coming], data.label[coming], data.columns, data.levels, offers)


def windows(task: Task) -> NDArray[np.int64]:
    """(w + 1,) where each window of the customers to decide on ends, from 0; its outcomes are heard at its end."""
    return np.linspace(0, len(task.label), _WINDOWS + 1).astype(np.int64)


def share_right(task: Task, learner: Learner, seed: int) -> float:
    """Per cent of right guesses over all windows; a window's outcomes are heard at its end."""
    r = np.random.default_rng((seed, 1))
    right = 0.0
    for window, (first, last) in enumerate(pairwise(windows(task))):
        rows = np.arange(first, last)
        arm = learner.scores(rows, r).argmax(1)
        outcome = (arm == task.label[rows]).astype(np.float64)
        learner.hear(rows, arm, outcome, window)
        right += outcome.sum()
    return 100.0 * right / len(task.label)


def _nearest(
    data: Data, r: np.random.Generator, logged: NDArray[np.int64], known: NDArray[np.int64], rows: NDArray[np.int64]
) -> NDArray[np.int64]:
    """The known class whose few examples' mean lies nearest."""
    scaled = (data.customers - data.customers.mean(0)) / np.maximum(data.customers.std(0), 1e-9)
    means = []
    for one in known:
        examples = logged[data.label[logged] == one]
        means.append(scaled[r.choice(examples, _SHOWN_BEFORE)].mean(0) if len(examples) else np.full(len(scaled[0]), 9))
    distance = ((scaled[rows][:, None] - np.stack(means)[None]) ** 2).sum(2)
    return known[distance.argmin(1)]
