"""Processes of the service end with the one that started them, also where that one is killed."""

import os
import signal
import threading

HELD = "ALLOT_LIFELINE"
"""Set for processes whose standard input is a pipe that the supervisor holds open."""


def end_with_parent() -> None:
    """End this process, as SIGTERM would, once the supervisor is gone; nothing where none has started it."""
    if HELD in os.environ:
        threading.Thread(target=_watch, name="lifeline", daemon=True).start()


def _watch() -> None:
    while os.read(0, 1):
        continue
    os.kill(os.getpid(), signal.SIGTERM)
