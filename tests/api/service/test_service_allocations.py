"""Allocations over HTTP, on a real service with a real worker: asked for, watched, approved, released, explained."""

import hashlib
import hmac
import io
import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from whole_home import everything

from api.service.worker import run
from sims import WORLDS

PATIENCE_SECONDS = 60.0
CAMPAIGN = {
    "name": "summer",
    "as_of": "2026-04-02T00:00:00Z",
    "seed": 1,
    "outcome_days": 14,
    "exploration": {"share": 0.2, "holdout": 0.05},
    "limits": [{"name": "budget", "measure": "cost", "maximum": 60.0}],
}


@pytest.fixture
def worker(home: Path) -> Iterator[Callable[[], None]]:
    """A worker over `home`; call it to end it before the test does."""
    stopping = threading.Event()
    thread = threading.Thread(
        target=run, args=(home, 0), kwargs={"stopping": stopping, "now": lambda: datetime.now(UTC)}
    )
    thread.start()

    def end() -> None:
        stopping.set()
        thread.join()

    yield end
    end()


def ended(client, path):
    until = time.monotonic() + PATIENCE_SECONDS
    while (found := client.get(path).json())["state"] in ("queued", "running"):
        assert time.monotonic() < until, found
        time.sleep(0.1)
    return found


def allocated(client, campaign=CAMPAIGN, **options):
    asked = client.post("/v1/allocations", json=campaign, **options)
    assert asked.status_code == 202, asked.text
    return ended(client, asked.headers["location"])


def test_an_allocation_is_asked_for_made_and_read(service, worker):
    manager, analyst = service.client("manager"), service.client("analyst")
    found = allocated(manager)
    assert (found["state"], found["status"]) == ("done", "released"), found
    assert found["released"]["by"] == found["asked"]["by"]
    summary = found["summary"]
    assert summary["limits"][0]["used"] <= 60.0
    assert {"planned_value", "planned_cost", "rejection_rate", "cost_of_chance", "gap"} <= summary.keys()
    low, middle, high = (summary["planned_range"][name] for name in ("p10", "p50", "p90"))
    assert low < middle == summary["planned_value"] < high

    lines = analyst.get(f"/v1/allocations/{found['id']}/decisions").text.splitlines()
    rows = [json.loads(line) for line in lines]
    assert len(rows) == summary["audience"]
    assert sum(row["offer_id"] is not None for row in rows) == summary["chosen"]
    own = analyst.get(f"/v1/allocations/{found['allocation_id']}")
    assert own.json()["summary"] == summary
    parquet = analyst.get(
        f"/v1/allocations/{found['allocation_id']}/decisions", headers={"Accept": "application/vnd.apache.parquet"}
    )
    assert hashlib.sha256(parquet.content).hexdigest() == summary["decisions_sha256"]
    assert parquet.headers["etag"] == f'"{summary["decisions_sha256"]}"'
    assert pq.read_table(io.BytesIO(parquet.content))["decision_id"].to_pylist() == [row["decision_id"] for row in rows]

    page, paged = f"/v1/allocations/{found['id']}/decisions?limit=150", []
    while page:
        answer = analyst.get(page)
        paged += answer.text.splitlines()
        page = answer.links.get("next", {}).get("url")
    assert paged == lines
    refused = analyst.get(f"/v1/allocations/{found['id']}/decisions", headers={"Accept": "text/html"})
    assert (refused.status_code, refused.headers["content-type"]) == (406, "application/problem+json")


def test_the_same_key_is_the_same_allocation_and_with_another_body_refused(service):
    client, key = service.client("manager"), {"Idempotency-Key": "spring-1"}
    first = client.post("/v1/allocations", json=CAMPAIGN, headers=key)
    again = client.post("/v1/allocations", json=CAMPAIGN, headers=key)
    assert (first.status_code, again.status_code) == (202, 202)
    assert again.json() == first.json()
    assert again.headers["location"] == first.headers["location"]
    other = client.post("/v1/allocations", json=CAMPAIGN | {"seed": 2}, headers=key)
    assert (other.status_code, other.json()["type"]) == (409, "urn:allot:problem:idempotency-key")
    assert client.post("/v1/allocations", json=CAMPAIGN).json()["id"] != first.json()["id"]
    assert len(client.get("/v1/allocations").json()["items"]) == 2


