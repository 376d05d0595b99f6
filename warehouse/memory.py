"""What we remember of a customer at a time: contacts, refusals, successes, events, sessions, amounts and drift.

Only what lay strictly before the time, and was known by then, counts. Training and serving read the same SQL.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from allot import DataError
from warehouse.relations import lent
from warehouse.rows import DAY_US, pairs_in_order
from warehouse.statements import statement

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

Floats: TypeAlias = NDArray[np.float64]

SESSION_DAYS = 30
_COUNTS = ("contacts", "successes")  # in the longest window, by category and by offer
_TIMES = {"days_since_contact": "age", "days_since_refusal": "refusal_age"}  # by offer
_TASTES = ("share", "drift")  # by category
_SESSION_GAP_US = 30 * 60 * 1_000_000


@dataclass(frozen=True, slots=True)
class MemorySpec:
    """Which memory columns there are.

    half_lives, windows: days. channels, categories, offers (ids): those that get columns of their own; texts that read
    the same as a column word ("E-mail", "e mail") share one. The counts of a window include its far end.
    """

    half_lives: tuple[int, ...] = (7, 30, 90)
    windows: tuple[int, ...] = (7, 30, 90)
    channels: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    offers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Family:
    """Memory columns that differ in the word at their end alone: that of a channel, of a category or of an offer.

    Args:
        stem: how their names begin.
        attribute: the column of offers whose words end them.
        own: what the column of the very offer, of its channel or of its category is called.
    """

    stem: str
    attribute: Literal["channel", "category", "offer_id"]
    own: str


def column_word(text: str) -> str:
    """A channel or category as part of a column's name: lower case, letters, digits and single underscores."""
    return re.sub(r"[\W_]+", "_", text.lower()).strip("_") or "unnamed"


def memory_families(spec: MemorySpec) -> tuple[Family, ...]:
    """The families of columns that a workspace with contacts and events has."""
    longest = max(spec.windows)
    return (
        *(Family(f"contacts_{w}d_", "channel", f"contacts_{w}d_own_channel") for w in spec.windows),
        *(Family(f"{what}_{longest}d_category_", "category", f"{what}_{longest}d_own_category") for what in _COUNTS),
        *(Family(f"{what}_", "category", f"{what}_own_category") for what in _TASTES),
        *(Family(f"{what}_{longest}d_offer_", "offer_id", f"{what}_{longest}d_own_offer") for what in _COUNTS),
        *(Family(f"{what}_offer_", "offer_id", f"{what}_own_offer") for what in _TIMES),
    )


def memory_columns(spec: MemorySpec, *, contacts: bool, events: bool) -> tuple[str, ...]:
    """The names of the memory columns, in order, for a workspace with or without contacts and events.

    Raises:
        DataError: two columns have the same name.
    """
    channels, categories, offers = (_words(texts)[0] for texts in (spec.channels, spec.categories, spec.offers))
    longest = max(spec.windows)
    names: list[str] = []
    if contacts:
        names += [f"contacts_{w}d" for w in spec.windows]
        names += [f"contacts_{w}d_{channel}" for channel in channels for w in spec.windows]
        names += [f"{what}_{longest}d_category_{category}" for category in categories for what in _COUNTS]
        names += [f"successes_{w}d" for w in spec.windows]
        names += ["days_since_contact"]
    if contacts or events:
        names += ["days_since_refusal"]
    if events:
        names += [f"events_{w}d" for w in spec.windows]
        names += [f"events_decayed_{h}d" for h in spec.half_lives]
        names += [f"amount_decayed_{h}d" for h in spec.half_lives]
        names += [f"{what}_{category}" for category in categories for what in _TASTES]
        names += [f"sessions_{SESSION_DAYS}d", "days_since_event"]
    if contacts:
        for offer in offers:
            names += [
                *(f"{what}_{longest}d_offer_{offer}" for what in _COUNTS),
                *(f"{t}_offer_{offer}" for t in _TIMES),
            ]
    repeated = next((name for name in names if names.count(name) > 1), None)
    if repeated is not None:
        raise DataError(f"two memory columns are called {repeated!r}.", remedy="Rename the channel, category or offer.")
    return tuple(names)


