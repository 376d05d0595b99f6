"""What would another policy have earned? Evaluations as jobs; the answer is what `allot evaluate` prints as JSON."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from api.service.answers import Answer
from api.service.dependencies import Caller, Here, needs
from api.service.job_answers import RequestKey, ask, moment_of
from api.service.routes.watching import watch
from api.service.strict_json import model_body

router = APIRouter(tags=["evaluations"])
_PATH = "/v1/evaluations"
_KIND = "evaluation"
Moment = Annotated[str, Field(min_length=1, max_length=40)]


class EvaluationBody(BaseModel):
    """Which policy, on which of our own decisions.

    `policy` is "logged", what was done itself, or a campaign document whose policy is replayed.
    """

    model_config = ConfigDict(extra="forbid")
    policy: Literal["logged"] | dict[str, Any]
    allocations: Annotated[list[Annotated[str, Field(max_length=64)]], Field(max_length=1_000)] = []
    since: Moment | None = None
    until: Moment | None = None
    as_of: Moment | None = None
    what_if: Annotated[list[Annotated[str, Field(min_length=1, max_length=500)]], Field(max_length=50)] = []
    by: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    every_estimator: bool = False


@router.post(_PATH, dependencies=[needs("analyst", "manager")], status_code=202)
async def post_evaluation(
    here: Here, caller: Caller, body: Annotated[EvaluationBody, model_body(EvaluationBody)], key: RequestKey = None
) -> Answer:
    """Estimate what a policy would have earned, with interval and verdict; with `what_if`, under other limits."""
    from engine.campaign import read_campaign

    document = body.model_dump()
    if body.policy != "logged":
        document["policy"] = read_campaign(body.policy, where="/policy").to_document()
    for name in ("since", "until", "as_of"):
        if document[name] is not None:
            document[name] = moment_of(document[name], f"/{name}").isoformat()
    return await ask(here, caller, _KIND, document, key, _PATH)


watch(router, _PATH, _KIND, "analyst", "manager")
