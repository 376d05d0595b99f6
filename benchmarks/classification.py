"""Is the learnt trust in the prior deserved? `python -m benchmarks.classification`.

Six real sets as bandit tasks. The same posterior runs with all it can know (trees and log), as three experts, without
trees, without either, and with the trees' logits but nothing else of the log: a residual started at zero, once with our
temperatures and once, as is usual, with one temperature for all arms. LinTS, with and without the log, is the baseline;
with `--vw` tuned variants of Vowpal Wabbit, which read the log too, take part.
"""

import argparse
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.special import logit as logit_of

from api.console import say, table
from bandit import Rows, fit_basis, fit_prior, start, start_experts
from benchmarks.classification_tasks import DATA, SETS, Task, made, read, windows
from benchmarks.measure import difference, timed
from sims.learners import Learner, Linear, Money, Residual

Floats = NDArray[np.float64]

FIRST_SEED = 1000  # seeds up to 99 are for tuning
_LINTS_SD = 0.1  # α, the best of .03, .1, .3 and 1 on seeds up to 99
_ONE_TEMPERATURE = 0.5

OURS, EXPERTS, TREELESS, NEITHER = "trees and log", "three experts", "log, no trees", "neither"
AT_ZERO, AT_ZERO_OURS = "residual at zero", "residual at zero, our temperatures"
LINTS, LINTS_LOG = "LinTS", "LinTS and log"
VOWPAL = "VW "  # begins the name of each variant of Vowpal Wabbit


def learners(task: Task, seed: int) -> dict[str, Learner]:
    """Everybody who takes part, each knowing what his name says."""
    log, arms = task.log, task.classes + 1
    fitted = fit_prior(log, task.offers, task.columns, seed=seed, threads=1)
    served, centre = fitted.prior.logits(task.customers, threads=1), fitted.prior.mean_logit
    basis = fit_basis(log.customers, task.columns, levels=task.levels, gain=fitted.report.gain)
    psi, block = basis(task.customers), basis.blocks
    rows = Rows(basis(log.customers), fitted.shown, log.arm, log.outcome)
    none = Rows(rows.basis[:0], rows.logit[:0], rows.arm[:0], rows.outcome[:0])
    full = start(rows, fitted.as_cold, arms, centre=centre, block=block)
    experts = start_experts(rows, fitted.as_cold, arms, centre=centre, block=block, seed=seed)
    zero = replace(start(none, none.logit, arms, centre=centre, block=block), cold=full.cold, count=full.count)
    rate = float(logit_of((log.outcome.sum() + 1) / (len(log.outcome) + 2)))
    flat = replace(rows, logit=np.full(len(log.arm), rate))
    treeless = start(flat, flat.logit, arms, centre=rate, block=block)
    guess = float(logit_of(1.0 / task.classes))
    blank = start(none, none.logit, arms, centre=guess, block=block)
    wide = fit_basis(log.customers, task.columns, levels=task.levels, most=task.customers.shape[1] * 20)
    money = Money(np.ones(task.classes), np.zeros(task.classes))
    fresh, taught = (Linear(wide(task.customers).astype(np.float64), money, _LINTS_SD) for _ in range(2))
    taught.add(wide(log.customers).astype(np.float64), log.arm, log.outcome)
    return {
        OURS: Residual(full, psi, served, money),
        EXPERTS: Residual(experts, psi, served, money),
        TREELESS: Residual(treeless, psi, np.full_like(served, rate), money),
        NEITHER: Residual(blank, psi, np.full_like(served, guess), money),
        AT_ZERO: Residual(zero, psi, served, money, temperature=_ONE_TEMPERATURE),
        AT_ZERO_OURS: Residual(zero, psi, served, money),
        LINTS: fresh,
        LINTS_LOG: taught,
    }


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


def scores(folder: Path, name: str, seeds: range, *, vowpal: bool = False) -> dict[str, Floats]:
    """Per cent right of every learner (tasks,), on a set; on request Vowpal Wabbit's too."""
    data = read(folder, name)
    out: dict[str, list[float]] = {}
    for seed in seeds:
        task = made(data, seed)
        for who, learner in learners(task, seed).items():
            out.setdefault(who, []).append(share_right(task, learner, seed))
        if vowpal:
            from benchmarks.classification_peers import TUNED, right

            for variant, share in zip(TUNED, right(task, seed, list(TUNED.values())), strict=True):
                out.setdefault(VOWPAL + variant, []).append(float(share))
    return {who: np.array(values) for who, values in out.items()}


def floors(found: dict[str, dict[str, Floats]]) -> list[tuple[str, bool]]:
    """What is promised, and whether it is kept; means over sets count every set alike."""

    def gain(who: str) -> float:
        return float(np.mean([f[OURS].mean() - f[who].mean() for f in found.values()]))

    worse = [name for name, f in found.items() if difference(f[OURS], f[TREELESS]).below]
    out = [
        (f"never significantly below the same model without trees (below on: {', '.join(worse) or 'none'})", not worse),
        (f"≥ 5 points above the residual started at zero on average ({gain(AT_ZERO):+.1f})", gain(AT_ZERO) >= 5),
        (f"not below LinTS with the log on average ({gain(LINTS_LOG):+.1f})", gain(LINTS_LOG) >= 0),
    ]
    variants = [who for who in next(iter(found.values())) if who.startswith(VOWPAL)]
    if variants:
        best = min(variants, key=gain)
        out.append((f"above the best Vowpal Wabbit variant on average ({best}, {gain(best):+.1f})", gain(best) > 0))
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--sets", nargs="+", default=list(SETS), choices=SETS)
    parser.add_argument("--tasks", type=int, default=10, help="of each set, at least 2")
    parser.add_argument("--seed", type=int, default=FIRST_SEED)
    parser.add_argument("--vw", action="store_true", help="Vowpal Wabbit too, from the benchmarks' own environment")
    options = parser.parse_args()
    if not (options.data / "classification").is_dir():
        say(f"Left out: there are no data in {options.data}. Name their folder by --data or ALLOT_DATA.")
        return
    if options.vw:
        from benchmarks.peers import vowpal_missing

        if absent := vowpal_missing():
            say(absent)
        options.vw = not absent
    seeds = range(options.seed, options.seed + options.tasks)
    found, seconds = timed(
        lambda: {name: scores(options.data, name, seeds, vowpal=options.vw) for name in options.sets}
    )
    who = list(next(iter(found.values())))
    columns = ("", *found, "mean")
    rows = [[w, *(round(f[w].mean(), 1) for f in found.values())] for w in who]
    table("Per cent right", columns, [(*row, round(float(np.mean(row[1:])), 1)) for row in rows])
    every = {w: np.concatenate([f[w] for f in found.values()]) for w in who}
    against = [
        (w, *(str(difference(f[OURS], f[w])) for f in found.values()), str(difference(every[OURS], every[w])))
        for w in who[1:]
    ]
    table(f"{OURS}, minus the others, paired over {options.tasks} tasks, 95 %", columns, against)
    say(*(f"{'kept' if kept else 'BROKEN'}: {floor}" for floor, kept in floors(found)), f"{seconds:.0f} CPU s")


if __name__ == "__main__":
    main()
