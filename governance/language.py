"""The language of rules: an allow-list of SQL that reads one pair of customer and offer and does nothing else."""

import difflib
from collections.abc import Iterator

from sqlglot import exp

MAX_LENGTH = 10_000
MAX_DEPTH = 50

_OPERATORS: tuple[type[exp.Expression], ...] = (
    exp.And, exp.Or, exp.Not, exp.Paren,
    exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE, exp.NullSafeEQ, exp.NullSafeNEQ, exp.Is,
    exp.In, exp.Between, exp.Like, exp.ILike, exp.SimilarTo, exp.Escape,
    exp.Add, exp.Sub, exp.Mul, exp.Div, exp.IntDiv, exp.Mod, exp.Neg, exp.DPipe,
    exp.Case, exp.If, exp.Interval,
)  # fmt: skip
_ATOMS: tuple[type[exp.Expression], ...] = (
    exp.Column, exp.Identifier, exp.Literal, exp.Boolean, exp.Null, exp.Var,
    exp.Array, exp.Cast, exp.TryCast, exp.DataType, exp.DataTypeParam,
)  # fmt: skip
_FUNCTIONS: dict[type[exp.Expression], str] = {
    exp.Coalesce: "coalesce", exp.Nullif: "nullif", exp.Least: "least", exp.Greatest: "greatest",
    exp.Abs: "abs", exp.Round: "round", exp.Floor: "floor", exp.Ceil: "ceil", exp.Sign: "sign", exp.Sqrt: "sqrt",
    exp.Ln: "ln", exp.Log: "log", exp.Pow: "pow", exp.IsNan: "isnan",
    exp.Lower: "lower", exp.Upper: "upper", exp.Length: "length", exp.Trim: "trim", exp.Substring: "substring",
    exp.Replace: "replace", exp.Concat: "concat", exp.Contains: "contains", exp.StartsWith: "starts_with",
    exp.EndsWith: "ends_with", exp.RegexpLike: "regexp_matches", exp.ArrayContains: "list_contains",
    exp.DateDiff: "date_diff", exp.DateAdd: "date_add", exp.TimestampTrunc: "date_trunc", exp.DateTrunc: "date_trunc",
    exp.Extract: "extract", exp.Year: "year", exp.Month: "month", exp.Day: "day", exp.DayOfWeek: "dayofweek",
}  # fmt: skip
# Functions that the parser has no class for.
_ANONYMOUS = frozenset({"age", "date_part", "date_sub", "isfinite", "prefix", "suffix", "strlen", "weekday"})
FUNCTIONS: tuple[str, ...] = tuple(sorted({*_FUNCTIONS.values(), *_ANONYMOUS}))
_ALLOWED = frozenset({*_OPERATORS, *_ATOMS, *_FUNCTIONS})

_PLAIN = frozenset(
    exp.DataType.Type[name] for name in (
        "BOOLEAN", "TINYINT", "SMALLINT", "INT", "BIGINT", "UTINYINT", "USMALLINT", "UINT", "UBIGINT",
        "FLOAT", "DOUBLE", "DECIMAL", "VARCHAR", "TEXT", "DATE", "TIMESTAMP", "TIMESTAMPNTZ", "TIMESTAMPTZ",
    )
)  # fmt: skip
_CLOCKS = frozenset({
    "now", "today", "localtime", "localtimestamp", "get_current_timestamp", "get_current_time", "transaction_timestamp",
})  # fmt: skip
_EFFECTS = "A rule reads the columns of one customer and one offer, nothing else."


def refusal(node: exp.Expression) -> tuple[str, str] | None:
    """Why a node of a parsed rule is not part of the language: what and remedy; None where it is."""
    if isinstance(node, exp.Cast | exp.TryCast):
        return _cast(node)
    if isinstance(node, exp.In) and any(node.args.get(key) for key in ("query", "unnest", "field")):
        return "looks a value up in something other than a list.", "Write IN ('a', 'b')."
    if isinstance(node, exp.Literal) and not node.is_string and node.name.lower() in ("nan", "inf"):
        return "is no number.", ""
    if isinstance(node, exp.Anonymous):
        return None if node.name.lower() in _ANONYMOUS and not node.args.get("quoted") else _function(node.name)
    if type(node) in _ALLOWED:
        return None
    if isinstance(node, exp.Query | exp.Exists):
        return "a subquery is not allowed.", _EFFECTS
    if isinstance(node, exp.Placeholder | exp.Parameter):
        return "a parameter is not allowed.", "Write the value itself."
    if isinstance(node, exp.Window):
        return "a window function is not allowed.", _EFFECTS
    if isinstance(node, exp.Lambda):
        return "a lambda is not allowed.", _EFFECTS
    if isinstance(node, exp.AggFunc):
        return f"the aggregate {_written(node)}() is not allowed.", _EFFECTS
    if isinstance(node, exp.Func):
        return _function(_written(node))
    if isinstance(node, exp.Bracket | exp.Slice | exp.Struct | exp.Star):
        return f"{node.sql('duckdb')[:40]!r} is not a single value.", _EFFECTS
    return f"{type(node).__name__.lower()} is not part of the rule language.", _EFFECTS


def _cast(node: exp.Cast | exp.TryCast) -> tuple[str, str] | None:
    if node.to.this in _PLAIN and not node.args.get("format"):
        return None
    return (
        f"a cast to {node.to.sql('duckdb')} is not allowed.",
        "Cast to a number, VARCHAR, BOOLEAN, DATE or TIMESTAMP.",
    )


def _written(node: exp.Expression) -> str:
    """The name of a function as DuckDB knows it."""
    return str(node.sql("duckdb")).partition("(")[0].lower()


def _function(name: str) -> tuple[str, str]:
    lower = name.lower()
    if lower in _CLOCKS or lower.startswith("current_"):
        return f"{lower}() reads the clock.", "Write as_of: the moment of the decision."
    near = difflib.get_close_matches(lower, FUNCTIONS, 1, 0.75)
    remedy = f"Did you mean {near[0]}()?" if near else f"{_EFFECTS} Functions: {', '.join(FUNCTIONS)}."
    return f"function {lower}() is not allowed.", remedy


def depth(root: exp.Expression) -> int:
    """How deep an expression nests; a chain of one operator (a AND b AND c) counts once."""
    deepest = 0
    stack = [(root, 1)]
    while stack:
        node, level = stack.pop()
        deepest = max(deepest, level)
        for child in children(node):
            chained = type(child) is type(node) and isinstance(node, exp.Binary) and child is node.args.get("this")
            stack.append((child, level if chained else level + 1))
    return deepest


def children(node: exp.Expression) -> Iterator[exp.Expression]:
    """The expressions right below a node."""
    for value in node.args.values():
        for item in value if isinstance(value, list) else (value,):
            if isinstance(item, exp.Expression):
                yield item
