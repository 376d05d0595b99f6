"""The operational database of a new workspace: made by one script, without the machinery that brings old ones along."""

import os
import sqlite3
from contextlib import closing
from pathlib import Path

from allot import WorkspaceError
from warehouse.statements import statement
from warehouse.workspace import Workspace

SETTING = "ALLOT_DATABASE_URL"  # a PostgreSQL database instead of a SQLite file per workspace
_WAIT_MS = 30_000
_CACHE_KIB = 32_768
_CHECKPOINT_PAGES = 8_000  # 32 MB of log: a page that many commits change goes into the file once


def settle(connection: sqlite3.Connection) -> None:
    """How every connection behaves: write-ahead log, durable commits, foreign keys; the caller begins transactions."""
    connection.isolation_level = None  # the driver would begin transactions of its own, and late
    connection.execute(f"PRAGMA busy_timeout={_WAIT_MS}")
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")  # NORMAL loses acknowledged events when the power goes
    connection.execute("PRAGMA foreign_keys=ON")
    connection.execute(f"PRAGMA cache_size=-{_CACHE_KIB}")
    connection.execute(f"PRAGMA wal_autocheckpoint={_CHECKPOINT_PAGES}")


def make_store(workspace: Workspace) -> None:
    """Make a workspace's operational database, or bring the one that is there up to date.

    Raises:
        WorkspaceError: it cannot be written or reached, or was made by a newer version.
    """
    if not os.environ.get(SETTING) and not workspace.store_path.exists():
        make_database(workspace.store_path)
        return
    from warehouse.store import open_store

    open_store(workspace, create=True).close()


def make_database(path: Path) -> None:
    """Make the file with all its tables at the newest revision, in one transaction.

    Raises:
        WorkspaceError: it cannot be written, or has tables already.
    """
    try:
        with closing(sqlite3.connect(path)) as connection:
            settle(connection)
            connection.executescript(f"BEGIN IMMEDIATE; {statement('database.sql', {})} COMMIT;")
    except sqlite3.Error as error:
        remedy = "Free some space, or check who may write there, and run the command again."
        raise WorkspaceError(f"the database cannot be made: {error}.", where=str(path), remedy=remedy) from error
