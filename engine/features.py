"""From tables to numbers: which columns a model reads, how they are coded, what becomes of values it never saw."""

import json
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from allot import DataError
from bandit import Columns, Cross
from warehouse import MemorySpec, column_word, memory_families

Floats: TypeAlias = NDArray[np.float64]

_OF_OFFERS = tuple(f"memory.{f.stem}" for f in memory_families(MemorySpec()) if f.attribute == "offer_id")

MOST_LEVELS = 255
"""Levels of a category that keep a code of their own; rarer ones are read as missing."""

_IDENTIFIER_LEVELS = 1000


@dataclass(frozen=True, slots=True)
class Feature:
    """One column as a model reads it. `levels` of a category, in the order of their codes."""

    name: str
    kind: Literal["number", "category"]
    levels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class FeatureSpec:
    """The columns of a feature matrix, learnt once and frozen with the model."""

    features: tuple[Feature, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Names in matrix order."""
        return tuple(f.name for f in self.features)

    @property
    def categories(self) -> dict[int, int]:
        """Position of each category column and how many levels it has."""
        return {j: len(f.levels) for j, f in enumerate(self.features) if f.kind == "category"}

    def encode(self, table: pa.Table) -> Floats:
        """(n, d) matrix: numbers as they are, categories as codes; missing, infinite and unseen values are NaN.

        Raises:
            DataError: a column that was numbers is none any more.
        """
        out = np.full((table.num_rows, len(self.features)), np.nan)
        for j, feature in enumerate(self.features):
            if feature.name not in table.column_names:
                continue
            column = table[feature.name].combine_chunks()
            if feature.kind == "category":
                out[:, j] = _codes(column, feature.levels)
            elif column.null_count < len(column):  # an empty column may be of any type
                out[:, j] = _numbers(_checked(column, feature.name))
        return out

    def some(self, names: Collection[str]) -> "FeatureSpec":
        """The columns of these names alone."""
        return FeatureSpec(tuple(f for f in self.features if f.name in names))

    def offers_among(self, offer_ids: Iterable[str]) -> tuple[str, ...]:
        """Those offers of which a memory column of their own is read."""
        names = set(self.names)
        return tuple(o for o in offer_ids if any(f"{stem}{column_word(o)}" in names for stem in _OF_OFFERS))

    def to_json(self) -> str:
        """For the model's folder."""
        rows = [{"name": f.name, "kind": f.kind, "levels": list(f.levels)} for f in self.features]
        return json.dumps(rows, indent=1)

    @staticmethod
    def from_json(text: str) -> "FeatureSpec":
        """What `to_json` wrote."""
        return FeatureSpec(tuple(Feature(r["name"], r["kind"], tuple(r["levels"])) for r in json.loads(text)))


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def learn_spec(table: pa.Table, *, people: int | None = None) -> tuple[FeatureSpec, tuple[str, ...]]:
    """Decide how each column of a training table is read.

    Numbers and booleans are numbers, texts are categories. Columns that never vary, identifiers (a thousand levels, a
    level for every other customer) and types that are neither are left out. Columns of single offers come last.

    Args:
        table: one row for each time that somebody was looked at.
        people: how many different customers the rows are of; None = each row is one.

    Returns:
        the spec, and a sentence about each column that was left out although it varies.
    """
    features: list[Feature] = []
    notes: list[str] = []
    people = table.num_rows if people is None else people
    for name in table.column_names:
        column = table[name].combine_chunks()
        if pa.types.is_dictionary(column.type):
            column = column.dictionary_decode()
        if _is_text(column.type):
            counted = pc.value_counts(column.drop_null())
            pairs = sorted(zip(counted.field(1).to_pylist(), counted.field(0).to_pylist(), strict=True), reverse=True)
            if len(pairs) > _IDENTIFIER_LEVELS and 2 * len(pairs) > people:
                notes.append(f"{name} looks like an identifier ({len(pairs):,} different values) and is not used")
            elif len(pairs) > 1 or (pairs and column.null_count):
                kept = sorted(level for _, level in sorted(pairs, key=lambda p: (-p[0], p[1]))[:MOST_LEVELS])
                features.append(Feature(name, "category", tuple(kept)))
        elif _is_number(column.type):
            values = _numbers(column)
            seen = values[~np.isnan(values)]
            if len(seen) and (seen.min() < seen.max() or len(seen) < len(values)):
                features.append(Feature(name, "number"))
        else:
            notes.append(f"{name} is of type {column.type} and is not used")
    return FeatureSpec(tuple(sorted(features, key=lambda f: _of_one_offer(f.name)))), tuple(notes)


def _is_number(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_integer(kind)
        or pa.types.is_floating(kind)
        or pa.types.is_boolean(kind)
        or pa.types.is_decimal(kind)
    )


def _checked(column: Any, name: str) -> Any:
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if not _is_number(column.type):
        raise DataError(
            f"column {name} is of type {column.type}; the model was trained on numbers.",
            where="features",
            remedy="Load numbers again, or run `allot train` on the new column.",
        )
    return column


def _numbers(column: Any) -> Floats:
    if pa.types.is_boolean(column.type):
        column = column.cast(pa.int8())
    values = column.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False).astype(np.float64)
    return np.where(np.isfinite(values), values, np.nan)


