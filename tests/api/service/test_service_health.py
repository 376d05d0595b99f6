"""A service that runs says so, and what it counts."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from service_running import Running


def test_a_running_service_is_alive_and_ready_with_its_database_and_model(service: "Running") -> None:
    client = service.client(None)
    assert client.get("/livez").json() == {"status": "alive"}
    ready = client.get("/readyz")
    assert ready.status_code == 200
    checks = ready.json()["checks"]
    assert checks["database"]["status"] == checks["model"]["status"] == checks["disk"]["status"] == "up"


def test_feedback_that_is_not_learnt_shows_as_lag_until_learning_has_seen_it(service: "Running") -> None:
    from api.service.lag import Lag
    from warehouse.learning_marks import LearningMark, put_learning_mark, to_be_seen

    client, tenant = service.client(), service.app.state.service.tenant("main")
    lag, now = Lag(tenant), datetime.now(UTC)
    assert [lag.look(at) for at in (0.0, 5.0)] == [0.0, 0.0]
    decision = client.post("/v1/decisions", json={"campaign": "spring", "customer_id": "c001"}).json()["decision_id"]
    record = {"event_id": "e", "decision_id": decision, "outcome": 1, "reward": 1.0}
    assert client.post("/v1/feedback", json={**record, "occurred_at": "2036-01-01T00:00:00Z"}).status_code == 201
    assert [lag.look(at) for at in (10.0, 17.0)] == [0.0, 7.0]
    assert client.get("/readyz").json()["checks"]["learning"]["status"] == "up"
    put_learning_mark(tenant.store, LearningMark(to_be_seen(tenant.store, now), now, 0.1))
    assert lag.look(20.0) == 0.0


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
