"""What would happen? Simulations as jobs; the answer is what `allot simulate` prints as JSON."""

from typing import Annotated

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from api.service.answers import Answer
from api.service.dependencies import Caller, Here, needs
from api.service.job_answers import RequestKey, ask
from api.service.problems import wrong_field
from api.service.routes.watching import watch
from api.service.strict_json import model_body

router = APIRouter(tags=["simulations"])
_PATH = "/v1/simulations"
_KIND = "simulation"
_MOST_SEEDS = 20


class SimulationBody(BaseModel):
    """Which policies, in which world, how often: of a world by its name; seeds one or a range, such as 1000-1009."""

    model_config = ConfigDict(extra="forbid")
    world: Annotated[str, Field(min_length=1, max_length=64)]
    policies: Annotated[list[Annotated[str, Field(min_length=1, max_length=64)]], Field(min_length=1, max_length=20)]
    seeds: Annotated[str, Field(pattern=r"^\d{1,9}(-\d{1,9})?$")] = "1000"
    customers: Annotated[int, Field(ge=1, le=20_000)] | None = None


@router.post(_PATH, dependencies=[needs("analyst", "manager")], status_code=202)
async def post_simulation(
    here: Here, caller: Caller, body: Annotated[SimulationBody, model_body(SimulationBody)], key: RequestKey = None
) -> Answer:
    """Play policies in a world whose truth is known, and compare them with its oracle."""
    from sims import WORLDS
    from sims.policies import policies_of
    from sims.study import seeds_of

    if body.world not in WORLDS:
        raise wrong_field("/world", f"is unknown; there are {', '.join(WORLDS)}")
    if len(seeds_of(body.seeds)) > _MOST_SEEDS:
        raise wrong_field("/seeds", f"are more than {_MOST_SEEDS}")
    policies_of(",".join(body.policies))
    return await ask(here, caller, _KIND, body.model_dump(), key, _PATH)


watch(router, _PATH, _KIND, "analyst", "manager")
