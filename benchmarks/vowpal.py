"""Vowpal Wabbit on a job in a file: `.venv-bench/bin/python benchmarks/vowpal.py speed|play JOB.npz ANSWER.npz`.

Runs in an environment of its own and imports nothing of Allot. Actions are lines of their own (`cb_explore_adf`) with
the customer's features in common, crossed with the action (`-q sa`). Costs are in the range [0, 1] that squarecb and
regcb take for granted; where the options declare `--cb_max_cost 0`, in [−1, 0], so that what is unknown costs most.
"""

import sys
import time
from bisect import bisect
from collections.abc import Callable, Sequence
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any

import numpy as np
from vowpalwabbit import Workspace

ALWAYS = "--quiet --cb_explore_adf -q sa"
PARSED_AT_ONCE = 2_000  # decisions that wait in memory as parsed examples


def main() -> None:
    with np.load(sys.argv[2]) as file:
        job = dict(file)
    np.savez(Path(sys.argv[3]), **{"speed": speed, "play": play}[sys.argv[1]](job))


def speed(job: dict[str, np.ndarray]) -> dict[str, Any]:
    """How long do learning and deciding take, from text and of examples parsed before?

    A job: `customers` (n, d) float, `arm` and `outcome` (n,) int, all of k `offers` shown with equal chance; `coming`
    (m, d); `options` (v,) str. The answer: `seconds` (v, 4) CPU seconds of learning from text, of learning parsed
    examples, of deciding from text and of deciding on parsed examples; `wall` (v, 2, m) seconds of each decision from
    text and parsed; `probability` (v, m, k). Writing the text, parsing before and drawing a choice are not counted.
    """
    k = int(job["offers"])
    who, coming = _lines(job["customers"]), _lines(job["coming"])
    lessons = [_lesson(x, range(k), a, 1 - y, 1 / k) for x, a, y in zip(who, job["arm"], job["outcome"], strict=True)]
    questions = [_question(x, range(k)) for x in coming]
    seconds, wall, tables = [], [], []
    for options in job["options"]:
        vw, twin = (Workspace(f"{ALWAYS} {options}") for _ in range(2))
        learning, _, _ = _each(vw.learn, lessons)
        learning_parsed, _, _ = _each_parsed(twin, twin.learn, lessons)
        deciding, one, _ = _each(vw.predict, questions)
        deciding_parsed, one_parsed, table = _each_parsed(vw, vw.predict, questions)
        seconds.append([learning, learning_parsed, deciding, deciding_parsed])
        wall.append([one, one_parsed])
        tables.append(table)
    return {"seconds": seconds, "wall": wall, "probability": tables}


def play(job: dict[str, np.ndarray]) -> dict[str, Any]:
    """What does everybody choose, who hears of his choices some windows later?

    A job: `customers` (n, d), `arm`, `cost`, `chance` (n,) of a log, its actions all of k `offers`; `coming` (m, d),
    `allowed` (m, k) bool, `costs` (m, k) what each action would cost, of which that of the chosen one is heard; costs
    are in [0, 1]. `ends` (w + 1,) of the windows, `delay` from 1 windows; `seed`; `options` (v,) str. The answer:
    `choice` (v, m); `told` (v, 2) the lowest and the highest cost that was told, in the range of the options.

    Raises:
        ValueError: a cost is outside the range that the options declare.
    """
    k, delay = int(job["offers"]), int(job["delay"])
    who, coming, costs = _lines(job["customers"]), _lines(job["coming"]), job["costs"]
    actions = [tuple(np.flatnonzero(row).tolist()) for row in job["allowed"]]
    choices = np.empty((len(job["options"]), len(coming)), np.int64)
    told = []
    for choice, options in zip(choices, job["options"], strict=True):
        vw, r = Workspace(f"{ALWAYS} {options}"), np.random.default_rng(int(job["seed"]))
        shift = -1.0 if "--cb_max_cost 0" in options else 0.0
        for x, a, cost, p in zip(who, job["arm"], job["cost"], job["chance"], strict=True):
            vw.learn(_lesson(x, range(k), a, cost + shift, p))
        unheard: list[list[str]] = []
        for first, last in pairwise(job["ends"]):
            if len(unheard) == delay:
                for lesson in unheard.pop(0):
                    vw.learn(lesson)
            lessons = []
            for i, coin in zip(range(first, last), r.random(last - first), strict=True):
                chance = vw.predict(_question(coming[i], actions[i]))
                place = min(bisect(list(accumulate(chance)), coin * sum(chance)), len(chance) - 1)
                choice[i] = a = actions[i][place]
                lessons.append(_lesson(coming[i], actions[i], a, costs[i, a] + shift, chance[place]))
            unheard.append(lessons)
        told.append(_extremes([job["cost"], costs[np.arange(len(choice)), choice]], shift))
    return {"choice": choices, "told": told}


def _extremes(costs: Sequence[np.ndarray], shift: float) -> tuple[float, float]:
    """The lowest and the highest of some costs, none of which may be outside [0, 1], moved by so much."""
    every = np.concatenate(costs)
    if not 0.0 <= every.min() <= every.max() <= 1.0:
        raise ValueError(f"costs from {every.min()} to {every.max()} are not in [0, 1].")
    return float(every.min() + shift), float(every.max() + shift)


def _lines(customers: np.ndarray) -> list[str]:
    """The features that a decision's actions have in common, zeros left out."""
    return ["shared |s " + " ".join(f"{j}:{row[j]:.6g}" for j in np.flatnonzero(row)) for row in customers]


def _question(customer: str, actions: Sequence[int]) -> str:
    return "\n".join([customer, *(f"|a {a}" for a in actions)])


def _lesson(customer: str, actions: Sequence[int], arm: int, cost: float, chance: float) -> str:
    """What one of the actions cost, which was taken with some chance."""
    taken = f"0:{cost:.6g}:{chance:.6g} |a {arm}"
    return "\n".join([customer, *(taken if a == arm else f"|a {a}" for a in actions)])


def _each(work: Callable[[Any], Any], items: list[Any]) -> tuple[float, list[float], list[Any]]:
    """CPU seconds of all, wall seconds of each, and what came out."""
    out, clock = [], [time.perf_counter()]
    started = time.process_time()
    for item in items:
        out.append(work(item))
        clock.append(time.perf_counter())
    return time.process_time() - started, [b - a for a, b in pairwise(clock)], out


def _each_parsed(vw: Workspace, work: Callable[[Any], Any], texts: list[str]) -> tuple[float, list[float], list[Any]]:
    """The same of examples parsed before, so many at a time."""
    seconds, wall, out = 0.0, [], []
    for first in range(0, len(texts), PARSED_AT_ONCE):
        examples = [vw.parse(text) for text in texts[first : first + PARSED_AT_ONCE]]
        took, each, found = _each(work, examples)
        seconds, wall, out = seconds + took, wall + each, out + found
        for example in examples:
            vw.finish_example(example)
    return seconds, wall, out


if __name__ == "__main__":
    main()
