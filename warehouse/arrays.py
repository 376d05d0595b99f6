"""Arrays as one blob of bytes: the same arrays give the same bytes, and nothing in them can run."""

import io
import zipfile
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from allot import WorkspaceError


def pack_arrays(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """An uncompressed npz of numeric arrays, in the order of their names."""
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **{name: arrays[name] for name in sorted(arrays)})
    return buffer.getvalue()


def unpack_arrays(blob: bytes) -> dict[str, NDArray[Any]]:
    """The arrays of `pack_arrays`.

    Raises:
        WorkspaceError: the blob is damaged, or holds objects instead of numbers.
    """
    try:
        with np.load(io.BytesIO(blob), allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        remedy = "Restore the database from a backup, or train again."
        raise WorkspaceError(f"a stored array is damaged: {error}.", remedy=remedy) from error
