"""The operational database: durable when acknowledged, nothing when not, and brought up to date on opening."""

import signal
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import pytest
from sqlalchemy import text

from allot import NotFoundError, WorkspaceError
from warehouse import (
    AuditEntry,
    Checkpoint,
    Store,
    StoredAllocation,
    StoredModel,
    make_database,
    pack_arrays,
    unpack_arrays,
)
from warehouse.database import REVISION, make_engine, migrate, revision_of
from warehouse.tables import AuditRow

NOW = datetime(2026, 3, 1, 12, 30, 15, 123456, tzinfo=UTC)


@pytest.fixture
def store(tmp_path):
    with Store.open(tmp_path / "allot.db", create=True) as opened:
        yield opened


def allocation(store, allocation_id="A-1", *, campaign="spring", at=NOW, status="released"):
    digest = store.put_campaign(campaign, {"seed": 7}, digest="d1", at=NOW).digest
    found = StoredAllocation(allocation_id, campaign, digest, status, NOW, {"prior": "p1"}, {"chosen": 3}, at)
    store.put_allocation(found)
    return found


def test_every_connection_is_wal_with_full_sync_and_foreign_keys(store):
    for write in (True, False):
        with store.transaction(write=write) as session:
            pragmas = {
                name: session.connection().exec_driver_sql(f"PRAGMA {name}").scalar()
                for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
            }
        assert pragmas == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "busy_timeout": 30_000}


def test_the_same_document_is_the_same_version_and_another_is_the_next(store):
    first = store.put_campaign("spring", {"b": 1, "a": [1.5, None]}, digest="d1", at=NOW)
    again = store.put_campaign("spring", {"b": 1, "a": [1.5, None]}, digest="d1", at=NOW + timedelta(days=1))
    other = store.put_campaign("spring", {"b": 2}, digest="d2", at=NOW)
    assert (first, first.version, other.version) == (again, 1, 2)
    assert first.document == {"b": 1, "a": [1.5, None]}
    assert list(first.document) == ["b", "a"]
    assert store.campaign("spring") == other
    assert store.campaign("spring", digest="d1") == first
    assert store.campaigns() == (other,)


def test_an_allocation_comes_back_as_it_was_stored_and_the_newest_is_the_latest(store):
    first = allocation(store)
    second = allocation(store, "A-0", at=NOW + timedelta(microseconds=1))
    failed = allocation(store, "A-2", at=NOW + timedelta(days=1), status="failed")
    assert store.allocation("A-1") == first
    assert store.allocations() == (failed, second, first)
    assert store.latest_allocation(status="released") == second
    assert store.latest_allocation(campaign="autumn") is None
    store.put_allocation(replace(first, status="withdrawn"))
    assert store.allocation("A-1").status == "withdrawn"
    assert len(store.allocations()) == 3


def test_a_time_in_another_zone_is_the_same_time(store):
    there = NOW.astimezone(timezone(timedelta(hours=-7)))
    assert allocation(store, at=there).created_at == store.allocation("A-1").created_at == NOW
    assert store.allocation("A-1").created_at.tzinfo is UTC


def test_an_allocation_of_an_unknown_campaign_is_refused(store):
    with pytest.raises(WorkspaceError, match="FOREIGN KEY"):
        store.put_allocation(StoredAllocation("A", "nobody", "d", "released", NOW, {}, {}, NOW))
    with pytest.raises(NotFoundError):
        store.allocation("A")


def test_one_model_of_a_kind_is_current(store):
    assert store.current("posterior") is None
    blob = pack_arrays({"mean": np.arange(3.0)})
    for model_id in ("q1", "q2"):
        store.put_model(StoredModel("posterior", model_id, NOW, ("p1",), {"d": 20}, {"rows": 5}, blob))
    store.put_model(StoredModel("prior", "p1", NOW))
    store.put_model(StoredModel("posterior", "q3", NOW), make_current=False)
    assert store.current("posterior").model_id == "q2"
    assert store.current("prior").model_id == "p1"
    store.put_model(store.model("posterior", "q1"))
    assert store.current("posterior") == store.model("posterior", "q1")
    store.put_model(store.model("posterior", "q1"), make_current=False)
    assert store.current("posterior").model_id == "q1"
    with pytest.raises(NotFoundError):
        store.model("prior", "q1")


def test_checkpoints_from_a_window_on_are_forgotten(store):
    kept = [Checkpoint("q1", window, f"d{window}", b"state", NOW) for window in (3, 1, 2)]
    for checkpoint in (*kept, Checkpoint("q2", 3, "d", b"", NOW)):
        store.put_checkpoint(checkpoint)
    assert [c.window for c in store.checkpoints("q1")] == [1, 2, 3]
    store.drop_checkpoints("q1", from_window=2)
    assert store.checkpoints("q1") == (kept[1],)
    assert len(store.checkpoints("q2")) == 1


def test_the_audit_trail_keeps_its_order(store):
    entries = [AuditEntry(NOW, "ada", action, "A-1", {"n": 1}) for action in ("allocate", "release")]
    for entry in (*entries, AuditEntry(NOW, "ada", "train", "p1")):
        store.audit(entry)
    assert store.audit_trail(subject="A-1") == tuple(entries)
    assert len(store.audit_trail()) == 3


def test_a_failed_transaction_leaves_nothing_of_any_of_its_parts(store):
    with pytest.raises(ZeroDivisionError), store.transaction():
        store.put_model(StoredModel("posterior", "q1", NOW))
        store.put_checkpoint(Checkpoint("q1", 1, "d", b"", NOW))
        raise ZeroDivisionError
    assert store.current("posterior") is None
    assert store.checkpoints("q1") == ()
    store.put_model(StoredModel("posterior", "q1", NOW))
    assert store.current("posterior").model_id == "q1"


