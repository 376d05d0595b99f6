"""Feedback from many callers is written as one set, and each gets their own answers once they are durable."""

import random
import threading
from datetime import UTC, datetime

import pytest

from allot import BusyError, WorkspaceError
from warehouse import Batch, GroupCommit, Intake, feedback_items, outcomes
from warehouse.dead_letters import dead_letters
from warehouse.feedback_log import EventLog, tallies

NOW = datetime(2026, 3, 1, tzinfo=UTC)
WAIT = 10


@pytest.fixture
def writer(store):
    made = GroupCommit(store)
    yield made
    made.close()


def batch(*records):
    known = {record["decision_id"]: 0 for record in records if record["decision_id"].startswith("A-")}
    return Batch(tuple(feedback_items(records, strict=True)), known, NOW)


def event(event_id, decision_id="A-1", reward=1.0):
    return {
        "event_id": event_id,
        "decision_id": decision_id,
        "outcome": 1,
        "reward": reward,
        "occurred_at": "2026-02-01T00:00:00Z",
    }


def held(writer):
    """Keep the writer busy until the event is set."""
    entered, released = threading.Event(), threading.Event()
    writer.submit(lambda _: entered.set() or released.wait(WAIT))
    assert entered.wait(WAIT)
    return released


def test_callers_share_statements_and_each_gets_their_own_answers(store, writer):
    intake = Intake(writer)
    released = held(writer)
    given = [
        [event("a"), event("b", "A-2")],
        [event("a"), event("a", reward=2.0), event("c", "B-1")],
        [event("d", "A-2")],
    ]
    futures = [intake.take(batch(*records)) for records in given]
    waiting = writer.waiting
    released.set()
    answers = [[answer.result for answer in future.result(WAIT)] for future in futures]
    assert waiting == 1
    assert answers == [["accepted", "accepted"], ["duplicate", "conflict", "pending"], ["corrected"]]
    assert outcomes(store)["decision_id"].to_pylist() == ["A-1", "A-2"]
    assert [letter["event_id"] for letter in dead_letters(store)] == ["a"]


def test_the_same_record_has_the_same_receipt_for_ever(writer):
    intake = Intake(writer)
    (first,) = intake.take(batch(event("a"))).result(WAIT)
    (again,) = intake.take(batch(event("a"))).result(WAIT)
    (other,) = intake.take(batch(event("a", reward=2.0))).result(WAIT)
    assert (first.result, again.result, other.result) == ("accepted", "duplicate", "conflict")
    assert first.receipt == again.receipt != other.receipt


def test_what_the_database_knows_besides_is_asked_in_the_transaction(writer):
    asked = []

    def also(session, ids):
        asked.append((session.in_transaction(), sorted(ids)))
        return {"single": 0, "late": 2 * 10**15}

    intake = Intake(writer, also_decided=also)
    records = [event("a", "single"), event("b", "A-1"), event("c", "late"), event("d", "nobody")]
    results = [(answer.result, answer.reason) for answer in intake.take(batch(*records)).result(WAIT)]
    assert asked == [(True, ["late", "nobody", "single"])]
    assert [result for result, _ in results] == ["accepted", "accepted", "rejected", "pending"]
    assert "before the decision" in results[2][1]


def test_more_than_may_wait_is_refused_and_leaves_the_others(store, writer):
    intake = Intake(writer, waiting=3)
    released = held(writer)
    kept = intake.take(batch(event("a"), event("b")))
    with pytest.raises(BusyError, match="2 records"):
        intake.take(batch(event("c"), event("d")))
    last = intake.take(batch(event("e")))
    released.set()
    assert len(kept.result(WAIT)) == 2
    assert len(last.result(WAIT)) == 1
    assert len(intake.take(batch(*[event(f"x{i}") for i in range(5)])).result(WAIT)) == 5, "one batch is never too much"


def test_a_transaction_that_fails_tells_everybody_and_the_next_goes_on(store, writer, monkeypatch):
    intake = Intake(writer)
    released = held(writer)

    def fail(*_args, **_kwargs):
        raise ZeroDivisionError

    monkeypatch.setattr("warehouse.intake.write_feedback", fail)
    futures = [intake.take(batch(event(name))) for name in "ab"]
    released.set()
    for future in futures:
        with pytest.raises(ZeroDivisionError):
            future.result(WAIT)
    monkeypatch.undo()
    assert intake.take(batch(event("a"))).result(WAIT)[0].result == "accepted"


def test_callers_are_told_also_when_their_turn_never_came(writer):
    from sqlalchemy import text

    def broken(session):
        session.execute(text("ROLLBACK"))  # as SQLite does by itself where the disk is full
        raise ZeroDivisionError

    intake = Intake(writer)
    released = held(writer)
    writer.submit(broken)
    future = intake.take(batch(event("a")))
    released.set()
    with pytest.raises((WorkspaceError, ZeroDivisionError)):
        future.result(WAIT)
    assert intake.take(batch(event("a"))).result(WAIT)[0].result == "accepted"


def test_a_closed_writer_refuses_and_keeps_nobody_waiting(writer):
    intake = Intake(writer)
    writer.close()
    for _ in range(2):
        with pytest.raises(WorkspaceError, match="nothing is written"):
            intake.take(batch(event("a")))


def test_the_tally_rises_with_what_changes_and_with_nothing_else(store, writer):
    def total():
        with store.transaction(write=False) as session:
            return sum(tallies(session).values())

    intake = Intake(writer)
    intake.take(batch(event("a"), event("b"))).result(WAIT)
    assert total() == 2
    intake.take(batch(event("a"), event("a", reward=3.0))).result(WAIT)
    assert total() == 2
    intake.take(batch(event("c", "A-9"))).result(WAIT)
    assert total() == 3


def test_several_processes_that_take_the_same_events_at_once_take_each_once(store):
    """Each writer stands for a process; on PostgreSQL they write at the same time, in orders of their own."""
    events = [event(f"e{i:03}", f"A-{i % 50}", reward=1.0) for i in range(200)]
    other = [one | {"reward": 2.0} for one in events]
    writers = [GroupCommit(store) for _ in range(4)]
    intakes = [Intake(writer) for writer in writers]
    draw = random.Random(3)
    futures = []
    for place in range(40):
        some = draw.sample(events if place % 2 else other, 60)
        futures.append(intakes[place % 4].take(batch(*some)))
    answers = [answer for future in futures for answer in future.result(6 * WAIT)]
    for writer in writers:
        writer.close()
    first = {}
    for answer in answers:
        if answer.result in ("accepted", "corrected"):
            assert answer.event_id not in first, "taken twice"
            first[answer.event_id] = answer.receipt
    said = {answer.event_id for answer in answers}
    assert set(first) == said
    for answer in answers:
        if answer.result == "duplicate":
            assert answer.receipt == first[answer.event_id]
        if answer.result == "conflict":
            assert answer.receipt != first[answer.event_id]
    with store.transaction(write=False) as session:
        kept = EventLog(session).kept(said)
        assert sum(tallies(session).values()) == len(said)
    assert {event_id: digest for event_id, (digest, _) in kept.items()} == first
    assert {letter["event_id"] for letter in dead_letters(store)} == {
        answer.event_id for answer in answers if answer.result == "conflict"
    }
