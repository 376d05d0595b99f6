"""Statements that run a thousand times a second, as texts for the driver: to build them costs more than to run them.

Values go to the driver as they are: times as microseconds, documents as JSON.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import ClauseElement, Connection
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError
from sqlmodel import Session

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
