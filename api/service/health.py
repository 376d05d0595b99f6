"""Is it alive, is it ready, and what does it count?"""

import asyncio
import secrets
import shutil
import time
from functools import cache
from typing import Any

from fastapi import APIRouter, Request
from prometheus_client import CONTENT_TYPE_LATEST
from sqlalchemy import text
from starlette.responses import Response

from allot import WorkspaceError
from api.service.answers import Answer
from api.service.dependencies import everyone, service_of
from api.service.lag import Lag
from api.service.problems import Problem
from api.service.state import Service
from warehouse.home import MAIN

router = APIRouter(tags=["operations"])


@router.get("/livez", dependencies=[everyone])
async def alive() -> Answer:
    """Whether the process answers at all."""
    return Answer({"status": "alive"})


@router.get("/readyz", dependencies=[everyone], responses={503: {"description": "Not ready; `checks` says why."}})
async def ready(request: Request) -> Answer:
    """Whether it can decide: database and disk must be there; without a model it is ready, in a lesser mode."""
    checks = await asyncio.to_thread(_checks, service_of(request))
    down = any(check["status"] == "down" for check in checks.values())
    return Answer({"status": "down" if down else "ready", "checks": checks}, 503 if down else 200)


@router.get("/openapi.json", dependencies=[everyone])
async def openapi() -> Answer:
    """The contract of this service, as docs/openapi.json has it."""
    return Answer(await asyncio.to_thread(_contract))


@router.get("/metrics", dependencies=[everyone])
async def metrics(request: Request) -> Response:
    """Prometheus metrics; behind ALLOT_METRICS_TOKEN where one is set."""
    service = service_of(request)
    wanted = service.settings.metrics_token
    given = request.headers.get("authorization", "").removeprefix("Bearer ").encode()
    if wanted is not None and not secrets.compare_digest(given, wanted.get_secret_value().encode()):
        detail = "Send the metrics token."
        raise Problem(401, "unauthorised", "A valid token is needed", detail, headers={"WWW-Authenticate": "Bearer"})
    return Response(await asyncio.to_thread(service.metrics.exposition), media_type=CONTENT_TYPE_LATEST)


@cache
def _contract() -> dict[str, Any]:
    from api.service.contract import contract

    return contract()


def _checks(service: Service) -> dict[str, dict[str, Any]]:
    return {"disk": _disk(service), **_kept(service)}


def _disk(service: Service) -> dict[str, Any]:
    free = shutil.disk_usage(service.settings.home).free
    return {"status": "down" if free < service.settings.min_free_bytes else "up", "free_bytes": free}


def _kept(service: Service) -> dict[str, dict[str, Any]]:
    """The database of the main tenant, its model, and what is not learnt yet."""
    try:
        tenant = service.tenant(MAIN)
        with tenant.store.transaction(write=False) as session:
            session.execute(text("SELECT 1"))
        model = tenant.store.current("posterior")
        lag = tenant.one(Lag).look(time.monotonic())
    except WorkspaceError:
        return {"database": {"status": "down"}, "model": {"status": "unknown"}}
    found = {"status": "missing"} if model is None else {"status": "up", "id": model.model_id}
    late = lag > service.settings.max_lag_seconds
    learning = {"status": "late" if late else "up", "lag_seconds": round(lag, 1)}
    return {"database": {"status": "up"}, "model": found, "learning": learning}
