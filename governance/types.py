"""Column types of the contracts, and how a DuckDB type becomes one."""

from typing import Literal, TypeAlias

ColumnType: TypeAlias = Literal["text", "number", "flag", "outcome", "time", "day", "feature"]

_INTEGERS = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER")
_WIDE = ("HUGEINT", "UHUGEINT", "UBIGINT")
_FLOATS = ("FLOAT", "DOUBLE")
_NAIVE = ("TIMESTAMP", "TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS")
_ZONED = ("TIMESTAMP WITH TIME ZONE", "TIMESTAMPTZ", "TIMESTAMPTZ_NS")
_NOTHING = '"NULL"'
_SQL: dict[ColumnType, str] = {
    "text": "VARCHAR",
    "number": "DOUBLE",
    "flag": "BOOLEAN",
    "outcome": "DOUBLE",
    "time": "TIMESTAMPTZ",
    "day": "DATE",
    "feature": "VARCHAR",
}


def identifier(name: str) -> str:
    """A name as a SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """A text as a SQL literal."""
    return "'" + text.replace("'", "''") + "'"


def typed(wanted: ColumnType, source: str, kind: str, *, is_id: bool = False) -> str | None:
    """SQL that turns a column into the wanted type, NULL where a value cannot; None where no value could.

    Args:
        wanted: the type of the contract.
        source: the column as SQL.
        kind: its DuckDB type.
        is_id: ids are texts; a floating-point id is refused, because 1 would become "1.0".
    """
    base = "DECIMAL" if kind.startswith("DECIMAL") else "ENUM" if kind.startswith("ENUM") else kind
    if base.endswith(("]", ")")):  # lists, arrays, structs, maps, unions
        return None
    if base == _NOTHING:  # what writers call a column in which nothing stands
        return f"CAST({source} AS {_SQL[wanted]})"
    number = base in (*_INTEGERS, *_WIDE, *_FLOATS, "DECIMAL")
    words = base in ("VARCHAR", "ENUM", "UUID")
    moment = base in ("DATE", *_NAIVE, *_ZONED)
    as_text = f"CAST({source} AS VARCHAR)"
    if wanted == "text":
        numeric = (number and not (is_id and base in _FLOATS)) or base == "BOOLEAN"
        return as_text if words or numeric or moment else None
    if wanted == "number":
        return f"TRY_CAST({_plain(source, base)} AS DOUBLE)" if number or words else None
    if wanted == "flag":
        return f"TRY_CAST({_plain(source, base)} AS BOOLEAN)" if number or words or base == "BOOLEAN" else None
    if wanted == "outcome":
        from_words = f"coalesce(TRY_CAST({as_text} AS DOUBLE), CAST(TRY_CAST({as_text} AS BOOLEAN) AS DOUBLE))"
        return from_words if words else f"CAST({source} AS DOUBLE)" if number or base == "BOOLEAN" else None
    if wanted == "time":
        return f"TRY_CAST({as_text} AS TIMESTAMPTZ)" if words else _moment(source, base) if moment else None
    if wanted == "day":
        from_words = f"coalesce(TRY_CAST({as_text} AS DATE), CAST(TRY_CAST({as_text} AS TIMESTAMPTZ) AS DATE))"
        return from_words if words else f"CAST({source} AS DATE)" if moment else None
    return _feature(source, base, is_id=is_id)


def stored(wanted: ColumnType, expression: str) -> str:
    """The expression as it is written to the table, once every check has passed."""
    return f"CAST({expression} AS TINYINT)" if wanted == "outcome" else expression


def _plain(source: str, base: str) -> str:
    return f"CAST({source} AS VARCHAR)" if base in ("ENUM", "UUID") else source


def _moment(source: str, base: str) -> str:
    """Naive times are UTC: the session's time zone is."""
    inner = f"CAST({source} AS TIMESTAMP)" if base in ("DATE", *_NAIVE) else source
    return f"CAST({inner} AS TIMESTAMPTZ)"


def _feature(source: str, base: str, *, is_id: bool) -> str | None:
    """Features keep their type as far as rules and models know it; NaN is what some writers mean by nothing."""
    if is_id or base in ("VARCHAR", "ENUM", "UUID"):
        return typed("text", source, base, is_id=is_id)
    if base in _FLOATS:
        return f"CASE WHEN isnan({source}) THEN NULL ELSE {source} END"
    if base in _WIDE or base == "DECIMAL":
        return f"CAST({source} AS DOUBLE)"
    if base in ("DATE", "BOOLEAN", *_INTEGERS):
        return source
    return _moment(source, base) if base in (*_NAIVE, *_ZONED) else None
