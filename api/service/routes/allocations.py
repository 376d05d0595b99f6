"""Allocations: asked for with a campaign document, watched, approved by a second person, released, read and explained.

An allocation is addressed by the id of the job that was asked for, or by its own once it is made: that derives from
everything it was computed from, and is not known before.
"""

import asyncio
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from starlette.responses import Response, StreamingResponse

from api.service.answers import Answer
from api.service.campaign_schema import CAMPAIGN
from api.service.decision_pages import MOST_ROWS, page_of
from api.service.dependencies import Caller, Here, needs
from api.service.job_answers import EventId, RequestKey, ask, cancel, job_of, listed, streamed, told_with_progress
from api.service.problems import Problem
from api.service.roles import READERS
from api.service.routes.webhooks import delivered
from api.service.strict_json import document_body
from warehouse import Releases, StoredAllocation

router = APIRouter(tags=["allocations"])
_PATH = "/v1/allocations"
_KIND = "allocation"


@router.post(_PATH, dependencies=[needs("manager")], status_code=202)
async def post_allocation(
    here: Here,
    caller: Caller,
    document: Annotated[dict[str, Any], document_body(CAMPAIGN)],
    key: RequestKey = None,
    release: Annotated[bool, Query(description="Release it at once where no approval is asked for.")] = True,
    again: Annotated[bool, Query(description="Replace one of the same name and as_of that has outcomes.")] = False,
) -> Answer:
    """Allocate a campaign. The answer is a job; GET it, or follow its events, until it is done."""
    from engine.campaign import read_campaign

    campaign = read_campaign(document).to_document()
    return await ask(here, caller, _KIND, {"campaign": campaign, "release": release, "again": again}, key, _PATH)


@router.get(_PATH, dependencies=[needs(*READERS)])
async def get_allocations(
    here: Here,
    before: Annotated[str | None, Query(max_length=40)] = None,
    limit: Annotated[int, Query(ge=1, le=1_000)] = 100,
) -> Answer:
    """Allocations that were asked for over HTTP, newest first."""
    return Answer(await listed(here, _KIND, before, limit))


@router.get(_PATH + "/{id}", dependencies=[needs(*READERS)])
async def get_allocation(here: Here, id: str) -> Answer:  # noqa: A002 (the path's word)
    """How far it is; once done, its summary, and who asked for, approved and released it."""
    if not id.startswith("job-"):
        return Answer(await _whole(here, id))
    job = await job_of(here, id, _KIND)
    document = await told_with_progress(here, job)
    if job.state != "done":
        return Answer(document)
    return Answer({**document, **await _whole(here, job.result["allocation_id"]), "id": id})


@router.get(_PATH + "/{id}/events", dependencies=[needs(*READERS)])
async def get_events(here: Here, id: str, last: EventId = None) -> StreamingResponse:  # noqa: A002
    """Progress by stage as server-sent events; the last one is `end`. Last-Event-ID goes on where a client stopped."""
    return streamed(here, await job_of(here, id, _KIND), last)


@router.post(_PATH + "/{id}/cancel", dependencies=[needs("manager")])
async def post_cancel(here: Here, id: str) -> Answer:  # noqa: A002
    """Stop it; nothing of it is kept, unless it is done already."""
    return await cancel(here, await job_of(here, id, _KIND))


@router.post(_PATH + "/{id}/approve", dependencies=[needs("approver")])
async def post_approve(here: Here, caller: Caller, id: str) -> Answer:  # noqa: A002
    """Approve a draft: by somebody else than who asked for it."""
    from engine.approval import approve

    found = await _allocation_id(here, id)
    await asyncio.to_thread(lambda: approve(here.store, found, by=caller.id, now=datetime.now(UTC)))
    return Answer(await _whole(here, found))


@router.post(_PATH + "/{id}/release", dependencies=[needs("manager", "approver")])
async def post_release(
    here: Here,
    caller: Caller,
    id: str,  # noqa: A002
    again: Annotated[bool, Query(description="Replace one of the same name and as_of that has outcomes.")] = False,
) -> Answer:
    """Let an approved allocation count, for ever; it is delivered to every webhook. Again, it changes nothing."""
    from engine.approval import release

    found = await _allocation_id(here, id)
    await asyncio.to_thread(lambda: release(here.store, found, by=caller.id, now=datetime.now(UTC), again=again))
    return Answer(await _whole(here, found))


@router.get(_PATH + "/{id}/deliveries", dependencies=[needs(*READERS)])
async def get_deliveries(here: Here, id: str) -> Answer:  # noqa: A002
    """Whom its release was delivered to, and how that went."""
    found = (await _stored(here, await _allocation_id(here, id))).allocation_id
    deliveries = await asyncio.to_thread(lambda: Releases(here.store).deliveries(allocation_id=found))
    return Answer({"items": [delivered(each) for each in deliveries]})


@router.get(_PATH + "/{id}/decisions", dependencies=[needs(*READERS)])
async def get_decisions(
    here: Here,
    request: Request,
    id: str,  # noqa: A002
    after: Annotated[str | None, Query(max_length=100, description="Decisions after this decision id.")] = None,
    limit: Annotated[int | None, Query(ge=1, le=MOST_ROWS, description="So many at most.")] = None,
) -> Response:
    """Decisions in the order of their ids, as NDJSON or (Accept) Parquet; with `limit`, Link names the next page."""
    stored = await _stored(here, await _allocation_id(here, id))
    path = here.workspace.root / str(stored.decisions_path)
    return await page_of(path, request, after, limit, sha256=str(stored.decisions_sha256))


@router.get(_PATH + "/{id}/customers/{customer_id}", dependencies=[needs(*READERS)])
async def get_customer(here: Here, id: str, customer_id: str) -> Answer:  # noqa: A002
    """Why a customer got what they got, and why not each of the other offers. Nothing is written."""
    from engine.explain import explain

    found = await _allocation_id(here, id)
    return Answer(await asyncio.to_thread(explain, here.workspace, customer_id, found))


async def _allocation_id(here: Here, given: str) -> str:
    """The id of the allocation itself.

    Raises:
        Problem: 409: the job has not made it.
    """
    if not given.startswith("job-"):
        return given
    job = await job_of(here, given, _KIND)
    if job.state != "done":
        raise Problem(409, "not-ready", "It is not there yet", f"The job is {job.state}.")
    found: str = job.result["allocation_id"]
    return found


async def _stored(here: Here, allocation_id: str) -> StoredAllocation:
    return await asyncio.to_thread(here.store.allocation, allocation_id)


async def _whole(here: Here, allocation_id: str) -> dict[str, Any]:
    """An allocation with its summary and the hands it went through."""
    stored = await _stored(here, allocation_id)
    found = await asyncio.to_thread(Releases(here.store).get, allocation_id)
    links = ("decisions", "deliveries", "approve", "release")
    return {
        "id": allocation_id,
        "state": "done",
        "allocation_id": allocation_id,
        "status": stored.status,
        "asked": None if found is None else _hand(found.asked_by, found.asked_at),
        "approved": None if found is None else _hand(found.approved_by, found.approved_at),
        "released": None if found is None else _hand(found.released_by, found.released_at),
        "summary": stored.summary,
        "links": {name: f"{_PATH}/{allocation_id}/{name}" for name in links},
    }


def _hand(by: str | None, at: datetime | None) -> dict[str, str] | None:
    return None if by is None or at is None else {"by": by, "at": at.isoformat()}
