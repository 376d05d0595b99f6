"""Feedback: an event counts once, one bad record leaves the others, and nothing is dropped silently."""

import json
import random
import re
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from allot import DataError
from warehouse import StoredAllocation, decision_outcomes, feedback_items, outcomes, read_feedback, take_feedback
from warehouse.dead_letters import dead_letters
from warehouse.feedback import rejoin
from warehouse.feedback_log import EventLog
from warehouse.feedback_records import parse_item
from warehouse.single_tables import SingleRow
from warehouse.statements import statement

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def event(event_id="e1", decision_id="A-1", outcome=1, reward=2.5, occurred_at="2026-02-01T00:00:00Z"):
    return {
        "event_id": event_id,
        "decision_id": decision_id,
        "outcome": outcome,
        "reward": reward,
        "occurred_at": occurred_at,
    }


def known(ids):
    return {name for name in ids if name.startswith("A-")}


def take(store, *records, now=NOW, decisions=known):
    return take_feedback(store, feedback_items(records), decisions, received_at=now)


def cut_log(monkeypatch, size):
    """Events are read and counted so many at a time."""
    for name, value in (("_AT_ONCE", size), ("_COUNTED", size), ("_EVENTS_A_LINE", 0)):
        monkeypatch.setattr(f"warehouse.decision_outcomes.{name}", value)


def counts(receipt):
    names = ("accepted", "duplicate", "corrected", "pending", "rejected", "joined", "dead")
    return {name: getattr(receipt, name) for name in names if getattr(receipt, name)}


def test_an_event_counts_once_however_often_it_comes(store):
    assert counts(take(store, event())) == {"accepted": 1}
    assert counts(take(store, event(), event())) == {"duplicate": 2}
    assert counts(take(store, event("e2", "A-2"), event("e2", "A-2"))) == {"accepted": 1, "duplicate": 1}
    found = outcomes(store)
    assert found["decision_id"].to_pylist() == ["A-1", "A-2"]
    assert found["reward"].to_pylist() == [2.5, 2.5]
    assert found["occurred_at"].to_pylist() == [datetime(2026, 2, 1, tzinfo=UTC)] * 2
    assert found["received_at"].to_pylist() == [NOW] * 2


HOSTILE = [
    'quo"te',
    "back\\slash",
    "{curly}",
    "NULL",
    "null",
    "a,b",
    "' OR 1=1 --",
    "%s",
    "äöü",
    "日本",
    "😀",
    " ",
    "\\",
    '"',
]


def test_ids_of_any_printable_text_are_kept_as_they_are(store):
    records = [event(name, f"A-{name}") for name in HOSTILE]
    assert counts(take(store, *records)) == {"accepted": len(HOSTILE)}
    assert counts(take(store, *records)) == {"duplicate": len(HOSTILE)}
    assert counts(take(store, *(event(f"{name}2", f"A-{name}") for name in HOSTILE))) == {"corrected": len(HOSTILE)}
    assert sorted(outcomes(store)["decision_id"].to_pylist()) == sorted(f"A-{name}" for name in HOSTILE)


@pytest.mark.parametrize("name", ["feedback_kept", "feedback_answered", "feedback_heard"])
def test_events_are_looked_up_by_an_index_also_by_a_plan_of_when_there_were_none(store, name):
    if store.dialect == "sqlite":
        explained = f"EXPLAIN QUERY PLAN {statement(f'{name}_sqlite.sql', {})}".replace("?", "'[]'")
    else:
        explained = f"EXPLAIN (GENERIC_PLAN) {statement(f'{name}_postgresql.sql', {})}".replace("%s", "$1")
    with store.transaction() as session:
        plan = "\n".join(str(row[-1]) for row in session.connection().exec_driver_sql(explained))
    assert re.search("(?i)one_event_per_id|events_by_decision|search feedback_event", plan)
    assert not re.search("(?i)seq scan|scan feedback_event", plan)


def test_the_same_body_in_other_words_is_a_duplicate(store):
    take(store, event(reward=2.5))
    same = event(reward="2.50", outcome=1.0, occurred_at="2026-02-01T02:00:00+02:00")
    assert counts(take(store, same)) == {"duplicate": 1}
    assert counts(take(store, event(occurred_at="2026-02-01 00:00:00"))) == {"duplicate": 1}


