"""One customer now: a decision, what it was, and why."""

import asyncio
import secrets
from datetime import UTC, datetime
from typing import Annotated, Any

import fastapi
from fastapi import APIRouter, Path
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, model_validator

from api.service.answers import Answer
from api.service.deciding import Deciding
from api.service.dependencies import Here, needs
from api.service.problems import Problem, echo
from api.service.shell import note
from api.service.state import Tenant
from api.service.strict_json import model_body
from engine.serving.requests import Refusal, Request
from engine.serving.why import why
from warehouse.feedback_records import is_identifier
from warehouse.singles import Single

router = APIRouter(tags=["decisions"])

_LONGEST = 200  # characters of an id
_OURS = ("alloc-", "single-")


def _known_to_feedback(decision_id: str) -> str:
    if not is_identifier(decision_id):
        raise ValueError("every letter must be printable: feedback takes no other decision_id")
    return decision_id


Name = Annotated[str, StringConstraints(min_length=1, max_length=_LONGEST, pattern=r"^[^\x00-\x1f\x7f]*$")]
Given = Annotated[
    str,
    StringConstraints(min_length=1, max_length=_LONGEST, pattern=r"^[^\x00-\x1f\x7f/]*$"),
    AfterValidator(_known_to_feedback),
]
Known = Annotated[str, Path(min_length=1, max_length=_LONGEST)]
_NOT_FOUND: dict[int | str, dict[str, Any]] = {404: {"description": "There is no such thing."}}


class DecisionRequest(BaseModel):
    """One customer, by id, with features, or both."""

    model_config = ConfigDict(extra="forbid", strict=True)

    campaign: Name = Field(description="Whose last release decides.")
    customer_id: Name | None = Field(None, description="Of the release's audience; or a stranger, with features.")
    features: dict[Name, str | float | int | bool | None] | None = Field(
        None, max_length=1_000, description="Customer columns as they are now; they take the place of what is loaded."
    )
    decision_id: Given | None = Field(
        None,
        description="Yours, for ever, printable and without a slash: the same request under it has the same answer. "
        "Made up where it is missing.",
    )

    @model_validator(mode="after")
    def _somebody(self) -> "DecisionRequest":
        if self.customer_id is None and self.features is None:
            raise ValueError("give customer_id, or features")
        if self.decision_id is not None and self.decision_id.startswith(_OURS):
            raise ValueError(f"decision_id may not begin with {' or '.join(_OURS)}")
        return self


@router.post(
    "/v1/decisions",
    dependencies=[needs("manager", "ingest")],
    responses={**_NOT_FOUND, 409: {"description": "The decision id is taken by another request."}},
)
async def decide(
    here: Here, http: fastapi.Request, asked: Annotated[DecisionRequest, model_body(DecisionRequest)]
) -> Answer:
    """Which offer, if any, this customer gets now. The decision is durable before it is answered."""
    request = Request(
        decision_id=asked.decision_id or f"dec-{secrets.token_hex(16)}",
        campaign=asked.campaign,
        customer_id=asked.customer_id,
        at=datetime.now(UTC),
        features=asked.features,
    )
    note(http.scope, "decision_id", request.decision_id)
    found = await here.one(Deciding).decide(request)
    if isinstance(found, Refusal):
        status, kind, title = {
            "taken": (409, "conflict", "It was asked before with another body"),
            "unknown": (404, "not-found", "There is no such thing"),
        }[found.why]
        raise Problem(status, kind, title, f"{found.what} {found.remedy}")
    here.metrics.decisions.labels(found.mode).inc()
    return Answer(found.to_document())


@router.get(
    "/v1/decisions/{decision_id}",
    dependencies=[needs("manager", "ingest", "analyst", "approver", "auditor")],
    responses=_NOT_FOUND,
)
async def decision(here: Here, decision_id: Known) -> Answer:
    """A single decision as it was answered."""
    return Answer((await _kept(here, decision_id)).answer)


@router.get(
    "/v1/decisions/{decision_id}/why",
    dependencies=[needs("manager", "analyst", "approver", "auditor")],
    responses=_NOT_FOUND,
)
async def explanation(here: Here, decision_id: Known) -> Answer:
    """Why, and why not: all rules against every excluded offer; chance, value, cost, price and distance of the rest."""
    single = await _kept(here, decision_id)
    return Answer(await asyncio.to_thread(why, here.workspace, here.store, single))


async def _kept(here: Tenant, decision_id: str) -> Single:
    found = await asyncio.to_thread(here.one(Deciding).find, decision_id)
    if found is None:
        raise Problem(404, "not-found", "There is no such thing", f"There is no single decision {echo(decision_id)}.")
    return found