def test_progress_comes_as_events_to_the_end_and_goes_on_where_a_client_stopped(service, worker):
    client = service.client("manager")
    where = client.post("/v1/allocations", json=CAMPAIGN).headers["location"]
    with client.stream("GET", f"{where}/events") as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        told = "".join(answer.iter_text()).strip().split("\n\n")
    stages = [json.loads(part.split("data: ")[1]).get("stage") for part in told]
    assert {"candidates", "beliefs", "write"} <= set(stages)
    _, name, data = told[-1].split("\n")
    assert name == "event: end"
    assert json.loads(data.removeprefix("data: "))["result"]["status"] == "released"
    numbers = [int(part.split("\n")[0].removeprefix("id: ")) for part in told[:-1]]
    assert numbers == list(range(1, len(numbers) + 1))
    rest = client.get(f"{where}/events", headers={"Last-Event-ID": str(numbers[-2])}).text.strip().split("\n\n")
    assert rest == told[-2:]


def test_a_cancelled_job_leaves_nothing_behind(service, home):
    client = service.client("manager")
    where = client.post("/v1/allocations", json=CAMPAIGN).headers["location"]
    before = sorted(path.name for path in (home / "decisions").iterdir())
    assert client.post(f"{where}/cancel").json()["state"] == "cancelled"
    assert client.get(f"{where}/decisions").status_code == 409
    assert client.post(f"{where}/cancel").json()["state"] == "cancelled"
    assert sorted(path.name for path in (home / "decisions").iterdir()) == before


def test_what_is_wrong_with_a_campaign_is_said_at_once_or_by_the_job(service, worker):
    client = service.client("manager")
    missing = client.post("/v1/allocations", json={})
    assert (missing.status_code, missing.json()["type"]) == (422, "urn:allot:problem:campaign")
    failed = allocated(client, CAMPAIGN | {"audience": "shoe_size > 40"})
    assert failed["state"] == "failed"
    assert "shoe_size" in failed["error"]["what"]
    assert client.get("/v1/allocations/alloc-0").status_code == 404
    assert client.get("/v1/allocations/job-0").status_code == 404


def test_a_draft_counts_and_is_delivered_only_after_a_second_person_approved_it(service, worker):
    asking = service.client("admin")
    found = allocated(asking, CAMPAIGN | {"approval": "second_person"})
    where = f"/v1/allocations/{found['id']}"
    assert (found["status"], found["approved"], found["released"]) == ("draft", None, None)
    assert asking.post(f"{where}/release").status_code == 422
    own = asking.post(f"{where}/approve")
    assert own.status_code == 422
    assert "second person" in own.json()["detail"]
    assert service.client("manager").post(f"{where}/approve").status_code == 403
    approved = service.client("approver").post(f"{where}/approve").json()
    assert (approved["status"], approved["released"]) == ("approved", None)
    assert approved["approved"]["by"] != found["asked"]["by"]
    released = service.client("manager").post(f"{where}/release").json()
    assert released["status"] == "released"
    again = service.client("approver").post(f"{where}/release").json()
    assert again["released"] == released["released"]


def test_without_release_an_allocation_waits_and_then_replaces_the_one_before(service, worker):
    client = service.client("manager")
    first = allocated(client)
    second = allocated(client, CAMPAIGN | {"seed": 2}, params={"release": "false"})
    assert second["status"] == "approved"
    status = lambda found: client.get(f"/v1/allocations/{found['id']}").json()["status"]  # noqa: E731
    assert status(first) == "released"
    released = client.post(f"/v1/allocations/{second['id']}/release")
    assert released.status_code == 200, released.text
    assert (status(first), status(second)) == ("superseded", "released")


def test_explaining_says_why_and_why_not_and_writes_nothing(service, home, worker):
    client = service.client("analyst")
    found = allocated(service.client("manager"))
    rows = [json.loads(x) for x in client.get(f"/v1/allocations/{found['id']}/decisions").text.splitlines()]
    worker()  # what it learns by itself is not written by explaining
    before = everything(home)
    for row in rows[:5]:
        why = client.get(f"/v1/allocations/{found['id']}/customers/{row['customer_id']}").json()
        assert why["chosen"] == row["offer_id"]
        for offer in why["offers"]:
            named = ("probability", "value", "cost", "price", "behind") if offer["eligible"] else ("excluded_by",)
            assert all(offer[name] is not None and offer[name] != [] for name in named), offer
    assert client.get(f"/v1/allocations/{found['id']}/customers/nobody").status_code == 404
    assert everything(home) == before


