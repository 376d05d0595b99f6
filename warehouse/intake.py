"""Feedback taken at rate: what comes from many callers at once is written as one set."""

import threading
from concurrent.futures import Future
from dataclasses import dataclass
from typing import final

from sqlmodel import Session

from allot import BusyError
from warehouse.feedback import AlsoDecided, Answer, Batch, no_more, write_feedback
from warehouse.group_commit import GroupCommit

_MOST_WAITING = 50_000  # records: about a second's work


@dataclass(frozen=True, slots=True)
class _Caller:
    batch: Batch
    future: Future[list[Answer]]


@final
class Intake:
    """Takes batches of records into the log.

    Statements cost more than rows. So batches that wait for the writer are written together, in the order in which
    they came; each caller gets the answers to its own records, once they are durable.

    Args:
        writer: the process's writer.
        also_decided: of decisions that a batch does not know, those that the database does.
        waiting: records that may wait before more are refused.
    """

    def __init__(
        self, writer: GroupCommit, *, also_decided: AlsoDecided = no_more, waiting: int = _MOST_WAITING
    ) -> None:
        self._writer = writer
        self._also_decided = also_decided
        self._most = waiting
        self._waiting: list[_Caller] = []
        self._records = 0
        self._lock = threading.Lock()

    def take(self, batch: Batch) -> "Future[list[Answer]]":
        """Have a batch written.

        Returns:
            An answer to each record, once they are durable.

        Raises:
            BusyError: too much waits already.
            WorkspaceError: the writer is closed.
        """
        caller = _Caller(batch, Future())
        with self._lock:
            if self._waiting and self._records + len(batch.items) > self._most:
                what = f"{self._records:,} records of feedback are waiting already."
                raise BusyError(what, remedy="Send them again in a second.")
            if not self._waiting:
                together = _Together(self)
                self._writer.submit(together).add_done_callback(together.tell)
            self._waiting.append(caller)
            self._records += len(batch.items)
        return caller.future

    def _next(self) -> list[_Caller]:
        with self._lock:
            callers, self._waiting, self._records = self._waiting, [], 0
        return callers


@final
class _Together:
    """One work of the writer: whatever waits when its turn comes. Called again after a lost race, it is the same."""

    def __init__(self, intake: Intake) -> None:
        self._intake = intake
        self._callers: list[_Caller] = []

    def __call__(self, session: Session) -> list[list[Answer]]:
        """Write the batches."""
        self._callers = self._callers or self._intake._next()
        batches = [caller.batch for caller in self._callers]
        return write_feedback(session, batches, also_decided=self._intake._also_decided)

    def tell(self, done: "Future[list[list[Answer]]]") -> None:
        """Give everybody their answers, or the reason why nothing was written."""
        error = done.exception()
        self._callers = self._callers or self._intake._next()  # the transaction may have failed before its turn came
        answers = [[]] * len(self._callers) if error is not None else done.result()
        for caller, mine in zip(self._callers, answers, strict=True):
            if not caller.future.set_running_or_notify_cancel():
                continue
            if error is None:
                caller.future.set_result(mine)
            else:
                caller.future.set_exception(error)