def test_an_event_id_is_taken_for_ever_and_the_conflict_is_kept(store):
    take(store, event(reward=1.0))
    for _ in range(2):
        receipt = take(store, event("e0", "A-0"), event(reward=9.0))
        assert receipt.rejected == 1
        assert receipt.reasons == ((2, "e1", "the event id is already taken by another body"),)
    assert outcomes(store)["reward"].to_pylist() == [2.5, 1.0]
    (letter,) = dead_letters(store)
    assert (letter["event_id"], letter["reward_micros"]) == ("e1", 9_000_000)


def test_a_conflict_inside_one_call_keeps_the_first(store):
    receipt = take(store, event(reward=1.0), event(reward=2.0), event(reward=1.0))
    assert counts(receipt) == {"accepted": 1, "rejected": 1, "duplicate": 1}
    assert outcomes(store)["reward"].to_pylist() == [1.0]


def test_the_latest_event_of_a_decision_counts_ties_by_event_id(store):
    assert counts(take(store, event("b", reward=1.0))) == {"accepted": 1}
    assert counts(take(store, event("a", reward=2.0))) == {"corrected": 1}
    assert outcomes(store)["reward"].to_pylist() == [1.0]
    late = event("c", reward=3.0, outcome=0, occurred_at="2026-02-02")
    early = event("d", reward=4.0, occurred_at="2026-01-01")
    assert counts(take(store, late, early)) == {"corrected": 2}
    assert outcomes(store).select(["outcome", "reward"]).to_pylist() == [{"outcome": 0, "reward": 3.0}]


def test_outcomes_as_of_a_time_leave_out_what_happened_or_arrived_later(store):
    take(store, event("a", reward=1.0, occurred_at="2026-02-01"))
    take(store, event("b", reward=2.0, occurred_at="2026-02-10"), now=NOW + timedelta(days=1))
    assert outcomes(store, up_to=datetime(2026, 2, 10, tzinfo=UTC))["reward"].to_pylist() == [2.0]
    assert outcomes(store, up_to=datetime(2026, 2, 9, tzinfo=UTC))["reward"].to_pylist() == [1.0]
    assert outcomes(store, up_to=datetime(2026, 1, 9, tzinfo=UTC)).num_rows == 0
    assert outcomes(store, received_until=NOW)["reward"].to_pylist() == [1.0]


@pytest.mark.parametrize("size", [1, 2, 3, 100])
def test_every_event_is_read_however_many_are_read_at_once(store, size, monkeypatch):
    cut_log(monkeypatch, size)
    take(store, *[event(f"e{i:03}", f"A-{i:03}") for i in range(100)])
    assert outcomes(store)["decision_id"].to_pylist() == [f"A-{i:03}" for i in range(100)]


def test_however_many_events_there_are_only_a_part_of_them_is_in_memory_at_once(store, monkeypatch):
    """One part, or three times as many as there are decisions."""
    held, count = [], decision_outcomes._counted

    def seen(connection, events):
        held.append(sum(part.num_rows for part in events))
        return count(connection, events)

    cut_log(monkeypatch, 10)
    monkeypatch.setattr(decision_outcomes, "_EVENTS_A_LINE", 3)
    monkeypatch.setattr(decision_outcomes, "_counted", seen)
    take(store, *[event(f"e{i:03}", f"A-{i % 5}") for i in range(200)])
    assert outcomes(store).num_rows == 5
    assert sum(held) == 200
    assert max(held) < 25


def test_an_unknown_decision_waits_a_day_and_then_dies_with_its_reason(store):
    day = timedelta(hours=24)
    assert counts(take(store, event("w", "B-1"))) == {"pending": 1}
    assert counts(take(store, event("w", "B-1"))) == {"duplicate": 1}
    assert counts(rejoin(store, known, now=NOW + day)) == {}
    assert counts(rejoin(store, known, now=NOW + day + timedelta(microseconds=1))) == {"dead": 1}
    assert outcomes(store).num_rows == 0
    assert "24 hours" in dead_letters(store)[0]["reason"]
    assert counts(take(store, event("w", "B-1"), decisions=set, now=NOW + 2 * day)) == {"accepted": 1}
    assert dead_letters(store) == ()


