"""The learning proof: worlds that nothing was tuned on, played by the very engine that serves production.

Their truth is known: does learning help, does any plan break a limit, do intervals of estimates hold the truth?
"""

import os
import sys
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context

import numpy as np
from scipy.stats import t as student

from tests.soak_runs import Check
from tests.statistical.sims.learning_proof import Judged, Seen, examine

PROCESSES = 2
NOMINAL = 0.95
ERRORS = 4.0  # a promise about chance is broken beyond so many standard errors


def play(seeds: list[int], customers: int, rounds: int) -> list[Seen]:
    """All seeds, two at a time, each in a fresh process with one thread: nothing is shared but the code."""
    os.environ["OMP_NUM_THREADS"] = "1"
    work = partial(examine, customers=customers, rounds=rounds)
    out: list[Seen] = []
    with ProcessPoolExecutor(PROCESSES, mp_context=get_context("spawn")) as pool:
        for seed, seen in zip(seeds, pool.map(work, seeds), strict=True):
            shares = ", ".join(f"{one.share:.4f}" for one in seen)
            sys.stdout.write(f"seed {seed}: share of the oracle {shares}\n")
            sys.stdout.flush()
            out += seen
    return out


@dataclass(frozen=True)
class Gain:
    """Paired difference of the oracle share, last round minus first, over seeds, with its Student interval."""

    mean: float
    low: float
    high: float
    first: float
    last: float
    improved: int
    seeds: int


def gain_of(seen: list[Seen]) -> Gain:
    """What learning adds, seed by seed."""
    last = max(one.round for one in seen)
    before, after = (np.array([one.share for one in seen if one.round == r]) for r in (1, last))
    difference = after - before
    m = len(difference)
    mean = float(difference.mean())
    half = float(student.ppf(0.5 + NOMINAL / 2, m - 1) * difference.std(ddof=1) / np.sqrt(m)) if m > 1 else np.inf
    improved = int((difference > 0).sum())
    return Gain(mean, mean - half, mean + half, float(before.mean()), float(after.mean()), improved, m)


def promises(seen: list[Seen]) -> list[Check]:
    """Learning helps; no plan breaks a limit; intervals of estimates hold the truth as often as they say."""
    gain = gain_of(seen)
    broken = [f"seed {x.seed} round {x.round}: {', '.join(x.breaches)}" for x in seen if x.breaches]
    unreleased = [f"seed {x.seed} round {x.round}: {x.status}" for x in seen if x.status != "released"]
    judged = [one.judged for one in seen if one.judged.verdict != "invalid"]
    refused = [f"seed {x.seed} round {x.round}" for x in seen if x.judged.verdict == "invalid"]
    why = sorted({reason.rstrip(".") for x in seen if x.judged.verdict == "invalid" for reason in x.judged.reasons})
    covered = float(np.mean([j.covered for j in judged]))
    least = NOMINAL - ERRORS * np.sqrt(NOMINAL * (1 - NOMINAL) / len(judged))
    bias = float(np.mean([j.z for j in judged])) * np.sqrt(len(judged))
    improved = (
        f"learning: {gain.first:.4f} of the oracle before, {gain.last:.4f} after; paired difference {gain.mean:+.4f}, "
        f"95 % interval {gain.low:+.4f} to {gain.high:+.4f}; {gain.improved} of {gain.seeds} seeds improve"
    )
    counted = sum(one.limits for one in seen)
    inside = f"{counted:,} limits recounted in {len(seen)} plans, {sum(len(x.breaches) for x in seen)} broken"
    held = (
        f"intervals of the half budget's value hold the truth in {covered:.1%} of {len(judged)} (at least {least:.1%})"
    )
    unbiased = f"these estimates are {bias:+.2f} standard errors from the truth on average (at most {ERRORS:g})"
    return [
        Check(gain.low > 0, improved),
        Check(not broken, "; ".join([inside, *broken])),
        Check(not unreleased, "; ".join([f"{len(seen) - len(unreleased)} of {len(seen)} plans released", *unreleased])),
        Check(not refused, "; ".join([f"{len(refused)} of {len(seen)} right logs called invalid", *refused, *why])),
        Check(bool(covered >= least), held),
        Check(bool(abs(bias) <= ERRORS), unbiased),
    ]


def learning_section(seen: list[Seen]) -> list[str]:
    """Seed by seed, round by round."""
    rounds = max(one.round for one in seen)
    share = {(one.seed, one.round): one.share for one in seen}
    rows = []
    for seed in sorted({one.seed for one in seen}):
        row = [share[seed, r + 1] for r in range(rounds)]
        rows.append(f"| {seed} | " + " | ".join(f"{x:.4f}" for x in row) + f" | {row[-1] - row[0]:+.4f} |")
    cost = [one.true_spend / one.budget for one in seen]
    return [
        "## Learning",
        "",
        "True expected profit of each plan as a share of the oracle's, which knows every probability and comes within",
        "0.1 % of the best plan under the same limits. The customers are always the same; the world drifts later.",
        "",
        "| seed | " + " | ".join(f"round {r + 1}" for r in range(rounds)) + " | after - before |",
        "|---" * (rounds + 2) + "|",
        *rows,
        "",
        "The budget binds the expected cost in posterior means, and that is what is recounted. In truth the plans cost",
        f"{np.mean(cost):.1%} of the budget on average, {min(cost):.1%} to {max(cost):.1%}.",
    ]


def estimates_section(judged: list[Judged]) -> list[str]:
    """Estimate by estimate."""
    counts = ", ".join(
        f"{sum(j.verdict == verdict for j in judged)} {verdict}" for verdict in sorted({j.verdict for j in judged})
    )
    rows = [f"| {j.seed} | {j.round} | {j.truth:.3f} | {_estimate(j)} | {j.logged:.3f} | {j.verdict} |" for j in judged]
    return [
        "## Off-policy estimates against the truth",
        "",
        "From each round's log: what would the same campaign have earned per customer with half the budget? The truth",
        f"is that of the very same probabilities. Verdicts: {counts}.",
        "",
        "| seed | round | truth | estimate | 95 % interval | holds the truth | the round itself | verdict |",
        "|---|---|---|---|---|---|---|---|",
        *rows,
    ]


def _estimate(j: Judged) -> str:
    if j.verdict == "invalid":
        return "- | - | -"
    return f"{j.value:.3f} | {j.low:.3f} to {j.high:.3f} | {'yes' if j.covered else 'NO'}"
