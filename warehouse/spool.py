"""Single decisions that were made while the database was away: durable in a file, until it takes them."""

import base64
import errno
import fcntl
import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, final

from allot import WorkspaceError
from warehouse.columns import compact, micros, moment
from warehouse.singles import Single, add_single
from warehouse.store import Store
from warehouse.workspace import is_full, sync

_SUFFIX = ".waiting"


@final
class Spool:
    """One file of one process, a line for each decision. Several threads may use it."""

    def __init__(self, folder: Path, name: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._path = folder / f"{name}{_SUFFIX}"
        self._handle = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        fcntl.flock(self._handle, fcntl.LOCK_EX)
        sync(folder)
        os.ftruncate(self._handle, self._path.read_bytes().rfind(b"\n") + 1)  # a line that a crash cut off
        self._writing = threading.Lock()
        self._waiting = {single.decision_id: single for single in _read(self._path)}

    def __len__(self) -> int:
        return len(self._waiting)

    def find(self, decision_id: str) -> Single | None:
        """A decision that waits."""
        return self._waiting.get(decision_id)

    def keep(self, single: Single) -> Single:
        """Keep a decision; when this returns it is durable.

        Returns:
            the decision; the one before it where there was one of its id.

        Raises:
            WorkspaceError: the disk is full or failing; nothing was kept.
        """
        with self._writing:
            known = self._waiting.get(single.decision_id)
            if known is not None:
                return known
            end = os.lseek(self._handle, 0, os.SEEK_END)
            try:
                line = _line(single)
                if os.write(self._handle, line) < len(line):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                os.fsync(self._handle)
            except OSError as error:
                os.ftruncate(self._handle, end)
                what = "the disk is full" if is_full(error) else f"the disk is failing ({error})"
                remedy = "Free some space; nothing was decided."
                raise WorkspaceError(f"{what}.", where=str(self._path), remedy=remedy) from error
            self._waiting[single.decision_id] = single
        return single

    def drain(self, store: Store) -> int:
        """Hand what waits over to the database; returns how many decisions it took.

        One whose id has been taken meanwhile, by another process, is left out.

        Raises:
            WorkspaceError: the database is still away; everything waits on.
        """
        if not self._waiting:
            return 0
        with self._writing:
            taken = _hand_over(store, list(self._waiting.values()))
            os.ftruncate(self._handle, 0)
            os.fsync(self._handle)
            self._waiting.clear()
        return taken

    def close(self) -> None:
        """Let go of the file; what waits in it is found by `drain_orphans`."""
        os.close(self._handle)


def drain_orphans(store: Store, folder: Path) -> int:
    """Hand over what processes left behind that are gone; returns how many decisions the database took."""
    taken = 0
    for path in sorted(folder.glob(f"*{_SUFFIX}")):
        handle = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            taken += _hand_over(store, list(_read(path)))
            path.unlink()
        except BlockingIOError:  # its owner lives
            continue
        finally:
            os.close(handle)
    return taken


def _hand_over(store: Store, singles: list[Single]) -> int:
    with store.transaction() as session:
        return sum(add_single(session, single) for single in singles)


def _line(single: Single) -> bytes:
    document: dict[str, Any] = {name: getattr(single, name) for name in Single.__dataclass_fields__}
    numbers = base64.b64encode(single.numbers).decode()
    return compact(document | {"numbers": numbers, "decided_at": micros(single.decided_at)}).encode() + b"\n"


def _read(path: Path) -> Iterator[Single]:
    """What is in a file; a last line that a crash cut off was never acknowledged."""
    for line in path.read_bytes().split(b"\n")[:-1]:
        document = json.loads(line)
        numbers = base64.b64decode(document["numbers"])
        yield Single(**document | {"numbers": numbers, "decided_at": moment(document["decided_at"])})
