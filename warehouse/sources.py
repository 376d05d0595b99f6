"""One given file: how SQL reads it, and everything in it that breaks its contract."""

import csv
import gzip
import zlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from allot import DataError
from warehouse.connection import is_disk_full, name, one_row, quoted
from warehouse.csv_files import csv_relation, is_csv, said_of_line

if TYPE_CHECKING:
    import pyarrow as pa
    from duckdb import DuckDBPyConnection


class Breach(Protocol):
    """What is wrong with one column, and what to do."""

    @property
    def column(self) -> str: ...  # noqa: D102
    @property
    def what(self) -> str: ...  # noqa: D102
    @property
    def remedy(self) -> str: ...  # noqa: D102


class BoundCheck(Protocol):
    """One way for rows to be wrong."""

    @property
    def breach(self) -> Breach: ...  # noqa: D102


class BoundContract(Protocol):
    """A contract over the columns of one file, as SQL."""

    @property
    def breaches(self) -> Sequence[Breach]: ...  # noqa: D102
    @property
    def notices(self) -> Sequence[str]: ...  # noqa: D102
    @property
    def checks(self) -> Sequence[BoundCheck]: ...  # noqa: D102
    @property
    def key(self) -> Sequence[str]: ...  # noqa: D102
    @property
    def kept(self) -> Sequence[tuple[str, str]]: ...  # noqa: D102
    def check_query(self, relation: str) -> str: ...  # noqa: D102
    def duplicate_query(self, relation: str) -> str | None: ...  # noqa: D102
    def select_query(self, relation: str) -> str: ...  # noqa: D102


class Contract(Protocol):
    """What a table must look like."""

    @property
    def table(self) -> str: ...  # noqa: D102
    @property
    def texts(self) -> Collection[str]: ...  # noqa: D102
    def bind(self, columns: Mapping[str, str], offers: Sequence[str] | None) -> BoundContract: ...  # noqa: D102


_MOSTLY = 0.9  # of the values: a column of numbers with a few slips, not of words
_UNREADABLE = (csv.Error, EOFError, gzip.BadGzipFile, zlib.error)


@dataclass(frozen=True, slots=True)
class Source:
    """A file with its columns and its contract bound to them; `relation` is how SQL reads it.

    `features` are the columns that are kept although the contract does not know them.
    """

    table: str
    path: Path
    relation: str
    columns: dict[str, str]
    bound: BoundContract
    features: tuple[str, ...]

    def error(self, column: str, what: str, remedy: str) -> DataError:
        """An error about one column, or about the whole file where the column is empty."""
        where = f"{self.path.name}, column {column}" if column else self.path.name
        return DataError(what, where=where, remedy=remedy)


def read_checked(
    connection: "DuckDBPyConnection", path: Path, contract: Contract, offers: Sequence[str] | None
) -> "pa.Table":
    """Read one file by its contract without loading it, for example an evaluation's target.

    Raises:
        DataError: it breaks its contract.
    """
    source = read_source(connection, path, contract, offers)
    raise_all(breaches(connection, source))
    return connection.sql(source.bound.select_query(source.relation)).to_arrow_table()


def read_source(
    connection: "DuckDBPyConnection",
    path: Path,
    contract: Contract,
    offers: Sequence[str] | None,
    folder: Path | None = None,
) -> Source:
    """Find out how to read a file and bind its contract; with a folder, a CSV file is parsed once, into it.

    Args:
        connection: any.
        path: a .csv, .csv.gz or .parquet file.
        contract: what it must look like.
        offers: every known offer id; None where no offers are loaded.
        folder: for parsed files.

    Raises:
        DataError: there is no such file, it is empty, or it cannot be read.
    """
    if not path.is_file():
        raise DataError("no such file.", where=str(path), remedy="Check the path.")
    if path.stat().st_size == 0:
        raise DataError("is empty.", where=path.name, remedy="Give a file with a header and at least one row.")
    with readable(path):
        if is_csv(path):
            relation = csv_relation(connection, path, contract.texts)
            if folder is not None:
                parsed = folder / f"{contract.table}.parsed.parquet"
                connection.execute(f"COPY (FROM {relation}) TO {quoted(parsed)} (FORMAT parquet)")
                relation = f"read_parquet({quoted(parsed)})"
        elif path.suffix.lower() == ".parquet":
            relation = f"read_parquet({quoted(path)})"
        else:
            raise DataError(
                "is neither CSV nor Parquet.", where=path.name, remedy="Give a .csv, .csv.gz or .parquet file."
            )
        columns = columns_of(connection, relation)
    bound = contract.bind(columns, offers)
    stored = {column for column, _ in bound.kept}
    features = tuple(c for c in columns if c in stored and c.lower() not in contract.texts)
    return Source(contract.table, path, relation, columns, bound, features)


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Turn what a damaged file makes its readers say into words.

    Raises:
        DataError: the file cannot be read.
    """
    import duckdb

    try:
        yield
    except (*_UNREADABLE, duckdb.InvalidInputException, duckdb.IOException, duckdb.ConversionException) as error:
        if is_disk_full(error):
            raise
        said = said_of_line(path, error) or DataError(
            f"cannot be read: {_reason(error)}.",
            where=path.name,
            remedy="Save it again as CSV in UTF-8 or as Parquet.",
        )
        raise said from error


def _reason(error: Exception) -> str:
    """The first sentence of what a reader says, without the name of the error."""
    first = str(error).strip().partition("\n")[0]
    return (first.partition("Error: ")[2] or first).rstrip(" .")


def columns_of(connection: "DuckDBPyConnection", relation: str) -> dict[str, str]:
    """Names and DuckDB types of a relation's columns."""
    described = connection.execute(f"DESCRIBE FROM {relation}").fetchall()
    return {row[0]: row[1] for row in described}


