"""Durable jobs: asked for once, claimed by one worker at a time, and taken over from a worker that fell silent."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, cast, final

from sqlalchemy import and_, func, or_, update
from sqlmodel import Session, col, select

from allot import NotFoundError
from warehouse.database import insert_into
from warehouse.job_tables import JobEventRow, JobRow, JobStepRow

if TYPE_CHECKING:
    from warehouse.store import Store

JobState: TypeAlias = Literal["queued", "running", "done", "failed", "cancelled"]
ENDED: tuple[JobState, ...] = ("done", "failed", "cancelled")
MOST_LOST = 5
"""A job that has lost so many workers takes them with it: it has failed."""


@dataclass(frozen=True, slots=True)
class Job:
    """One request for work and where it stands.

    Args:
        job_id: names it.
        kind: of work.
        document: what was asked for; `digest` names it.
        request_key: of whoever asked, so that asking again is no second job; None: every request is another.
        asked_by: who that was.
        state: "queued", "running", "done", "failed" or "cancelled".
        attempt: how often it was claimed.
        cancel_asked: it should stop at the next occasion.
        result: what it gave, once done.
        error: kind, where, what and remedy, once failed.
    """

    job_id: str
    kind: str
    document: dict[str, Any]
    digest: str
    request_key: str | None
    asked_by: str
    state: JobState
    created_at: datetime
    ended_at: datetime | None
    attempt: int
    cancel_asked: bool
    result: Any
    error: Any


@dataclass(frozen=True, slots=True)
class JobEvent:
    """One thing that happened to a job: `stage` is empty where its state changed."""

    event: int
    at: datetime
    state: JobState
    stage: str
    done: int
    total: int


class JobLostError(Exception):
    """The job is no longer this worker's: another one has taken it over, or it has come to an end."""


class JobCancelledError(Exception):
    """Somebody wants the job to stop."""


def digest_of(document: Any) -> str:
    """Names a document; equal documents have equal digests."""
    return sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()


