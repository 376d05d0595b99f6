"""From what people write to SQL that is safe to run: parse, check the language, resolve names, check the type."""

import difflib
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING

import sqlglot
from sqlglot import exp
from sqlglot.errors import ParseError, SqlglotError

from allot import RuleError
from governance.language import MAX_DEPTH, MAX_LENGTH, children, depth, refusal
from governance.rules import ALIAS, TABLES, CompiledRule, Rule, Table, Vocabulary
from governance.types import identifier

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection


def compile_rule(rule: Rule, vocabulary: Vocabulary, *, as_of: datetime) -> CompiledRule:
    """Check a rule and turn it into SQL.

    Args:
        rule: what was written.
        vocabulary: what its names mean.
        as_of: the moment of the decision; a naive time is UTC. The name `as_of` in the rule stands for it.

    Raises:
        RuleError: with the rule's name, the place, what is wrong and what to write instead.
    """
    tree = _parse(rule)
    for node in tree.bfs():
        refused = refusal(node)
        if refused is not None:
            raise _error(rule, *refused, node)
    if depth(tree) > MAX_DEPTH:
        raise _error(
            rule, f"nests more than {MAX_DEPTH} deep.", "Split it into several rules, or use IN for long lists."
        )
    tree, read = _resolve(rule, tree, vocabulary, as_of)
    sql = tree.sql("duckdb", comments=False)
    _check_type(rule, tree, sql, vocabulary, read)
    offer_columns = tuple((column, vocabulary.offer[column]) for table, column in sorted(read) if table == "offer")
    compiled = CompiledRule(rule, sql, frozenset(table for table, _ in read), offer_columns)
    if rule.scope == "audience" and not compiled.reads <= {"customer"}:
        raise _error(rule, "reads more than customer columns.", "An audience is chosen by customer columns only.")
    return compiled


def _parse(rule: Rule) -> exp.Expression:
    text = rule.predicate
    if len(text) > MAX_LENGTH:
        raise _error(rule, f"is {len(text):,} characters long.", f"Keep it below {MAX_LENGTH:,}.")
    try:
        text.encode()
        statements = [tree for tree in sqlglot.parse(text, read="duckdb") if tree is not None]
    except ParseError as error:
        found = error.errors[0] if error.errors else {}
        place = f", line {found['line']}, column {found['col']}" if found.get("line") else ""
        near = f" near {found['highlight']!r}" if found.get("highlight") else ""
        raise RuleError(
            f"is not a SQL expression{near}.", where=f"rule {rule.name!r}{place}", remedy="Correct the syntax there."
        ) from error
    except (SqlglotError, UnicodeEncodeError) as error:
        raise _error(rule, "is not a SQL expression.", "Check quotes and brackets.") from error
    except RecursionError:
        raise _error(rule, f"nests more than {MAX_DEPTH} deep.", "Split it into several rules.") from None
    if len(statements) != 1:
        what = "is empty." if not statements else "has more than one statement."
        raise _error(rule, what, "Write one expression that is true for whom the offer is meant.")
    return statements[0]


def _resolve(
    rule: Rule, tree: exp.Expression, vocabulary: Vocabulary, as_of: datetime
) -> tuple[exp.Expression, set[tuple[Table, str]]]:
    """Give every name its table, `as_of` its value, and every cast the manners to yield NULL instead of an error."""
    moment = (as_of.replace(tzinfo=UTC) if as_of.tzinfo is None else as_of.astimezone(UTC)).isoformat()
    read: set[tuple[Table, str]] = set()
    root = exp.Paren(this=tree.copy())
    for cast in list(root.find_all(exp.Cast)):
        if type(cast) is exp.Cast and not isinstance(cast.this, exp.Literal):
            cast.replace(exp.TryCast(this=cast.this, to=cast.to))
    for node in list(root.find_all(exp.Column)):
        if node.name.lower() == "as_of" and not node.table:
            node.replace(exp.cast(exp.Literal.string(moment), "TIMESTAMPTZ", dialect="duckdb"))
            continue
        found = None if node.args.get("db") else vocabulary.find(node.name, node.table)
        if found is None:
            raise _unknown(rule, node, vocabulary)
        read.add(found)
        table, column = found
        node.replace(exp.column(exp.to_identifier(column, quoted=True), table=ALIAS[table]))
    return root, read


def _unknown(rule: Rule, node: exp.Column, vocabulary: Vocabulary) -> RuleError:
    written = ".".join(part.name for part in node.parts)
    if node.table and node.table.lower() not in TABLES:
        return _error(rule, f"{written} is unknown.", "Tables are customer, offer and memory.", node)
    names = list(vocabulary.columns(node.table.lower())) if node.table else vocabulary.names()
    lower = {name.lower(): name for name in [*names, "as_of"]}
    near = difflib.get_close_matches(node.name.lower(), lower, 1)
    known = ", ".join(names[:12]) + (", ..." if len(names) > 12 else "")
    hint = f"Did you mean {lower[near[0]]!r}?" if near else f"Known are {known}." if names else "There are none."
    return _error(rule, f"column {written!r} is unknown.", hint, node)


def _check_type(
    rule: Rule, tree: exp.Expression, sql: str, vocabulary: Vocabulary, read: set[tuple[Table, str]]
) -> None:
    """Let DuckDB itself say which type the expression has."""
    import duckdb

    tables = []
    for table in TABLES:
        columns = [c for place, c in sorted(read) if place == table]
        nulls = [f"CAST(NULL AS {vocabulary.columns(table)[c]}) AS {identifier(c)}" for c in columns]
        tables.append(f"(SELECT {', '.join(nulls) or '1'}) {ALIAS[table]}")
    connection = _binder().cursor()
    try:
        kind = str(connection.sql(f"FROM {', '.join(tables)} SELECT ({sql})").types[0])
        constants = [
            f"CAST({x.sql('duckdb')} AS VARCHAR)" for x in tree.find_all(exp.Cast) if isinstance(x.this, exp.Literal)
        ]
        if constants:
            connection.execute(f"SELECT {', '.join(constants)}").fetchall()
    except (duckdb.Error, RecursionError) as error:
        what = str(error).splitlines()[0].partition("Error: ")
        raise _error(rule, f"cannot be evaluated: {what[2] or what[0]}.", "Compare values of like types.") from error
    finally:
        connection.close()
    if kind != "BOOLEAN":
        raise _error(rule, f"is of type {kind.strip(chr(34))}, not true or false.", "Compare it with something.")


@cache
def _binder() -> "DuckDBPyConnection":
    """An empty database without any access, to bind expressions in."""
    import duckdb

    connection = duckdb.connect(":memory:", config={"threads": 1})
    for setting in ("autoinstall_known_extensions", "autoload_known_extensions", "enable_external_access"):
        connection.execute(f"SET {setting} = false")
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute("SET lock_configuration = true")
    return connection


def _error(rule: Rule, what: str, remedy: str, node: exp.Expression | None = None) -> RuleError:
    """A rule's error, with line and column where the parser kept them."""
    place = ""
    queue = [node] if node is not None else []
    while queue:
        first = queue.pop(0)
        if "start" in first.meta:
            before = rule.predicate[: first.meta["start"]]
            place = f", line {before.count(chr(10)) + 1}, column {len(before) - before.rfind(chr(10))}"
            break
        queue += children(first)
    return RuleError(what, where=f"rule {rule.name!r}{place}", remedy=remedy)
