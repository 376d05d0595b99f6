"""What each table must look like. A contract binds to the columns of a file and becomes SQL that finds every breach."""

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from governance.types import ColumnType, identifier, literal, stored, typed

Extra: TypeAlias = Literal["keep", "drop"]


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a contract. A column that is left out is filled with `default`, a SQL expression."""

    name: str
    type: ColumnType
    required: bool = False
    nullable: bool = True
    default: str | None = None


@dataclass(frozen=True, slots=True)
class Check:
    """A SQL predicate over the contract's columns that no row may break; NULL is no breach."""

    column: str
    predicate: str
    what: str
    remedy: str
    needs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Contract:
    """What one table must look like.

    Args:
        table: its name.
        columns: known columns.
        key: columns that identify a row, as far as they are present; rows with a null in the first are not compared.
        order: columns by which the stored table is sorted.
        checks: predicates that every row must satisfy.
        extra: whether unknown columns are kept, as features, or dropped.
        chances: also keep columns `p_<offer_id>`, the logged chance of every offer.
    """

    table: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    order: tuple[str, ...]
    checks: tuple[Check, ...] = ()
    extra: Extra = "drop"
    chances: bool = False

    @property
    def texts(self) -> tuple[str, ...]:
        """Columns that a CSV reader must not guess the type of; besides them, every column named *_id."""
        return tuple(column.name for column in self.columns)

    def bind(self, columns: Mapping[str, str], offers: Sequence[str] | None) -> "BoundContract":
        """Join the contract with a file.

        Args:
            columns: the file's columns with their DuckDB types.
            offers: every known offer id; None where no offers are loaded.
        """
        return _bind(self, columns, offers)


@dataclass(frozen=True, slots=True)
class Breach:
    """One thing that is wrong with a file; `column` is empty where it is about the whole file."""

    column: str
    what: str
    remedy: str


@dataclass(frozen=True, slots=True)
class BoundCheck:
    """A check as SQL: rows where `bad` is true break it, `example` is a text that shows such a row."""

    breach: Breach
    bad: str
    example: str


@dataclass(frozen=True, slots=True)
class BoundContract:
    """A contract over the columns of one file.

    Args:
        breaches: what is wrong with the columns themselves; where there are any, no query may run.
        notices: what is odd but accepted.
        checked: (column, expression) over the file's columns, as the checks see them.
        kept: (column, expression), as they are stored.
        checks: one for each way to be wrong, in the order of `check_query`'s columns.
        key, order: columns of `checked`.
    """

    breaches: tuple[Breach, ...]
    notices: tuple[str, ...]
    checked: tuple[tuple[str, str], ...]
    kept: tuple[tuple[str, str], ...]
    checks: tuple[BoundCheck, ...]
    key: tuple[str, ...]
    order: tuple[str, ...]

    def check_query(self, relation: str) -> str:
        """SQL: one row with the number of rows, then for each check how many rows break it and an example."""
        parts = [f"count(*) FILTER (WHERE {c.bad}), min({c.example}) FILTER (WHERE {c.bad})" for c in self.checks]
        return f"FROM ({_select(self.checked, relation)}) SELECT {', '.join(['count(*)', *parts])}"

    def duplicate_query(self, relation: str) -> str | None:
        """SQL: one row with the number of keys that occur more than once and an example; None where there is no key."""
        if not self.key:
            return None
        columns = ", ".join(map(identifier, self.key))
        text = " || ', ' || ".join(f"coalesce(CAST({identifier(c)} AS VARCHAR), 'nothing')" for c in self.key)
        present = f"{identifier(self.key[0])} IS NOT NULL"
        read = f"FROM ({_select(self.checked, relation)})"
        repeated = f"{read} SELECT {columns} WHERE {present} GROUP BY {columns} HAVING count(*) > 1"
        return f"FROM ({repeated}) SELECT count(*), min({text})"

    def select_query(self, relation: str) -> str:
        """SQL: the table as it is stored, in an order that the file's own order has no part in."""
        names = [name for name, _ in self.kept]
        rest = [name for name in names if name not in self.order]
        order = ", ".join(f"{identifier(name)} NULLS FIRST" for name in (*self.order, *rest))
        return f"{_select(self.kept, relation)} ORDER BY {order}"


def _select(columns: Sequence[tuple[str, str]], relation: str) -> str:
    return f"FROM {relation} SELECT " + ", ".join(f"{sql} AS {identifier(name)}" for name, sql in columns)


def _bind(contract: Contract, columns: Mapping[str, str], offers: Sequence[str] | None) -> BoundContract:
    found = {name.lower(): name for name in columns}
    known = {column.name for column in contract.columns}
    breaches: list[Breach] = []
    checked: list[tuple[str, str]] = []
    kept: list[tuple[str, str]] = []
    checks: list[BoundCheck] = []
    key = tuple(name for name in contract.key if name in found)
    whose = key or tuple(name for name in ("customer_id",) if name in found)
    for column in contract.columns:
        if column.name not in found:
            if column.required:
                breaches.append(_missing(column.name, [name for name in columns if name.lower() not in known]))
            elif column.default is not None:
                kept.append((column.name, column.default))
            continue
        source = found[column.name]
        expression = typed(column.type, identifier(source), columns[source], is_id=column.name.endswith("_id"))
        if expression is None:
            breaches.append(_impossible(column.name, columns[source], column.type))
            continue
        checked += [(column.name, expression), (_raw(column.name), f"CAST({identifier(source)} AS VARCHAR)")]
        kept.append((column.name, stored(column.type, expression)))
        checks += _column_checks(column, whose)
    present = {name for name, _ in checked}
    for check in contract.checks:
        if {check.column, *check.needs} <= present:
            bad = f"NOT ({check.predicate})"
            checks.append(
                BoundCheck(Breach(check.column, check.what, check.remedy), bad, _example(check.column, whose))
            )
    others = {name: kind for name, kind in columns.items() if name.lower() not in known}
    extra = _extra(contract, others, whose, offers)
    if "offer_id" in present and contract.table != "offers":
        if offers is None:
            breaches.append(Breach("offer_id", "there are no offers yet.", "Load offers before or together with this."))
        else:
            checks.append(_unknown_offer(offers, whose))
    return BoundContract(
        breaches=(*breaches, *extra.breaches),
        notices=extra.notices,
        checked=(*checked, *extra.checked),
        kept=(*kept, *extra.kept),
        checks=(*checks, *extra.checks),
        key=key,
        order=tuple(name for name in contract.order if name in found),
    )


