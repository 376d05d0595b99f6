"""A disk that can lose power: what SQLite writes and syncs is recorded, and a cut keeps only what had to survive.

The recorder is a SQLite VFS made of the system's own: `xOpen`, `xWrite`, `xTruncate` and `xSync` note what they are
asked before they pass it on. A cut at some moment builds the files anew: everything that a sync had finished, and of
what was written since a random part, sector by sector, in no order. A file that was never synced may be gone.
"""

import ctypes
import ctypes.util
import random
from collections.abc import Iterator
from contextlib import contextmanager
from ctypes import CFUNCTYPE, POINTER, Structure, addressof, c_char_p, c_int, c_int64, c_void_p, cast, pointer
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

SECTOR = 512
_OPEN = CFUNCTYPE(c_int, c_void_p, c_void_p, c_void_p, c_int, c_void_p)
_DELETE = CFUNCTYPE(c_int, c_void_p, c_void_p, c_int)
_WRITE = CFUNCTYPE(c_int, c_void_p, c_void_p, c_int, c_int64)
_TRUNCATE = CFUNCTYPE(c_int, c_void_p, c_int64)
_SYNC = CFUNCTYPE(c_int, c_void_p, c_int)


class _Vfs(Structure):
    """sqlite3_vfs, version 3."""


class _Methods(Structure):
    """sqlite3_io_methods, version 3."""

    _fields_ = (
        ("version", c_int),
        *((name, c_void_p) for name in ("close", "read")),
        ("write", c_void_p),
        ("truncate", c_void_p),
        ("sync", c_void_p),
        *((f"rest_{i}", c_void_p) for i in range(13)),
    )


class _File(Structure):
    """sqlite3_file: what the system's own VFS keeps behind it stays as it is."""

    _fields_ = (("methods", POINTER(_Methods)),)


_Vfs._fields_ = (
    ("version", c_int),
    ("file_size", c_int),
    ("longest_path", c_int),
    ("next", c_void_p),
    ("name", c_char_p),
    ("data", c_void_p),
    ("open", c_void_p),
    ("delete", c_void_p),
    *((f"rest_{i}", c_void_p) for i in range(14)),
)


@dataclass
class Trace:
    """What happened to files, in order: (kind, path, offset or size, bytes); "said" is an acknowledgement.

    SQLite deletes its log when the last connection is closed; a cut looks at moments before that.
    """

    events: list[tuple[str, str, int, Any]] = field(default_factory=list)

    def say(self, what: Any) -> None:
        """An acknowledgement leaves the house: from here on it may not be taken back."""
        self.events.append(("said", "", 0, what))


@dataclass
class _Disk:
    """One file: what is safe, and what is not yet. `safe` is None as long as not even the name is."""

    safe: bytearray | None = None
    waiting: list[tuple[str, int, bytes]] = field(default_factory=list)

    def sync(self) -> None:
        self.safe = self.safe if self.safe is not None else bytearray()
        for kind, at, content in self.waiting:
            _apply(self.safe, kind, at, content)
        self.waiting.clear()

    def after_a_cut(self, draw: random.Random) -> bytes | None:
        if self.safe is None and draw.random() < 0.5:
            return None
        left = bytearray(self.safe or b"")
        share = draw.choice((0.0, 0.1, 0.5, 0.9, 1.0))
        pieces = [piece for one in self.waiting for piece in _sectors(*one)]
        for kind, at, content in draw.sample(pieces, len(pieces)) if draw.random() < 0.5 else pieces:
            if draw.random() < share:
                _apply(left, kind, at, content)
        return bytes(left)