def test_a_waiting_event_joins_when_its_decision_becomes_known(store):
    take(store, event("w", "B-1", reward=7.0))
    receipt = take(store, event("e", "A-1"), decisions=set, now=NOW + timedelta(hours=1))
    assert counts(receipt) == {"accepted": 1, "joined": 1}
    found = outcomes(store)
    assert dict(zip(found["decision_id"].to_pylist(), found["reward"].to_pylist(), strict=True)) == {
        "A-1": 2.5,
        "B-1": 7.0,
    }


def counted(store, aggregation):
    """An allocation whose campaign counts events in some way; returns the id of one of its decisions."""
    document = {} if aggregation == "latest" else {"feedback": {"aggregation": aggregation}}
    name = f"alloc-{aggregation}"
    store.put_campaign(aggregation, document, digest="d", at=NOW)
    store.put_allocation(StoredAllocation(name, aggregation, "d", "released", NOW, {}, {}, NOW))
    return f"{name}-{7:016x}"


WAYS = {"latest": (0, 4.0, 3), "first": (1, 1.5, 1), "sum": (1, 8.0, 3), "max": (1, 4.0, 3)}


@pytest.mark.parametrize(("order", "size"), [((0, 1, 2), 100), ((2, 1, 0), 2), ((1, 2, 0), 5)])
def test_a_campaign_says_how_several_events_of_a_decision_count(store, order, size, monkeypatch):
    cut_log(monkeypatch, size)
    ids = {way: counted(store, way) for way in WAYS}
    said = [(1, 1.5, "2026-02-01"), (0, 2.5, "2026-02-02"), (0, 4.0, "2026-02-03")]
    for place in order:
        outcome, reward, at = said[place]
        records = [event(f"{way}{place}", name, outcome, reward, at) for way, name in ids.items()]
        take(store, *records, decisions=set)
    found = {row["decision_id"]: row for row in outcomes(store).to_pylist()}
    for way, (outcome, reward, day) in WAYS.items():
        row = found[ids[way]]
        assert (row["outcome"], row["reward"], row["occurred_at"].day) == (outcome, reward, day), way


@pytest.mark.parametrize("seed", range(3))
def test_what_was_heard_of_a_decision_is_the_first_the_latest_and_the_largest_of_its_events(store, seed):
    draw = random.Random(seed)
    days = ("2026-02-01", "2026-02-02", "2026-02-03")  # so few that most events share theirs: then ids decide
    names = [f"{number:02}" for number in range(60)]
    draw.shuffle(names)
    said = [event(name, f"A-{draw.randrange(9)}", draw.randrange(2), 1.0, draw.choice(days)) for name in names]
    for start in range(0, len(said), 7):  # so that the log is not in the order of ids
        take(store, *said[start : start + 7])
    take(store, event("w", "B-1"))  # it waits for its decision: it does not count
    expected = {}
    for decision in {record["decision_id"] for record in said}:
        of = sorted((r["occurred_at"], r["event_id"], r["outcome"]) for r in said if r["decision_id"] == decision)
        outcomes_by_time = [outcome for *_, outcome in of]
        latest_at = datetime.fromisoformat(of[-1][0]).replace(tzinfo=UTC)
        expected[decision] = (outcomes_by_time[0], outcomes_by_time[-1], max(outcomes_by_time), latest_at)
    with store.transaction(write=False) as session:
        assert EventLog(session).heard([*expected, "B-1", "unknown"]) == expected


def test_of_two_decisions_with_one_key_each_is_told_what_was_heard_of_it(store, monkeypatch):
    monkeypatch.setattr("warehouse.feedback_log.decision_key", lambda _: 7)
    monkeypatch.setattr("warehouse.feedback.decision_key", lambda _: 7)
    take(store, event("a", "A-1", outcome=0), event("b", "A-2", outcome=1))
    with store.transaction(write=False) as session:
        heard = EventLog(session).heard(["A-1", "A-2"])
        assert {name: said.latest for name, said in heard.items()} == {"A-1": 0, "A-2": 1}
        assert EventLog(session).heard(["A-1"]).keys() == {"A-1"}


