"""The long runs: `python -m tests.soak`. Writes docs/soak.md; the status is not 0 when a promise is not kept.

First every test marked soak; then the learning proof: worlds that nothing was tuned on, played by the very engine that
serves production, their truth known.
"""

import argparse
import os
import platform
import re
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ElementTree
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from scipy.stats import t as student

from tests.statistical.sims.learning_proof import Judged, Seen, examine

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "soak.md"
PROCESSES = 2
NOMINAL = 0.95
ERRORS = 4.0  # a promise about chance is broken beyond so many standard errors
GIBIBYTE = 2**30


@dataclass(frozen=True)
class Check:
    """A promise in a sentence with its figures, and whether it holds."""

    holds: bool
    what: str


@dataclass(frozen=True)
class Tests:
    """The run of the marked tests: pytest's status, its last lines, and the figures that tests recorded."""

    status: int
    summary: str
    figures: tuple[str, ...] = ()


def main() -> int:
    """Run everything, write the page, say what fails."""
    options = _options()
    started = time.monotonic()
    tests = run_tests()
    seen = play(_seeds(options.seeds), options.customers, options.rounds)
    checks = [tests_pass(tests), *promises(seen)]
    minutes = (time.monotonic() - started) / 60
    text = page(tests, seen, checks, options, minutes)
    options.page.write_text(text, encoding="utf-8")
    sys.stdout.write(f"\n{text}\n")
    return 0 if all(check.holds for check in checks) else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", default="1000-1011")
    parser.add_argument("--customers", type=int, default=3_000)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--page", type=Path, default=PAGE)
    return parser.parse_args()


def _seeds(text: str) -> list[int]:
    first, _, last = text.partition("-")
    return list(range(int(first), int(last or first) + 1))


def run_tests() -> Tests:
    """Every test marked soak: the statistical ones and the others side by side, each half in a process of its own."""
    os.environ["OMP_NUM_THREADS"] = "1"
    with ThreadPoolExecutor(PROCESSES) as pool:
        halves = list(pool.map(run_half, (("tests/statistical",), ("tests", "--ignore=tests/statistical"))))
    summary = "\n".join(half.summary for half in halves)
    return Tests(max(half.status for half in halves), summary, tuple(f for half in halves for f in half.figures))


def run_half(paths: tuple[str, ...]) -> Tests:
    """The marked tests under some paths; their output passes through."""
    with tempfile.TemporaryDirectory() as room:
        record = Path(room) / "record.xml"
        command = [sys.executable, "-m", "pytest", "-m", "soak", *paths, "--tb=short", "--durations=8"]
        command += [f"--junitxml={record}", "-o", "junit_family=xunit1", "-p", "no:cacheprovider"]
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        lines = []
        for line in process.stdout or ():
            sys.stdout.write(line)
            sys.stdout.flush()
            lines.append(line.rstrip())
        status = process.wait()
        figures = recorded(record)
    words = ("passed", "failed", "error", "no tests ran", "FAILED", "ERROR")
    return Tests(status, "\n".join(line for line in lines if any(word in line for word in words)), figures)


def recorded(record: Path) -> tuple[str, ...]:
    """What tests said with `record_property`, in the order they ran; nothing where pytest did not get that far."""
    if not record.exists():
        return ()
    properties = ElementTree.parse(record).iter("property")
    return tuple(dict.fromkeys(f"{one.get('name')}: {one.get('value')}" for one in properties))


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


def tests_pass(tests: Tests) -> Check:
    counts = [line.strip("= ") for line in tests.summary.splitlines() if re.search(r"\d (passed|failed|error)", line)]
    return Check(tests.status == 0, f"tests marked soak: {'; '.join(counts) or 'none'}")


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


def page(tests: Tests, seen: list[Seen], checks: list[Check], options: argparse.Namespace, minutes: float) -> str:
    """docs/soak.md."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / GIBIBYTE
    machine = f"{os.cpu_count()} cores, {memory:.0f} GB, {platform.system()}, Python {platform.python_version()}"
    played = f"World `nbo`, seeds {options.seeds}, {options.customers:,} customers, {options.rounds} rounds"
    lines = [
        "# Long runs",
        "",
        "Written by `python -m tests.soak` (`make soak`); do not edit.",
        "",
        f"{datetime.now(UTC):%Y-%m-%d}, {machine}, {minutes:.0f} minutes. {played}.",
        "",
        "## Verdict",
        "",
        *(f"- {'holds' if check.holds else '**FAILS**'}: {check.what}." for check in checks),
        "",
        *learning_section(seen),
        "",
        *estimates_section([one.judged for one in seen]),
        "",
        "## Tests marked soak",
        "",
        "```",
        tests.summary,
        "```",
        "",
        *(f"- {figure}." for figure in tests.figures),
        "",
    ]
    return "\n".join(lines)


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


if __name__ == "__main__":
    sys.exit(main())
