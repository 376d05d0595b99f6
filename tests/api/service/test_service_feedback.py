"""Feedback over HTTP: a result for each record, whatever the format; poison leaves the others; nothing counts twice."""

import json
from datetime import UTC, datetime

import pytest

from warehouse import Workspace, open_store, outcomes, read_decisions

LATER = "2026-04-02T10:00:00Z"
NDJSON = {"Content-Type": "application/x-ndjson"}


@pytest.fixture(scope="session")
def decided(trained):
    """The ids of the decisions that the workspace has."""
    (path,) = trained.glob("decisions/*/decisions.parquet")
    return read_decisions(path, ["decision_id"])["decision_id"].to_pylist()


def record(decision_id, event_id="e1", **changed):
    return {
        "event_id": event_id,
        "decision_id": decision_id,
        "outcome": 1,
        "reward": 2.5,
        "occurred_at": LATER,
    } | changed


def post(client, body, **headers):
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return client.post("/v1/feedback", content=content, headers={"Content-Type": "application/json"} | headers)


def kept(service):
    with open_store(Workspace.open(service.home)) as store:
        return {row["decision_id"]: row["reward"] for row in outcomes(store).to_pylist()}


def test_one_record_is_answered_with_a_status_of_its_own(service, decided):
    client = service.client("ingest")
    first = post(client, record(decided[0]))
    assert (first.status_code, first.json()["result"]) == (201, "accepted")
    again = post(client, record(decided[0]))
    assert (again.status_code, again.json()["result"]) == (200, "duplicate")
    assert again.json()["receipt"] == first.json()["receipt"]
    other = post(client, record(decided[0], reward=3))
    assert (other.status_code, other.json()["type"]) == (409, "urn:allot:problem:taken")
    corrected = post(client, record(decided[0], "e2", reward=4, occurred_at="2026-04-03T10:00:00Z"))
    assert (corrected.status_code, corrected.json()["result"]) == (201, "corrected")
    unknown = post(client, record("somebody", "e3"))
    assert (unknown.status_code, unknown.json()["result"]) == (202, "pending")
    early = post(client, record(decided[1], "e4", occurred_at="2026-03-31T23:59:59Z"))
    assert early.status_code == 422
    assert early.json()["errors"][0]["path"] == "/occurred_at"
    assert kept(service) == {decided[0]: 4.0}


def test_every_format_says_the_same(service, decided):
    client = service.client("ingest")
    sent = [record(name, f"e{i}") for i, name in enumerate(decided[:4])]
    array = post(client, sent).json()
    assert array["accepted"] == 4
    lines = post(client, b"\n".join(json.dumps(one).encode() for one in [*sent, sent[0]]) + b"\n", **NDJSON).json()
    assert [one["result"] for one in lines["results"]] == ["duplicate"] * 5
    assert [one["receipt"] for one in lines["results"][:4]] == [one["receipt"] for one in array["results"]]


def cloud(decision_id, number="1", **changed):
    data = {"decision_id": decision_id, "outcome": 1, "reward": 2.5}
    named = {"specversion": "1.0", "type": "sale", "source": "/shop", "id": number, "time": LATER, "data": data}
    return named | changed


def test_cloud_events_are_named_by_source_and_id(service, decided):
    client = service.client("ingest")
    one = {"Content-Type": "application/cloudevents+json"}
    many = {"Content-Type": "application/cloudevents-batch+json"}
    first = post(client, cloud(decided[0], tenant="x"), **one)
    assert (first.status_code, first.json()["event_id"]) == (201, "/shop#1")
    bad = [
        cloud(decided[1], "2", specversion="0.3"),
        cloud(decided[1], "3", data="text"),
        cloud(decided[1], "4", datacontenttype="text/xml"),
        cloud(decided[1], 5),
        cloud(decided[1], "6", data={"event_id": "mine", "decision_id": decided[1], "outcome": 1, "reward": 1}),
        7,
    ]
    answer = post(client, [cloud(decided[0]), *bad, cloud(decided[1], "8")], **many).json()
    assert (answer["duplicate"], answer["rejected"], answer["accepted"]) == (1, 6, 1)
    assert post(client, cloud(decided[0]), **many).status_code == 422
    by_subject = cloud(decided[2], "9", subject=decided[2], data={"outcome": 0, "reward": 0})
    assert post(client, by_subject, **one).status_code == 201


POISON = [
    '{"event_id": "p", "decision_id": "d", "outcome": NaN, "reward": 1, "occurred_at": "2026-04-02"}',
    '{"event_id": "p", "decision_id": "d", "outcome": 1, "reward": Infinity, "occurred_at": "2026-04-02"}',
    '{"event_id": "p", "decision_id": "d", "outcome": 1, "reward": 1e400, "occurred_at": "2026-04-02"}',
    '{"event_id": "p", "decision_id": "d", "outcome": true, "reward": 1, "occurred_at": "2026-04-02"}',
    '{"event_id": "p", "decision_id": "d", "outcome": "1", "reward": 1, "occurred_at": "2026-04-02"}',
    '{"event_id": "p", "decision_id": "d", "outcome": 1, "reward": "1", "occurred_at": "2026-04-02"}',
    '{"event_id": "p", "decision_id": "d", "outcome": 1, "reward": 1, "occurred_at": 1700000000}',
    '{"event_id": "p", "decision_id": "d", "outcome": 1, "reward": 1, "occurred_at": "2026-04-02", "more": 1}',
    '{"event_id": "p", "event_id": "p", "decision_id": "d", "outcome": 1, "reward": 1, "occurred_at": "2026-04-02"}',
    '{"event_id": "\\ud800", "decision_id": "d", "outcome": 1, "reward": 1, "occurred_at": "2026-04-02"}',
    '{"event_id": "a\\u0000b", "decision_id": "d", "outcome": 1, "reward": 1, "occurred_at": "2026-04-02"}',
    '{"event_id": "%s", "decision_id": "d", "outcome": 1, "reward": 1, "occurred_at": "2026-04-02"}' % ("x" * 10**6),
    '{"event_id": "p", "decision_id": "d", "outcome": %s, "reward": 1, "occurred_at": "2026-04-02"}' % ("1" * 5000),
    '{"event_id": {"a": [1]}, "decision_id": "d", "outcome": 1, "reward": 1, "occurred_at": "2026-04-02"}',
    '{"event_id": "p", "decision_id": "d", "outcome": 1, "occurred_at": "2026-04-02"}',
    "null",
    "[]",
    "NaN",
]


