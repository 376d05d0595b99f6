"""Statements that run a thousand times a second, as texts for the driver: to build them costs more than to run them.

Values go to the driver as they are: times as microseconds, documents as JSON. What one statement does with several rows
is, on SQLite, one call for each of them; PostgreSQL takes them all as one JSON document, since each call of its driver
takes longer than a row, unless the row is long.
"""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from sqlalchemy import JSON, ClauseElement, Column, Connection, FromClause, Table, bindparam, cast, column, func, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError
from sqlmodel import Session

from warehouse.columns import compact

_LONG = 2_048  # bytes of one value: written as JSON, and read, it takes longer than a call of the driver
_DIALECTS: dict[str, Any] = {
    "sqlite": sqlite.dialect(paramstyle="named"),
    "postgresql": postgresql.dialect(paramstyle="pyformat"),  # type: ignore[no-untyped-call]
}


def text_of(statement: ClauseElement, dialect: str) -> str:
    """The text of a statement, whose parameters the driver takes by name."""
    return str(statement.compile(dialect=_DIALECTS[dialect]))


def connection_of(session: Session) -> Connection:
    """The connection of a session that has one transaction; asking the session each time would take longer."""
    found: Connection | None = session.info.get("connection")
    if found is None:
        found = session.info["connection"] = session.connection()
    return found


def rows_of(connection: Connection, text: str, parameters: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    """The rows that a statement answers with.

    Raises:
        DBAPIError: as SQLAlchemy would have it.
    """
    cursor = connection.connection.cursor()
    try:
        cursor.execute(text, parameters)
        found = list(cursor.fetchall())
    except connection.dialect.loaded_dbapi.Error as error:
        raise _said(connection, text, error) from error
    finally:
        cursor.close()
    return found


def changed_by(connection: Connection, text: str, rows: Sequence[Mapping[str, Any]]) -> int:
    """How many rows a statement has changed, done for each of some parameters.

    Raises:
        DBAPIError: as SQLAlchemy would have it.
    """
    cursor = connection.connection.cursor()
    try:
        if len(rows) == 1:
            cursor.execute(text, rows[0])
        else:
            cursor.executemany(text, rows)
        changed = cursor.rowcount
    except connection.dialect.loaded_dbapi.Error as error:
        raise _said(connection, text, error) from error
    finally:
        cursor.close()
    return changed


def given_rows(columns: Sequence[Column[Any]]) -> FromClause:
    """The rows of the parameter `rows`, see `as_rows`, as a table of PostgreSQL with such columns."""
    rows = func.json_to_recordset(cast(bindparam("rows"), JSON))
    known = [column(one.name, one.type) for one in columns]
    return rows.table_valued(*known).render_derived(name="given", with_types=True)


def as_rows(rows: Sequence[Mapping[str, Any]]) -> str:
    """Rows as `given_rows` reads them."""
    return compact([{name: _plain(value) for name, value in row.items()} for row in rows])


def _plain(value: Any) -> Any:
    return f"\\x{value.hex()}" if isinstance(value, bytes) else value


def insert_rows(
    connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]], *, unless: tuple[str, ...] = ()
) -> int:
    """Insert rows that all have the same columns; returns how many were inserted.

    Args:
        connection: in a transaction.
        table: where.
        rows: at least one; values are int, str, bytes or None.
        unless: passed over are those for which another row has the same in these columns.

    Raises:
        DBAPIError: as SQLAlchemy would have it.
    """
    dialect = connection.dialect.name
    as_one = dialect == "postgresql" and not any(_is_long(value) for value in rows[0].values())
    text = _inserting(table, tuple(rows[0]), unless, dialect, as_one)
    return changed_by(connection, text, [{"rows": as_rows(rows)}] if as_one else rows)


def _is_long(value: Any) -> bool:
    return isinstance(value, bytes) and len(value) > _LONG


@cache
def _inserting(table: Table, names: tuple[str, ...], unless: tuple[str, ...], dialect: str, as_one: bool) -> str:
    made = (sqlite if dialect == "sqlite" else postgresql).insert(table)
    if as_one:
        given = given_rows([table.c[name] for name in names])
        made = made.from_select(names, select(*given.c))
    else:
        made = made.values({name: bindparam(name) for name in names})
    return text_of(made.on_conflict_do_nothing(index_elements=unless) if unless else made, dialect)


def _said(connection: Connection, text: str, error: Any) -> Exception:
    """The driver's error in SQLAlchemy's words; a connection that is lost is not used again."""
    driver = connection.dialect.loaded_dbapi
    lost = connection.dialect.is_disconnect(error, connection.connection.dbapi_connection, None)
    if lost:
        connection.invalidate(error)
    said: Exception = DBAPIError.instance(
        text, None, error, driver.Error, connection_invalidated=lost, dialect=connection.dialect
    )
    return said