def test_single_decisions_count_as_their_campaign_says(store):
    source = counted(store, "sum")[:-17]
    with store.transaction() as session:
        facts = {"campaign": "sum", "release_id": source, "customer_id": "c", "customer_key": 1, "decided_at": NOW}
        session.add(SingleRow(decision_id="one", digest="d", prior="p", posterior="q", answer={}, numbers=b"", **facts))
    take(store, event("a", "one", reward=1.0), event("b", "one", reward=2.0), event("c", "two"), decisions=set)
    assert outcomes(store)["reward"].to_pylist() == [3.0, 2.5]


BAD = [
    (event(outcome=True), "outcome is True"),
    (event(outcome=2), "not 0 or 1"),
    (event(outcome=None), "outcome is missing"),
    (event(reward=float("nan")), "not a finite number"),
    (event(reward=float("-inf")), "not a finite number"),
    (event(reward="much"), "not a number"),
    (event(reward=False), "not a number"),
    (event(reward=[1]), "not a number"),
    (event(reward=10**400), "very large number"),
    (event(reward=1e13), "too large"),
    (event(event_id=""), "event_id is missing"),
    (event(event_id=7), "not text"),
    (event(event_id="x" * 201), "200 characters"),
    (event(event_id="\ud800"), "printable"),
    (event(decision_id="a\x00b"), "printable"),
    (event(decision_id=None), "decision_id is missing"),
    (event(occurred_at="yesterday"), "ISO 8601"),
    (event(occurred_at=1_700_000_000), "not a time"),
    (event(occurred_at="0001-01-01T00:00:00+14:00"), "outside the calendar"),
    ([1, 2], "not an object"),
    (None, "not an object"),
]


@pytest.mark.parametrize(("record", "why"), BAD)
def test_a_bad_record_is_refused_with_its_reason_and_leaves_the_others(store, record, why):
    receipt = take(store, event("first", "A-1"), record, event("last", "A-2"))
    assert (receipt.accepted, receipt.rejected) == (2, 1)
    assert receipt.reasons[0][0] == 2
    assert why in receipt.reasons[0][2]
    assert outcomes(store).num_rows == 2


def test_every_format_says_the_same(tmp_path):
    records = [event(f"e{i}", f"A-{i}", i % 2, i / 4) for i in range(5)]
    (tmp_path / "f.ndjson").write_text("".join(json.dumps(r) + "\n" for r in records))
    (tmp_path / "f.json").write_text(json.dumps(records))
    rows = [",".join(map(str, r.values())) for r in records]
    (tmp_path / "f.csv").write_text("\n".join([",".join(records[0]), *rows]) + "\n")
    table = pa.Table.from_pylist(records)
    times = pa.array([datetime(2026, 2, 1)] * 5, pa.timestamp("us", "UTC"))
    pq.write_table(table.set_column(4, "occurred_at", times), tmp_path / "f.parquet")
    bodies = [[item.body for item in read_feedback(tmp_path / f"f.{s}")] for s in ("ndjson", "json", "csv", "parquet")]
    assert bodies[0][3].reward_micros == 750_000
    assert all(None not in found and found == bodies[0] for found in bodies)


def test_lines_are_those_of_the_file(tmp_path):
    ndjson = tmp_path / "f.ndjson"
    ndjson.write_bytes(b"\n" + json.dumps(event()).encode() + b"\n\n{half\n\xff\n" + b"[" * 100_000)
    assert [(item.line, item.body is None) for item in read_feedback(ndjson)] == [
        (2, False),
        (4, True),
        (5, True),
        (6, True),
    ]
    csv = tmp_path / "f.csv"
    csv.write_text(
        'event_id,decision_id,outcome,reward,occurred_at\n"a\nb",A-1,1,1,2026-01-01\ne,A-1,nan,1,2026-01-01\n'
    )
    assert [(item.line, item.reason) for item in read_feedback(csv)] == [
        (3, r"event_id 'a\nb' is not a printable text of at most 200 characters"),
        (4, "outcome is 'nan', not a finite number"),
    ]


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("f.txt", b"", "'.txt'"),
        ("f.csv", b"event_id,decision_id,outcome,reward\n", "'occurred_at' is missing"),
        ("f.csv", b"", "'event_id' is missing"),
        ("f.csv", b"event_id,decision_id,outcome,reward,occurred_at\n\xff\xfe,", "UTF-8"),
        ("f.json", b"7", "not a JSON array"),
        ("f.json", b"[", "not JSON"),
        ("f.parquet", b"PAR1", "not Parquet"),
    ],
)
def test_a_file_that_cannot_be_read_is_named(tmp_path, name, content, why):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=name.replace(".", r"\.")) as caught:
        list(read_feedback(tmp_path / name))
    assert why in str(caught.value)


