"""MABWiser on a job in a file: `.venv-bench/bin/python benchmarks/mabwiser_peer.py JOB.npz ANSWER.npz`.

Runs in an environment of its own and imports nothing of Allot. The job and the answer are those of `play` in
`benchmarks/vowpal.py`; a reward is 1 − cost, and an option reads "LinTS alpha=0.1". Where an action is not allowed, the
best of the others by MABWiser's expectations is taken: its own `predict` knows no such thing.
"""

import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from mabwiser.mab import MAB, LearningPolicy


def main() -> None:
    with np.load(sys.argv[1]) as file:
        job = dict(file)
    np.savez(Path(sys.argv[2]), choice=np.array([played(job, options) for options in job["options"]]))


def played(job: dict[str, np.ndarray], options: str) -> np.ndarray:
    """(m,) what everybody chooses, who hears of his choices some windows later."""
    coming, allowed, reward = job["coming"], job["allowed"], 1.0 - job["costs"]
    arms, delay = list(range(int(job["offers"]))), int(job["delay"])
    bandit = MAB(arms, _policy(options), seed=int(job["seed"]))
    bandit.fit(job["arm"], 1.0 - job["cost"], job["customers"])
    choice = np.empty(len(coming), np.int64)
    unheard: list[np.ndarray] = []
    for first, last in pairwise(job["ends"].tolist()):
        if len(unheard) == delay:
            rows = unheard.pop(0)
            bandit.partial_fit(choice[rows], reward[rows, choice[rows]], coming[rows])
        rows = np.arange(first, last)
        expected = [[one[a] for a in arms] for one in bandit.predict_expectations(coming[rows])]
        choice[rows] = np.where(allowed[rows], expected, -np.inf).argmax(1)
        unheard.append(rows)
    return choice


def _policy(options: str) -> Any:
    name, *numbers = options.split()
    named = dict(number.split("=") for number in numbers)
    return getattr(LearningPolicy, name)(**{key: float(value) for key, value in named.items()})


if __name__ == "__main__":
    main()
