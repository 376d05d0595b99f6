"""The end of a process: at once, as soon as it is done."""

import atexit
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress


@contextmanager
def ending_at_once() -> Iterator[None]:
    """What this block holds is all that the process does: then it ends, and nothing that it has loaded is taken apart.

    Taking apart our libraries costs as much as many a command. Threads are waited for before, and whatever else wants
    to be told of the end is told. An error that leaves the block ends the process as errors do.
    """
    codes: list[int] = []
    atexit.register(_leave, codes)  # called after all that the block registers
    try:
        yield
    except SystemExit as end:
        if end.code is None or isinstance(end.code, int):
            codes.append(end.code or 0)
        raise
    codes.append(0)


def _leave(codes: list[int]) -> None:
    with suppress(OSError, ValueError, AttributeError):  # nobody reads any more: the interpreter has its own way then
        sys.stdout.flush()
        sys.stderr.flush()
        if codes:
            os._exit(codes[0])
