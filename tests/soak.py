"""The long runs: `python -m tests.soak`. Writes docs/soak.md and docs/soak-service.md.

The status is not 0 when a promise is not kept. `--part service` runs what is promised of the service alone: every test
marked soak under SERVICE, in two halves side by side. `--part learning` runs all others, and then the learning proof:
worlds that nothing was tuned on, played by the very engine that serves production, their truth known.
"""

import argparse
import os
import platform
import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

from tests.soak_learning import PROCESSES, estimates_section, learning_section, play, promises
from tests.soak_runs import ROOT, Check, Proof, Run, run_marked

STORE = ("tests/integration/test_budget_proof.py", "tests/property/warehouse", "tests/unit/warehouse")
SERVICE = ("tests/api", *STORE)
LONGEST = ("tests/api/service/test_service_exactly_once.py", "tests/api/service/test_service_feedback_kills.py")
STATISTICAL = "tests/statistical"
PAGE, SERVICE_PAGE = ROOT / "docs" / "soak.md", ROOT / "docs" / "soak-service.md"
PARTS = ("service", "learning")
GIBIBYTE = 2**30


def main() -> int:
    """Run what is asked for, write its pages, say what fails."""
    options = _options()
    work = {"service": service, "learning": learning}
    kept = [work[part](options) for part in ([options.part] if options.part else PARTS)]
    return 0 if all(kept) else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--part", choices=PARTS, help="the other part and its page are left as they are")
    parser.add_argument("--seeds", default="1000-1011")
    parser.add_argument("--customers", type=int, default=3_000)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--page", type=Path, default=PAGE)
    parser.add_argument("--service-page", type=Path, default=SERVICE_PAGE)
    return parser.parse_args()


def service(options: argparse.Namespace) -> bool:
    """The service's part: whether every promise is kept."""
    started = time.monotonic()
    runs = _side_by_side(LONGEST, (*SERVICE, *(f"--ignore={path}" for path in LONGEST)))
    _write(options.service_page, service_page(runs, time.monotonic() - started))
    return all(run.status == 0 for run in runs)


def _side_by_side(*halves: tuple[str, ...]) -> list[Run]:
    with ThreadPoolExecutor(PROCESSES) as pool:
        return list(pool.map(run_marked, halves))


def learning(options: argparse.Namespace) -> bool:
    """All the other marked tests, in two halves side by side, and the learning proof: whether every promise is kept."""
    started = time.monotonic()
    others = ("tests", *(f"--ignore={path}" for path in (STATISTICAL, *SERVICE)))
    runs = _side_by_side((STATISTICAL,), others)
    seen = play(_seeds(options.seeds), options.customers, options.rounds)
    checks = [all_pass(runs), *promises(seen)]
    played = f"World `nbo`, seeds {options.seeds}, {options.customers:,} customers, {options.rounds} rounds"
    lines = [
        *_head("Long runs", "make soak", time.monotonic() - started),
        f"{played}. What is promised of the service has [a page of its own](soak-service.md).",
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
        *_printed(runs),
        "",
        *(f"- {figure}." for run in runs for proof in run.proofs for figure in proof.figures),
        "",
    ]
    _write(options.page, "\n".join(lines))
    return all(check.holds for check in checks)


def _seeds(text: str) -> list[int]:
    first, _, last = text.partition("-")
    return list(range(int(first), int(last or first) + 1))


def all_pass(runs: list[Run]) -> Check:
    """Every marked test of some runs passes."""
    lines = (line for run in runs for line in run.summary.splitlines())
    counts = [line.strip("= ") for line in lines if re.search(r"\d (passed|failed|error)", line)]
    return Check(all(run.status == 0 for run in runs), f"tests marked soak: {'; '.join(counts) or 'none'}")


def service_page(runs: list[Run], seconds: float) -> str:
    """docs/soak-service.md."""
    check, proofs = all_pass(runs), [proof for run in runs for proof in run.proofs]
    lines = [
        *_head("Long runs of the service", "make soak-service", seconds),
        "",
        "## Verdict",
        "",
        f"{'Holds' if check.holds else '**FAILS**'}: {check.what}.",
        "",
        "## Proof by proof",
        "",
        "| file | what it proves | tests | minutes |",
        "|---|---|---|---|",
        *(_row(proof) for proof in proofs),
        "",
        *(f"- {figure}." for proof in proofs for figure in proof.figures),
        "",
        *_printed(runs),
        "",
    ]
    return "\n".join(lines)


def _row(proof: Proof) -> str:
    counts = [(proof.passed, "passed"), (proof.failed, "**FAILED**"), (proof.skipped, "skipped")]
    told = ", ".join(f"{count} {word}" for count, word in counts if count)
    return f"| `{proof.file}` | {proof.claim} | {told} | {proof.seconds / 60:.1f} |"


def _head(title: str, command: str, seconds: float) -> list[str]:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / GIBIBYTE
    machine = f"{os.cpu_count()} cores, {memory:.0f} GB, {platform.system()}, Python {platform.python_version()}"
    git = ["git", "describe", "--always", "--dirty", "--abbrev=10"]
    commit = subprocess.run(git, cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip() or "no commit"
    return [
        f"# {title}",
        "",
        f"Written by `{command}`; do not edit.",
        "",
        f"{datetime.now(UTC):%Y-%m-%d}, commit {commit}, {machine}, {seconds / 60:.0f} minutes.",
    ]


def _printed(runs: list[Run]) -> list[str]:
    return ["```", *(run.summary for run in runs), "```"]


def _write(page: Path, text: str) -> None:
    page.write_text(text, encoding="utf-8")
    sys.stdout.write(f"\n{text}\n")


if __name__ == "__main__":
    sys.exit(main())