def texts_of(connection: "DuckDBPyConnection", relation: str, columns: Collection[str], wanted: str) -> list[str]:
    """The distinct values of one column as texts, in order; empty where there is no such column."""
    found = [column for column in columns if column.lower() == wanted]
    if not found:
        return []
    query = f"FROM {relation} SELECT DISTINCT CAST({name(found[0])} AS VARCHAR) AS x WHERE x IS NOT NULL ORDER BY x"
    return [row[0] for row in connection.execute(query).fetchall()]


def breaches(connection: "DuckDBPyConnection", source: Source) -> list[DataError]:
    """Everything that is wrong with one file: number of rows and an example each."""
    bound = source.bound
    if bound.breaches:
        return [source.error(b.column, b.what, b.remedy) for b in bound.breaches]
    with readable(source.path):
        row = one_row(connection, bound.check_query(source.relation))
    if row[0] == 0:
        return [source.error("", "has no rows.", "Give a file with at least one row.")]
    errors = []
    for i, check in enumerate(bound.checks):
        broken, example = row[1 + 2 * i], row[2 + 2 * i]
        if broken:
            what = f"{rows(broken)}: the value {check.breach.what}, e.g. {example}."
            errors.append(source.error(check.breach.column, what, check.breach.remedy))
    duplicates = bound.duplicate_query(source.relation)
    if duplicates is not None:
        repeated, example = one_row(connection, duplicates)
        if repeated:
            what = f"{repeated:,} {'value occurs' if repeated == 1 else 'values occur'} more than once, e.g. {example}."
            errors.append(source.error(", ".join(bound.key), what, "Keep one row of each."))
    return errors


def doubts(connection: "DuckDBPyConnection", source: Source) -> list[str]:
    """Features that are stored as text although nearly all of their values are numbers, or would be without commas."""
    said = []
    for column in source.features:
        if source.columns[column] != "VARCHAR" or column.lower().endswith("_id"):
            continue
        x = name(column)
        number, bare = f"isfinite(TRY_CAST({x} AS DOUBLE))", f"isfinite(TRY_CAST(replace({x}, ',', '') AS DOUBLE))"
        query = (
            f"FROM {source.relation} SELECT count({x}), count(*) FILTER (WHERE {number}), "
            f"count(*) FILTER (WHERE {bare}), min({x}) FILTER (WHERE {number} IS NOT true)"
        )
        filled, numbers, commas, example = one_row(connection, query)
        if filled and commas == filled > numbers:
            said.append(f"column {column} is read as text: it writes numbers with commas, e.g. {example}.")
        elif _MOSTLY * filled <= numbers < filled:
            other = rows(filled - numbers)
            said.append(f"column {column} is read as text: {other} of {filled:,} without a number, e.g. {example}.")
    return said


def rows(count: int) -> str:
    """A number of rows in words."""
    return "1 row" if count == 1 else f"{count:,} rows"


def raise_all(problems: Sequence[DataError]) -> None:
    """Raise what was found, all of it in one error."""
    if len(problems) == 1:
        raise problems[0]
    if problems:
        lines = "".join(f"\n  {problem}" for problem in problems)
        raise DataError(f"{len(problems)} problems; nothing was loaded.{lines}")
