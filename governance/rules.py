"""The words for rules: what people write, what its names mean, and what it becomes."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

Table: TypeAlias = Literal["customer", "offer", "memory"]
TABLES: tuple[Table, ...] = ("customer", "offer", "memory")
ALIAS: dict[Table, str] = {"customer": "c", "offer": "o", "memory": "m"}


@dataclass(frozen=True, slots=True)
class Rule:
    """A predicate that must be true for an offer to be made to a customer; NULL counts as not passed.

    `reason` is for people: why the offer was not made. `scope` says where the rule comes from, such as "house" or
    "campaign"; a rule of scope "audience" may read customer columns only.
    """

    name: str
    reason: str
    predicate: str
    scope: str = "campaign"


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """What names in rules mean: for each table its columns with their DuckDB types.

    A bare name is a customer column, else an offer column, else a memory column; `customer.x`, `offer.x` and `memory.x`
    say which. Upper and lower case are the same.
    """

    customer: Mapping[str, str] = field(default_factory=dict)
    offer: Mapping[str, str] = field(default_factory=dict)
    memory: Mapping[str, str] = field(default_factory=dict)

    def columns(self, table: Table) -> Mapping[str, str]:
        """The columns of one table."""
        return {"customer": self.customer, "offer": self.offer, "memory": self.memory}[table]

    def find(self, name: str, table: str = "") -> tuple[Table, str] | None:
        """The table and the column that a name means; None where it means nothing."""
        for place in TABLES:
            if table and table.lower() != place:
                continue
            columns = self.columns(place)
            if name in columns:
                return place, name
            for column in columns:
                if column.lower() == name.lower():
                    return place, column
        return None

    def names(self) -> list[str]:
        """Every bare name that means something."""
        return [name for table in TABLES for name in self.columns(table)]


@dataclass(frozen=True, slots=True)
class CompiledRule:
    """A checked rule as SQL.

    Args:
        rule: what it was.
        sql: a DuckDB expression of type boolean, columns written as c."x" (customer), o."x" (offer) and m."x" (memory).
        reads: the tables it reads.
        offer_columns: (column, type) of the offer columns it reads.
    """

    rule: Rule
    sql: str
    reads: frozenset[Table]
    offer_columns: tuple[tuple[str, str], ...] = ()
