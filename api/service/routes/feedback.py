"""What became of decisions: taken in, each event once, durable before it is answered; and what could not be joined."""

import asyncio
from collections import Counter
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ConfigDict, Field

from allot import WorkspaceError
from api.service.answers import Answer
from api.service.dependencies import Here, needs
from api.service.feedback_bodies import KINDS, Records, records_of
from api.service.problems import Problem
from api.service.roles import READERS
from api.service.shell import note
from api.service.state import Tenant
from api.service.strict_json import media_type, model_body, raw_body
from warehouse import Answer as Told
from warehouse import Batch, Intake, KnownDecisions, known_singles
from warehouse.dead_letters import dead_letters, drop, retry, sweep
from warehouse.feedback import RESULTS
from warehouse.feedback_records import COLUMNS

router = APIRouter(prefix="/v1/feedback", tags=["feedback"])

_STATUS = {"accepted": 201, "corrected": 201, "pending": 202, "duplicate": 200}
_MOST_LETTERS = 1_000
_RECORD = {
    "type": "object",
    "required": list(COLUMNS),
    "additionalProperties": False,
    "properties": {
        "event_id": {"type": "string", "minLength": 1, "maxLength": 200},
        "decision_id": {"type": "string", "minLength": 1, "maxLength": 200},
        "outcome": {"type": "integer", "enum": [0, 1]},
        "reward": {"type": "number", "minimum": -9e12, "maximum": 9e12},
        "occurred_at": {"type": "string", "format": "date-time"},
    },
}
_SCHEMAS: dict[str, Any] = {kind: {"type": "string"} for kind in KINDS} | {
    "application/json": {"anyOf": [_RECORD, {"type": "array", "items": _RECORD, "minItems": 1}]},
    "application/cloudevents+json": {"type": "object"},
    "application/cloudevents-batch+json": {"type": "array", "items": {"type": "object"}},
}
_BODY = {"requestBody": {"required": True, "content": {kind: {"schema": s} for kind, s in _SCHEMAS.items()}}}


class Letters(BaseModel):
    """Dead letters, by the ids of their events."""

    model_config = ConfigDict(extra="forbid")
    event_ids: Annotated[list[Annotated[str, Field(max_length=200)]], Field(min_length=1, max_length=10_000)]


class LettersOrAll(BaseModel):
    """Dead letters, by the ids of their events, or all of them."""

    model_config = ConfigDict(extra="forbid")
    event_ids: (
        Literal["all"] | Annotated[list[Annotated[str, Field(max_length=200)]], Field(min_length=1, max_length=10_000)]
    )


@router.post("", dependencies=[needs("ingest")], openapi_extra=_BODY, status_code=201)
async def post_feedback(here: Here, request: Request) -> Answer:
    """Take in outcomes of decisions. One object answers with its own status; more of them with a result for each."""
    raw, kind = await raw_body(request), media_type(request)
    with here.metrics.stage("read feedback"):
        records = records_of(raw, kind)
    note(request.scope, "events", len(records.items))
    answers = await _taken(here, records)
    counts = Counter(answer.result for answer in answers)
    for result, count in counts.items():
        here.metrics.feedback.labels(result).inc(count)
    if records.single:
        return _one(answers[0])
    return Answer({**{result: counts[result] for result in RESULTS}, "results": [_said(answer) for answer in answers]})


@router.get("/dead-letters", dependencies=[needs(*READERS, "ingest")])
async def get_dead_letters(
    here: Here,
    after: Annotated[str, Query(max_length=200)] = "",
    limit: Annotated[int, Query(ge=1, le=_MOST_LETTERS)] = 100,
) -> Answer:
    """Feedback that counts for nothing, with its reason, by event id; `next` goes into `after` for more."""
    found = await asyncio.to_thread(dead_letters, here.store, after=after, most=limit)
    more = found[-1]["event_id"] if len(found) == limit else None
    return Answer({"dead_letters": found, "next": more})


@router.post("/dead-letters/retry", dependencies=[needs("ingest", "manager")])
async def retry_dead_letters(here: Here, body: Annotated[LettersOrAll, model_body(LettersOrAll)]) -> Answer:
    """Look for their decisions again, and let them wait once more where these are still unknown."""
    now = datetime.now(UTC)
    wanted = None if body.event_ids == "all" else body.event_ids

    def again() -> dict[str, int]:
        retried = retry(here.store, wanted, now=now)
        patience = timedelta(hours=here.settings.feedback_hours)
        swept = sweep(here.store, here.one(known_decisions), now=now, patience=patience)
        return {"retried": retried, "joined": swept.joined}

    return Answer(await asyncio.to_thread(again))


@router.post("/dead-letters/drop", dependencies=[needs("manager")])
async def drop_dead_letters(here: Here, body: Annotated[Letters, model_body(Letters)]) -> Answer:
    """Give them up for good; their event ids stay taken."""
    return Answer({"dropped": await asyncio.to_thread(drop, here.store, body.event_ids)})


def known_decisions(tenant: Tenant) -> KnownDecisions:
    """The decisions that a tenant's feedback may be about; one per process."""
    return KnownDecisions(tenant.workspace, tenant.store)


def _intake(tenant: Tenant) -> Intake:
    return Intake(tenant.writer, also_decided=known_singles)


async def _taken(here: Tenant, records: Records) -> list[Told]:
    """Answers to the records, once they are durable."""
    known = here.one(known_decisions)
    ids = {item.body.decision_id for item in records.items if item.body is not None}
    missing = known.missing(ids)
    if missing:
        with suppress(WorkspaceError):  # decisions whose file cannot be read now are joined when it can
            await asyncio.to_thread(known.load, missing)
    batch = Batch(records.items, known.known(ids), datetime.now(UTC))
    return await asyncio.wrap_future(here.one(_intake).take(batch))


def _one(told: Told) -> Answer:
    """The answer to a single record.

    Raises:
        Problem: 409: another body has its event id; 422: it is not sound.
    """
    if told.result == "conflict":
        raise Problem(409, "taken", "The event id is taken", told.reason)
    if told.result == "rejected":
        field = told.reason.partition(" ")[0].strip("':")
        errors = [{"path": f"/{field}" if field in COLUMNS else "", "what": told.reason}]
        raise Problem(422, "body", "The body is wrong", told.reason, errors=errors)
    return Answer(_said(told), _STATUS[told.result])


def _said(told: Told) -> dict[str, Any]:
    if told.reason:
        return {"event_id": told.event_id, "result": told.result, "reason": told.reason, "line": told.line}
    return {"event_id": told.event_id, "result": told.result, "receipt": told.receipt}
