"""A backup is a workspace: the rows of one moment in SQLite files, and every file that they name.

What is named is there before what names it: data files before their version, files before the row that says where they
are. So a copy is taken the other way round: rows, then the pointer to the data, its versions, and all other files.
"""

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, Engine, MetaData, Table, func, insert, select, text

from allot import WorkspaceError
from warehouse.database import Database, control_of, database_of, in_file, make_engine, reading, writing
from warehouse.driver_errors import in_words
from warehouse.home import tenant_names, tenant_workspace
from warehouse.revisions import CONTROL, OPERATIONAL, Revisions, migrate, revision_of
from warehouse.workspace import Workspace, full_disk_in_words, publish

_NOT_COPIED = ("tmp", "tmp-metrics", "staging", "tenants", ".lock", ".serving")
_DATABASES = ("allot.db", "control.db")
_FIRST = ("data/current.json", "data/versions")
_ROWS_AT_ONCE = 2_000


@dataclass(frozen=True, slots=True)
class Copied:
    """What was copied, all tenants together."""

    tenants: tuple[str, ...]
    rows: int
    files: int
    bytes: int


@dataclass(frozen=True, slots=True)
class _Move:
    """Rows that go from one database to another."""

    source: Database
    target: Database
    revisions: Revisions


def back_up(home: Workspace, folder: Path) -> Copied:
    """Copy a workspace with its tenants and keys, also while it is in use. The backup opens like any workspace.

    Args:
        home: its rows are in SQLite or PostgreSQL.
        folder: of the backup; not there yet, or empty.

    Raises:
        WorkspaceError: the folder is in use or inside the workspace, the disk is full, a database is out of reach or
            not up to date.
    """
    folder = folder.absolute()
    if folder.is_relative_to(home.root):
        raise WorkspaceError("lies inside the workspace.", where=str(folder), remedy="Choose a folder outside of it.")
    with _whole(folder) as made:
        places = _places(home, made)
        moves = [_Move(database_of(old), in_file(new.store_path), OPERATIONAL) for old, new in places]
        moves.append(_Move(control_of(home), in_file(made / "control.db"), CONTROL))
        rows = sum(_copy_rows(move) for move in moves)
        return _copied(home, places, rows)


def restore(backup: Workspace, folder: Path) -> Copied:
    """Make a workspace from a backup, its rows in SQLite or, where `ALLOT_DATABASE_URL` is set, in PostgreSQL.

    So a workspace also moves from one database to the other.

    Args:
        backup: as `back_up` made it.
        folder: of the new workspace; not there yet, or empty.

    Raises:
        WorkspaceError: the folder or the tables in PostgreSQL are in use, the disk is full, a database is out of reach
            or not up to date.
    """
    with _whole(folder.absolute()) as made:
        places = _places(backup, made)
        copied = _copied(backup, places, 0)
        moves = [_Move(in_file(old.store_path), database_of(new), OPERATIONAL) for old, new in places]
        control = control_of(Workspace(made, backup.house_key))
        moves.append(_Move(in_file(backup.root / "control.db"), control, CONTROL))
        rows = sum(_copy_rows(move) for move in moves)
        return Copied(copied.tenants, rows, copied.files, copied.bytes)


def _places(home: Workspace, root: Path) -> list[tuple[Workspace, Workspace]]:
    """Every tenant's workspace, and where it goes."""
    olds = [tenant_workspace(home, name) for name in tenant_names(home)]
    news = [Workspace(root / old.root.relative_to(home.root), old.house_key) for old in olds]
    for new in news:
        new.root.mkdir(parents=True, exist_ok=True)
    return list(zip(olds, news, strict=True))


