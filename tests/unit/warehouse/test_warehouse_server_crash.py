"""The PostgreSQL server dies at any moment: what was acknowledged is there when it runs again."""

import os
import random
import signal
import threading
import time
from contextlib import suppress
from datetime import UTC, datetime

import pytest

from allot import WorkspaceError
from warehouse import Workspace, feedback_items, make_store, open_store, take_feedback

NOW = datetime(2026, 3, 1, tzinfo=UTC)
BATCH = 5
SETTING = "ALLOT_DATABASE_URL"


def events(name):
    at = "2026-02-01T00:00:00Z"
    ids = (f"{name}.{i}" for i in range(BATCH))
    return [{"event_id": i, "decision_id": f"A-{i}", "outcome": 1, "reward": 1, "occurred_at": at} for i in ids]


def crashes(server, workspace, times, seed):
    """Kill the server some times under two writers; every batch lost or half there afterwards."""
    draw = random.Random(seed)
    wrong = []
    with open_store(workspace) as store:
        for round_ in range(times):
            acknowledged = []

            def feed(thread, round_=round_, acknowledged=acknowledged):
                for n in range(10_000):
                    name = f"e{round_}-{thread}-{n}"
                    try:
                        take_feedback(store, feedback_items(events(name)), set, received_at=NOW)
                    except WorkspaceError:
                        return
                    acknowledged.append(name)

            writers = [threading.Thread(target=feed, args=(i,)) for i in range(2)]
            for writer in writers:
                writer.start()
            time.sleep(draw.uniform(0.2, 0.5))
            kill(server.get_pid())
            for writer in writers:
                writer.join()
            server.ensure_postgres_running()
            assert acknowledged
            wrong += missing(store, acknowledged)
    return wrong


def kill(pid):
    """What a crash leaves: nothing that the server still held in its own memory."""
    os.kill(pid, signal.SIGQUIT)
    until = time.monotonic() + 10
    with suppress(ProcessLookupError):
        while time.monotonic() < until:
            os.kill(pid, 0)
            time.sleep(0.02)


def missing(store, acknowledged):
    with store.transaction(write=False) as session:
        kept = session.connection().exec_driver_sql("SELECT event_id FROM feedback_event").scalars().all()
    batches = {}
    for event_id in kept:
        batches.setdefault(event_id.rpartition(".")[0], []).append(event_id)
    halves = [f"half: {name}" for name, found in batches.items() if len(found) != BATCH]
    return halves + [f"lost: {name}" for name in acknowledged if name not in batches]


@pytest.fixture
def served(postgres_of_ones_own, tmp_path, monkeypatch):
    monkeypatch.setenv(SETTING, postgres_of_ones_own.get_uri())
    workspace = Workspace.init(tmp_path / "workspace")
    make_store(workspace)
    return postgres_of_ones_own, workspace


def test_a_crash_of_the_server_loses_nothing_that_was_acknowledged(served):
    assert crashes(*served, times=1, seed=1) == []


def test_with_commits_that_do_not_wait_a_crash_loses_acknowledged_events(served, monkeypatch):
    from warehouse import database

    monkeypatch.setattr(
        database, "_SESSION", database._SESSION.replace("synchronous_commit=on", "synchronous_commit=off")
    )
    assert any(line.startswith("lost") for line in crashes(*served, times=1, seed=1))


@pytest.mark.soak
def test_thirty_crashes_of_the_server_lose_nothing(served, record_property):
    wrong = crashes(*served, times=30, seed=2)
    record_property("crashes of the PostgreSQL server", f"30 under two writers, {len(wrong)} acknowledged commits lost")
    assert wrong == []
