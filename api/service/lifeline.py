"""Processes of the service end with the one that started them, also where that one is killed."""

import os
import signal
import threading


def end_with_parent() -> None:
    """End this process, as SIGTERM would, once its standard input ends: the supervisor holds the other end of it."""

    def watch() -> None:
        while os.read(0, 1):
            continue
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="lifeline", daemon=True).start()
