"""The contract is committed, and the service keeps it."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

from api.service.contract import contract, roles_of, routes, text
from api.service.roles import ROLES
from warehouse import Keys, Workspace, make_tenant

if TYPE_CHECKING:
    from service_running import Running

ROOT = Path(__file__).parents[3]
NAMES = {"name": "spring", "table": "events", "customer_id": "c001"}


def test_the_committed_contract_is_the_one_that_is_served(service: "Running") -> None:
    committed = (ROOT / "docs" / "openapi.json").read_text()
    assert committed == text(), "the routes have changed: run `make openapi` and read what it changes"
    assert service.client(None).get("/openapi.json").json() == json.loads(committed)


def test_every_operation_has_a_name_of_its_own_and_words_for_people() -> None:
    operations = [o for path in contract()["paths"].values() for o in path.values()]
    names = [operation["operationId"] for operation in operations]
    assert len(set(names)) == len(names)
    assert all(operation["description"].strip() for operation in operations)


@pytest.fixture
def callers(service: "Running") -> dict[str, httpx.Client]:
    """Somebody without a token, with a token of nobody, one of each role, and an admin of another tenant."""
    home = Workspace.open(service.home)
    make_tenant(home, "other")
    with Keys.open(home) as keys:
        service.keys["stranger"] = "allot_0123456789ab_" + "0" * 64
        service.keys["other"] = keys.create("other", ["admin"], actor="test", at=datetime.now(UTC)).text
    return {who or "nobody": service.client(who) for who in (None, "stranger", *ROLES, "other")}


def _status(client: httpx.Client, method: str, path: str, names: dict[str, str]) -> int:
    """What a call without a body is answered with; streams are not waited for."""
    filled = path.format_map({part: names.get(part, "nothing") for part in _parameters(path)})
    with client.stream(method, filled) as answer:
        return answer.status_code


def _parameters(path: str) -> list[str]:
    return [part.strip("{}").partition(":")[0] for part in path.split("/") if part.startswith("{")]


def test_each_route_lets_in_exactly_the_roles_that_it_declares(callers: dict[str, httpx.Client]) -> None:
    wrong = []
    for route in routes():
        roles = roles_of(route)
        for method in sorted(route.methods):
            for who, client in callers.items():
                status = _status(client, method, route.path_format, NAMES)
                if roles is None:
                    expected = status not in (401, 403)
                elif who in ("nobody", "stranger"):
                    expected = status in (401, 429)  # who fails too often waits
                else:
                    expected = (status == 403) != (who == "other" or who in roles)
                if not expected or status >= 500:
                    wrong.append((method, route.path, who, status))
    assert wrong == []


def test_a_route_that_does_not_say_who_may_call_it_is_found() -> None:
    from fastapi import APIRouter

    router = APIRouter()

    @router.get("/v1/open")
    async def unsaid() -> None:
        """Says nothing about roles."""

    with pytest.raises(LookupError):
        roles_of(router.routes[0])  # type: ignore[arg-type]


def test_a_key_of_another_tenant_finds_nothing_of_ours(service: "Running", callers: dict[str, httpx.Client]) -> None:
    from warehouse import open_store

    with open_store(Workspace.open(service.home)) as store:
        [allocation] = store.allocations()
    names = NAMES | {"allocation_id": allocation.allocation_id, "id": allocation.allocation_id}
    admin, other = callers["admin"], callers["other"]
    seen = []
    for route in routes():
        if roles_of(route) is None or "GET" not in route.methods:
            continue
        path = route.path_format
        if "{" in path:
            assert _status(other, "GET", path, names) == 404, path
            seen.append(_status(admin, "GET", path, names))
        else:
            said = other.get(path)
            assert said.status_code in (200, 404, 405, 422), path
            assert "spring" not in said.text, path
            assert "family" not in said.text, path
            assert allocation.allocation_id not in said.text, path
    assert 200 in seen
