"""Many small writes, one durable commit: what waits is written in one transaction, and then everybody is answered."""

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Any, TypeAlias, TypeVar, final

from sqlmodel import Session

from allot import BusyError, WorkspaceError
from warehouse.driver_errors import lost_a_race
from warehouse.store import Store

T = TypeVar("T")
Item = TypeVar("Item")
Work: TypeAlias = Callable[[Session], T]
Together: TypeAlias = Callable[[Session, Sequence[Item]], Sequence[T]]

_MOST_WAITING = 4_096
_PATIENCE = 0.01  # seconds that a commit waits for those who should come
_MOST_IN_VAIN = 64  # commits that are not waited for


@dataclass(frozen=True, slots=True)
class _Waiting:
    """An item that `together` takes, with others of its kind if there are any."""

    together: Together[Any, Any]
    item: Any
    future: Future[Any]


@dataclass(frozen=True, slots=True)
class _Done:
    """What came of a work inside its transaction: a value, or the reason why it failed."""

    value: Any = None
    error: Exception | None = None


@final
class Company:
    """How many to wait for before the next commit: who was just answered may well ask again at once.

    Without that, half of them would be written while the other half is answered, in twice as many commits. Who waited
    and nobody came waits no more for a while, each time longer.
    """

    def __init__(self) -> None:
        self._awaited = 1
        self._in_vain = 0
        self._rest = 0

    def awaited(self) -> int:
        """How many should share the next commit, if they come in time."""
        return 1 if self._rest else self._awaited

    def shared(self, before: int, came: int, waiting: int) -> None:
        """What became of it.

        Args:
            before: so many were there when the commit began to wait.
            came: so many shared it.
            waiting: so many have come since.
        """
        if self._rest:
            self._rest -= 1
        elif before < self._awaited:
            self._in_vain = min(2 * self._in_vain + 1, _MOST_IN_VAIN) if came == before else 0
            self._rest = self._in_vain
        self._awaited = came + waiting


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
        self._queue: SimpleQueue[_Waiting | None] = SimpleQueue()
        self._most_waiting = waiting
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
        transaction is rolled back and done again, each in a savepoint of its own.

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
        return self.submit_item(work, _one_work)

    def submit_item(self, item: Item, together: Together[Item, T]) -> Future[T]:
        """Have an item written with those of its kind that share its commit.

        Statements cost more than rows, so a set is cheaper than its items. They are done where the first of them would
        be. Where anything in their transaction fails, all of it is rolled back and each is done alone.

        Args:
            item: what to write.
            together: called with the session and one or several items; it returns a value for each. Otherwise as a work
                of `submit`, which says what is returned and raised.
        """
        future: Future[T] = Future()
        with self._admission:
            if not self._open:
                raise WorkspaceError("nothing is written any more.", remedy="Start the service again.")
            if self._queue.qsize() >= self._most_waiting:
                what = f"{self._most_waiting:,} writes are waiting already."
                raise BusyError(what, remedy="Try again in a second.")
            self._queue.put(_Waiting(together, item, future))
        return future

    def close(self) -> None:
        """Write what waits, then stop. Closing twice is closing once."""
        with self._admission:
            was_open, self._open = self._open, False
        if was_open:
            self._queue.put(None)
        self._thread.join()

    def _run(self) -> None:
        closing, company = False, Company()
        while not closing:
            group = [self._queue.get()]
            self._take(group, self._most, 0.0)
            before = len(group)
            self._take(group, min(self._most, company.awaited()), _PATIENCE)
            closing = None in group
            self._write([one for one in group if one is not None and one.future.set_running_or_notify_cancel()])
            company.shared(before, len(group), self._queue.qsize())

    def _take(self, group: list[_Waiting | None], most: int, seconds: float) -> None:
        """Let a group grow to at most so many by what comes in time; nothing comes after the end."""
        until = time.monotonic() + seconds
        while len(group) < most and group[-1] is not None:
            try:
                group.append(self._queue.get(timeout=max(0.0, until - time.monotonic())))
            except Empty:
                return

    def _write(self, group: Sequence[_Waiting]) -> None:
        if not group:
            return
        for one, done in zip(group, self._committed(group), strict=True):
            if done.error is None:
                one.future.set_result(done.value)
            else:
                one.future.set_exception(done.error)

    def _committed(self, group: Sequence[_Waiting]) -> list[_Done]:
        """All in one transaction; where one fails, which is rare, again with a savepoint for each."""
        try:
            return self._in_one(group, _all_at_once)
        except _WorkError as failed:
            return [_Done(error=failed.error)] if len(group) == 1 else self._in_one(group, _one_by_one)

    def _in_one(self, group: Sequence[_Waiting], way: Together[_Waiting, _Done]) -> list[_Done]:
        try:
            return list(self._store.repeated(lambda session: way(session, group)))
        except _WorkError:
            raise
        except Exception as error:  # noqa: BLE001 - handed to everybody who shared the commit
            return [_Done(error=error)] * len(group)


class _WorkError(Exception):
    """A work failed, not the transaction around it."""

    def __init__(self, error: Exception) -> None:
        super().__init__(str(error))
        self.error = error


def _one_work(session: Session, works: Sequence[Work[T]]) -> list[T]:
    return [_flushed(session, work) for work in works]


def _all_at_once(session: Session, group: Sequence[_Waiting]) -> list[_Done]:
    """What came of everything, items of a kind in one set.

    Raises:
        _WorkError: the first that failed.
    """
    sets: dict[Together[Any, Any], list[int]] = {}
    for place, one in enumerate(group):
        sets.setdefault(one.together, []).append(place)
    done: dict[int, _Done] = {}
    for together, places in sets.items():
        try:
            values = together(session, [group[place].item for place in places])
        except Exception as error:
            if lost_a_race(error):
                raise
            raise _WorkError(error) from error
        done |= {place: _Done(value) for place, value in zip(places, values, strict=True)}
    return [done[place] for place in range(len(group))]


def _one_by_one(session: Session, group: Sequence[_Waiting]) -> list[_Done]:
    return [_alone(session, one) for one in group]


def _flushed(session: Session, work: Work[T]) -> T:
    """What a work returns; the next one sees all that it wrote."""
    value = work(session)
    session.flush()
    return value


def _alone(session: Session, one: _Waiting) -> _Done:
    """An item in its savepoint. What goes wrong with the savepoint itself is raised: the transaction is gone."""
    savepoint = session.begin_nested()
    try:
        (value,) = one.together(session, [one.item])
    except Exception as error:  # handed to the one who waits for this work
        savepoint.rollback()
        if lost_a_race(error):
            raise  # it would lose again while this transaction holds what the others wait for
        return _Done(error=error)
    savepoint.commit()
    return _Done(value)
