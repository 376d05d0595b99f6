"""A store of an earlier version is brought up to date with everything that is in it, or stays as it was."""

import random
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

from power_cuts import cuts, recording, restore
from sqlalchemy import MetaData, Table

from warehouse import AuditEntry, Checkpoint, Store, StoredAllocation, StoredModel, open_store, outcomes
from warehouse.columns import micros
from warehouse.database import database_of, in_file, make_engine, writing
from warehouse.dead_letters import dead_letters
from warehouse.revisions import REVISION, migrate, revision_of

NOW = datetime(2026, 3, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)


@contextmanager
def engine_of(where):
    engine = make_engine(where)
    try:
        yield engine
    finally:
        engine.dispose()


def first_version(events):
    """Rows as the first version stored them, table by table."""
    at = micros(NOW)
    heard = [(f"e{i}", f"A-{i}", i % 2, i * 1_000_000, at, "accepted", "") for i in range(events)]
    heard += [("late", "A-1", 0, 0, at + 5, "corrected", ""), ("w", "A-8", 1, 0, at, "pending", "")]
    heard += [("lost", "B-1", 1, 0, at, "dead", "no decision")]
    return {
        "campaign": [("spring", 1, '{"seed":7}', "d1", at)],
        "allocation": [("A", "spring", "d1", "released", at, "{}", "{}", "p", "x", at)],
        "model": [("posterior", "q1", '["p"]', "{}", None, "{}", at, True)],
        "checkpoint": [("q1", 3, "d", b"", at)],
        "audit": [(None, at, "ada", "train", "q1", "{}")],
        "dead_letter": [("e0", "other", '{"outcome":1}', "taken", at)],
        "feedback_event": [(*said, at, "d", status, reason) for *said, status, reason in heard],
    }


def as_it_was(where, *, events=3):
    """Empty the database, and fill it as the first version did."""
    with engine_of(where) as engine:
        if revision_of(engine) is not None:
            migrate(engine, where, "base")
        migrate(engine, where, "0001")
        with writing(engine).begin() as connection:
            for name, rows in first_version(events).items():
                table = Table(name, MetaData(), autoload_with=connection, resolve_fks=False)
                columns = [column.name for column in table.columns]
                named = [{k: v for k, v in zip(columns, row, strict=True) if k != "entry"} for row in rows]
                connection.execute(table.insert(), named)


def holds_everything(store, *, events=3):
    assert store.campaign("spring").document == {"seed": 7}
    assert store.allocations() == (
        StoredAllocation("A", "spring", "d1", "released", NOW, {}, {}, NOW, decisions_path="p", decisions_sha256="x"),
    )
    assert store.current("posterior") == StoredModel("posterior", "q1", NOW, ("p",))
    assert store.checkpoints("q1") == (Checkpoint("q1", 3, "d", b"", NOW),)
    assert store.audit_trail() == (AuditEntry(NOW, "ada", "train", "q1"),)
    found = outcomes(store)
    latest = {f"A-{i}": [i % 2, float(i)] for i in range(events)} | {"A-1": [0, 0.0]}
    columns = (found[name].to_pylist() for name in ("decision_id", "outcome", "reward"))
    assert {decision: told for decision, *told in zip(*columns, strict=True)} == latest
    assert [letter["event_id"] for letter in dead_letters(store)] == ["e0", "lost"]
    with store.transaction(write=False) as session:
        statuses = session.connection().exec_driver_sql("SELECT status, count(*) FROM feedback_event GROUP BY status")
        assert dict(statuses.all()) == {"accepted": events, "corrected": 1, "pending": 1, "dead": 1}


def test_a_store_of_the_first_version_is_brought_up_to_date_with_all_its_rows(database):
    as_it_was(database_of(database))
    with open_store(database) as store:
        holds_everything(store)
        store.audit(AuditEntry(NOW + HOUR, "ada", "learn", "q2"))
        assert [entry.subject for entry in store.audit_trail()] == ["q1", "q2"]


def test_a_power_cut_while_a_store_is_brought_up_to_date_leaves_the_old_or_the_new(tmp_path):
    path = tmp_path / "allot.db"
    as_it_was(in_file(path), events=200)
    before = {str(path): path.read_bytes()}
    with recording() as trace:
        store = Store.open(in_file(path))
    draw = random.Random(3)
    moments = sorted(draw.choices(range(len(trace.events) + 1), k=12))
    stood_at = set()
    for n, (files, _) in enumerate(cuts(trace, before, moments, draw)):
        folder = tmp_path / f"cut{n}"
        folder.mkdir()
        restore(folder, files)
        where = in_file(folder / "allot.db")
        with engine_of(where) as engine:
            stood_at.add(revision_of(engine))
        with Store.open(where) as again:
            holds_everything(again, events=200)
    store.close()
    assert stood_at <= {"0001", REVISION}
    assert "0001" in stood_at