def _extra(
    contract: Contract, columns: Mapping[str, str], whose: tuple[str, ...], offers: Sequence[str] | None
) -> BoundContract:
    """The columns that the contract does not name: features, chances of offers, or nothing of interest."""
    breaches: list[Breach] = []
    dropped: list[str] = []
    checked: list[tuple[str, str]] = []
    kept: list[tuple[str, str]] = []
    checks: list[BoundCheck] = []
    for name, kind in columns.items():
        chance = contract.chances and name.startswith("p_") and name[2:] in (offers or ())
        if not chance and contract.extra == "drop":
            dropped.append(name)
            continue
        expression = typed(
            "number" if chance else "feature", identifier(name), kind, is_id=name.lower().endswith("_id")
        )
        if expression is None:
            breaches.append(_impossible(name, kind, "number" if chance else "feature"))
            continue
        kept.append((name, expression))
        if chance or kind in ("DOUBLE", "FLOAT"):
            checked += [(name, expression), (_raw(name), f"CAST({identifier(name)} AS VARCHAR)")]
            checks.append(_chance(name, whose) if chance else _finite(name, whose))
    notices = (f"columns that are not used: {', '.join(dropped)}.",) if dropped else ()
    return BoundContract(tuple(breaches), notices, tuple(checked), tuple(kept), tuple(checks), (), ())


def _column_checks(column: Column, whose: tuple[str, ...]) -> list[BoundCheck]:
    name, raw = identifier(column.name), identifier(_raw(column.name))
    example = _example(column.name, whose)
    wanted = f"is not {_WORDS[column.type]}"
    checks = [
        BoundCheck(
            Breach(column.name, wanted, f"Write {_WORDS[column.type]}{_or_nothing(column.nullable)}"),
            f"{raw} IS NOT NULL AND {name} IS NULL",
            example,
        )
    ]
    if column.type == "number":
        checks.append(_finite(column.name, whose, nullable=column.nullable))
    if column.type == "outcome":
        checks.append(
            BoundCheck(Breach(column.name, "is not 0 or 1", "Write 0 or 1."), f"{name} NOT IN (0, 1)", example)
        )
    if not column.nullable:
        empty = f"{raw} IS NULL OR {raw} = ''" if column.type == "text" else f"{raw} IS NULL"
        checks.append(BoundCheck(Breach(column.name, "is empty", "Give every row a value here."), empty, example))
    return checks


_WORDS: dict[ColumnType, str] = {
    "text": "a text",
    "number": "a number",
    "flag": "true or false",
    "outcome": "0 or 1",
    "time": "a time such as 2026-03-01T12:00:00Z",
    "day": "a date such as 2026-03-01",
    "feature": "a number, a text, a date or true or false",
}


def _or_nothing(nullable: bool) -> str:
    return ", or leave the cell empty where it is unknown." if nullable else "."


def _finite(name: str, whose: tuple[str, ...], *, nullable: bool = True) -> BoundCheck:
    breach = Breach(name, "is not a finite number", f"Write a number{_or_nothing(nullable)}")
    return BoundCheck(breach, f"NOT isfinite({identifier(name)})", _example(name, whose))


def _chance(name: str, whose: tuple[str, ...]) -> BoundCheck:
    breach = Breach(name, "is not a probability", "Write the chance of this offer, between 0 and 1.")
    return BoundCheck(breach, f"NOT ({identifier(name)} BETWEEN 0 AND 1)", _example(name, whose))


def _unknown_offer(offers: Sequence[str], whose: tuple[str, ...]) -> BoundCheck:
    known = ", ".join(map(literal, offers)) or "NULL"
    breach = Breach("offer_id", "names an offer that is not in offers", "Correct the id, or load that offer too.")
    return BoundCheck(breach, f"offer_id NOT IN ({known})", _example("offer_id", whose))


def _missing(name: str, others: Sequence[str]) -> Breach:
    near = [*difflib.get_close_matches(name, others, 1, 0.6), *(o for o in others if o.lower() in name)]
    hint = f"Rename {near[0]!r} to {name!r}." if near else "Add it."
    return Breach(name, f"column {name!r} is missing.", hint)


def _impossible(name: str, kind: str, wanted: ColumnType) -> Breach:
    remedy = "Store ids as text." if wanted == "text" and name.endswith("_id") else f"Give {_WORDS[wanted]}."
    return Breach(name, f"has type {kind}.", remedy)


def _raw(name: str) -> str:
    return f"as written: {name}"


def _example(name: str, whose: tuple[str, ...]) -> str:
    """SQL text that shows the value as it was written, and whose it is."""
    value = f"coalesce({identifier(_raw(name))}, 'nothing')"
    others = [f"' (' || {literal(k)} || ' ' || coalesce({identifier(_raw(k))}, '?') || ')'" for k in whose if k != name]
    return " || ".join([value, *others[:1]])
