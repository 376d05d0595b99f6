"""How far is each estimator from the truth? `python -m benchmarks.evaluation_sets`.

Real classification sets as decisions: guess a customer's class, hear only whether the guess was right. All labels are
known, hence the exact value of any policy. A third of each set teaches the policies; the others are drawn again and
again into logs. A log is written by two loggers in turn, a weak model with a preference and one that is nearly
undecided; the target is a better model with some chance left to everything. What an estimator needs beside the log is
made from that log: reward models never see the customer they speak about.
"""

import argparse
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

import offline_eval as oe
from api.console import say, table
from benchmarks.classification_tasks import DATA, SETS, Data, read

Floats: TypeAlias = NDArray[np.float64]
Integers: TypeAlias = NDArray[np.int64]

ROWS, LOGS, FOLDS = 5_000, 200, 5
RIDGE = 10.0  # rows that a class's own fit weighs against the fit of all
EXAMPLES = 10  # labelled customers of a class that the weak model knows
SURE, UNDECIDED, WANTED = 0.6, 0.15, 0.85  # how much of a policy's chance is its model's
CLIP, SHRINKAGE = 10.0, 0.01


@dataclass(frozen=True, slots=True, eq=False)
class World:
    """n customers whose class is known: `features` (n, d), `label` (n,), and what three policies do to them (n, k)."""

    features: Floats
    label: Integers
    loggers: tuple[Floats, Floats]
    target: Floats
    kind: Integers

    @property
    def truth(self) -> float:
        """The target's share of right guesses."""
        return float(self.target[np.arange(len(self.label)), self.label].mean())


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """One log, and what estimators may use: whose rows they are, who wrote them, chances (n, 2) of the action taken,
    the whole logged rows (n, k), a cross-fitted reward model (n, k)."""

    log: oe.Log
    who: Integers
    logger: Integers
    chances: Floats
    logged: Floats
    q_hat: Floats
    target: Floats

    @property
    def by_customer(self) -> oe.Log:
        """The log that names customers, who are drawn more than once: for folds that keep them together."""
        return oe.Log(self.log.reward, self.log.action, self.log.propensity, self.who)


ESTIMATORS: dict[str, Callable[[Sample, World], oe.Estimate]] = {
    "ips": lambda s, _: oe.ips(s.log, s.target),
    "clipped_ips, 10": lambda s, _: oe.clipped_ips(s.log, s.target, CLIP),
    "clipped_ips, tuned": lambda s, _: oe.tuned_clip(s.log, s.target).estimate,
    "subgaussian_ips, .01": lambda s, _: oe.subgaussian_ips(s.log, s.target, SHRINKAGE),
    "snips": lambda s, _: oe.snips(s.log, s.target),
    "balanced_ips": lambda s, _: oe.balanced_ips(s.log, s.target, s.chances, s.logger),
    "weighted_ips": lambda s, _: oe.weighted_ips(s.log, s.target, s.logger),
    "mips": lambda s, w: oe.mips(s.log, s.target, s.logged, w.kind),
    "dm": lambda s, _: oe.dm(s.log, s.target, s.q_hat),
    "dr": lambda s, _: oe.dr(s.log, s.target, s.q_hat),
    "sndr": lambda s, _: oe.sndr(s.log, s.target, s.q_hat),
    "switch_dr, tuned": lambda s, _: oe.tuned_switch(s.log, s.target, s.q_hat).estimate,
    "dr_os, tuned": lambda s, _: oe.tuned_shrinkage(s.log, s.target, s.q_hat).estimate,
    "subgaussian_dr, .01": lambda s, _: oe.subgaussian_dr(s.log, s.target, s.q_hat, SHRINKAGE),
    "mrdr": lambda s, w: oe.mrdr(s.by_customer, s.target, w.features[s.who]),
    "dr, propensities pooled": lambda s, _: oe.dr(oe.pooled(s.log, s.chances, s.logger), s.target, s.q_hat),
}


