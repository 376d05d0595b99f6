"""The operational database: durable when acknowledged, nothing when not, and brought up to date on opening."""

import json
import signal
import sqlite3
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from importlib import import_module
from multiprocessing.connection import wait
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import text, update
from sqlalchemy.exc import OperationalError, ProgrammingError
from sqlmodel import select

from allot import NotFoundError, WorkspaceError
from warehouse import (
    AuditEntry,
    Checkpoint,
    Store,
    StoredAllocation,
    StoredModel,
    Workspace,
    make_database,
    make_store,
    open_store,
    pack_arrays,
    unpack_arrays,
)
from warehouse.columns import compact, micros, moment
from warehouse.database import database_of, in_file, make_engine
from warehouse.prepared import connection_of, insert_rows
from warehouse.revisions import REVISION, migrate, revision_of
from warehouse.tables import AuditRow, CampaignRow, ModelRow

NOW = datetime(2026, 3, 1, 12, 30, 15, 123456, tzinfo=UTC)


def allocation(store, allocation_id="A-1", *, campaign="spring", at=NOW, status="released"):
    digest = store.put_campaign(campaign, {"seed": 7}, digest="d1", at=NOW).digest
    found = StoredAllocation(allocation_id, campaign, digest, status, NOW, {"prior": "p1"}, {"chosen": 3}, at)
    store.put_allocation(found)
    return found


def said(store, names, *, write):
    """What the connection goes by; on PostgreSQL only what it has asked for itself, whatever the server's default."""
    with store.transaction(write=write) as session:
        ask = session.connection().exec_driver_sql
        if store.dialect == "postgresql":
            own = dict(ask("SELECT name, setting FROM pg_settings WHERE source = 'client'").all())
            return {name: own.get(name) for name in names}
        return {name: ask(f"PRAGMA {name}").scalar() for name in names}


def test_every_connection_is_durable_and_waits_for_locks(store):
    if store.dialect == "sqlite":
        durable = {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "busy_timeout": 30_000}
    else:
        durable = {"synchronous_commit": "on", "lock_timeout": "30000", "search_path": store.database.schema}
    for write in (True, False):
        assert said(store, durable, write=write) == durable


def test_a_transaction_that_reads_sees_one_moment(store):
    allocation(store)
    with store.transaction(write=False) as session:
        before = [campaign.name for campaign in store.campaigns()]
        thread = threading.Thread(target=lambda: allocation(store, "A-2", campaign="summer"))
        thread.start()
        thread.join()
        assert [campaign.name for campaign in store.campaigns()] == before == ["spring"]
        assert session is not None
    assert len(store.campaigns()) == 2


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
    with pytest.raises(WorkspaceError, match=r"(?i)foreign key"):
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


def together(work, threads=8):
    with ThreadPoolExecutor(threads) as pool:
        for done in [pool.submit(work, i) for i in range(threads)]:
            done.result()


def test_writers_that_read_first_wait_for_each_other(store):
    """On SQLite a deferred transaction would fail as soon as the other has written."""

    def add(_):
        for _ in range(20):
            with store.transaction() as session:
                store.alone(session, "q")
                n = store.checkpoints("q")
                store.put_checkpoint(Checkpoint("q", len(n), "d", b"", NOW))

    together(add, 3)
    assert [c.window for c in store.checkpoints("q")] == list(range(60))


def test_what_waits_in_a_circle_is_done_again_and_nobody_is_refused(store):
    """Two works change two rows in opposite orders; PostgreSQL ends one of them, SQLite has one writer at a time."""
    for name in "ab":
        store.put_campaign(name, {}, digest=f"{name}0", at=NOW)
    both, tries = threading.Barrier(2), []

    def change(first, second):
        def work(session):
            tries.append(session)
            session.execute(update(CampaignRow).where(CampaignRow.name == first).values(digest=first + second))
            if store.dialect == "postgresql" and len(tries) <= 2:
                both.wait(10)
            session.execute(update(CampaignRow).where(CampaignRow.name == second).values(digest=first + second))
            return first

        return store.repeated(work)

    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(change, "ab", "ba")) == ["a", "b"]
    assert len(tries) == (3 if store.dialect == "postgresql" else 2)
    assert len({store.campaign(name).digest for name in "ab"}) == 1