def test_capitals_and_blanks_in_a_header_mean_nothing(tmp_path):
    row = {"event_id": "e", "decision_id": "d", "outcome": "1", "reward": "2.5", "occurred_at": "2026-03-01"}
    names = dict(zip(row, ("Event_ID", " decision_id ", "OUTCOME", "Reward", "occurred_AT"), strict=True))
    (tmp_path / "f.csv").write_text(",".join((*names.values(), "note")) + "\n" + ",".join((*row.values(), "x")) + "\n")
    pq.write_table(pa.table({names[name]: [value] for name, value in row.items()}), tmp_path / "f.parquet")
    plain = [parse_item(1, row).body]
    assert [item.body for item in read_feedback(tmp_path / "f.csv")] == plain
    assert [item.body for item in read_feedback(tmp_path / "f.parquet")] == plain


def test_a_column_that_is_there_twice_is_refused(tmp_path):
    (tmp_path / "f.csv").write_text("event_id,decision_id,outcome,Outcome,reward,occurred_at\n")
    with pytest.raises(DataError, match="'outcome' is there more than once"):
        list(read_feedback(tmp_path / "f.csv"))


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(DataError, match="no such file"):
        read_feedback(tmp_path / "f.csv")


CHILD = """
import os, signal, sys
from datetime import UTC, datetime
from pathlib import Path
from warehouse import Workspace, feedback_items, open_store, take_feedback
at = datetime(2026, 1, 1, tzinfo=UTC)
store = open_store(Workspace.open(Path(sys.argv[1])))
event = lambda i: {"event_id": f"e{i}", "decision_id": f"A-{i}", "outcome": 1, "reward": 1, "occurred_at": "2026-01-01"}
take = lambda *items: take_feedback(store, feedback_items(items), set, received_at=at)
take(event(1), event(2))
print("acknowledged", flush=True)
with store.transaction():
    take(event(3))
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_acknowledged_feedback_survives_a_kill_and_unfinished_leaves_no_trace(store, database):
    done = subprocess.run([sys.executable, "-c", CHILD, str(database.root)], capture_output=True, check=False)
    assert (done.returncode, done.stdout) == (-signal.SIGKILL, b"acknowledged\n"), done.stderr
    assert outcomes(store)["decision_id"].to_pylist() == ["A-1", "A-2"]
    assert counts(take(store, event("e3", "A-3", 1, 1, "2026-01-01"))) == {"accepted": 1}


def test_a_failure_in_the_middle_takes_nothing(store, monkeypatch):
    def fail(*_, **__):
        raise ZeroDivisionError

    monkeypatch.setattr("warehouse.feedback.expire", fail)
    with pytest.raises(ZeroDivisionError):
        take(store, event())
    monkeypatch.undo()
    assert outcomes(store).num_rows == 0
    assert counts(take(store, event())) == {"accepted": 1}


@pytest.mark.soak
def test_fifty_thousand_events_take_seconds(store):
    import time

    items = [event(f"e{i}", f"A-{i}") for i in range(50_000)]
    started = time.process_time()
    assert counts(take(store, *items)) == {"accepted": 50_000}
    assert time.process_time() - started < 6


def test_a_long_log_about_few_decisions_is_never_in_memory_as_a_whole(monkeypatch):
    together = []
    monkeypatch.setattr(
        decision_outcomes, "_counted", lambda _, events: together.append(sum(e.num_rows for e in events)) or 1_000
    )
    part = pa.table({"event": pa.nulls(65_536)})
    with duckdb.connect() as connection:
        connection.execute(decision_outcomes._SO_FAR)
        decision_outcomes._count(connection, iter([part] * 40))
    assert sum(together) == 40 * 65_536
    assert max(together) <= 200_000