@final
class Jobs:
    """The jobs of one operational database. Every method is one transaction, or joins the one it is called in.

    `attempt` is the fence: whatever a worker writes about a job names the attempt that it claimed, and is refused once
    another has claimed it. Clocks decide only when a silent worker is given up, never whose work counts.
    """

    def __init__(self, store: "Store") -> None:
        self._store = store

    def submit(
        self, job_id: str, kind: str, document: dict[str, Any], *, key: str | None, by: str, now: datetime
    ) -> Job:
        """Ask for work; with a key that was used before for this kind of work, nothing but that job.

        Its `digest` says whether it was asked for the same: compare it with `digest_of(document)`.
        """
        row = JobRow(
            job_id=job_id,
            kind=kind,
            request_key=key,
            document=document,
            digest=digest_of(document),
            asked_by=by,
            state="queued",
            created_at=now,
            not_before=now,
        )
        with self._store.transaction() as session:
            if _insert_new(session, row):
                _tell(session, job_id, now, "queued")
                return self.get(job_id)
            known = session.exec(select(JobRow).where(JobRow.kind == kind, JobRow.request_key == key)).one()
            return _job(known)

    def get(self, job_id: str) -> Job:
        """A job by id.

        Raises:
            NotFoundError: there is none.
        """
        with self._store.transaction(write=False) as session:
            row = session.get(JobRow, job_id, populate_existing=True)
        if row is None:
            raise NotFoundError(f"there is no job {job_id!r}.", remedy="Check the id.")
        return _job(row)

    def list(self, *, kind: str, before: Job | None = None, most: int = 100) -> tuple[Job, ...]:
        """Jobs of a kind, newest first, those that come after some job in this order where one is given."""
        query = select(JobRow).where(JobRow.kind == kind)
        if before is not None:
            same = and_(col(JobRow.created_at) == before.created_at, col(JobRow.job_id) > before.job_id)
            query = query.where(or_(col(JobRow.created_at) < before.created_at, same))
        query = query.order_by(col(JobRow.created_at).desc(), col(JobRow.job_id)).limit(most)
        with self._store.transaction(write=False) as session:
            return tuple(_job(row) for row in session.exec(query))

    def waiting(self) -> int:
        """How many jobs wait for a worker."""
        query = select(func.count()).select_from(JobRow).where(JobRow.state == "queued")
        with self._store.transaction(write=False) as session:
            return session.exec(query).one()

    def events(self, job_id: str, *, after: int = 0) -> tuple[JobEvent, ...]:
        """What happened to a job, after some event where one is given, in order."""
        query = select(JobEventRow).where(JobEventRow.job_id == job_id, col(JobEventRow.event) > after)
        with self._store.transaction(write=False) as session:
            rows = session.exec(query.order_by(col(JobEventRow.event))).all()
        return tuple(JobEvent(r.event, r.at, cast(JobState, r.state), r.stage, r.done, r.total) for r in rows)

    def cancel(self, job_id: str, *, now: datetime) -> Job:
        """Stop a job: at once where it waits, at its next report where it runs; one that has ended stays as it is."""
        with self._store.transaction() as session:
            waits = (col(JobRow.job_id) == job_id, col(JobRow.state) == "queued")
            ended = update(JobRow).where(*waits).values(state="cancelled", cancel_asked=True, ended_at=now)
            if session.connection().execute(ended).rowcount:
                _tell(session, job_id, now, "cancelled")
            runs = (col(JobRow.job_id) == job_id, col(JobRow.state) == "running")
            session.connection().execute(update(JobRow).where(*runs).values(cancel_asked=True))
            return self.get(job_id)

    def claim(self, worker: str, kinds: Sequence[str], *, now: datetime, lease: timedelta) -> Job | None:
        """The oldest job of some kinds that nobody works on, now this worker's; None where there is none.

        A worker that has not been heard of for a lease has lost its job. One that lost too many workers has failed.
        """
        if self._claimable(kinds, now, lock=False) is None:  # a look that takes no lock: most of the time there is none
            return None
        with self._store.transaction() as session:
            job_id = self._claimable(kinds, now, lock=True)
            row = None if job_id is None else session.get(JobRow, job_id, populate_existing=True)
            if row is None:
                return None
            row.lost += row.state == "running"
            if row.lost >= MOST_LOST or row.cancel_asked:
                row.state, row.ended_at = "cancelled" if row.cancel_asked else "failed", now
                row.error = None if row.cancel_asked else _GIVEN_UP
            else:
                row.state, row.worker, row.attempt, row.lease_until = "running", worker, row.attempt + 1, now + lease
            session.add(row)
            session.flush()
            _tell(session, row.job_id, now, row.state)
            return _job(row) if row.state == "running" else None

    def _claimable(self, kinds: Sequence[str], now: datetime, *, lock: bool) -> str | None:
        ready = and_(col(JobRow.state) == "queued", col(JobRow.not_before) <= now)
        silent = and_(col(JobRow.state) == "running", col(JobRow.lease_until) < now)
        query = select(JobRow.job_id).where(col(JobRow.kind).in_(kinds), or_(ready, silent))
        query = query.order_by(col(JobRow.created_at), col(JobRow.job_id)).limit(1)
        with self._store.transaction(write=lock) as session:
            return session.exec(query.with_for_update(skip_locked=True) if lock else query).first()

    def give_up(self, workers: str, *, now: datetime) -> int:
        """Let the jobs of workers that are known to be gone be claimed at once, and not when their leases have run out.

        Args:
            workers: how their names begin. One that lives after all has lost its jobs; its work no longer counts.
            now: the clock.

        Returns:
            How many jobs that were.
        """
        theirs = (col(JobRow.state) == "running", col(JobRow.worker).startswith(workers, autoescape=True))
        ended = update(JobRow).where(*theirs).values(lease_until=now - timedelta(microseconds=1))
        with self._store.transaction() as session:
            return session.connection().execute(ended).rowcount

    def beat(self, job: Job, *, now: datetime, lease: timedelta) -> None:
        """Say that a claimed job is still being worked on.

        Raises:
            JobLostError: it is no longer this worker's.
            JobCancelledError: it should stop.
        """
        with self._store.transaction() as session:
            _owned(session, job, {"lease_until": now + lease})
            if session.exec(select(JobRow.cancel_asked).where(JobRow.job_id == job.job_id)).one():
                raise JobCancelledError(job.job_id)

    def report(self, job: Job, stage: str, done: int, total: int, *, now: datetime) -> None:
        """Say how far a stage of a claimed job has come.

        Raises:
            JobLostError: it is no longer this worker's.
        """
        with self._store.transaction() as session:
            _owned(session, job, {})
            _tell(session, job.job_id, now, "running", stage, done, total)

    def step(self, job: Job, name: str, work: Callable[[], Any], *, now: Callable[[], datetime]) -> Any:
        """Do a step of a claimed job, unless it is done: then what it gave. It may be repeated until it is recorded.

        Args:
            job: the job.
            name: of the step, one of its kind in the job.
            work: gives finite JSON.
            now: asked once the work is done.

        Raises:
            JobLostError: the job is no longer this worker's; the step is not recorded.
        """
        with self._store.transaction(write=False) as session:
            known = session.get(JobStepRow, (job.job_id, name))
        if known is not None:
            return known.result
        result = work()
        with self._store.transaction() as session:
            _owned(session, job, {})
            session.add(JobStepRow(job_id=job.job_id, step=name, result=result, at=now()))
        return result

    def end(self, job: Job, state: JobState, *, now: datetime, result: Any = None, error: Any = None) -> None:
        """Bring a claimed job to an end.

        Raises:
            JobLostError: it is no longer this worker's.
        """
        with self._store.transaction() as session:
            _owned(session, job, {"state": state, "ended_at": now, "result": result, "error": error})
            _tell(session, job.job_id, now, state)

    def give_back(self, job: Job, *, now: datetime, wait: timedelta) -> None:
        """Put a claimed job back into the queue for a while.

        Raises:
            JobLostError: it is no longer this worker's.
        """
        with self._store.transaction() as session:
            _owned(session, job, {"state": "queued", "not_before": now + wait})
            _tell(session, job.job_id, now, "queued")