def test_inside_a_transaction_nothing_is_done_again_by_itself(store):
    class Deadlock(Exception):
        sqlstate = "40P01"

    tries = []

    def lose(session):
        tries.append(session)
        raise OperationalError("", {}, Deadlock())

    with pytest.raises(WorkspaceError), store.transaction():
        store.repeated(lose)
    assert len(tries) == 1
    with pytest.raises(WorkspaceError):
        store.repeated(lambda _: store.repeated(lose))
    assert len(tries) == 6
    with pytest.raises(ZeroDivisionError):
        store.repeated(lambda session: tries.append(session) or 1 / 0)
    assert len(tries) == 7


def test_documents_stored_at_the_same_time_get_versions_without_gap_or_double(store):
    together(lambda i: [store.put_campaign("spring", {"n": n}, digest=f"d{n}", at=NOW) for n in range(i, i + 5)])
    with store.transaction(write=False) as session:
        versions = session.exec(select(CampaignRow.version).order_by(CampaignRow.version)).all()
    assert versions == list(range(1, 13))


def test_one_model_is_current_whoever_else_stores_one(store):
    together(lambda i: [store.put_model(StoredModel("posterior", f"q{i % 3}", NOW)) for _ in range(3)])
    assert store.current("posterior").model_id in ("q0", "q1", "q2")


def test_the_same_row_stored_at_the_same_time_is_one_row(store):
    kept = allocation(store)
    together(lambda i: [store.put_allocation(kept), store.put_checkpoint(Checkpoint("q", 1, "d", b"", NOW))])
    assert store.allocations() == (kept,)
    assert len(store.checkpoints("q")) == 1


def test_nothing_is_missing_in_an_audit_trail_written_by_many(store):
    together(lambda i: [store.audit(AuditEntry(NOW, f"a{i}", "look", str(n))) for n in range(5)])
    for i in range(8):
        assert [e.subject for e in store.audit_trail() if e.actor == f"a{i}"] == list("01234")


