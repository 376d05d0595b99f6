"""A service that runs says so, and what it counts."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from conftest import Running


def test_a_running_service_is_alive_and_ready_with_its_database_and_model(service: "Running") -> None:
    client = service.client(None)
    assert client.get("/livez").json() == {"status": "alive"}
    ready = client.get("/readyz")
    assert ready.status_code == 200
    checks = ready.json()["checks"]
    assert checks["database"]["status"] == checks["model"]["status"] == checks["disk"]["status"] == "up"


def test_unknown_paths_and_methods_are_problems_with_the_request_id(service: "Running") -> None:
    client = service.client()
    for answer, status in ((client.get("/v1/nothing"), 404), (client.delete("/livez"), 405)):
        assert answer.status_code == status
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["request_id"] == answer.headers["x-request-id"]


def test_every_request_is_counted_by_route_and_status(service: "Running") -> None:
    client = service.client(None)
    for _ in range(3):
        client.get("/livez")
    client.get("/v1/nothing")
    said = client.get("/metrics").text
    assert 'allot_requests_total{method="GET",route="/livez",status="200"} 3.0' in said
    assert 'route="unknown",status="404"} 1.0' in said
