"""What single decisions of a campaign may still spend."""

import asyncio
from datetime import UTC, datetime
from functools import partial

from fastapi import APIRouter

from api.service.answers import Answer
from api.service.dependencies import Here, needs
from api.service.roles import READERS

router = APIRouter(tags=["catalogue"])


@router.get(
    "/v1/campaigns/{name}/budget",
    dependencies=[needs(*READERS)],
    responses={404: {"description": "Nothing was released, or nothing is kept for single decisions."}},
)
async def get_budget(here: Here, name: str) -> Answer:
    """Cap, spent, held and left of every limit of the newest release, and what was spent without room (`unfunded`)."""
    from engine.budget_orders import budget

    asked = partial(budget, here.store, name, now=datetime.now(UTC), recounted=False)
    return Answer(await asyncio.to_thread(asked))
