"""Can each offer's own rule be understood? Asked when data is loaded, so that a slip is not found at the allocation."""

import re
from collections.abc import Collection
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
    columns = version.tables["offers"].columns
    if "eligible_when" not in columns:
        return []
    shown = [c for c in ("offer_id", "channel", "category", "eligible_when") if c in columns]
    query = f"FROM offers SELECT {', '.join(shown)} ORDER BY offer_id"
    offers = connection.sql(query).to_arrow_table().to_pylist()
    vocabulary = Vocabulary(version.tables["customers"].columns, columns, _memory(offers))
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


def _memory(offers: list[dict[str, Any]]) -> dict[str, str]:
    """Every memory column that there may ever be: which of them exist shows at the allocation."""
    words = [{str(o[c]) for o in offers if o.get(c) is not None} for c in ("channel", "category")]
    channels, categories = (tuple(sorted(w)) for w in words)
    asked = {int(days) for offer in offers for days in _WINDOW.findall(offer["eligible_when"] or "")}
    windows = tuple(sorted({*MemorySpec().windows, *asked}))
    spec = MemorySpec(windows=windows, channels=channels, categories=categories)
    return dict.fromkeys(memory_columns(spec, contacts=True, events=True), "DOUBLE")