def main() -> None:
    options = _options()
    names = options.sets
    folder = options.data / "classification"
    if missing := [name for name in names if not (folder / f"{name}.parquet").exists()]:
        say(f"Left out: there are no {', '.join(missing)} in {folder}. Name the data's folder by --data or ALLOT_DATA.")
        return
    start = time.process_time()
    found = {name: judged(made(read(options.data, name)), options.logs) for name in names}
    say(f"{options.logs} logs of {ROWS:,} rows per set; errors in % of the truth, with their standard errors")
    lines = [[e, *(found[name].error(e) for name in names)] for e in found[names[0]].values]
    table("Root mean squared error", ("estimator", *names), lines)
    table("The sets, and what `evaluate` says", ("", *names), _facts([found[name] for name in names]))
    say(f"{time.process_time() - start:.0f} CPU s")


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """Many logs of one world: the values found (logs,) by estimator, and the reports."""

    world: World
    truth: dict[str, float]
    values: dict[str, Floats]
    reports: tuple[oe.Report, ...]

    def error(self, estimator: str) -> str:
        """Root mean squared error in % of the truth, with the standard error of that."""
        truth = self.truth[estimator]
        square = (self.values[estimator] / truth - 1) ** 2
        root = float(np.sqrt(square.mean()))
        noise = float(square.std(ddof=1)) / (2 * root * np.sqrt(len(square)))
        return f"{100 * root:.1f} ± {100 * noise:.1f}"


