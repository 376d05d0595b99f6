"""Is the learnt trust in the prior deserved? `python -m benchmarks.classification`.

Six real sets as bandit tasks. The same posterior runs with all it can know (trees and log), as three experts, without
trees, without either, and with the trees' logits but nothing else of the log: a residual started at zero, once with our
temperatures and once, as is usual, with one temperature for all arms. LinTS, with and without the log, is the baseline;
with `--vw` every variant of Vowpal Wabbit, which reads the log too, takes part. The others are tuned set by set
(`benchmarks/classification_peers.py`); ours is the same everywhere.
"""

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import logit as logit_of

from api.console import say, table
from bandit import Rows, fit_basis, fit_prior, start, start_experts
from benchmarks.classification_peers import LINTS, LINTS_LOG, TUNED, VOWPAL, guessed, lints
from benchmarks.classification_tasks import DATA, SETS, Task, made, read, share_right
from benchmarks.measure import Difference, difference, timed
from benchmarks.peers import vowpal_missing
from sims.learners import Learner, Money, Residual

Floats = NDArray[np.float64]

FIRST_SEED: Final = 1000  # seeds up to 99 are for tuning
_ONE_TEMPERATURE: Final = 0.5

OURS, EXPERTS, TREELESS, NEITHER = "trees and log", "three experts", "log, no trees", "neither"
AT_ZERO, AT_ZERO_OURS = "residual at zero", "residual at zero, our temperatures"
BEST_VARIANT: Final = "VW, the best of each set in hindsight"


def learners(task: Task, seed: int) -> dict[str, Learner]:
    """Ours, each knowing what its name says."""
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
    money = Money(np.ones(task.classes), np.zeros(task.classes))
    return {
        OURS: Residual(full, psi, served, money),
        EXPERTS: Residual(experts, psi, served, money),
        TREELESS: Residual(treeless, psi, np.full_like(served, rate), money),
        NEITHER: Residual(blank, psi, np.full_like(served, guess), money),
        AT_ZERO: Residual(zero, psi, served, money, temperature=_ONE_TEMPERATURE),
        AT_ZERO_OURS: Residual(zero, psi, served, money),
    }


def scores(folder: Path, name: str, seeds: range, *, vowpal: bool = False) -> dict[str, Floats]:
    """Per cent right of everybody (tasks,), on a set; on request of Vowpal Wabbit too."""
    data, tuned = read(folder, name), TUNED[name]
    out: dict[str, list[float]] = {}
    for seed in seeds:
        task = made(data, seed)
        baselines = {who: lints(task, float(tuned[who]), log=who == LINTS_LOG) for who in (LINTS, LINTS_LOG)}
        for who, learner in (learners(task, seed) | baselines).items():
            out.setdefault(who, []).append(share_right(task, learner, seed))
        if vowpal:
            for who, share in zip(VOWPAL, guessed(task, seed, [tuned[who] for who in VOWPAL]), strict=True):
                out.setdefault(who, []).append(float(share))
    return {who: np.array(values) for who, values in out.items()}


def with_hindsight(found: dict[str, dict[str, Floats]]) -> dict[str, dict[str, Floats]]:
    """The same, and on each set once more the variant of Vowpal Wabbit that did best on these very tasks."""
    out = {}
    for name, shares in found.items():
        variants = [who for who in shares if who in VOWPAL]
        best = {BEST_VARIANT: shares[max(variants, key=lambda who: shares[who].mean())]} if variants else {}
        out[name] = shares | best
    return out


def minus(found: dict[str, dict[str, Floats]], who: str) -> Difference:
    """Ours less somebody, paired by seed; a seed's share is the mean over the sets, every set alike."""
    one, other = (np.mean([shares[name] for shares in found.values()], axis=0) for name in (OURS, who))
    return difference(one, other)


def floors(found: dict[str, dict[str, Floats]]) -> list[tuple[str, bool]]:
    """What is promised, and whether it is kept; means over sets count every set alike."""
    gain = {who: minus(found, who) for who in next(iter(found.values())) if who != OURS}
    worse = [name for name, f in found.items() if difference(f[OURS], f[TREELESS]).below]
    out = [
        (f"never significantly below the same model without trees (below on: {', '.join(worse) or 'none'})", not worse),
        (f"≥ 5 points above the residual started at zero on average ({gain[AT_ZERO]})", gain[AT_ZERO].mean >= 5),
        (f"not below LinTS with the log on average ({gain[LINTS_LOG]})", gain[LINTS_LOG].mean >= 0),
    ]
    variants = [who for who in gain if who in VOWPAL]
    if variants:
        best = min(variants, key=lambda who: gain[who].mean)
        claim = f"significantly above the best Vowpal Wabbit variant on average ({best}, {gain[best]})"
        out.append((claim, gain[best].above))
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
    if options.vw and (absent := vowpal_missing()):
        say(absent)
        options.vw = False
    seeds = range(options.seed, options.seed + options.tasks)
    found, seconds = timed(
        lambda: {name: scores(options.data, name, seeds, vowpal=options.vw) for name in options.sets}
    )
    _told(found, seeds)
    say(f"{seconds:.0f} CPU s of this process")


def _told(found: dict[str, dict[str, Floats]], seeds: range) -> None:
    told = with_hindsight(found)
    who = list(next(iter(told.values())))
    shares = [[float(f[w].mean()) for f in told.values()] for w in who]
    rows = [(w, *np.round(share, 1), round(float(np.mean(share)), 1)) for w, share in zip(who, shares, strict=True)]
    columns = ("", *told, "mean")
    table(f"Per cent right, seeds {seeds.start} to {seeds[-1]}", columns, rows)
    against = [(w, *(difference(f[OURS], f[w]) for f in told.values()), minus(told, w)) for w in who if w != OURS]
    table(f"{OURS}, minus the others, paired over {len(seeds)} seeds, 95 %", columns, against)
    say(*(f"{'kept' if kept else 'BROKEN'}: {floor}" for floor, kept in floors(found)))


if __name__ == "__main__":
    main()