CHILD = """
import os, signal, sys
from datetime import UTC, datetime
from pathlib import Path
from warehouse import AuditEntry, Workspace, open_store
store = open_store(Workspace.open(Path(sys.argv[1])))
at = datetime(2026, 1, 1, tzinfo=UTC)
store.audit(AuditEntry(at, "ada", "acknowledged", "1"))
with store.transaction():
    store.audit(AuditEntry(at, "ada", "unfinished", "2"))
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_was_acknowledged_survives_a_kill_and_what_was_not_leaves_no_trace(store, database):
    done = subprocess.run([sys.executable, "-c", CHILD, str(database.root)], capture_output=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert [entry.action for entry in store.audit_trail()] == ["acknowledged"]


def test_the_revisions_make_exactly_the_tables_of_the_code(database):
    from alembic.autogenerate import compare_metadata
    from alembic.config import Config
    from alembic.migration import MigrationContext
    from alembic.script import ScriptDirectory
    from sqlmodel import SQLModel

    import warehouse.migrations

    for found in Path(warehouse.__file__).parent.glob("*_tables.py"):
        import_module(f"warehouse.{found.stem}")
    engine = make_engine(database_of(database))
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), SQLModel.metadata) == []
    engine.dispose()
    config = Config()
    config.set_main_option("script_location", next(iter(warehouse.migrations.__path__)))
    assert ScriptDirectory.from_config(config).get_heads() == [REVISION]


def schema_of(engine):
    """Everything that the database keeps of its tables and indexes."""
    if engine.dialect.name == "sqlite":
        query = "SELECT name, sql FROM sqlite_master WHERE name <> 'alembic_version' ORDER BY name"
    else:
        query = """
            SELECT table_name || '.' || column_name AS name, concat(data_type, column_default, is_nullable) AS sql
            FROM information_schema.columns
            WHERE table_schema = current_schema() AND table_name <> 'alembic_version'
            UNION ALL SELECT indexname, indexdef FROM pg_indexes
            WHERE schemaname = current_schema() AND tablename <> 'alembic_version'
            UNION ALL SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint
            WHERE connamespace = current_schema()::regnamespace AND conrelid <> 'alembic_version'::regclass
            ORDER BY name, sql
        """
    with engine.connect() as connection:
        return connection.exec_driver_sql(query).all()


def test_down_and_up_again_is_the_same_schema(database):
    where = database_of(database)
    engine = make_engine(where)
    if where.dialect == "sqlite":
        where.path.unlink()
    migrate(engine, where)
    before = schema_of(engine)
    assert len(before) > 10
    migrate(engine, where, "base")
    assert revision_of(engine) is None
    assert [row.name for row in schema_of(engine) if not row.name.startswith("sqlite_")] == []
    migrate(engine, where)
    assert schema_of(engine) == before
    engine.dispose()


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
def test_the_databases_of_these_tests_are_what_the_revisions_make(database):
    where = database_of(database)
    engine = make_engine(where)
    before, stood_at = schema_of(engine), revision_of(engine)
    migrate(engine, where, "base")
    migrate(engine, where)
    assert (schema_of(engine), revision_of(engine)) == (before, stood_at)
    engine.dispose()


def _everything(path):
    with closing(sqlite3.connect(path)) as connection:
        named = connection.execute("SELECT type, name, sql FROM sqlite_master ORDER BY name").fetchall()
        tight = [(kind, name, None if sql is None else "".join(sql.split())) for kind, name, sql in named]
        return tight, connection.execute("SELECT * FROM alembic_version").fetchall()


def test_a_new_database_is_what_the_revisions_make(tmp_path):
    Store.open(in_file(tmp_path / "a%20 grown.db"), create=True).close()
    make_database(tmp_path / "new.db")
    assert _everything(tmp_path / "new.db") == _everything(tmp_path / "a%20 grown.db")


def test_a_database_is_never_made_over_another(tmp_path):
    make_database(tmp_path / "allot.db")
    with pytest.raises(WorkspaceError, match="already exists"):
        make_database(tmp_path / "allot.db")


def test_making_a_store_again_leaves_what_is_in_it(store, database):
    store.audit(AuditEntry(NOW, "me", "look", "it"))
    make_store(database)
    assert len(store.audit_trail()) == 1


def test_processes_that_start_together_make_one_store(database):
    where = database_of(database)
    engine = make_engine(where)
    migrate(engine, where, "base")
    together(lambda _: open_store(database, create=True).close())
    assert revision_of(engine) == REVISION
    engine.dispose()


def test_a_database_that_may_only_be_read_says_so(store):
    only_read = "SET TRANSACTION READ ONLY" if store.dialect == "postgresql" else "PRAGMA query_only=ON"
    with pytest.raises(WorkspaceError, match="may not be written to") as refused, store.transaction() as session:
        session.connection().exec_driver_sql(only_read)
        session.add(AuditRow(at=NOW, actor="me", action="look", subject="it", detail={}))
    assert "right to write" in refused.value.remedy


def test_opening_says_in_words_what_is_wrong(tmp_path):
    with pytest.raises(WorkspaceError, match="allot init"):
        Store.open(in_file(tmp_path / "missing.db"))
    assert not (tmp_path / "missing.db").exists()
    damaged = tmp_path / "damaged.db"
    damaged.write_bytes(b"this is not a database, whatever its name says" * 100)
    with pytest.raises(WorkspaceError, match="damaged"):
        Store.open(in_file(damaged))


def test_a_store_of_a_newer_version_is_left_alone(database):
    with open_store(database) as store, store.transaction() as session:
        session.connection().execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(WorkspaceError, match="newer"):
        open_store(database)


def test_a_workspace_without_tables_in_postgresql_is_told_to_make_them(postgres, tmp_path, monkeypatch):
    monkeypatch.setenv("ALLOT_DATABASE_URL", postgres)
    with pytest.raises(WorkspaceError, match=r"no database.*allot init"):
        open_store(Workspace.init(tmp_path))


@pytest.mark.parametrize(
    ("address", "word"),
    [
        ("postgresql://u:sesame@127.0.0.1:1/x", "cannot be reached"),
        ("mysql://u:sesame@localhost/x", "mysql"),
        ("sesame", "not the address"),
        ("postgresql+psycopg://u:sesame@nowhere.invalid/x", "cannot be reached"),
    ],
)
def test_a_wrong_address_is_said_in_words_without_the_password(tmp_path, monkeypatch, address, word):
    monkeypatch.setenv("ALLOT_DATABASE_URL", address)
    with pytest.raises(WorkspaceError, match=word) as refused:
        open_store(Workspace.init(tmp_path))
    assert "sesame" not in str(refused.value)


def test_options_of_ones_own_in_the_address_are_kept(postgres, tmp_path, monkeypatch):
    monkeypatch.setenv("ALLOT_DATABASE_URL", f"{postgres}&options=-cwork_mem%3D8MB")
    make_store(Workspace.init(tmp_path))
    with open_store(Workspace.open(tmp_path)) as store, store.transaction() as session:
        ask = session.connection().exec_driver_sql
        assert ask("SHOW work_mem").scalar() == "8MB"
        assert ask("SHOW search_path").scalar() == store.database.schema


def test_text_that_no_database_can_keep_is_refused_and_the_next_row_is_not(store):
    if store.dialect == "postgresql":
        with pytest.raises(WorkspaceError, match=r"refused.*NUL"):
            store.audit(AuditEntry(NOW, "a\0b", "look", "it"))
    store.audit(AuditEntry(NOW, "ada", "look", "it", {"said": "a\0b"}))
    assert store.audit_trail()[-1].detail == {"said": "a\0b"}


def test_a_wrong_statement_is_a_defect_and_not_a_damaged_database(store):
    wrong = "SELECT nothing_of_that_name FROM campaign" if store.dialect == "postgresql" else "SELECT 1; SELECT 2"
    with pytest.raises(ProgrammingError), store.transaction() as session:
        session.connection().exec_driver_sql(wrong)
    assert store.campaigns() == ()


def test_workspaces_in_one_postgresql_see_nothing_of_each_other(postgres, tmp_path, monkeypatch):
    monkeypatch.setenv("ALLOT_DATABASE_URL", postgres)
    stores = []
    for name in ("one", "two"):
        workspace = Workspace.init(tmp_path / name)
        make_store(workspace)
        stores.append(open_store(workspace))
    allocation(stores[0])
    assert stores[1].campaigns() == ()
    assert stores[0].database.schema != stores[1].database.schema
    for opened in stores:
        opened.close()


def test_a_connection_that_the_server_has_closed_is_replaced(postgres, tmp_path, monkeypatch):
    monkeypatch.setenv("ALLOT_DATABASE_URL", postgres)
    workspace = Workspace.init(tmp_path)
    make_store(workspace)
    with open_store(workspace) as store, open_store(workspace) as other:
        with store.transaction() as session:
            pid = session.connection().exec_driver_sql("SELECT pg_backend_pid()").scalar()
            line = session.connection().connection.fileno()
        with other.transaction() as session:
            session.connection().exec_driver_sql(f"SELECT pg_terminate_backend({pid})")
        assert wait([line], timeout=30), "the server has been told to close it, and has not yet"
        store.audit(AuditEntry(NOW, "me", "look", "it"))
        with pytest.raises(WorkspaceError, match="cannot be reached"), store.transaction() as session:
            pid = session.connection().exec_driver_sql("SELECT pg_backend_pid()").scalar()
            with other.transaction() as killing:
                killing.connection().exec_driver_sql(f"SELECT pg_terminate_backend({pid})")
            store.audit(AuditEntry(NOW, "me", "look", "lost"))
        assert [entry.subject for entry in store.audit_trail()] == ["it"]


def test_who_writes_again_and_again_has_the_same_connection(store):
    """Where two were open at once; on SQLite the other one has forgotten every page that was written since."""

    def own():
        with store.transaction() as session:
            return id(session.connection().connection.dbapi_connection)

    with ThreadPoolExecutor(1) as pool, store.transaction(write=False) as session:
        session.connection().exec_driver_sql("SELECT 1")
        first = pool.submit(own).result(30)
        assert first != id(session.connection().connection.dbapi_connection)
    found = [own() for _ in range(6)]
    assert len(set(found)) == 1


WORDS = ("", "plain", 'a "quoted" \\ word', "{1,NULL}", "é – 漢字 🎈", "tab\tand\nline")


@pytest.mark.parametrize("times", [1, 1_000], ids=["short", "long"])
def test_rows_of_any_content_arrive_as_they_are(store, times):
    """Several at once, on PostgreSQL as one document unless they are long."""
    table = ModelRow.__table__
    rows = [
        {
            "kind": "prior",
            "model_id": f"{i} {word}",
            "created_at": micros(NOW) + i,
            "parents": compact([word, word]),
            "manifest": compact({word: None}),
            "watermark": compact({"n": 2**62 + i}),
            "blob": bytes([i, 0, 92, 120, 255]) * i * times,
            "is_current": False,
        }
        for i, word in enumerate(WORDS, times > 1)
    ]
    for count, of in ((2, rows[:2]), (len(rows) - 2, rows)):
        with store.transaction() as session:
            assert insert_rows(connection_of(session), table, of, unless=("kind", "model_id")) == count
    for row, word in zip(rows, WORDS, strict=True):
        model = store.model("prior", row["model_id"])
        assert (model.parents, model.manifest, model.blob) == ((word, word), {word: None}, row["blob"])
        assert (model.created_at, model.watermark["n"]) == (
            moment(row["created_at"]),
            json.loads(row["watermark"])["n"],
        )
    with pytest.raises(WorkspaceError, match="refused"), store.transaction() as session:
        insert_rows(connection_of(session), table, rows[:1])


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
