"""Where the time goes: named stages that report their progress and remember their seconds."""

import resource
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeAlias

Reporter: TypeAlias = Callable[[str, int, int], None]
"""Called with (stage, rows done, rows in all); done == rows in all ends the stage."""


def silent(stage: str, done: int, total: int) -> None:
    """The reporter of those who do not watch."""


class Stages:
    """Runs stages one after the other, tells a reporter, and keeps seconds and peak memory for the record."""

    def __init__(self, reporter: Reporter = silent) -> None:
        self._report = reporter
        self.seconds: dict[str, float] = {}

    @contextmanager
    def __call__(self, name: str, rows: int = 1) -> Iterator[Callable[[int], None]]:
        """Time one stage of `rows` rows; yields a callback that takes the rows done so far."""
        started = time.perf_counter()
        total = max(rows, 1)
        self._report(name, 0, total)
        yield lambda done: self._report(name, min(done, total - 1), total)
        self._report(name, total, total)
        self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - started

    @staticmethod
    def peak_memory_mb() -> float:
        """Largest resident memory of this process so far, in MB."""
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
