"""The OpenAPI document: what each route takes, who may call it, what can go wrong. Run as a module, it prints it."""

import json
import sys
from collections.abc import Iterator
from typing import Any

from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute
from pydantic import BaseModel

from allot import __version__
from api.service.app import ROUTERS
from api.service.dependencies import Needs
from api.service.problems import MEDIA_TYPE

_PROBLEM = {
    "title": "Problem",
    "description": "RFC 9457. `errors` names each wrong field of the body by its JSON pointer.",
    "type": "object",
    "required": ["type", "title", "status"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "request_id": {"type": "string"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["path", "what"],
                "properties": {"path": {"type": "string"}, "what": {"type": "string"}},
            },
        },
    },
}
_REFUSED = {"description": "Refused", "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}}
_BEARER = {"type": "http", "scheme": "bearer", "description": "An API key (allot_...) or a JSON web token."}


def routes() -> list[APIRoute]:
    """Every route of the service."""
    return [route for router in ROUTERS for route in router.routes if isinstance(route, APIRoute)]


def roles_of(route: APIRoute) -> frozenset[str] | None:
    """Who may call a route; None where it needs no token.

    Raises:
        LookupError: the route does not say.
    """
    called = [dependency.call for dependency in route.dependant.dependencies]
    found = [call.roles for call in called if isinstance(call, Needs)]
    public = [call for call in called if getattr(call, "public", False)]
    if len(found) + len(public) != 1:
        raise LookupError(f"{route.path} needs exactly one of `needs` and `everyone`")
    return found[0] if found else None


def contract() -> dict[str, Any]:
    """The OpenAPI document."""
    every = routes()
    summary = "Which offer, if any, each customer gets."
    document = get_openapi(title="Allot", version=__version__, summary=summary, routes=every)
    schemas: dict[str, Any] = {"Problem": _PROBLEM}
    for route in every:
        for method in route.methods or ():
            operation = document["paths"][route.path_format][method.lower()]
            _describe(operation, route, schemas)
    components = document.setdefault("components", {})
    components["schemas"] = dict(sorted(schemas.items()))
    components["securitySchemes"] = {"bearer": _BEARER}
    return document


def _describe(operation: dict[str, Any], route: APIRoute, schemas: dict[str, Any]) -> None:
    roles = roles_of(route)
    operation["operationId"] = route.name
    operation["responses"].pop("422", None)
    operation["responses"]["4XX"] = operation["responses"]["5XX"] = _REFUSED
    if roles is not None:
        operation["security"] = [{"bearer": []}]
        operation["x-roles"] = sorted(roles)
    for call in _calls(route):
        model, schema = getattr(call, "body_model", None), getattr(call, "body_schema", None)
        if model is not None:
            schema = _model_schema(model, schemas)
        if schema is not None:
            content = {kind: {"schema": schema} for kind in getattr(call, "media_types", ("application/json",))}
            operation["requestBody"] = {"required": True, "content": content}


def _calls(route: APIRoute) -> Iterator[Any]:
    waiting = list(route.dependant.dependencies)
    while waiting:
        one = waiting.pop()
        waiting += one.dependencies
        yield one.call


def _model_schema(model: type[BaseModel], schemas: dict[str, Any]) -> dict[str, Any]:
    """A reference to a model's schema, which joins the others."""
    schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
    schemas |= schema.pop("$defs", {})
    schemas[model.__name__] = schema
    return {"$ref": f"#/components/schemas/{model.__name__}"}


def text() -> str:
    """The document as it is committed in docs/openapi.json."""
    return json.dumps(contract(), indent=1, sort_keys=True) + "\n"


if __name__ == "__main__":
    sys.stdout.write(text())
