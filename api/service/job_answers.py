"""Jobs over HTTP: asking for one, what is told of it, and its events as they happen."""

import asyncio
import json
import secrets
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from functools import partial
from typing import Annotated, Any

from fastapi import Header
from starlette.responses import StreamingResponse

from api.service.answers import Answer
from api.service.dependencies import Caller, Here
from api.service.problems import Problem, wrong_field
from api.service.state import Tenant
from warehouse import Job, JobEvent, Jobs, digest_of
from warehouse.jobs import ENDED

RequestKey = Annotated[str | None, Header(alias="Idempotency-Key", min_length=1, max_length=200, pattern=r"^[ -~]+$")]
EventId = Annotated[str | None, Header(alias="Last-Event-ID", max_length=20, pattern=r"^\d{1,9}$")]

_LOOK_SECONDS, _QUIET_SECONDS = 0.25, 15.0


def moment_of(text: str, path: str) -> datetime:
    """A time of ISO 8601, UTC where it names no zone.

    Raises:
        Problem: 422 with the path.
    """
    try:
        found = datetime.fromisoformat(text)
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except (ValueError, OverflowError):
        raise wrong_field(path, "is not a time such as 2026-03-01T00:00:00Z") from None


async def ask(here: Here, caller: Caller, kind: str, document: dict[str, Any], key: str | None, path: str) -> Answer:
    """Ask for a job: 202 and where it is. The same key with the same document is the same job, for ever.

    Raises:
        Problem: 409: the key was used for another document.
    """

    def submit() -> Job:
        job_id, now = f"job-{secrets.token_hex(8)}", datetime.now(UTC)
        return Jobs(here.store).submit(job_id, kind, document, key=key, by=caller.id, now=now)

    job = await asyncio.to_thread(submit)
    if job.digest != digest_of(document):
        detail = f"It was used for {job.job_id}, which was asked for with another body. Use another key."
        raise Problem(409, "idempotency-key", "The Idempotency-Key is taken", detail)
    return Answer(told(job), 200 if job.state in ENDED else 202, {"Location": f"{path}/{job.job_id}"})


async def job_of(here: Here, job_id: str, kind: str) -> Job:
    """A job of a kind.

    Raises:
        Problem: 404: there is none, or it is of another kind.
    """
    job = await asyncio.to_thread(Jobs(here.store).get, job_id)
    if job.kind != kind:
        raise Problem(404, "not-found", "There is no such thing", f"{job_id} is no {kind}.")
    return job


def told(job: Job, last: JobEvent | None = None) -> dict[str, Any]:
    """What is told of a job; `result` once it is done."""
    document = {
        "id": job.job_id,
        "state": job.state,
        "asked_by": job.asked_by,
        "asked_at": job.created_at.isoformat(),
        "ended_at": None if job.ended_at is None else job.ended_at.isoformat(),
        "progress": None if last is None or not last.stage else _progress(last),
        "error": job.error,
    }
    return document | ({"result": job.result} if job.state == "done" else {})


async def told_with_progress(here: Here, job: Job) -> dict[str, Any]:
    """`told`, with the stage that the job is in."""
    events = await asyncio.to_thread(Jobs(here.store).events, job.job_id)
    return told(job, events[-1] if events and job.state not in ENDED else None)


async def cancel(here: Here, job: Job) -> Answer:
    """Stop a job: at once where it waits, at its next stage where it runs. One that has ended stays as it is."""
    found = await asyncio.to_thread(lambda: Jobs(here.store).cancel(job.job_id, now=datetime.now(UTC)))
    return Answer(told(found), 200 if found.state in ENDED else 202)


async def listed(here: Here, kind: str, before: str | None, most: int) -> dict[str, Any]:
    """Jobs of a kind, newest first; `next` is the `before` of the following page: the last job of this one.

    Raises:
        Problem: 404: `before` is no job of this kind.
    """
    last = None if before is None else await job_of(here, before, kind)
    jobs = await asyncio.to_thread(lambda: Jobs(here.store).list(kind=kind, before=last, most=most))
    following = jobs[-1].job_id if len(jobs) == most else None
    return {"items": [{k: v for k, v in told(job).items() if k != "result"} for job in jobs], "next": following}


def streamed(here: Here, job: Job, after: str | None) -> StreamingResponse:
    """A job's events as server-sent events, from the one after `after` on, to the end of the job."""
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(_events(here, job.job_id, int(after or 0)), 200, headers, "text/event-stream")


async def _events(here: Tenant, job_id: str, last: int) -> AsyncIterator[str]:
    """`progress` events, and one `end` with what a GET of the job would give; comments while nothing happens."""
    jobs, quiet = Jobs(here.store), 0.0
    while True:
        job = await asyncio.to_thread(jobs.get, job_id)  # before its events: none of an ended job can be missed
        for event in await asyncio.to_thread(partial(jobs.events, job_id, after=last)):
            last, quiet = event.event, 0.0
            yield _sent("progress", {"state": event.state, **_progress(event)}, last)
        if job.state in ENDED:
            yield _sent("end", told(job), last)
            return
        if quiet >= _QUIET_SECONDS:
            quiet = 0.0
            yield ": still here\n\n"
        await asyncio.sleep(_LOOK_SECONDS)
        quiet += _LOOK_SECONDS


def _progress(event: JobEvent) -> dict[str, Any]:
    return {"stage": event.stage, "done": event.done, "total": event.total, "at": event.at.isoformat()}


def _sent(name: str, document: dict[str, Any], number: int) -> str:
    return f"id: {number}\nevent: {name}\ndata: {json.dumps(document, separators=(',', ':'), default=str)}\n\n"