class Receiver(HTTPServer):
    """Answers with the statuses given, then 200; keeps what it was sent."""

    def __init__(self, statuses):
        super().__init__(("127.0.0.1", 0), Handler)
        self.statuses, self.got = list(statuses), []
        threading.Thread(target=self.serve_forever, daemon=True).start()


class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.got.append((dict(self.headers), body))
        self.send_response(self.server.statuses.pop(0) if self.server.statuses else 200)
        self.end_headers()

    def log_message(self, *_):
        pass


def test_a_release_is_delivered_signed_and_under_one_id_however_often_it_is_sent(service, worker, monkeypatch):
    from api.service import webhooks

    monkeypatch.setenv("ALLOT_WEBHOOK_NETWORKS", "127.0.0.0/8")
    monkeypatch.setattr(webhooks, "_FIRST_PAUSE", timedelta(seconds=0.2))
    receiver = Receiver([500, 503])
    admin = service.client("admin")
    made = admin.post("/v1/webhooks", json={"url": f"http://127.0.0.1:{receiver.server_port}/in"})
    assert made.status_code == 201, made.text
    assert "signing_key" not in admin.get("/v1/webhooks").text
    found = allocated(service.client("manager"))
    until = time.monotonic() + PATIENCE_SECONDS
    while (told := admin.get(f"/v1/allocations/{found['id']}/deliveries").json()["items"])[0]["state"] == "waiting":
        assert time.monotonic() < until
        time.sleep(0.1)
    receiver.shutdown()
    assert [(each["state"], each["attempts"]) for each in told] == [("delivered", 3)]
    assert len(receiver.got) == 3
    assert {headers["Allot-Delivery"] for headers, _ in receiver.got} == {told[0]["delivery_id"]}
    assert len({body for _, body in receiver.got}) == 1
    headers, body = receiver.got[-1]
    at, signed = headers["Allot-Signature"].removeprefix("t=").split(",v1=")
    expected = hmac.new(made.json()["signing_key"].encode(), f"{at}.".encode() + body, hashlib.sha256).hexdigest()
    assert signed == expected
    document = json.loads(body)
    assert document["decisions"]["sha256"] == found["summary"]["decisions_sha256"]
    assert document["allocation_id"] == found["allocation_id"]


def test_evaluations_and_simulations_are_jobs_too(service, worker, monkeypatch):
    monkeypatch.setitem(WORLDS, "nbo", replace(WORLDS["nbo"], days=8, history=3_000))
    analyst = service.client("analyst")
    played = {"world": "nbo", "policies": ["best-static"], "seeds": "1000", "customers": 50}
    asked = analyst.post("/v1/simulations", json=played)
    assert asked.status_code == 202, asked.text
    evaluated = analyst.post("/v1/evaluations", json={"policy": "logged", "as_of": "2026-06-01"})
    assert evaluated.status_code == 202, evaluated.text
    nothing = ended(analyst, evaluated.headers["location"])
    assert nothing["state"] == "failed"
    assert "feedback" in nothing["error"]["what"] or "outcomes" in nothing["error"]["what"]
    assert "best-static" in ended(analyst, asked.headers["location"])["result"]["summary"]
    for path, body in (
        ("simulations", {}),
        ("simulations", played | {"world": "/etc/passwd.toml"}),
        ("simulations", played | {"seeds": "1-1000"}),
        ("simulations", played | {"policies": ["nobody"]}),
        ("evaluations", {}),
        ("evaluations", {"policy": "logged", "log": "/etc/passwd"}),
        ("evaluations", {"policy": "logged", "since": "yesterday"}),
        ("evaluations", {"policy": {"name": "x"}}),
    ):
        assert analyst.post(f"/v1/{path}", json=body).status_code == 422, (path, body)
    assert analyst.get(asked.headers["location"].replace("simulations", "evaluations")).status_code == 404
