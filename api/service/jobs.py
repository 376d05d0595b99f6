"""Running durable jobs: kinds of work by name, progress that is kept, cancelling, going on where another stopped."""

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol, TypeAlias, final

import structlog

from allot import AllotError, LockedError, WorkspaceError
from engine.stages import Reporter
from warehouse import Job, JobCancelledError, JobEvent, JobLostError, Jobs, JobState, Store, Workspace

Clock: TypeAlias = Callable[[], datetime]
Measured: TypeAlias = Callable[[str], AbstractContextManager[Any]]

LEASE = timedelta(seconds=30)
"""A worker that has not been heard of for so long has lost its job."""

_LOCKED_WAIT = timedelta(seconds=1)
_TOLD_EVERY = 0.5  # seconds between two reports of the same stage
_log = structlog.get_logger()


class JobQueue(Protocol):
    """What those see who ask for work; `warehouse.Jobs` is one."""

    def submit(
        self, job_id: str, kind: str, document: dict[str, Any], *, key: str | None, by: str, now: datetime
    ) -> Job:
        """Ask for work; with a key that was used before, nothing but that job."""

    def get(self, job_id: str) -> Job:
        """A job by id."""

    def list(self, *, kind: str, before: datetime | None = None, most: int = 100) -> tuple[Job, ...]:
        """Jobs of a kind, newest first."""

    def events(self, job_id: str, *, after: int = 0) -> tuple[JobEvent, ...]:
        """What happened to a job since an event."""

    def cancel(self, job_id: str, *, now: datetime) -> Job:
        """Stop a job at the next occasion."""


@dataclass(frozen=True, slots=True)
class Context:
    """What a kind of work is given besides its document.

    Args:
        workspace: of the tenant; the work opens what it needs.
        asked_by: who asked for the job.
        reporter: told about progress; it raises where the job should stop.
        now: the clock.
        step: `step(name, work)` does a part of the job once: whoever goes on with the job is given what it gave.
    """

    workspace: Workspace
    asked_by: str
    reporter: Reporter
    now: Clock
    step: Callable[[str, Callable[[], Any]], Any]


Kind: TypeAlias = Callable[[Context, Mapping[str, Any]], Any]
"""A kind of work: (context, document) -> result as finite JSON. Run again after a crash, it must do no harm."""


class _StoppedError(Exception):
    """The worker is to end; the job goes back."""


@final
class Runner:
    """Runs the jobs of one tenant, one at a time.

    Args:
        workspace: of the tenant.
        store: its operational database.
        worker: who we are.
        kinds: the kinds of work that are done here.
        now: the clock.
        lease: how long we may be silent.
        stopping: set when this process is to end.
        measured: `measured(kind)` is entered around each job.
    """

    def __init__(
        self,
        workspace: Workspace,
        store: Store,
        worker: str,
        kinds: Mapping[str, Kind],
        *,
        now: Clock,
        lease: timedelta = LEASE,
        stopping: threading.Event | None = None,
        measured: Measured = nullcontext,
    ) -> None:
        self._workspace = workspace
        self._jobs = Jobs(store)
        self._worker = worker
        self._kinds = kinds
        self._now = now
        self._lease = lease
        self._stopping = stopping or threading.Event()
        self._measured = measured

    def run_next(self) -> Job | None:
        """Run the oldest job that waits, to its end if nothing comes between; None where none waits."""
        job = self._jobs.claim(self._worker, tuple(self._kinds), now=self._now(), lease=self._lease)
        if job is None:
            return None
        log = _log.bind(job_id=job.job_id, kind=job.kind, attempt=job.attempt)
        log.info("job begins")
        try:
            self._run(job, log)
        except JobLostError:
            log.warning("job lost to another worker")
        return job

    def _run(self, job: Job, log: Any) -> None:
        progress = _Progress(self._jobs, job, self._now, self._lease, self._stopping)
        try:
            with progress.alive(), self._measured(job.kind):
                context = Context(self._workspace, job.asked_by, progress, self._now, progress.step)
                result = self._kinds[job.kind](context, job.document)
                progress.check()
        except JobCancelledError:
            self._end(job, log, "cancelled")
        except _StoppedError:
            self._jobs.give_back(job, now=self._now(), wait=timedelta())
        except LockedError:
            self._jobs.give_back(job, now=self._now(), wait=_LOCKED_WAIT)
        except AllotError as error:
            self._end(job, log, "failed", error=_said(error))
        except JobLostError:
            raise
        except Exception as error:
            log.exception("job failed unexpectedly")
            self._end(job, log, "failed", error=_said(WorkspaceError(f"unexpected {type(error).__name__}.")))
        else:
            self._end(job, log, "done", result=result)

    def _end(self, job: Job, log: Any, state: JobState, *, result: Any = None, error: Any = None) -> None:
        self._jobs.end(job, state, now=self._now(), result=result, error=error)
        log.info("job ends", state=state)


def _said(error: AllotError) -> dict[str, str]:
    return {"kind": type(error).__name__, "where": error.where, "what": error.what, "remedy": error.remedy}


@final
class _Progress:
    """A reporter that keeps what it is told, keeps the job alive in long stages, and says when to stop."""

    def __init__(self, jobs: Jobs, job: Job, now: Clock, lease: timedelta, stopping: threading.Event) -> None:
        self._jobs, self._job, self._now, self._lease, self._stopping = jobs, job, now, lease, stopping
        self._told: tuple[str, float] = ("", 0.0)
        self._wrong: JobLostError | JobCancelledError | None = None

    def __call__(self, stage: str, done: int, total: int) -> None:
        """Keep how far a stage has come, at most twice a second.

        Raises:
            JobLostError, JobCancelledError: the job is to stop; so does a stop of the whole worker.
        """
        self.check()
        at = time.monotonic()
        if stage == self._told[0] and done < total and at < self._told[1] + _TOLD_EVERY:
            return
        self._told = (stage, at)
        self._jobs.report(self._job, stage, done, total, now=self._now())

    def step(self, name: str, work: Callable[[], Any]) -> Any:
        """Do a part of the job once."""
        self.check()
        return self._jobs.step(self._job, name, work, now=self._now)

    def check(self) -> None:
        """Raise where the job is to stop."""
        if self._wrong is not None:
            raise self._wrong
        if self._stopping.is_set():
            raise _StoppedError

    @contextmanager
    def alive(self) -> Iterator[None]:
        """Say every second, or three times in a short lease, that the job is being worked on."""
        over = threading.Event()
        thread = threading.Thread(target=self._beat, args=(over,), name="job-alive", daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def _beat(self, over: threading.Event) -> None:
        while not over.wait(min(self._lease.total_seconds() / 3, 1.0)):
            try:
                self._jobs.beat(self._job, now=self._now(), lease=self._lease)
            except (JobLostError, JobCancelledError) as wrong:
                self._wrong = wrong
                return
            except WorkspaceError as error:  # the database is busy or gone: while it is, nobody else can claim the job
                _log.warning("job cannot say that it is alive", job_id=self._job.job_id, error=str(error))
