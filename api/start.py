"""The very start of `allot`: from here on Ctrl-C ends it with one line, also while libraries are still loading."""

import json
import os
import signal
import sys
from itertools import pairwise
from typing import Any, NoReturn

from api.ending import ending_at_once

INTERRUPTED = 130
TOLD = {
    "kind": "Interrupted",
    "where": "",
    "what": "interrupted: nothing half-done was kept.",
    "remedy": "Run the same command again.",
}


def main() -> None:
    """Entry point: an interrupted command ends at once, whatever its interruption looks like by the time it gets here.

    Compiled libraries turn it into errors of their own, and threads of theirs may still be at work, which an orderly
    end of the interpreter would abort on.
    """
    pressed: list[int] = []

    def interrupt(number: int, _frame: Any) -> None:
        pressed.append(number)
        sys.unraisablehook = lambda _: None  # what libraries cannot pass on is no news either
        raise KeyboardInterrupt

    signal.signal(signal.SIGINT, interrupt)
    try:
        with ending_at_once():
            from api.cli import main as run

            run()
    except SystemExit as end:
        if pressed:
            _leave(end.code if isinstance(end.code, int) else 1)
        raise
    except BaseException:
        if not pressed:
            raise
        tell_interrupted(as_json=wants_json())
        _leave(INTERRUPTED)


def wants_json() -> bool:
    """Whether the answer is for a program; asked before the command line is understood."""
    return "--output=json" in sys.argv or ("--output", "json") in pairwise(sys.argv)


def tell_interrupted(*, as_json: bool) -> None:
    """One line on stderr; for programs also a document on stdout."""
    sys.stderr.write("interrupted: nothing half-done was kept; run the same command again\n")
    if as_json:
        sys.stdout.write(json.dumps({"error": TOLD}, indent=1) + "\n")


def _leave(code: int) -> NoReturn:
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    main()
