"""Memory that long work leaves behind goes back to the system: a process that lives for months is not one command."""

import ctypes
import sys


def give_back() -> None:
    """Return to the system what the allocators of C and of Arrow keep for later; nothing where they cannot.

    Without it, the pieces that a fold of a long log leaves free are kept, and every fold leaves others.
    """
    if "pyarrow" in sys.modules:
        sys.modules["pyarrow"].default_memory_pool().release_unused()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # of glibc alone
    if trim is not None:
        trim(0)