def memory_features(
    connection: "DuckDBPyConnection",
    pairs: str | pa.Table,
    spec: MemorySpec,
    *,
    contacts: str | None = "contacts",
    events: str | None = "events",
) -> pa.Table:
    """The memory columns of each pair, as of the pair's time.

    A refusal is a contact whose outcome 0 was known by then, or an event of kind "refusal" or "unsubscribe". Events
    with `received_at` count from then on. Counts are 0 and days since null where there was nothing. A category's share
    is its part of the customer's events of any category, decayed at the longest half-life; its drift is how far the
    share at the shortest half-life lies above that.

    Args:
        connection: to DuckDB, time zone UTC.
        pairs: relation or table of pair_id (integer, unique), customer_id, at.
        spec: which columns.
        contacts: relation of customer_id, offer_id, channel, category, at, outcome, outcome_at and optionally refused,
            as `contacts_view` makes it; None = there are none.
        events: relation of customer_id, at and optionally received_at, kind, category, amount; None = there are none.

    Returns:
        pair_id and `memory_columns`, integer counts and floats else; a row for each pair, by pair_id.

    Raises:
        DataError: pairs are broken.
    """
    names = memory_columns(spec, contacts=contacts is not None, events=events is not None)
    with lent(connection, {"pairs": pairs}) as lent_names:
        relation = lent_names["pairs"]
        ids, _ = pairs_in_order(connection, relation)
        columns: dict[str, Any] = {}
        if contacts is not None:
            columns |= _contact_columns(_Reader(connection, {"pairs": relation, "contacts": contacts}, ids), spec)
        if events is not None:
            seen = _event_columns(_Reader(connection, {"pairs": relation, "events": events}, ids), spec)
            refusals = [c["days_since_refusal"] for c in (columns, seen) if "days_since_refusal" in c]
            columns |= seen | {"days_since_refusal": np.fmin.reduce(refusals)}
    return pa.table({"pair_id": ids} | {name: _arrow(columns[name]) for name in names})


def _arrow(column: NDArray[Any]) -> pa.Array:
    return pa.array(column, mask=np.isnan(column)) if column.dtype.kind == "f" else pa.array(column)


def _words(texts: Sequence[str]) -> tuple[list[str], NDArray[np.int64]]:
    """The different words of some texts, and for each position 0, 1 … (0: none of them) the word's index or -1."""
    words = list(dict.fromkeys(column_word(text) for text in texts))
    return words, np.array([-1, *(words.index(column_word(text)) for text in texts)], np.int64)


@dataclass(frozen=True, slots=True)
class _Reader:
    """Runs a statement for the pairs and spreads its rows over them."""

    connection: "DuckDBPyConnection"
    relations: dict[str, str]
    ids: NDArray[np.int64]

    def rows(self, name: str, parameters: dict[str, Any]) -> "_Rows":
        """The rows of a statement, each with its pair's place."""
        found = self.connection.sql(statement(name, self.relations), params=parameters).to_arrow_table()
        place = np.searchsorted(self.ids, found["pair_id"].to_numpy())
        return _Rows(found, place, len(self.ids))


@dataclass(frozen=True, slots=True)
class _Rows:
    """Rows of a statement; place (rows,) is the index of the pair of each, n the number of pairs."""

    table: pa.Table
    place: NDArray[np.intp]
    n: int

    def by(self, group: NDArray[np.int64], groups: int) -> list["_Rows"]:
        """The rows of each group 0 .. groups − 1 (rows of others left out), of the same pairs."""
        order = np.argsort(group, kind="stable")
        ends = np.searchsorted(group[order], np.arange(groups + 1))
        parts = [order[first:last] for first, last in pairwise(ends)]
        return [_Rows(self.table.take(pa.array(part)), self.place[part], self.n) for part in parts]

    def column(self, name: str) -> NDArray[Any]:
        """(rows,) a column; nulls are NaN."""
        out: NDArray[Any] = self.table[name].to_numpy()
        return out

    def total(self, name: str, where: NDArray[np.bool_]) -> Floats:
        """(n,) sum over some rows."""
        return np.asarray(np.bincount(self.place[where], self.column(name)[where], self.n), np.float64)

    def count(self, name: str, where: NDArray[np.bool_]) -> NDArray[np.int32]:
        """(n,) sum of counts over some rows."""
        return self.total(name, where).astype(np.int32)

    def days(self, name: str) -> Floats:
        """(n,) least of a column of microseconds, in days; NaN where there is none."""
        out = np.full(self.n, np.nan)
        np.fmin.at(out, self.place, self.column(name).astype(np.float64))
        return out / DAY_US


