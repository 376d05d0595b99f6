"""The operational database of a new workspace: made by one script, without the machinery that brings old ones along."""

import sqlite3
from contextlib import closing
from pathlib import Path

from allot import WorkspaceError
from warehouse.statements import statement

_WAIT_MS = 30_000


def settle(connection: sqlite3.Connection) -> None:
    """How every connection behaves: write-ahead log, durable commits, foreign keys; the caller begins transactions."""
    connection.isolation_level = None  # the driver would begin transactions of its own, and late
    connection.execute(f"PRAGMA busy_timeout={_WAIT_MS}")
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")  # NORMAL loses acknowledged events when the power goes
    connection.execute("PRAGMA foreign_keys=ON")


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
