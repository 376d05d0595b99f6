"""Many small writes, one durable commit: what waits is written in one transaction, and then everybody is answered."""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from queue import Empty, Full, Queue
from typing import Any, TypeAlias, TypeVar, final

from sqlmodel import Session

from allot import BusyError, WorkspaceError
from warehouse.store import Store

T = TypeVar("T")
Work: TypeAlias = Callable[[Session], T]

_MOST_WAITING = 4_096
_ATTEMPTS = 5
_LOST_A_RACE = ("40001", "40P01")  # PostgreSQL: serialization failure, deadlock


@dataclass(frozen=True, slots=True)
class _Waiting:
    work: Work[Any]
    future: Future[Any]


@dataclass(frozen=True, slots=True)
class _Done:
    """What came of a work inside its transaction: a value, or the reason why it failed."""

    value: Any = None
    error: Exception | None = None


@final
class GroupCommit:
    """The one thread of a process that writes to a store.

    A commit that survives a power cut waits for the disk, however little it writes. So works that come in while one
    commit is under way share the next.

    Args:
        store: where to write.
        most: works in one transaction.
        waiting: works that may wait before new ones are refused.
    """

    def __init__(self, store: Store, *, most: int = 256, waiting: int = _MOST_WAITING) -> None:
        self._store = store
        self._most = most
        self._queue: Queue[_Waiting | None] = Queue(waiting)
        self._open = True
        self._admission = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="group-commit", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """Works that wait for their turn, about."""
        return self._queue.qsize()

    def submit(self, work: Work[T]) -> Future[T]:
        """Have something written.

        Works run in the order in which they came. One that fails leaves no trace and fails alone: what shared its
        savepoint is rolled back and done again, each in a savepoint of its own.

        Args:
            work: called with the session, on the writer's thread. It may be called again after what it did was
                rolled back, so it changes nothing but the database. What it returns must not need the session.

        Returns:
            What the work returns, once it is durable. It fails with what the work raised, or with what the commit that
            it shared raised; then nothing of it was written.

        Raises:
            BusyError: too many wait already.
            WorkspaceError: closed.
        """
        future: Future[T] = Future()
        with self._admission:
            if not self._open:
                raise WorkspaceError("nothing is written any more.", remedy="Start the service again.")
            try:
                self._queue.put_nowait(_Waiting(work, future))
            except Full:
                what = f"{self._queue.maxsize:,} writes are waiting already."
                raise BusyError(what, remedy="Try again in a second.") from None
        return future

    def close(self) -> None:
        """Write what waits, then stop. Closing twice is closing once."""
        with self._admission:
            was_open, self._open = self._open, False
        if was_open:
            self._queue.put(None)
        self._thread.join()

    def _run(self) -> None:
        closing = False
        while not closing:
            group = [self._queue.get()]
            while len(group) < self._most:
                try:
                    group.append(self._queue.get_nowait())
                except Empty:
                    break
            closing = None in group
            self._write([one for one in group if one is not None and one.future.set_running_or_notify_cancel()])

    def _write(self, group: Sequence[_Waiting]) -> None:
        if not group:
            return
        for one, done in zip(group, self._committed(group), strict=True):
            if done.error is None:
                one.future.set_result(done.value)
            else:
                one.future.set_exception(done.error)

    def _committed(self, group: Sequence[_Waiting]) -> list[_Done]:
        """One transaction. The loser of a race between two processes tries again, in a transaction of its own."""
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                with self._store.transaction() as session:
                    done = _together(session, [one.work for one in group])
            except Exception as error:  # noqa: BLE001 - handed to everybody who shared the commit
                if attempt < _ATTEMPTS and _lost_a_race(error):
                    continue
                return [_Done(error=error)] * len(group)
            else:
                return done
        raise AssertionError("the last attempt answers")


def _together(session: Session, works: Sequence[Work[Any]]) -> list[_Done]:
    """All works in one savepoint; each in its own where one of them fails, for that is rare and savepoints are dear."""
    done = _alone(session, lambda session: [_flushed(session, work) for work in works])
    if done.error is None:
        return [_Done(value) for value in done.value]
    return [done] if len(works) == 1 else [_alone(session, work) for work in works]


def _flushed(session: Session, work: Work[T]) -> T:
    """What a work returns; the next one sees all that it wrote."""
    value = work(session)
    session.flush()
    return value


def _alone(session: Session, work: Work[Any]) -> _Done:
    """A work in its savepoint. What goes wrong with the savepoint itself is raised: the transaction is gone."""
    savepoint = session.begin_nested()
    try:
        value = _flushed(session, work)
    except Exception as error:  # handed to the one who waits for this work
        savepoint.rollback()
        if _lost_a_race(error):
            raise  # it would lose again while this transaction holds what the others wait for
        return _Done(error=error)
    savepoint.commit()
    return _Done(value)


def _lost_a_race(error: BaseException | None) -> bool:
    while error is not None:
        if getattr(getattr(error, "orig", None), "sqlstate", None) in _LOST_A_RACE:
            return True
        error = error.__cause__
    return False