_GIVEN_UP = {
    "kind": "WorkspaceError",
    "where": "",
    "what": f"{MOST_LOST} workers in turn fell silent while they worked on it.",
    "remedy": "See the worker's log; ask again once the cause is mended.",
}


def _owned(session: Session, job: Job, values: dict[str, Any]) -> None:
    """Write to a job's row in the name of the attempt that claimed it, or refuse."""
    mine = (col(JobRow.job_id) == job.job_id, col(JobRow.attempt) == job.attempt, col(JobRow.state) == "running")
    done = session.connection().execute(update(JobRow).where(*mine).values(values or {"attempt": job.attempt}))
    if done.rowcount != 1:
        raise JobLostError(job.job_id)


def _tell(
    session: Session, job_id: str, at: datetime, state: str, stage: str = "", done: int = 0, total: int = 0
) -> None:
    """Add an event; whoever adds one holds the job's row, so that numbers neither repeat nor leave gaps."""
    last = session.exec(select(func.max(JobEventRow.event)).where(JobEventRow.job_id == job_id)).one()
    row = JobEventRow(job_id=job_id, event=(last or 0) + 1, at=at, state=state, stage=stage, done=done, total=total)
    session.add(row)
    session.flush()


def _insert_new(session: Session, row: JobRow) -> bool:
    """Insert a job unless its request key is taken."""
    connection = session.connection()
    made = insert_into(connection, JobRow).values(row.model_dump())
    made = made.on_conflict_do_nothing(index_elements=["kind", "request_key"])
    return connection.execute(made.returning(col(JobRow.job_id))).first() is not None


def _job(row: JobRow) -> Job:
    return Job(**{name: getattr(row, name) for name in Job.__dataclass_fields__})