def made(data: Data) -> World:
    """The policies of a set, taught by a third of it, and the customers of the other two thirds."""
    r = np.random.default_rng(len(data.label))
    x = _scaled(data)
    teach, rest = np.split(r.permutation(len(x)), [len(x) // 3])
    k = int(data.label.max()) + 1
    few = np.concatenate([teach[data.label[teach] == c][:EXAMPLES] for c in range(k)])
    weak = _guess(x[few], data.label[few], x[rest], k)
    good = _guess(x[teach], data.label[teach], x[rest], k)
    softened = [share * np.eye(k)[guess] + (1 - share) / k for share, guess in
                ((SURE, weak), (UNDECIDED, weak), (WANTED, good))]  # fmt: skip
    return World(x[rest], data.label[rest], (softened[0], softened[1]), softened[2], _kinds(x[few], data.label[few], k))


def _scaled(data: Data) -> Floats:
    """(n, d) standardised; a category's levels become columns of 0 and 1."""
    parts = []
    for j, name in enumerate(data.columns.customer):
        values = data.customers[:, j]
        parts.append(np.eye(data.levels[name])[values.astype(int)] if name in data.levels else values[:, None])
    x = np.hstack(parts)
    return np.asarray((x - x.mean(0)) / np.maximum(x.std(0), 1e-9), np.float64)


def _guess(x: Floats, label: Integers, of: Floats, k: int) -> Integers:
    """The class with the largest linear score, fitted by ridge to columns of 0 and 1."""
    design = np.column_stack([np.ones(len(x)), x])
    gram = design.T @ design + RIDGE * np.eye(design.shape[1])
    scores = np.column_stack([np.ones(len(of)), of]) @ np.linalg.solve(gram, design.T @ np.eye(k)[label])
    return np.asarray(scores.argmax(1), np.int64)


def _kinds(x: Floats, label: Integers, k: int) -> Integers:
    """(k,) classes in pairs: each, in turn, with the one whose known examples' mean lies nearest to its own."""
    means = np.stack([x[label == c].mean(0) if (label == c).any() else np.zeros(x.shape[1]) for c in range(k)])
    kind = np.full(k, -1)
    for c in range(k):
        if kind[c] >= 0:
            continue
        alone = np.flatnonzero((kind < 0) & (np.arange(k) != c))
        kind[c] = c
        if len(alone):
            kind[alone[((means[alone] - means[c]) ** 2).sum(1).argmin()]] = c
    return np.unique(kind, return_inverse=True)[1].astype(np.int64)


def judged(world: World, logs: int) -> Judged:
    """Every estimator on many logs."""
    values, reports = defaultdict(list), []
    greedy = np.eye(world.target.shape[1])[world.target.argmax(1)]
    truth = defaultdict(lambda: world.truth, replay=float(greedy[np.arange(len(greedy)), world.label].mean()))
    for seed in range(logs):
        r = np.random.default_rng(seed)
        sample = _sample(world, r)
        for name, estimator in ESTIMATORS.items():
            values[name].append(estimator(sample, world).value)
        values["replay"].append(_replayed(world, greedy, r).value)
        report = oe.evaluate(sample.log, sample.target, sample.q_hat, chances=sample.logged)
        values["as `evaluate` chooses"].append(np.nan if report.estimate is None else report.estimate.value)
        reports.append(report)
    arrays = {name: np.array(found) for name, found in values.items()}
    return Judged(world, {name: truth[name] for name in arrays}, arrays, tuple(reports))


def _sample(world: World, r: np.random.Generator) -> Sample:
    """A log of customers drawn with repetition, each row by one of the two loggers."""
    who, logger = r.integers(0, len(world.label), ROWS), r.integers(0, 2, ROWS)
    tables = np.stack([one[who] for one in world.loggers])
    row = np.arange(ROWS)
    logged = tables[logger, row]
    action = np.minimum((logged.cumsum(1) < r.random((ROWS, 1))).sum(1), logged.shape[1] - 1)
    reward = (action == world.label[who]).astype(np.float64)
    log = oe.Log(reward, action, logged[row, action])
    return Sample(log, who, logger, tables[:, row, action].T, logged, _modelled(world, log, who), world.target[who])


def _modelled(world: World, log: oe.Log, who: Integers) -> Floats:
    """(n, k) linear chances of a right guess, fitted class by class to the rows of other customers."""
    k = world.target.shape[1]
    x = np.column_stack([np.ones(len(who)), world.features[who]])
    fold = who % FOLDS
    rows = [[x[(fold == f) & (log.action == a)] for a in range(k)] for f in range(FOLDS)]
    earned = [[log.reward[(fold == f) & (log.action == a)] for a in range(k)] for f in range(FOLDS)]
    gram = np.array([[part.T @ part for part in parts] for parts in rows])
    moment = np.array(
        [[part.T @ won for part, won in zip(*both, strict=True)] for both in zip(rows, earned, strict=True)]
    )
    ridge = RIDGE * np.eye(x.shape[1])
    q_hat = np.empty((len(who), k))
    for f in range(FOLDS):
        g, m = gram.sum(0) - gram[f], moment.sum(0) - moment[f]
        common = np.linalg.solve(g.sum(0) + ridge, m.sum(0))
        own = np.linalg.solve(g + ridge, (m + ridge @ common)[..., None])[..., 0]
        q_hat[fold == f] = np.clip(x[fold == f] @ own.T, 0, 1)
    return q_hat


def _replayed(world: World, greedy: Floats, r: np.random.Generator) -> oe.Estimate:
    """The target's favourite alone, on a log as large that was written without any preference."""
    k = greedy.shape[1]
    who, action = r.integers(0, len(world.label), ROWS), r.integers(0, k, ROWS)
    log = oe.Log((action == world.label[who]).astype(np.float64), action, np.full(ROWS, 1 / k))
    return oe.replay(log, greedy[who])


def _facts(found: Sequence[Judged]) -> list[list[str]]:
    """Sizes, truths, weights, verdicts and the coverage of the chosen interval."""
    lines: dict[str, Callable[[Judged], str]] = {
        "classes": lambda j: str(j.world.target.shape[1]),
        "the target's true share of right guesses": lambda j: f"{j.world.truth:.3f}",
        "share in the log": lambda j: f"{np.mean([x.logged.value for x in j.reports]):.3f}",
        "median effective sample size": lambda j: f"{np.median([x.ess for x in j.reports]):,.0f}",
        "supported": lambda j: f"{np.mean([x.verdict == 'supported' for x in j.reports]):.0%}",
        "insufficient": lambda j: f"{np.mean([x.verdict == 'insufficient' for x in j.reports]):.0%}",
        "chosen interval holds the truth": _coverage,
    }
    return [[name, *(line(j) for j in found)] for name, line in lines.items()]


def _coverage(judged: Judged) -> str:
    chosen = [x.estimate for x in judged.reports if x.estimate is not None]
    held = np.array([e.low <= judged.world.truth <= e.high for e in chosen])
    return f"{held.mean():.1%} of {len(held)}"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", nargs="+", default=list(SETS), choices=SETS)
    parser.add_argument("--logs", type=int, default=LOGS)
    parser.add_argument("--data", type=Path, default=DATA)
    return parser.parse_args()


if __name__ == "__main__":
    main()
