"""What a process says of itself every few seconds: CPU time, its cost, and how much waits to be written."""

import threading
from collections.abc import Callable
from typing import final

from api.service.metrics import Metrics

SECONDS = 5.0


def _nothing() -> None:
    """There is nothing else to be looked at."""


@final
class Pulse:
    """A thread that observes until it is closed.

    Args:
        metrics: of this process.
        process: web or worker.
        hour_price: of an hour of CPU.
        observe: what else is to be looked at; it must not fail.
    """

    def __init__(
        self, metrics: Metrics, process: str, hour_price: float, observe: Callable[[], None] = _nothing
    ) -> None:
        self._metrics, self._process, self._price, self._observe = metrics, process, hour_price, observe
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="pulse", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Observe once more, and stop."""
        self._ending.set()
        self._thread.join()

    def _run(self) -> None:
        ended = False
        while not ended:
            ended = self._ending.wait(SECONDS)
            self._metrics.charge_cpu(self._process, self._price)
            self._observe()