def _spans(days: Sequence[int]) -> list[int]:
    return [day * DAY_US for day in days]


def _contact_columns(reader: _Reader, spec: MemorySpec) -> dict[str, NDArray[Any]]:
    parameters = {
        "channels": list(spec.channels),
        "categories": list(spec.categories),
        "offers": list(spec.offers),
        "spans": _spans(spec.windows),
    }
    rows = reader.rows("memory_contacts.sql", parameters)
    channels, channel_of = _words(spec.channels)
    categories, category_of = _words(spec.categories)
    channel, category = channel_of[rows.column("channel")], category_of[rows.column("category")]
    span = rows.column("span")
    out: dict[str, NDArray[Any]] = {}
    for w in spec.windows:
        here = span == w * DAY_US
        out[f"contacts_{w}d"] = rows.count("contacts", here)
        out[f"successes_{w}d"] = rows.count("successes", here)
        for index, word in enumerate(channels):
            out[f"contacts_{w}d_{word}"] = rows.count("contacts", here & (channel == index))
    longest = max(spec.windows)
    for index, word in enumerate(categories):
        here = (span == longest * DAY_US) & (category == index)
        out |= {f"{what}_{longest}d_category_{word}": rows.count(what, here) for what in _COUNTS}
    out |= {what: rows.days(age) for what, age in _TIMES.items()}
    return out | _offer_columns(rows, spec)


def _offer_columns(rows: _Rows, spec: MemorySpec) -> dict[str, NDArray[Any]]:
    """What there was with each single offer, in small types: these columns are many.

    The age of a contact does not depend on the window.
    """
    longest = max(spec.windows)
    words, offer_of = _words(spec.offers)
    group = np.where(rows.column("span") == longest * DAY_US, offer_of[rows.column("offer")], -1)
    out: dict[str, NDArray[Any]] = {}
    for word, part in zip(words, rows.by(group, len(words)), strict=True):
        every = np.ones(len(part.place), np.bool_)
        for what in _COUNTS:
            count = np.minimum(part.count(what, every), np.iinfo(np.int16).max)
            out[f"{what}_{longest}d_offer_{word}"] = count.astype(np.int16)
        for what, age in _TIMES.items():
            out[f"{what}_offer_{word}"] = part.days(age).astype(np.float32)
    return out


def _event_columns(reader: _Reader, spec: MemorySpec) -> dict[str, NDArray[Any]]:
    rows = reader.rows("memory_events.sql", {"spans": _spans(spec.windows)})
    out: dict[str, NDArray[Any]] = {
        f"events_{w}d": rows.count("events", rows.column("span") == w * DAY_US) for w in spec.windows
    }
    out |= {"days_since_event": rows.days("age"), "days_since_refusal": rows.days("refusal_age")}
    sessions = reader.rows("memory_sessions.sql", {"span": SESSION_DAYS * DAY_US, "gap": _SESSION_GAP_US})
    out[f"sessions_{SESSION_DAYS}d"] = sessions.count("sessions", np.ones(len(sessions.place), np.bool_))
    return out | _profile_columns(reader, spec)


def _profile_columns(reader: _Reader, spec: MemorySpec) -> dict[str, NDArray[Any]]:
    """Decayed counts and amounts; each category's share of the long profile, and of the short one less that."""
    parameters = {"categories": list(spec.categories), "half_lives": _spans(spec.half_lives)}
    rows = reader.rows("memory_profile.sql", parameters)
    words, word_of = _words(spec.categories)
    position, half_life = rows.column("category"), rows.column("half_life")
    category = np.where(position < 0, -2, word_of[np.maximum(position, 0)])
    out: dict[str, NDArray[Any]] = {}
    share: dict[int, list[Floats]] = {}
    for h in spec.half_lives:
        here = half_life == h * DAY_US
        out[f"events_decayed_{h}d"] = rows.total("events", here)
        out[f"amount_decayed_{h}d"] = rows.total("amount", here)
        whole = rows.total("events", here & (category > -2))
        parts = (rows.total("events", here & (category == index)) for index in range(len(words)))
        share[h] = [np.divide(part, whole, out=np.zeros(rows.n), where=whole > 0) for part in parts]
    for index, word in enumerate(words):
        out[f"share_{word}"] = share[max(spec.half_lives)][index]
        out[f"drift_{word}"] = share[min(spec.half_lives)][index] - share[max(spec.half_lives)][index]
    return out
