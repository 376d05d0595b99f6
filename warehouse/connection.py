"""DuckDB, always in memory: it reads the workspace's files, not the network, and locks itself up for user SQL."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING, Any

from warehouse.workspace import Workspace, claim, disk_full, full_disk_in_words

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_DISK_FULL = ("no space left", "disk quota", "file too large", "max_temp_directory_size")


@contextmanager
def connect(
    workspace: Workspace, *, memory_limit: str | None = None, threads: int = 2, user_sql: bool = False
) -> "Iterator[DuckDBPyConnection]":
    """An in-memory connection in UTC that spills into the workspace; closed and swept at the end.

    Args:
        workspace: where it may spill, and with `user_sql` the only place it may read or write.
        memory_limit: such as "4GB"; None leaves DuckDB's own, 80 % of the machine.
        threads: worker threads.
        user_sql: lock it up before SQL that people wrote runs: no file outside the workspace's data and decisions,
            no configuration.

    Raises:
        WorkspaceError: the disk became full inside the block.
        KeyboardInterrupt: Ctrl-C, also in the middle of a query.
    """
    import duckdb

    spill = workspace.spills / token_hex(8)
    held = claim(spill)
    connection = duckdb.connect(":memory:", config={"threads": threads})
    try:
        _settle(connection, spill, memory_limit)
        if user_sql:
            _lock_up(connection, [spill, workspace.data, workspace.decisions])
        with full_duckdb_disk_in_words(workspace.root), _interrupts():
            yield connection
    finally:
        connection.close()
        os.close(held)
        shutil.rmtree(spill, ignore_errors=True)


def _settle(connection: "DuckDBPyConnection", spill: Path, memory_limit: str | None) -> None:
    for name in ("autoinstall_known_extensions", "autoload_known_extensions", "allow_community_extensions"):
        connection.execute(f"SET {name} = false")
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute(f"SET temp_directory = {quoted(spill)}")
    if memory_limit is not None:
        connection.execute(f"SET memory_limit = {quoted(memory_limit)}")


def _lock_up(connection: "DuckDBPyConnection", folders: list[Path]) -> None:
    """The order matters: after external access is off, nothing else can be allowed; after the lock, nothing changed."""
    connection.execute(f"SET allowed_directories = [{', '.join(quoted(f'{folder}/') for folder in folders)}]")
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")


def one_row(connection: "DuckDBPyConnection", query: str) -> tuple[Any, ...]:
    """The first row of a result, read to its end: an unfinished one would keep the connection busy."""
    found = connection.execute(query).fetchall()
    return tuple(found[0])


def quoted(text: str | Path) -> str:
    """A text or a path as a SQL literal."""
    return "'" + str(text).replace("'", "''") + "'"


def name(text: str) -> str:
    """A column's or a table's name as a SQL identifier."""
    return '"' + text.replace('"', '""') + '"'


@contextmanager
def _interrupts() -> Iterator[None]:
    """Ctrl-C in the middle of a query, which DuckDB reports as a plain RuntimeError, is Ctrl-C again."""
    try:
        yield
    except RuntimeError as error:
        if str(error) != "Query interrupted":
            raise
        raise KeyboardInterrupt from error


def is_disk_full(error: Exception) -> bool:
    """Whether one of DuckDB's errors means that the disk has no room left."""
    return any(word in str(error).lower() for word in _DISK_FULL)


@contextmanager
def full_duckdb_disk_in_words(root: Path) -> Iterator[None]:
    """Turn DuckDB's and the operating system's "no space left" into a sentence.

    Raises:
        WorkspaceError: the disk is full.
    """
    import duckdb

    try:
        with full_disk_in_words(root):
            yield
    except duckdb.Error as error:
        if not is_disk_full(error):
            raise
        raise disk_full(root) from error
