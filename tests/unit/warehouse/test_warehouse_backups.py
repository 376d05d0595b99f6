"""A backup opens like the workspace it was taken of, names no file that it lacks, and comes back on either database."""

import json
import shutil
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest

from allot import WorkspaceError
from warehouse import (
    AuditEntry,
    Checkpoint,
    Keys,
    StoredAllocation,
    StoredModel,
    Workspace,
    back_up,
    backups,
    feedback_items,
    make_store,
    make_tenant,
    open_store,
    outcomes,
    restore,
    take_feedback,
    tenant_names,
    tenant_workspace,
    write_atomically,
)

NOW = datetime(2026, 3, 1, tzinfo=UTC)
SETTING = "ALLOT_DATABASE_URL"


def event(n):
    return {"event_id": f"e{n}", "decision_id": f"A-{n}", "outcome": 1, "reward": 2.5, "occurred_at": "2026-02-01"}


def decide(workspace, store, name):
    """An allocation as the engine stores it: first the file, then the row that names it."""
    path = workspace.decisions / name / "decisions.parquet"
    path.parent.mkdir(parents=True)
    write_atomically(path, name.encode())
    where = str(path.relative_to(workspace.root))
    store.put_campaign("spring", {"seed": 7}, digest="d", at=NOW)
    store.put_allocation(StoredAllocation(name, "spring", "d", "released", NOW, {}, {"n": 1}, NOW, where, "x"))


@pytest.fixture
def home(database):
    """A workspace with rows in every table that the store knows, a file, a key and a second tenant."""
    make_tenant(database, "acme")
    for workspace in (database, tenant_workspace(database, "acme")):
        with open_store(workspace) as store:
            decide(workspace, store, "A1")
            store.put_model(StoredModel("posterior", "q1", NOW, ("p",), {"n": 1}, {"w": 2}, b"\0\xff"))
            store.put_checkpoint(Checkpoint("q1", 3, "d", b"\0", NOW))
            store.audit(AuditEntry(NOW, "ada", "train", workspace.root.name))
            take_feedback(store, feedback_items([event(n) for n in range(3)]), set, received_at=NOW)
    (database.root / "tmp" / "scratch").write_text("x")
    return database


def told(workspace):
    """Everything that a store says of itself."""
    with open_store(workspace) as store:
        model = store.current("posterior")
        return (
            store.campaigns(),
            store.allocations(),
            model,
            store.checkpoints("q1"),
            store.audit_trail(),
            outcomes(store).to_pylist(),
        )


@pytest.fixture
def key(home):
    with Keys.open(home) as keys:
        return keys.create("acme", ["admin"], actor="ada", at=NOW)


def test_a_backup_is_a_workspace_that_says_the_same(home, key, tmp_path, monkeypatch):
    before = {name: told(tenant_workspace(home, name)) for name in tenant_names(home)}
    done = back_up(home, tmp_path / "kept" / "backup")
    assert (done.tenants, done.files) == (("main", "acme"), 4)
    assert done.rows >= 2 * 8 + 2  # of each tenant eight, and a key with its entry in the audit trail
    monkeypatch.delenv(SETTING, raising=False)
    backup = Workspace.open(tmp_path / "kept" / "backup")
    assert backup.house_key == home.house_key
    assert {name: told(tenant_workspace(backup, name)) for name in tenant_names(backup)} == before
    assert (backup.decisions / "A1" / "decisions.parquet").read_text() == "A1"
    assert not (backup.root / "tmp" / "scratch").exists()
    with Keys.open(backup) as keys:
        assert keys.check(key.text, NOW).tenant == "acme"


@pytest.mark.parametrize("onto", ["sqlite", "postgresql"])
def test_a_backup_of_either_database_comes_back_on_either(home, key, tmp_path, monkeypatch, request, onto):
    before = {name: told(tenant_workspace(home, name)) for name in tenant_names(home)}
    back_up(home, tmp_path / "backup")
    with open_store(home) as store:  # as if the server had been lost
        if store.dialect == "postgresql":
            drop_all(home, store)
    monkeypatch.delenv(SETTING, raising=False)
    backup = Workspace.open(tmp_path / "backup")
    if onto == "postgresql":
        monkeypatch.setenv(SETTING, request.getfixturevalue("postgres"))
    restore(backup, tmp_path / "again")
    again = Workspace.open(tmp_path / "again")
    assert {name: told(tenant_workspace(again, name)) for name in tenant_names(again)} == before
    with Keys.open(again) as keys:
        assert keys.check(key.text, NOW) is not None
    with open_store(again) as store:  # life goes on: numbers that the database gives out are not taken
        assert store.dialect == onto
        store.audit(AuditEntry(NOW + timedelta(hours=1), "ada", "learn", "q2"))
        take_feedback(store, feedback_items([event(1), event(9)]), set, received_at=NOW)
        assert [entry.action for entry in store.audit_trail()] == ["train", "learn"]
        assert outcomes(store).num_rows == 4