@pytest.fixture(scope="module")
def open_service(copies, trained, tmp_path_factory):
    """One service for tests that leave nothing behind that another would mind."""
    import shutil

    from service_running import serving

    from api.service.settings import Settings

    with copies.database():
        home = shutil.copytree(trained, tmp_path_factory.mktemp("open") / "home")
        with serving(Settings(home=home, port=0)) as running:
            yield running


@pytest.mark.parametrize("poison", POISON)
@pytest.mark.parametrize("kind", ["application/json", "application/x-ndjson"])
def test_one_poisonous_record_leaves_the_others_in_place(open_service, decided, poison, kind):
    client = open_service.client("ingest")
    stem = f"{kind}{POISON.index(poison)}-"
    sound = [json.dumps(record(name, f"{stem}{i}")) for i, name in enumerate(decided[:9])]
    lines = [*sound[:4], poison, *sound[4:]]
    body = f"[{','.join(lines)}]" if kind == "application/json" else "\n".join(lines)
    answer = post(client, body.encode(), **{"Content-Type": kind})
    assert answer.status_code == 200
    results = [one["result"] for one in answer.json()["results"]]
    assert results[4] == "rejected"
    assert answer.json()["results"][4]["line"] == 5
    assert len(answer.json()["results"][4]["reason"]) < 200
    assert results.count("accepted") + results.count("corrected") == 9
    alone = post(client, poison.encode())
    assert 400 <= alone.status_code < 500
    assert alone.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b"{}", "application/json", 422),
        (b"[]", "application/json", 422),
        (b"", "application/x-ndjson", 422),
        (b"7", "application/json", 422),
        (b"{half", "application/json", 400),
        (b"\xff", "application/json", 400),
        (b"[" * 100_000, "application/json", 400),
        (b"event_id\n", "text/csv", 415),
        (b"{}", "", 415),
        (b'{"a": "' + b"x" * (17 * 2**20) + b'"}', "application/json", 413),
    ],
)
def test_a_body_that_is_none_is_a_problem(open_service, body, kind, status):
    answer = post(open_service.client("ingest"), body, **{"Content-Type": kind})
    assert answer.status_code == status
    assert answer.json()["status"] == status


def test_dead_letters_are_listed_in_pages_retried_and_dropped(serve, decided):
    service = serve(feedback_hours=1e-9)
    client = service.client("manager")
    ingest = service.client("ingest")
    post(ingest, [record("nobody", f"e{i}") for i in range(3)])
    post(ingest, [record(decided[0], "taken"), record(decided[0], "taken", reward=9)])
    everything = {"event_ids": "all"}
    assert client.post("/v1/feedback/dead-letters/retry", json=everything).json() == {"retried": 0, "joined": 0}
    first = client.get("/v1/feedback/dead-letters", params={"limit": 2}).json()
    assert [letter["event_id"] for letter in first["dead_letters"]] == ["e0", "e1"]
    second = client.get("/v1/feedback/dead-letters", params={"limit": 2, "after": first["next"]}).json()
    assert [(letter["event_id"], letter["kind"]) for letter in second["dead_letters"]] == [
        ("e2", "unknown"),
        ("taken", "conflict"),
    ]
    dropped = client.post("/v1/feedback/dead-letters/drop", json={"event_ids": ["e0", "taken", "?"]})
    assert dropped.json() == {"dropped": 2}
    assert client.post("/v1/feedback/dead-letters/retry", json={"event_ids": ["e0", "e1", "?"]}).json()["retried"] == 1
    left = client.get("/v1/feedback/dead-letters").json()
    assert ([letter["event_id"] for letter in left["dead_letters"]], left["next"]) == (["e2"], None)
    assert post(ingest, record("nobody", "e0")).json()["result"] == "duplicate", "its id stays taken"
    for body in ({}, {"event_ids": []}, {"event_ids": "some"}, {"event_ids": [1]}):
        assert client.post("/v1/feedback/dead-letters/retry", json=body).status_code == 422


def test_feedback_that_came_before_its_decision_joins_later(service, trained):
    from engine.allocate import allocate
    from engine.campaign import read_campaign

    client = service.client("ingest")
    workspace = Workspace.open(service.home)
    document = {"name": "late", "as_of": "2026-04-01T00:00:00Z", "seed": 2}
    done = allocate(workspace, read_campaign(document), now=datetime(2026, 4, 1, tzinfo=UTC))
    path = workspace.decisions / done["allocation_id"] / "decisions.parquet"
    name = read_decisions(path, ["decision_id"])["decision_id"][0].as_py()
    moved = path.rename(path.with_suffix(".away"))
    waits = post(client, record(name, "w"))
    assert (waits.status_code, waits.json()["result"]) == (202, "pending"), "a file that is gone holds nobody up"
    moved.rename(path)
    answer = service.client("manager").post("/v1/feedback/dead-letters/retry", json={"event_ids": "all"})
    assert answer.json() == {"retried": 0, "joined": 1}
    assert kept(service) == {name: 2.5}