@contextmanager
def _whole(folder: Path) -> Iterator[Path]:
    """A folder that gets its name when the block has ended well, and leaves nothing when it has not."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise WorkspaceError("is in use.", where=str(folder), remedy="Choose a folder that does not exist yet.")
    made = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}")
    try:
        with full_disk_in_words(folder):
            made.mkdir(parents=True, mode=0o700)
            yield made
            publish(made, folder)
    finally:
        shutil.rmtree(made, ignore_errors=True)


def _copied(home: Workspace, places: list[tuple[Workspace, Workspace]], rows: int) -> Copied:
    sizes = [size for old, new in places for size in _copy_files(old.root, new.root)]
    return Copied(tenant_names(home), rows, len(sizes), sum(sizes))


def _copy_files(source: Path, target: Path) -> Iterator[int]:
    """Copy all files but databases and scratch, and yield their sizes. What is swept meanwhile was named by nothing."""
    for path in _in_order(source):
        goal = target / path.relative_to(source)
        goal.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir():
            goal.mkdir(exist_ok=True)
            continue
        try:
            shutil.copyfile(path, goal)
        except FileNotFoundError:
            goal.unlink(missing_ok=True)
            continue
        yield goal.stat().st_size


def _in_order(source: Path) -> Iterator[Path]:
    for name in _FIRST:
        found = source / name
        yield from found.rglob("*") if found.is_dir() else [found] if found.exists() else []
    for top in sorted(source.iterdir()):
        if top.name in _NOT_COPIED or top.name.startswith(_DATABASES):
            continue
        yield top
        for folder, _, names in os.walk(top):
            inside = Path(folder)
            if inside.relative_to(source).as_posix() in _FIRST:
                continue
            yield inside
            yield from (inside / n for n in sorted(names) if (inside / n).relative_to(source).as_posix() not in _FIRST)


def _copy_rows(move: _Move) -> int:
    """Copy all rows as they are at one moment, in one transaction; returns how many."""
    if move.source.dialect == "sqlite" and not move.source.path.is_file():
        return _nothing(move)
    with _engine(move.source) as old, _engine(move.target) as new, in_words(move.target.where):
        with in_words(move.source.where):
            found = revision_of(old)
        if found is None:
            return _nothing(move)
        if found != move.revisions.newest:
            remedy = "Run `allot init` on it first: that brings it up to date."
            raise WorkspaceError("the database is not up to date.", where=move.source.where, remedy=remedy)
        migrate(new, move.target, revisions=move.revisions)
        with reading(old).connect() as reader, writing(new).begin() as writer:
            tables = MetaData()
            tables.reflect(writer, only=lambda name, _: name != "alembic_version")
            return sum(_copy_table(reader, writer, table, move.target) for table in tables.sorted_tables)


def _nothing(move: _Move) -> int:
    """No keys were ever made, which may be; rows of a workspace must be somewhere."""
    if move.revisions is CONTROL:
        return 0
    remedy = "Check ALLOT_DATABASE_URL: the workspace's rows may be in the other database."
    raise WorkspaceError("the workspace has no database.", where=move.source.where, remedy=remedy)


def _copy_table(reader: Connection, writer: Connection, table: Table, target: Database) -> int:
    if writer.execute(select(table).limit(1)).first() is not None:
        remedy = "Drop the schema, or restore into another PostgreSQL database."
        raise WorkspaceError(f"there are rows in {table.name} already.", where=target.where, remedy=remedy)
    count = 0
    rows = reader.execution_options(yield_per=_ROWS_AT_ONCE).execute(select(table))
    for part in rows.mappings().partitions():
        writer.execute(insert(table), [dict(row) for row in part])
        count += len(part)
    if target.dialect == "postgresql":
        _go_on_counting(writer, table)
    return count


def _go_on_counting(writer: Connection, table: Table) -> None:
    """Numbers that PostgreSQL gives out itself go on after the largest that was copied."""
    keys = list(table.primary_key)
    sequence = select(func.pg_get_serial_sequence(table.name, keys[0].name)) if len(keys) == 1 else None
    name = None if sequence is None else writer.execute(sequence).scalar()
    if name is not None:
        last = select(func.coalesce(func.max(keys[0]), 0) + 1)
        writer.execute(select(func.setval(text(":name"), last.scalar_subquery(), False)), {"name": name})


@contextmanager
def _engine(database: Database) -> Iterator[Engine]:
    engine = make_engine(database)
    try:
        yield engine
    finally:
        engine.dispose()
