"""Routes that are called all the time, straight: no search for the route, and its dependencies in a fixed order.

FastAPI finds a route by trying one after the other and works out its dependencies anew for each request. For the few
routes that carry the load both are known beforehand. They stay FastAPI's routes: for the contract, and for who may
call what.
"""

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from inspect import iscoroutinefunction
from typing import Any, TypeAlias, final

from fastapi import Request
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from allot import AllotError
from api.service.problems import Problem

Refused: TypeAlias = Callable[[Request, Any], Awaitable[Response]]


@final
class Straight:
    """Answers some routes itself and passes everything else on.

    Args:
        app: takes the rest.
        routes: of one fixed path each, whose dependencies are coroutines that take the request or each other.
        problem, ours: what the application answers to a `Problem` and to an error of ours.
    """

    def __init__(self, app: ASGIApp, routes: Iterable[APIRoute], problem: Refused, ours: Refused) -> None:
        self._app = app
        self._problem, self._ours = problem, ours
        self._paths = {(method, one.path): (one, _steps(one)) for one in routes for method in one.methods or ()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        found = self._paths.get((scope["method"], scope["path"])) if scope["type"] == "http" else None
        if found is None:
            await self._app(scope, receive, send)
            return
        scope["route"], steps = found
        request = Request(scope, receive, send)
        try:
            answer = await _answer(request, steps)
        except Problem as problem:
            answer = await self._problem(request, problem)
        except AllotError as error:
            answer = await self._ours(request, error)
        await answer(scope, receive, send)


@dataclass(frozen=True, slots=True)
class _Step:
    """One call: with the request, under the name it has there if any, and with what earlier steps returned."""

    call: Callable[..., Awaitable[Any]]
    request: str | None
    taken: tuple[tuple[str, int], ...]


async def _answer(request: Request, steps: tuple[_Step, ...]) -> Response:
    """What the last step, which is the endpoint, returns."""
    known: list[Any] = []
    for step in steps:
        given = {name: known[place] for name, place in step.taken}
        if step.request is not None:
            given[step.request] = request
        known.append(await step.call(**given))
    answer: Response = known[-1]
    return answer


def _steps(route: APIRoute) -> tuple[_Step, ...]:
    """The calls in the order in which FastAPI makes them, each once, the endpoint last."""
    steps: list[_Step] = []
    places: dict[Any, int] = {}

    def place(one: Dependant) -> int:
        if one.call not in places:
            before = [(each.name, place(each)) for each in one.dependencies]
            taken = tuple((name, at) for name, at in before if name is not None)
            places[one.call] = len(steps)
            steps.append(_Step(_coroutine(route, one), one.request_param_name, taken))
        return places[one.call]

    place(route.dependant)
    return tuple(steps)


def _coroutine(route: APIRoute, one: Dependant) -> Callable[..., Awaitable[Any]]:
    """The call of a dependency.

    Raises:
        TypeError: it takes or is something that only FastAPI knows how to handle.
    """
    parameters = one.path_params + one.query_params + one.header_params + one.cookie_params + one.body_params
    others = (one.http_connection_param_name, one.response_param_name, one.background_tasks_param_name)
    call = one.call
    if call is None or parameters or any(others) or not _is_coroutine(call):
        raise TypeError(f"{route.path} cannot be answered straight: {call} takes more than the request")
    return call


def _is_coroutine(call: Any) -> bool:
    return iscoroutinefunction(call) or iscoroutinefunction(type(call).__call__)
