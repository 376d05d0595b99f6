"""The application: every route behind the same access, limits and words for errors."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.responses import Response

from allot import AllotError, __version__
from api.service import health
from api.service.problems import Problem, pointer, problem_of, response_of
from api.service.routes import allocations, budgets, catalogue, decisions, evaluations, feedback, simulations, webhooks
from api.service.settings import Settings
from api.service.shell import Shell, note
from api.service.state import Service
from api.service.straight import Straight
from warehouse.home import MAIN

ROUTERS = (
    health.router,
    catalogue.router,
    budgets.router,
    feedback.router,
    decisions.router,
    allocations.router,
    evaluations.router,
    simulations.router,
    webhooks.router,
)
"""Each subject's routes. A path that is fixed stands before one with a parameter in its place."""

_BUSY = (feedback.post_feedback, decisions.decide)  # carry the load: they are answered straight
_CAUSE = 500  # characters of what a library said, in the log
_TITLES = {404: ("not-found", "There is no such thing"), 405: ("method", "This method is not taken here")}


def create_app(settings: Settings) -> FastAPI:
    """The service as an ASGI application.

    Args:
        settings: as the environment gives them.

    Raises:
        WorkspaceError: what it needs is not there; it says what.
    """
    service = Service(settings)
    app = FastAPI(
        title="Allot",
        version=__version__,
        openapi_url=None,
        lifespan=_lifespan,
        telemetry={"tracing": False, "metrics": False, "logs": False},  # api/service/telemetry.py has our own
    )
    app.state.service = service
    for router in ROUTERS:
        app.router.routes.extend(router.routes)  # as they are: a router in between costs every request a look
    busy = [route for route in app.router.routes if isinstance(route, APIRoute) and route.endpoint in _BUSY]
    app.add_middleware(Straight, routes=busy, problem=_problem, ours=_ours)
    app.add_middleware(Shell, service=service)
    app.add_exception_handler(Problem, _problem)
    app.add_exception_handler(AllotError, _ours)
    app.add_exception_handler(RequestValidationError, _parameters)
    app.add_exception_handler(HTTPException, _of_http)
    app.add_exception_handler(Exception, _unexpected)
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    app.state.service.tenant(MAIN)
    yield
    app.state.service.close()


def _respond(request: Request, problem: Problem) -> Response:
    return response_of(problem, request.scope.get("request_id", ""))


async def _problem(request: Request, error: Any) -> Response:
    return _respond(request, error)


async def _ours(request: Request, error: Any) -> Response:
    problem = problem_of(error)
    if problem.status >= 500:
        note(request.scope, "error", str(error))
        note(request.scope, "cause", repr(error.__cause__)[:_CAUSE])
    return _respond(request, problem)


async def _parameters(request: Request, error: Any) -> Response:
    """Parameters of path, query and headers that are wrong; bodies are read by strict_json."""
    errors = [{"path": pointer(each["loc"]), "what": str(each["msg"])} for each in error.errors()[:100]]
    detail = f"{errors[0]['path']}: {errors[0]['what']}."
    return _respond(request, Problem(422, "parameters", "A parameter is wrong", detail, errors=errors))


async def _of_http(request: Request, error: Any) -> Response:
    kind, title = _TITLES.get(error.status_code, ("http", str(error.detail)))
    return _respond(request, Problem(error.status_code, kind, title, headers=error.headers))


async def _unexpected(request: Request, _: Exception) -> Response:
    """What nobody foresaw: the log has it, under the request's id; the answer says nothing of it."""
    response = _respond(request, _internal())
    response.headers["x-request-id"] = request.scope.get("request_id", "")  # it leaves outside the layer that adds it
    return response


def _internal() -> Problem:
    detail = "The service's log says more, under the request's id."
    return Problem(500, "unexpected", "The service could not do it", detail)