def test_a_reading_transaction_cannot_write(store):
    with pytest.raises(WorkspaceError, match="cannot write"), store.transaction(write=False):
        store.audit(AuditEntry(NOW, "ada", "x", "y"))


def test_writers_that_read_first_wait_for_each_other(store):
    """A deferred transaction would fail as soon as the other has written."""

    def add():
        for _ in range(20):
            with store.transaction():
                n = store.checkpoints("q")
                store.put_checkpoint(Checkpoint("q", len(n), "d", b"", NOW))

    threads = [threading.Thread(target=add) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [c.window for c in store.checkpoints("q")] == list(range(60))


CHILD = """
import os, signal, sys
from datetime import UTC, datetime
from pathlib import Path
from warehouse import AuditEntry, Store
store = Store.open(Path(sys.argv[1]))
at = datetime(2026, 1, 1, tzinfo=UTC)
store.audit(AuditEntry(at, "ada", "acknowledged", "1"))
with store.transaction():
    store.audit(AuditEntry(at, "ada", "unfinished", "2"))
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_was_acknowledged_survives_a_kill_and_what_was_not_leaves_no_trace(store):
    done = subprocess.run([sys.executable, "-c", CHILD, str(store.path)], capture_output=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert [entry.action for entry in store.audit_trail()] == ["acknowledged"]


def test_the_revisions_make_exactly_the_tables_of_the_code(tmp_path):
    from alembic.autogenerate import compare_metadata
    from alembic.config import Config
    from alembic.migration import MigrationContext
    from alembic.script import ScriptDirectory
    from sqlmodel import SQLModel

    import warehouse.migrations

    Store.open(tmp_path / "a%20 b.db", create=True).close()
    engine = make_engine(tmp_path / "a%20 b.db")
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), SQLModel.metadata) == []
    config = Config()
    config.set_main_option("script_location", next(iter(warehouse.migrations.__path__)))
    assert ScriptDirectory.from_config(config).get_heads() == [REVISION]


def test_down_and_up_again_is_the_same_schema(tmp_path):
    path = tmp_path / "allot.db"
    Store.open(path, create=True).close()
    engine = make_engine(path)
    schema = text("SELECT name, sql FROM sqlite_master WHERE name <> 'alembic_version' ORDER BY name")
    with engine.connect() as connection:
        before = connection.execute(schema).all()
    migrate(engine, "base")
    assert revision_of(engine) is None
    with engine.connect() as connection:
        assert [row.name for row in connection.execute(schema)] == ["sqlite_autoindex_alembic_version_1"]
    migrate(engine)
    with engine.connect() as connection:
        assert connection.execute(schema).all() == before


def _everything(path):
    with closing(sqlite3.connect(path)) as connection:
        named = connection.execute("SELECT type, name, sql FROM sqlite_master ORDER BY name").fetchall()
        tight = [(kind, name, None if sql is None else "".join(sql.split())) for kind, name, sql in named]
        return tight, connection.execute("SELECT * FROM alembic_version").fetchall()


def test_a_new_database_is_what_the_revisions_make(tmp_path):
    Store.open(tmp_path / "grown.db", create=True).close()
    make_database(tmp_path / "new.db")
    assert _everything(tmp_path / "new.db") == _everything(tmp_path / "grown.db")


def test_a_database_is_never_made_over_another(store):
    with pytest.raises(WorkspaceError, match="already exists"):
        make_database(store.path)
    store.audit(AuditEntry(NOW, "me", "look", "it"))
    assert len(store.audit_trail()) == 1


def test_a_database_that_may_only_be_read_says_so(store):
    with pytest.raises(WorkspaceError, match="may not be written to") as refused, store.transaction() as session:
        session.connection().exec_driver_sql("PRAGMA query_only=ON")
        session.add(AuditRow(at=NOW, actor="me", action="look", subject="it", detail={}))
    assert "right to write" in refused.value.remedy


def test_opening_says_in_words_what_is_wrong(tmp_path):
    with pytest.raises(WorkspaceError, match="allot init"):
        Store.open(tmp_path / "missing.db")
    assert not (tmp_path / "missing.db").exists()
    damaged = tmp_path / "damaged.db"
    damaged.write_bytes(b"this is not a database, whatever its name says" * 100)
    with pytest.raises(WorkspaceError, match="damaged"):
        Store.open(damaged)
    newer = tmp_path / "newer.db"
    Store.open(newer, create=True).close()
    with make_engine(newer).begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(WorkspaceError, match="newer"):
        Store.open(newer)


def test_arrays_keep_their_bits_and_packing_is_deterministic():
    arrays = {"b": np.array([1.5, -0.0, np.nan]), "a": np.arange(6, dtype=np.int32).reshape(2, 3)}
    blob = pack_arrays(arrays)
    assert blob == pack_arrays(dict(reversed(arrays.items())))
    back = unpack_arrays(blob)
    assert all(back[name].tobytes() == array.tobytes() for name, array in arrays.items())
    assert back["a"].shape == (2, 3)


def test_objects_are_never_packed_nor_unpacked():
    import io

    with pytest.raises(ValueError, match="Object arrays"):
        pack_arrays({"a": np.array([{}], object)})
    buffer = io.BytesIO()
    np.savez(buffer, a=np.array([{}], object))
    for blob in (buffer.getvalue(), b"nonsense", pack_arrays({"a": np.zeros(3)})[:-30]):
        with pytest.raises(WorkspaceError, match="damaged"):
            unpack_arrays(blob)
