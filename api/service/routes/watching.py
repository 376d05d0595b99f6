"""What every job that somebody asks for over HTTP has in common: it is listed, looked at, followed and stopped."""

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import StreamingResponse

from api.service.answers import Answer
from api.service.dependencies import Here, needs
from api.service.job_answers import EventId, cancel, job_of, listed, streamed, told_with_progress
from api.service.roles import READERS, Role


def watch(router: APIRouter, path: str, kind: str, *asking: Role) -> None:
    """Add the routes of a kind of job, all but the one that asks for it.

    Args:
        router: where to.
        path: under which the jobs are found.
        kind: of job, one of `api.service.kinds`; it names the routes.
        asking: who may ask for such jobs, and so stop them.
    """

    @router.get(
        path, name=f"get_{kind}s", description=f"{kind.capitalize()}s, newest first.", dependencies=[needs(*READERS)]
    )
    async def get_jobs(
        here: Here,
        before: Annotated[str | None, Query(max_length=40)] = None,
        limit: Annotated[int, Query(ge=1, le=1_000)] = 100,
    ) -> Answer:
        """Jobs of this kind."""
        return Answer(await listed(here, kind, before, limit))

    @router.get(path + "/{job_id}", name=f"get_{kind}", dependencies=[needs(*READERS)])
    async def get_job(here: Here, job_id: str) -> Answer:
        """How far it is; once done, its result."""
        return Answer(await told_with_progress(here, await job_of(here, job_id, kind)))

    @router.get(path + "/{job_id}/events", name=f"get_{kind}_events", dependencies=[needs(*READERS)])
    async def get_events(here: Here, job_id: str, last: EventId = None) -> StreamingResponse:
        """Progress as server-sent events; the last one is `end`. Last-Event-ID goes on where a client stopped."""
        return streamed(here, await job_of(here, job_id, kind), last)

    @router.post(path + "/{job_id}/cancel", name=f"cancel_{kind}", dependencies=[needs(*asking)])
    async def cancel_job(here: Here, job_id: str) -> Answer:
        """Stop it."""
        return await cancel(here, await job_of(here, job_id, kind))
