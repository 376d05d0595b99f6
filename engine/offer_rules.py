"""Can each offer's own rule be understood? Asked when data is loaded, so that a slip is not found at the allocation."""

import re
from collections.abc import Collection, Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from allot import RuleError
from governance import Vocabulary, compile_eligible_when
from warehouse import DataVersion, MemorySpec, memory_columns

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_ANY_MOMENT = datetime(2000, 1, 1, tzinfo=UTC)  # of a rule only names, types and constants are checked
_WINDOW = re.compile(r"contacts_(\d{1,4})d", re.IGNORECASE)
_TOLD = 10
_REMEDY = "Correct eligible_when in the file of offers."


def review_rules(connection: "DuckDBPyConnection", version: DataVersion, given: Collection[str]) -> list[str]:
    """Compile each offer's `eligible_when` against the columns that there are, and the memory that there may be.

    Args:
        connection: with a view `offers`.
        version: what is about to be loaded.
        given: the tables that are new in it.

    Returns:
        Warnings: rules that do not fit customers who were loaded without their offers.

    Raises:
        RuleError: a rule of offers that were given is wrong; offer, place, what and remedy.
    """
    if not {"customers", "offers"} <= version.tables.keys() or not {"customers", "offers"} & set(given):
        return []  # names mean nothing yet, or nothing new
    if "eligible_when" not in version.tables["offers"].columns:
        return []
    offers = _words_of(connection, version)
    vocabulary = _vocabulary(version, offers, [str(offer["eligible_when"] or "") for offer in offers])
    wrong = [error for offer in offers if (error := _wrong(offer, vocabulary)) is not None]
    if not wrong:
        return []
    if "offers" not in given:
        return [f"{error} Until then no allocation is possible." for error in wrong[:_TOLD]]
    if len(wrong) == 1:
        raise wrong[0]
    lines = "".join(f"\n  {error}" for error in wrong[:_TOLD])
    raise RuleError(f"{len(wrong)} offers have rules that are wrong; nothing was loaded.{lines}", remedy=_REMEDY)


def _wrong(offer: dict[str, Any], vocabulary: Vocabulary) -> RuleError | None:
    try:
        compile_eligible_when([offer], vocabulary, as_of=_ANY_MOMENT)
    except RuleError as error:
        return error
    return None


def vocabulary_of(connection: "DuckDBPyConnection", version: DataVersion, *predicates: str) -> Vocabulary:
    """What names in some rules may mean, before it is known which memory there will be.

    Args:
        connection: with the views of the version, among them `offers`.
        version: with customers and offers.
        predicates: the rules: windows of memory that they name are among the names.
    """
    return _vocabulary(version, _words_of(connection, version), predicates)


def _words_of(connection: "DuckDBPyConnection", version: DataVersion) -> list[dict[str, Any]]:
    """The offers, with the columns that rules and memory take words from."""
    there = version.tables["offers"].columns
    shown = [c for c in ("offer_id", "channel", "category", "eligible_when") if c in there]
    query = f"FROM offers SELECT {', '.join(shown)} ORDER BY offer_id"
    offers: list[dict[str, Any]] = connection.sql(query).to_arrow_table().to_pylist()
    return offers


def _vocabulary(version: DataVersion, offers: list[dict[str, Any]], predicates: Iterable[str]) -> Vocabulary:
    customers, columns = version.tables["customers"].columns, version.tables["offers"].columns
    return Vocabulary(customers, columns, _memory(offers, predicates))


def _memory(offers: list[dict[str, Any]], predicates: Iterable[str]) -> dict[str, str]:
    """Every memory column that there may ever be: which of them exist shows at the allocation."""
    words = [{str(o[c]) for o in offers if o.get(c) is not None} for c in ("channel", "category")]
    channels, categories = (tuple(sorted(w)) for w in words)
    asked = {int(days) for predicate in predicates for days in _WINDOW.findall(predicate)}
    windows = tuple(sorted({*MemorySpec().windows, *asked}))
    spec = MemorySpec(windows=windows, channels=channels, categories=categories)
    return dict.fromkeys(memory_columns(spec, contacts=True, events=True), "DOUBLE")
