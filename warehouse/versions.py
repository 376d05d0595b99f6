"""Which data is it? A version is an immutable list of files; loading the same bytes gives the same version."""

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from allot import NotFoundError, WorkspaceError
from warehouse.connection import name, quoted
from warehouse.workspace import Workspace, write_atomically

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection


@dataclass(frozen=True, slots=True)
class DataFile:
    """One Parquet file under data/files, named by its content."""

    name: str
    sha256: str
    rows: int


@dataclass(frozen=True, slots=True)
class DataTable:
    """The files of one table and its columns with their DuckDB types."""

    files: tuple[DataFile, ...]
    columns: dict[str, str]

    @property
    def rows(self) -> int:
        """Rows in all files."""
        return sum(file.rows for file in self.files)


@dataclass(frozen=True, slots=True)
class DataVersion:
    """Everything that was loaded, at one moment. `id` is a fingerprint of the tables' contents."""

    tables: dict[str, DataTable] = field(default_factory=dict)

    @property
    def id(self) -> str:
        """Sixteen hexadecimal digits; equal contents have equal ids."""
        content = {table: [f.sha256 for f in self.tables[table].files] for table in sorted(self.tables)}
        return sha256(json.dumps(content).encode()).hexdigest()[:16]

    def replaced(self, tables: Mapping[str, DataTable]) -> "DataVersion":
        """The next version: these tables new, the others as they are."""
        return DataVersion({**self.tables, **tables})

    def to_json(self) -> dict[str, Any]:
        """The version as a document."""
        return {
            "id": self.id,
            "tables": {
                table: {
                    "rows": entry.rows,
                    "columns": entry.columns,
                    "files": [{"name": f.name, "sha256": f.sha256, "rows": f.rows} for f in entry.files],
                }
                for table, entry in sorted(self.tables.items())
            },
        }


def current_version(workspace: Workspace) -> DataVersion:
    """The version that is loaded now; an empty one before the first load.

    Raises:
        WorkspaceError: its document is damaged.
    """
    path = workspace.data / "current.json"
    if not path.exists():
        return DataVersion()
    return read_version(workspace, str(_document(path).get("id")))


def read_version(workspace: Workspace, version_id: str) -> DataVersion:
    """A version by its id.

    Raises:
        NotFoundError: there is none of that id.
        WorkspaceError: its document is damaged.
    """
    path = _path(workspace, version_id)
    if not path.exists():
        raise NotFoundError(f"no data version {version_id!r}.", where=str(workspace.root))
    document = _document(path)
    try:
        version = DataVersion(
            {
                table: DataTable(tuple(DataFile(**file) for file in entry["files"]), dict(entry["columns"]))
                for table, entry in document["tables"].items()
            }
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise _damaged(path) from error
    if version.id != version_id:
        raise _damaged(path)
    return version


def publish_version(workspace: Workspace, version: DataVersion) -> None:
    """Make a version the current one: its document first, then the pointer, each by one rename."""
    write_atomically(_path(workspace, version.id), json.dumps(version.to_json(), indent=1).encode())
    write_atomically(workspace.data / "current.json", json.dumps({"id": version.id}).encode())


@contextmanager
def publishing(workspace: Workspace, version: DataVersion) -> Iterator[None]:
    """Publish a version inside the block: if that fails before it is current, nothing of it stays. Under the lock."""
    path = _path(workspace, version.id)
    known = path.exists()
    try:
        yield
    except BaseException:
        if not known and current_version(workspace).id != version.id:
            path.unlink(missing_ok=True)
        sweep_orphans(workspace)
        raise


def sweep_orphans(workspace: Workspace) -> None:
    """Remove data files that no version names: a load was killed before it published. Call it under the lock."""
    known: set[str] = set()
    for path in (workspace.data / "versions").glob("*.json"):
        tables = _document(path).get("tables", {}).values()
        known.update(file["name"] for entry in tables for file in entry["files"])
    for path in (workspace.data / "files").iterdir():
        if path.name not in known:
            path.unlink()
    for folder in (workspace.data, workspace.data / "versions"):
        for path in folder.glob(".*.json.*"):
            path.unlink()


def relation(workspace: Workspace, files: Iterable[DataFile]) -> str:
    """A SQL relation that reads the files of one table."""
    paths = ", ".join(quoted(workspace.data / "files" / file.name) for file in files)
    return f"read_parquet([{paths}], union_by_name = true)"


def attach(connection: "DuckDBPyConnection", workspace: Workspace, version: DataVersion) -> None:
    """Give the connection one view per table: customers, offers, exposures, events, as far as they are loaded.

    Raises:
        WorkspaceError: a file of the version is gone.
    """
    for table, entry in version.tables.items():
        for file in entry.files:
            if not (workspace.data / "files" / file.name).exists():
                raise WorkspaceError(
                    "is gone.", where=str(workspace.data / "files" / file.name), remedy=f"Load {table} again."
                )
        connection.execute(f"CREATE OR REPLACE VIEW {name(table)} AS FROM {relation(workspace, entry.files)}")


def _path(workspace: Workspace, version_id: str) -> Path:
    return workspace.data / "versions" / f"{version_id}.json"


def _document(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_bytes())
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise _damaged(path) from error
    if not isinstance(document, dict):
        raise _damaged(path)
    return document


def _damaged(path: Path) -> WorkspaceError:
    return WorkspaceError("is damaged.", where=str(path), remedy="Restore it from a backup, or load the data again.")
