"""One given file: how SQL reads it, and everything in it that breaks its contract."""

import csv
import gzip
import zlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from allot import DataError
from warehouse.connection import is_disk_full, name, one_row, quoted

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


_DELIMITERS = (",", ";", "\t", "|")
_UNREADABLE = (csv.Error, EOFError, gzip.BadGzipFile, zlib.error)


@dataclass(frozen=True, slots=True)
class Source:
    """A file with its columns and its contract bound to them; `relation` is how SQL reads it."""

    table: str
    path: Path
    relation: str
    columns: dict[str, str]
    bound: BoundContract

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
        if path.name.endswith((".csv", ".csv.gz")):
            relation = _csv(connection, path, contract)
            if folder is not None:
                parsed = folder / f"{contract.table}.parsed.parquet"
                connection.execute(f"COPY (FROM {relation}) TO {quoted(parsed)} (FORMAT parquet)")
                relation = f"read_parquet({quoted(parsed)})"
        elif path.suffix == ".parquet":
            relation = f"read_parquet({quoted(path)})"
        else:
            raise DataError(
                "is neither CSV nor Parquet.", where=path.name, remedy="Give a .csv, .csv.gz or .parquet file."
            )
        columns = columns_of(connection, relation)
    return Source(contract.table, path, relation, columns, contract.bind(columns, offers))


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
        raise DataError(
            f"cannot be read: {_reason(error)}.",
            where=path.name,
            remedy="Mend that place, or save it again as CSV in UTF-8 or as Parquet.",
        ) from error


def _csv(connection: "DuckDBPyConnection", path: Path, contract: Contract) -> str:
    """Ids and the contract's own columns are read as text, so that "007" stays "007"; all other types are guessed."""
    import duckdb

    delimiter, width = _header(path)
    dialect = f"header = true, skip = 0, delim = {quoted(delimiter)}, quote = '\"', escape = '\"', comment = ''"
    options = f"{dialect}, sample_size = -1"
    try:
        found = columns_of(connection, f"read_csv({quoted(path)}, {options})")
    except duckdb.InvalidInputException as error:
        if "sniffing" not in str(error):
            raise
        # the guesser only says that it is at a loss; reading everything as text says where
        texts = ", ".join(f"'c{j}': 'VARCHAR'" for j in range(width))
        read = f"read_csv({quoted(path)}, {dialect}, auto_detect = false, columns = {{{texts}}})"
        connection.execute(f"FROM {read} SELECT max(COLUMNS(*))").fetchall()
        raise
    ids = [c for c in found if c.lower() in contract.texts or c.lower().endswith("_id")]
    types = ", ".join(f"{quoted(column)}: 'VARCHAR'" for column in ids)
    return f"read_csv({quoted(path)}, {options}{f', types = {{{types}}}' if ids else ''})"


def _header(path: Path) -> tuple[str, int]:
    """What separates the cells of a CSV file, by its header, and how many columns that makes."""
    widths = {}
    for delimiter in _DELIMITERS:
        opener = gzip.open if path.suffix == ".gz" else open
        with opener(path, "rt", encoding="utf-8-sig", errors="replace", newline="") as file:
            header = next(csv.reader(file, delimiter=delimiter), [])
        if any("\0" in cell for cell in header):
            raise csv.Error("the header holds zero bytes, as UTF-16 does")
        widths[delimiter] = len(header)
    delimiter = max(_DELIMITERS, key=lambda d: widths[d])
    return delimiter, widths[delimiter]


def _reason(error: Exception) -> str:
    """What DuckDB found wrong, with the line where it knows one, without its advice about its own options."""
    lines = [line.strip() for line in str(error).splitlines()]
    said = list(takewhile(lambda line: not line.startswith(("Possible", "file =")), lines))
    first = said[0].partition("Error: ")[2] or said[0]
    place = first.removeprefix("CSV Error on Line: ")
    if place == first:
        return first.rstrip(" .")
    written = next((line.removeprefix("Original Line: ") for line in said if line.startswith("Original Line: ")), "")
    why = next((line for line in reversed(said) if line), "").rstrip(" .")
    return f"line {place}: {why}" + (f", e.g. {written[:80]}" if written else "")


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
