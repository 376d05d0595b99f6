"""From files to a new data version: everything is checked before anything is published."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from hashlib import file_digest
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from allot import DataError, WorkspaceError
from warehouse.connection import connect, name, one_row, quoted
from warehouse.sources import (
    Contract,
    Source,
    breaches,
    columns_of,
    doubts,
    raise_all,
    read_source,
    readable,
    rows,
    texts_of,
)
from warehouse.versions import (
    DataFile,
    DataTable,
    DataVersion,
    current_version,
    publish_version,
    publishing,
    relation,
    sweep_orphans,
)
from warehouse.workspace import Workspace, publish

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

Progress: TypeAlias = Callable[[str], None]
Review: TypeAlias = "Callable[[DuckDBPyConnection, DataVersion, Collection[str]], list[str]]"

_ROW_GROUP = 122_880


@dataclass(frozen=True, slots=True)
class Loaded:
    """What a load did: the new version, rows of every table that was given, and what was odd but accepted."""

    version: DataVersion
    counts: dict[str, int]
    warnings: tuple[str, ...]


def load(
    workspace: Workspace,
    sources: Mapping[str, Path],
    contracts: Mapping[str, Contract],
    *,
    append: Collection[str] = (),
    review: "Review | None" = None,
    progress: Progress | None = None,
) -> Loaded:
    """Make a new data version out of files; a table that is given replaces the one that was there.

    Args:
        workspace: where; its lock is taken here.
        sources: for each table the CSV or Parquet file to read.
        contracts: for each table what it must look like.
        append: tables whose new rows are added to the old ones instead.
        review: judges the new version before it is published, given a connection with a view of each of its tables, the
            version (without tables whose files are lost), and the tables that are new in it; it raises, or returns
            warnings.
        progress: told what is being done, one line at a time.

    Returns:
        The version, the rows that each table now has, and warnings.

    Raises:
        DataError: some table breaks its contract; every breach is named and nothing was loaded.
        WorkspaceError: another command is writing, or the disk is full.
    """
    tell = progress or (lambda _: None)
    with workspace.lock(), workspace.staging() as folder, connect(workspace) as connection:
        sweep_orphans(workspace)
        before = current_version(workspace)
        checked = _check(connection, workspace, sources, contracts, (before, append, folder, tell))
        tables = {}
        for source in checked:
            tell(f"{source.table}: writing")
            previous = before.tables.get(source.table) if source.table in append else None
            tables[source.table] = _write(connection, workspace, source, previous, folder)
        version = before.replaced(tables)
        warnings = [
            f"{source.path.name}: {notice}"
            for source in checked
            for notice in (*source.bound.notices, *doubts(connection, source))
        ]
        present = _attach(connection, workspace, version, folder)
        warnings += [*_strangers(connection, present), *_repeated(connection, present & set(sources))]
        if review is not None:
            readable_now = DataVersion({table: version.tables[table] for table in present})
            warnings += review(connection, readable_now, set(tables))
        tell("publishing")
        with publishing(workspace, version):
            for path in folder.glob("*-*.parquet"):
                publish(path, workspace.data / "files" / path.name)
            publish_version(workspace, version)
    return Loaded(version, {table: entry.rows for table, entry in tables.items()}, tuple(warnings))


def _check(
    connection: "DuckDBPyConnection",
    workspace: Workspace,
    sources: Mapping[str, Path],
    contracts: Mapping[str, Contract],
    around: tuple[DataVersion, Collection[str], Path, Progress],
) -> list[Source]:
    """Check every file, offers first, since others name offers; all that is wrong is raised together."""
    before, append, folder, tell = around
    checked: list[Source] = []
    problems: list[DataError] = []
    replaced = "offers" in sources and "offers" not in append
    offers = None if replaced else known_offers(connection, workspace, before)
    for table in sorted(sources, key=lambda t: (t != "offers", t)):
        tell(f"{table}: checking {sources[table].name}")
        try:
            source = read_source(connection, sources[table], contracts[table], offers, folder)
            if table == "offers":
                kept = (offers or []) if table in append else []
                offers = [*kept, *texts_of(connection, source.relation, source.columns, "offer_id")]
            checked.append(source)
            problems += breaches(connection, source)
        except DataError as error:
            problems.append(error)
    raise_all(problems)
    return checked


def known_offers(connection: "DuckDBPyConnection", workspace: Workspace, version: DataVersion) -> list[str] | None:
    """The ids of the offers of a version, in order; None where none are loaded.

    Raises:
        WorkspaceError: their file is gone.
    """
    table = version.tables.get("offers")
    if table is None:
        return None
    _not_lost(workspace, "offers", table)
    return texts_of(connection, relation(workspace, table.files), table.columns, "offer_id")


def _write(
    connection: "DuckDBPyConnection", workspace: Workspace, source: Source, previous: DataTable | None, folder: Path
) -> DataTable:
    """Write one table into the staging folder under the name of its content."""
    staged = folder / f"{source.table}.parquet"
    query = source.bound.select_query(source.relation)
    options = f"FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE {_ROW_GROUP}"
    with readable(source.path):
        connection.execute(f"COPY ({query}) TO {quoted(staged)} ({options})")
    with staged.open("rb") as handle:
        digest = file_digest(handle, "sha256").hexdigest()
    final = folder / f"{source.table}-{digest[:16]}.parquet"
    staged.rename(final)
    written = f"read_parquet({quoted(final)})"
    file = DataFile(final.name, digest, _count(connection, written))
    columns = columns_of(connection, written)
    if previous is None:
        return DataTable((file,), columns)
    _not_lost(workspace, source.table, previous)
    if digest in {old.sha256 for old in previous.files}:
        raise DataError("these rows are already loaded.", where=source.path.name, remedy="Append each file once.")
    _check_append(connection, source, (written, columns), (relation(workspace, previous.files), previous.columns))
    return DataTable((*previous.files, file), {**previous.columns, **columns})


def _not_lost(workspace: Workspace, table: str, entry: DataTable) -> None:
    for file in entry.files:
        path = workspace.data / "files" / file.name
        if not path.exists():
            raise WorkspaceError("is gone.", where=str(path), remedy=f"Load the whole of {table} again.")


def _check_append(
    connection: "DuckDBPyConnection", source: Source, new: tuple[str, dict[str, str]], old: tuple[str, dict[str, str]]
) -> None:
    """New rows must have the old rows' types, and none of their keys."""
    for column in sorted(new[1].keys() & old[1].keys()):
        if new[1][column] != old[1][column]:
            what = f"has type {new[1][column]}, but {old[1][column]} in what is loaded."
            raise source.error(column, what, "Give it the same type, or replace the table.")
    key = [column for column in source.bound.key if column in old[1]]
    if key:
        both = f"{new[0]} AS added SEMI JOIN {old[0]} AS loaded USING ({', '.join(map(name, key))})"
        query = f"FROM {both} SELECT count(*), min(CAST({name(key[0])} AS VARCHAR))"
        count, example = one_row(connection, query)
        if count:
            raise source.error(", ".join(key), f"{rows(count)}: already loaded, e.g. {example}.", "Remove them.")