def drop_all(home, store):
    with store.transaction() as session:
        every = session.connection().exec_driver_sql("SELECT nspname FROM pg_namespace WHERE nspname LIKE 'allot%%'")
        names = every.scalars().all()
    for name in names:  # each by itself: a server has locks for a few hundred tables at a time
        with store.transaction() as session:
            session.connection().exec_driver_sql(f'DROP SCHEMA "{name}" CASCADE')


def load(workspace, n):
    """A version of the data as a load publishes it: the file, the version that names it, the pointer to the version."""
    write_atomically(workspace.data / "files" / f"f{n}", b"rows")
    write_atomically(workspace.data / "versions" / f"v{n}.json", json.dumps([f"f{n}"]).encode())
    write_atomically(workspace.data / "current.json", json.dumps(f"v{n}").encode())


def test_a_backup_names_no_file_that_it_lacks_whatever_is_written_meanwhile(home, tmp_path, monkeypatch):
    """Between any two steps of the backup an allocation is stored and data are loaded."""
    load(home, 0)
    steps = iter(range(1, 1000))
    with open_store(home) as store:

        def meanwhile(step):
            def stepped(*given):
                n = next(steps)
                decide(home, store, f"B{n}")
                load(home, n)
                return step(*given)

            return stepped

        monkeypatch.setattr(backups, "_copy_rows", meanwhile(backups._copy_rows))
        monkeypatch.setattr(backups.shutil, "copyfile", meanwhile(shutil.copyfile))
        back_up(home, tmp_path / "backup")
    kept = tmp_path / "backup"
    with closing(sqlite3.connect(kept / "allot.db")) as connection:
        paths = [path for (path,) in connection.execute("SELECT decisions_path FROM allocation")]
    assert len(paths) >= 2
    assert all((kept / path).is_file() for path in paths)
    versions = {path.stem: json.loads(path.read_text()) for path in (kept / "data" / "versions").iterdir()}
    assert json.loads((kept / "data" / "current.json").read_text()) in versions
    assert all((kept / "data" / "files" / name).is_file() for names in versions.values() for name in names)


def test_what_is_there_is_never_written_over(home, tmp_path, monkeypatch):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").write_text("mine")
    with pytest.raises(WorkspaceError, match="in use"):
        back_up(home, tmp_path / "full")
    with pytest.raises(WorkspaceError, match="inside the workspace"):
        back_up(home, home.root / "backup")
    back_up(home, tmp_path / "backup")
    with open_store(home) as store:
        on_server = store.dialect == "postgresql"
    with pytest.raises(WorkspaceError, match=r"rows in|in use") as refused:
        restore(Workspace.open(tmp_path / "backup"), tmp_path / "again" if on_server else home.root)
    assert refused.value.remedy
    assert sorted(path.name for path in tmp_path.iterdir()) == ["backup", "database", "full"]
    assert told(home)[0]


def test_a_workspace_whose_rows_are_elsewhere_is_not_backed_up_as_an_empty_one(tmp_path, postgres, monkeypatch):
    home = Workspace.init(tmp_path / "home")
    monkeypatch.setenv(SETTING, postgres)
    make_store(home)
    monkeypatch.delenv(SETTING)
    with pytest.raises(WorkspaceError, match=SETTING):
        back_up(home, tmp_path / "backup")
    assert not (tmp_path / "backup").exists()


def test_a_full_disk_leaves_no_backup(home, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("shutil.copyfile", full)
    with pytest.raises(WorkspaceError, match="disk is full"):
        back_up(home, tmp_path / "backup")
    assert [path.name for path in tmp_path.iterdir()] == ["database"]
