"""A disk that fills up while the service runs: what cannot be kept is refused, and nothing needs a restart."""

import os
import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from warehouse import Workspace, open_store, read_decisions

SECONDS = 20.0


@pytest.fixture(autouse=True)
def in_this_process(home) -> None:
    """A database server writes by itself: its own disk is its own affair."""
    if os.environ.get("ALLOT_DATABASE_URL"):
        pytest.skip("the rows are written by PostgreSQL")


@contextmanager
def files_end_at(size: int) -> Iterator[None]:
    """No file of this process grows beyond that, as on a disk that is full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.fixture
def events(trained) -> list[dict]:
    (path,) = trained.glob("decisions/*/decisions.parquet")
    ids = read_decisions(path, ["decision_id"])["decision_id"].to_pylist()
    said = {"outcome": 1, "reward": 2.5, "occurred_at": "2026-04-02T10:00:00Z"}
    return [{"event_id": f"e{i}", "decision_id": one, **said} for i, one in enumerate(ids)]


def ask(client, name, customer="c001"):
    return client.post("/v1/decisions", json={"campaign": "spring", "customer_id": customer, "decision_id": name})


def test_what_a_full_disk_cannot_keep_is_refused_and_taken_when_there_is_room(home, serve, events, capsys):
    client = serve().client()
    assert client.post("/v1/feedback", json=events[0]).status_code == 201
    before = ask(client, "before").json()
    with files_end_at(16_384):
        full = client.post("/v1/feedback", json=events)
        assert (full.status_code, full.json()["type"]) == (503, "urn:allot:problem:unavailable")
        assert "disk" in full.json()["detail"]
        assert "retry-after" in full.headers
    again = client.post("/v1/feedback", json=events).json()
    assert (again["accepted"], again["duplicate"], again["rejected"]) == (len(events) - 1, 1, 0)
    assert ask(client, "before").json() == before


def test_decisions_are_refused_only_where_nothing_at_all_can_be_written(home, serve, capsys):
    client = serve().client()
    assert ask(client, "before").json()["mode"] == "normal"
    with files_end_at(0):
        refused = ask(client, "refused")
        assert (refused.status_code, refused.json()["type"]) == (503, "urn:allot:problem:unavailable")
        assert client.get("/livez").status_code == 200
    end = time.monotonic() + SECONDS
    while ask(client, f"after-{time.monotonic()}").json()["mode"] != "normal":
        assert time.monotonic() < end, "it does not go on"
        time.sleep(0.1)
    assert client.get("/v1/decisions/refused").status_code == 404
    assert ask(client, "refused").status_code == 200
    with open_store(Workspace.open(home)) as store:
        assert store.latest_allocation() is not None