def _attach(
    connection: "DuckDBPyConnection", workspace: Workspace, version: DataVersion, folder: Path
) -> frozenset[str]:
    """A view of each table of a version whose new files are still staged; a table with a lost file has none."""
    present = set()
    for table, entry in version.tables.items():
        places = [(folder / file.name, workspace.data / "files" / file.name) for file in entry.files]
        paths = [staged if staged.exists() else published for staged, published in places]
        if all(path.exists() for path in paths):
            read = f"read_parquet([{', '.join(map(quoted, paths))}], union_by_name = true)"
            connection.execute(f"CREATE OR REPLACE VIEW {name(table)} AS FROM {read}")
            present.add(table)
    return frozenset(present)


def _strangers(connection: "DuckDBPyConnection", present: Collection[str]) -> list[str]:
    """Rows about customers or offers that are gone are kept, but said: people leave, and files get mixed up."""
    warnings = []
    for table, column, of in (
        ("exposures", "customer_id", "customers"),
        ("exposures", "offer_id", "offers"),
        ("events", "customer_id", "customers"),
    ):
        if {table, of} <= set(present):
            named = f"(FROM {table} WHERE {column} IS NOT NULL)"
            count = _count(connection, f"{named} AS named ANTI JOIN {of} AS known USING ({column})")
            if count:
                warnings.append(f"{table}: {rows(count)} about {of} that are not in {of}.")
    return warnings


def _repeated(connection: "DuckDBPyConnection", new: Collection[str]) -> list[str]:
    """Exposures may repeat, but a file that was exported twice would count each of them twice."""
    if "exposures" not in new:
        return []
    key = "customer_id, offer_id, decided_at"
    groups = f"(FROM exposures SELECT count(*) AS times GROUP BY {key} HAVING count(*) > 1)"
    more = one_row(connection, f"FROM {groups} SELECT coalesce(sum(times - 1), 0)")[0]
    if not more:
        return []
    return [f"exposures: {rows(int(more))} with another row's customer, offer and time: each counts by itself."]


def _count(connection: "DuckDBPyConnection", source: str) -> Any:
    return one_row(connection, f"FROM {source} SELECT count(*)")[0]
