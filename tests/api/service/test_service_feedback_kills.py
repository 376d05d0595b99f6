"""A process that takes feedback dies at any instant: what it acknowledged is there, once, and learnt from as ever."""

import json
import subprocess
import sys
from pathlib import Path

import feedback_stream
import pytest
from sqlalchemy import text

from warehouse import Workspace, feedback_items, open_store, take_feedback

MANY = 2_000
PROGRAM = Path(__file__).with_name("feedback_killed.py")


def log_of(workspace):
    query = "SELECT event_id, decision_id, outcome, reward_micros FROM feedback_event ORDER BY event_id"
    with open_store(workspace) as store, store.transaction(write=False) as session:
        return [tuple(row) for row in session.execute(text(query))]


def as_logged(events):
    return sorted((e["event_id"], e["decision_id"], e["outcome"], round(e["reward"] * 1e6)) for e in events)


def killed_again_and_again(copies, trained, home, tmp_path, cycles, events):
    command = [sys.executable, str(PROGRAM), str(home), str(cycles), str(events), "7"]
    done = subprocess.run(command, capture_output=True, check=False, text=True, cwd=Path(__file__).parents[3])
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    workspace = Workspace.open(home)
    pool = feedback_stream.stream(home, events, 7)
    logged = log_of(workspace)
    lost = set(found["acknowledged"]) - {row[0] for row in logged}
    assert lost == set(), "an acknowledged event is lost"
    assert len({row[0] for row in logged}) == len(logged), "an event counts twice"
    assert set(logged) <= set(as_logged(pool)), "an event says what nobody sent"
    with open_store(workspace) as store:
        take_feedback(store, feedback_items(pool), lambda ids: set(ids), received_at=feedback_stream.LEARNT_AT)
    assert log_of(workspace) == as_logged(pool)
    assert feedback_stream.kept(workspace) == feedback_stream.by_hand(pool)
    assert feedback_stream.folded(workspace) == feedback_stream.clean_fold(copies, trained, tmp_path / "clean", pool)
    return found


def test_two_hundred_kills_lose_nothing_and_count_nothing_twice(copies, trained, home, tmp_path):
    found = killed_again_and_again(copies, trained, home, tmp_path, cycles=200, events=20_000)
    assert found["killed"]["taking"] > 100
    assert found["killed"]["folding"] > 0
    assert len(found["acknowledged"]) > MANY


@pytest.mark.soak
def test_two_thousand_kills_lose_nothing_and_count_nothing_twice(copies, trained, home, tmp_path, record_property):
    found = killed_again_and_again(copies, trained, home, tmp_path, cycles=2_000, events=200_000)
    killed = found["killed"]
    told = f"2,000 cycles, killed {killed['taking']:,} times while taking and {killed['folding']} while folding"
    events = f"{len(found['acknowledged']):,} events acknowledged, 0 lost, 0 twice; posterior of the clean fold"
    record_property(f"kill -9 of who takes feedback, {copies.name}", f"{told}; {events}")
    assert killed["taking"] > 1_000
    assert killed["folding"] > 50