def _sectors(kind: str, at: int, content: bytes) -> Iterator[tuple[str, int, bytes]]:
    if kind == "truncate":
        yield kind, at, content
        return
    start = at
    while start < at + len(content):
        end = min((start // SECTOR + 1) * SECTOR, at + len(content))
        yield kind, start, content[start - at : end - at]
        start = end


def _apply(file: bytearray, kind: str, at: int, content: bytes) -> None:
    if kind == "truncate":
        del file[at:]
        return
    file.extend(bytes(max(0, at - len(file))))
    file[at : at + len(content)] = content


def cuts(
    trace: Trace, before: dict[str, bytes], moments: list[int], draw: random.Random
) -> Iterator[tuple[dict[str, bytes], list[Any]]]:
    """The files after a power cut at each of some moments, and everything that had been acknowledged by then.

    Args:
        trace: what was recorded.
        before: the files as they safely were when recording began.
        moments: positions in the trace, rising.
        draw: what survives.
    """
    disk = {path: _Disk(bytearray(content)) for path, content in before.items()}
    said: list[Any] = []
    done = 0
    for moment in moments:
        for kind, path, at, content in trace.events[done:moment]:
            assert kind != "delete", "a cut does not know how to lose a deletion"
            if kind == "said":
                said.append(content)
            elif kind == "sync":
                disk.setdefault(path, _Disk()).sync()
            else:
                disk.setdefault(path, _Disk()).waiting.append((kind, at, content))
        done = moment
        left = {path: file.after_a_cut(draw) for path, file in disk.items()}
        yield {path: content for path, content in left.items() if content is not None}, list(said)


_kept: list[Any] = []  # what SQLite may still call


@contextmanager
def recording() -> Iterator[Trace]:
    """Every SQLite file opened inside the block is recorded. Syncs are noted, not done: the machine has its power."""
    import _sqlite3

    library = ctypes.CDLL(_sqlite3.__file__)  # the SQLite that Python itself uses, wherever it comes from
    library.sqlite3_vfs_find.restype = POINTER(_Vfs)
    system = library.sqlite3_vfs_find(None)
    trace = Trace()
    recorder = _recorder(system, trace)
    assert library.sqlite3_vfs_register(pointer(recorder), 1) == 0
    try:
        yield trace
    finally:
        library.sqlite3_vfs_unregister(pointer(recorder))
        library.sqlite3_vfs_register(system, 1)


def _recorder(system: Any, trace: Trace) -> _Vfs:
    paths: dict[int, str] = {}
    watched: dict[int, Any] = {}  # the system's methods -> ours
    open_file, delete_file = cast(system.contents.open, _OPEN), cast(system.contents.delete, _DELETE)

    def opened(_vfs: int, path: int | None, file: int, flags: int, out: int | None) -> int:
        code = int(open_file(addressof(system.contents), path, file, flags, out))
        if code == 0 and path is not None:
            its = cast(file, POINTER(_File)).contents
            own = addressof(its.methods.contents)
            if own not in watched:
                watched[own] = _watched(its.methods.contents, paths, trace)
            its.methods = watched[own]
            paths[file] = ctypes.string_at(path).decode()
        return code

    def deleted(_vfs: int, path: int, sync_folder: int) -> int:
        trace.events.append(("delete", ctypes.string_at(path).decode(), sync_folder, b""))
        return int(delete_file(addressof(system.contents), path, sync_folder))

    recorder = _Vfs.from_buffer_copy(system.contents)
    recorder.name = b"power-cuts"
    calls = (_OPEN(opened), _DELETE(deleted))
    recorder.open, recorder.delete = (cast(call, c_void_p).value for call in calls)
    _kept.extend((recorder, calls, paths, watched))
    return recorder


def _watched(own: Any, paths: dict[int, str], trace: Trace) -> Any:
    """A copy of a file's methods that notes what is written, cut short and synced."""
    write_file, truncate_file = cast(own.write, _WRITE), cast(own.truncate, _TRUNCATE)

    def write(file: int, content: int, size: int, at: int) -> int:
        trace.events.append(("write", paths[file], at, ctypes.string_at(content, size)))
        return int(write_file(file, content, size, at))

    def truncate(file: int, size: int) -> int:
        trace.events.append(("truncate", paths[file], size, b""))
        return int(truncate_file(file, size))

    def sync(file: int, _flags: int) -> int:
        trace.events.append(("sync", paths[file], 0, b""))
        return 0

    methods = _Methods.from_buffer_copy(own)
    calls = (_WRITE(write), _TRUNCATE(truncate), _SYNC(sync))
    methods.write, methods.truncate, methods.sync = (cast(call, c_void_p).value for call in calls)
    _kept.extend((methods, calls))
    return pointer(methods)


def restore(folder: Path, files: dict[str, bytes]) -> None:
    """Put files into an empty folder, each under its own name."""
    for path, content in files.items():
        (folder / Path(path).name).write_bytes(content)
