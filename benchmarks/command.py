"""Running the real command and measuring it from outside."""

import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ALLOT = Path(sys.executable).with_name("allot")


@dataclass(frozen=True, slots=True)
class Run:
    """One command: its JSON document, wall and CPU seconds, and the largest resident memory of the process in MB."""

    document: dict[str, Any]
    seconds: float
    cpu_seconds: float
    peak_memory_mb: float


def allot(home: Path, *words: object) -> Run:
    """Run `allot` with JSON output in a process of its own.

    Raises:
        SystemExit: the command failed; its error text is shown.
    """
    command = [str(ALLOT), *map(str, words), "--output", "json"]
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        started = time.perf_counter()
        process = subprocess.Popen(command, stdout=out, stderr=err, env={**os.environ, "ALLOT_HOME": str(home)})
        _, status, used = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        err.seek(0)
        if process.returncode:
            sys.exit(f"{' '.join(command)} failed ({process.returncode}):\n{err.read().decode()[-2000:]}")
        return Run(json.load(out), seconds, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)