def _codes(column: Any, levels: tuple[str, ...]) -> Floats:
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    found = pc.index_in(column.cast(pa.string()), pa.array(levels, pa.string()))
    return _numbers(found)


def model_inputs(spec: FeatureSpec, offers: pa.Table) -> tuple[Floats, Columns]:
    """What a model reads besides customers: the matrix of the arms (k + 1, d_offer), and the names of all columns."""
    matrix, names, categories = offer_matrix(offers)
    seen = tuple(name for name in spec.names if not _of_one_offer(name))
    d, cross = len(seen), _cross(spec, offers)
    return matrix, Columns(seen, names, (*spec.categories, *(d + j for j in categories)), cross, spec.names[d:])


def _cross(spec: FeatureSpec, offers: pa.Table) -> tuple[Cross, ...]:
    """For each family of memory columns, what the customer's memory says of the very offer, its channel or category.

    A family of which all offers read one and the same column says nothing new; those of single offers are read in no
    other way.
    """
    place = {name: j for j, name in enumerate(spec.names)}
    out = []
    for family in memory_families(MemorySpec()):
        words = offers[family.attribute].to_pylist() if family.attribute in offers.column_names else []
        own = tuple(-1 if w is None else place.get(f"memory.{family.stem}{column_word(str(w))}", -1) for w in words)
        if max(own, default=-1) >= 0 and (len(set(own)) > 1 or family.attribute == "offer_id"):
            out.append(Cross(f"cross.{family.own}", own))
    return tuple(out)


def _of_one_offer(name: str) -> bool:
    """Whether a column speaks of one offer alone."""
    return name.startswith(_OF_OFFERS)


def offer_matrix(offers: pa.Table) -> tuple[Floats, tuple[str, ...], tuple[int, ...]]:
    """What the model knows of each arm.

    Args:
        offers: k rows in catalogue order.

    Returns:
        (k + 1, d_offer) matrix, its column names and the positions of categories. Column 0 is the arm's own code; the
        last row is no offer, of which nothing else is known.
    """
    left_out = {"offer_id", "name", "starts_on", "ends_on", "eligible_when"}
    spec, _ = learn_spec(offers.select([c for c in offers.column_names if c not in left_out]))
    k = offers.num_rows
    matrix = np.full((k + 1, 1 + len(spec.features)), np.nan)
    matrix[:, 0] = np.arange(k + 1)
    matrix[:k, 1:] = spec.encode(offers)
    names = ("offer.offer_id", *(f"offer.{name}" for name in spec.names))
    return matrix, names, (0, *(1 + j for j in spec.categories))
