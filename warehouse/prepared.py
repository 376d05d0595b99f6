"""Statements that run a thousand times a second, as texts for the driver: to build them costs more than to run them.

Values go to the driver as they are: times as microseconds, documents as JSON.
"""

from typing import Any

from sqlalchemy import ClauseElement
from sqlalchemy.dialects import postgresql, sqlite

_DIALECTS: dict[str, Any] = {
    "sqlite": sqlite.dialect(paramstyle="named"),
    "postgresql": postgresql.dialect(paramstyle="pyformat"),  # type: ignore[no-untyped-call]
}


def text_of(statement: ClauseElement, dialect: str) -> str:
    """The text of a statement for `exec_driver_sql`, which takes its parameters by name."""
    return str(statement.compile(dialect=_DIALECTS[dialect]))
