"""CPU seconds and memory of one piece of work, and the row of figures they end up in."""

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student

Result = TypeVar("Result")
Floats = NDArray[np.float64]
_SELF = Path("/proc/self")

WARM: Final = 30_000
"""Customers of the run that lets everything import and compile."""

MILLION: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Row:
    """What was done, in CPU seconds of all threads.

    `gap` is recounted apart; `wrong` says what is wrong with the answer, empty if nothing is; `kept` whether the floor
    is, None where there is none.
    """

    work: str
    ours: float
    peer: float | None = None
    gap: float | None = None
    status: str = ""
    wrong: str = ""
    floor: str = ""
    kept: bool | None = None
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Difference:
    """Mean over tasks, and half of its 95 % interval by Student's t."""

    mean: float
    half: float

    def __str__(self) -> str:
        return f"{self.mean:+.1f} ± {self.half:.1f}"

    @property
    def below(self) -> bool:
        """Whether the first is significantly worse."""
        return self.mean + self.half < 0

    @property
    def above(self) -> bool:
        """Whether the first is significantly better."""
        return self.mean > self.half


def difference(one: Floats, other: Floats) -> Difference:
    """Paired, of some tasks (t,) each."""
    d = one - other
    half = student.ppf(0.975, len(d) - 1) * d.std(ddof=1) / np.sqrt(len(d))
    return Difference(float(d.mean()), float(half))


def said(kept: bool | None) -> str:
    """Whether a floor is kept, in a table; empty where there is none."""
    return "" if kept is None else "yes" if kept else "NO"


def timed(work: Callable[[], Result]) -> tuple[Result, float]:
    """What the work returns and the CPU seconds of all threads it took."""
    started = time.process_time()
    result = work()
    return result, time.process_time() - started


def peak(work: Callable[[], Result]) -> tuple[Result, int]:
    """What the work returns and the bytes by which resident memory rose above its start at the highest. Linux only."""
    _SELF.joinpath("clear_refs").write_text("5")  # forget the highest resident memory so far
    before = _kibibytes("VmRSS")
    result = work()
    return result, 1024 * (_kibibytes("VmHWM") - before)


def _kibibytes(field: str) -> int:
    found = re.search(rf"{field}:\s+(\d+)", _SELF.joinpath("status").read_text())
    if found is None:
        raise OSError(f"/proc/self/status has no {field}: memory is measured on Linux only.")
    return int(found[1])
