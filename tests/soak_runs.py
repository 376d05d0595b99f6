"""Runs of the tests marked soak: what became of each, how long it took, and the figures that it recorded."""

import ast
import os
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Check:
    """A promise in a sentence with its figures, and whether it holds."""

    holds: bool
    what: str


@dataclass(frozen=True)
class Proof:
    """The marked tests of one file: what the file says it proves, and what was found."""

    file: str
    claim: str
    passed: int
    failed: int
    skipped: int
    seconds: float
    figures: tuple[str, ...]


@dataclass(frozen=True)
class Run:
    """One run of pytest: its status, its last lines, and the proofs in the order of their files' first tests."""

    status: int
    summary: str
    proofs: tuple[Proof, ...]


def run_marked(paths: tuple[str, ...]) -> Run:
    """The tests marked soak under some paths, in one process of one thread; their output passes through."""
    with tempfile.TemporaryDirectory() as room:
        record = Path(room) / "record.xml"
        command = [sys.executable, "-m", "pytest", "-m", "soak", *paths, "--tb=short", "--durations=8"]
        command += [f"--junitxml={record}", "-o", "junit_family=xunit1", "-p", "no:cacheprovider"]
        environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}
        process = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        lines = []
        for line in process.stdout or ():
            sys.stdout.write(line)
            sys.stdout.flush()
            lines.append(line.rstrip())
        status = process.wait()
        proofs = recorded(record)
    words = ("passed", "failed", "error", "no tests ran", "FAILED", "ERROR")
    return Run(status, "\n".join(line for line in lines if any(word in line for word in words)), proofs)


def recorded(record: Path) -> tuple[Proof, ...]:
    """File by file what a run's record says; nothing where pytest did not get that far."""
    if not record.exists():
        return ()
    cases: dict[str, list[ElementTree.Element]] = {}
    for case in ElementTree.parse(record).iter("testcase"):
        file = case.get("file") or ""
        if not (ROOT / file).resolve().is_relative_to(ROOT / "tests"):  # of a library that wraps the test
            file = f"{(case.get('classname') or '').replace('.', '/')}.py"
        cases.setdefault(file, []).append(case)
    return tuple(_proof(file, found) for file, found in cases.items())


def _proof(file: str, cases: list[ElementTree.Element]) -> Proof:
    failed = sum(case.find("failure") is not None or case.find("error") is not None for case in cases)
    skipped = sum(case.find("skipped") is not None for case in cases)
    seconds = sum(float(case.get("time") or 0.0) for case in cases)
    properties = [f"{one.get('name')}: {one.get('value')}" for case in cases for one in case.iter("property")]
    passed = len(cases) - failed - skipped
    return Proof(file, claim_of(ROOT / file), passed, failed, skipped, seconds, tuple(dict.fromkeys(properties)))


def claim_of(file: Path) -> str:
    """The first line of a test file's docstring; empty where there is none."""
    told = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) if file.is_file() else None
    return (told or "").split("\n")[0]
