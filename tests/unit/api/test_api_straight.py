"""Routes that are answered straight do what FastAPI would have done with them, in the same order."""

import asyncio
from typing import Annotated, Any

import httpx
import pytest
from fastapi import APIRouter, Depends, FastAPI, Request
from fastapi.routing import APIRoute
from starlette.responses import JSONResponse, Response

from allot import NotFoundError
from api.service.app import _BUSY, ROUTERS
from api.service.problems import Problem, problem_of, response_of
from api.service.straight import Straight, _steps

router = APIRouter()
CALLED: list[str] = []


async def caller(request: Request) -> str:
    CALLED.append("caller")
    return request.headers.get("x-name", "nobody")


async def place(request: Request, name: Annotated[str, Depends(caller)]) -> str:
    CALLED.append("place")
    return f"{name} at {request.url.path}"


class Allowed:
    async def __call__(self, name: Annotated[str, Depends(caller)]) -> None:
        CALLED.append("allowed")
        if name == "stranger":
            raise Problem(403, "forbidden", "This is not allowed")


async def body(request: Request) -> Any:
    CALLED.append("body")
    return await request.json()


@router.post("/one", dependencies=[Depends(Allowed())])
async def one(
    where: Annotated[str, Depends(place)], request: Request, asked: Annotated[Any, Depends(body)]
) -> Response:
    CALLED.append("one")
    if asked == "missing":
        raise NotFoundError("there is no such thing.")
    return JSONResponse({"where": where, "asked": asked, "route": request.scope["route"].path})


@router.post("/one/{name}")
async def with_a_name(name: str) -> Response:
    return JSONResponse(name)


async def _problem(_: Request, error: Any) -> Response:
    return response_of(error)


async def _ours(_: Request, error: Any) -> Response:
    return response_of(problem_of(error))


def _app(*, straight: bool) -> FastAPI:
    app = FastAPI()
    app.include_router(router)
    app.add_exception_handler(Problem, _problem)
    app.add_exception_handler(NotFoundError, _ours)
    if straight:
        app.add_middleware(Straight, routes=[_route(one)], problem=_problem, ours=_ours)
    return app


def _route(endpoint: Any) -> APIRoute:
    return next(route for route in router.routes if isinstance(route, APIRoute) and route.endpoint is endpoint)


def _asked(app: FastAPI, method: str, path: str, name: str, document: Any) -> tuple[int, Any, list[str]]:
    async def ask() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://x") as client:
            return await client.request(method, path, json=document, headers={"x-name": name})

    CALLED.clear()
    answer = asyncio.run(ask())
    return answer.status_code, answer.json(), list(CALLED)


@pytest.mark.parametrize(
    ("method", "path", "name", "document", "status"),
    [
        ("POST", "/one", "ann", [1], 200),
        ("POST", "/one", "stranger", [1], 403),
        ("POST", "/one", "ann", "missing", 404),
        ("GET", "/one", "ann", None, 405),
        ("POST", "/one/two", "ann", None, 200),
        ("POST", "/two", "ann", None, 404),
    ],
)
def test_a_straight_route_calls_and_answers_as_fastapi_does(
    method: str, path: str, name: str, document: Any, status: int
) -> None:
    expected, found = (_asked(_app(straight=way), method, path, name, document) for way in (False, True))
    assert found == expected
    assert found[0] == status


def test_a_route_that_takes_more_than_the_request_cannot_be_straight() -> None:
    with pytest.raises(TypeError, match="cannot be answered straight"):
        Straight(FastAPI(), [_route(with_a_name)], _problem, _ours)


def test_who_is_refused_is_refused_before_the_body_is_read() -> None:
    for route in (each for router in ROUTERS for each in router.routes if isinstance(each, APIRoute)):
        if route.endpoint in _BUSY:
            names = [getattr(step.call, "__name__", type(step.call).__name__) for step in _steps(route)]
            assert names[:3] == ["principal", "Needs", "tenant"]
            assert names[-1] == route.endpoint.__name__
