"""From a campaign's limits, in words of columns, to the portfolio's limits over cells and offers."""

import difflib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from allot import CampaignError
from engine.campaign import LimitSpec, Where
from portfolio import Limit, Selection, Share
from warehouse import DataVersion, distinct_values

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

Condition = tuple[str, tuple[Any, ...]]
"""A customer column and the values that match."""


@dataclass(frozen=True, slots=True)
class Segmented:
    """Limits over cells.

    Args:
        limits: for `portfolio.Problem`.
        cell: (n,) the cell of each customer: which of the limits' customer conditions it meets.
        labels: for each cell, the conditions that it meets, in words.
    """

    limits: tuple[Limit | Share, ...]
    cell: NDArray[np.int32]
    labels: tuple[str, ...]


def segmented(
    specs: Iterable[LimitSpec], offers: pa.Table, customers: pa.Table, domain: Callable[[str], set[Any]]
) -> Segmented:
    """Resolve the columns and values that limits speak of.

    Args:
        specs: the campaign's limits.
        offers: k rows, catalogue order.
        customers: n rows of the audience with their columns.
        domain: all values of a customer column in the workspace, for telling an unknown segment from an absent one.

    Raises:
        CampaignError: an unknown column or value, with the known ones.
    """
    specs = tuple(specs)
    conditions: list[Condition] = []
    for spec in specs:
        for where in (spec.part, spec.whole or Where()):
            conditions += [c for c in where.customers if c not in conditions]
    met = np.zeros((customers.num_rows, len(conditions)), bool)
    for j, (column, values) in enumerate(conditions):
        _check_values(specs, column, values, customers, domain)
        met[:, j] = _matches(customers[column], values)
    patterns, cell = np.zeros((1, 0), bool), np.zeros(customers.num_rows, np.int64)
    if conditions:
        patterns, cell = distinct_rows(met)

    def selection(where: Where, name: str) -> Selection:
        columns = [conditions.index(c) for c in where.customers]
        cells = np.flatnonzero(patterns[:, columns].all(1)) if columns else None
        picked = _offers(where, offers, name) if where.offers else None
        return Selection(picked, None if cells is None else tuple(cells.tolist()))

    limits = tuple(_limit(spec, selection) for spec in specs)
    labels = tuple(_label(conditions, pattern) for pattern in patterns)
    return Segmented(limits, cell.reshape(-1).astype(np.int32), labels)


def known_values(connection: "DuckDBPyConnection", version: DataVersion) -> Callable[[str], set[object]]:
    """All values of a customer column in a version of the data, for `segmented`."""
    known = version.tables["customers"].columns
    return lambda column: set(distinct_values(connection, "customers", column)) if column in known else set()


def distinct_rows(met: NDArray[np.bool_]) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """The different rows of a table (n, c) in ascending order, and which of them each row is (n,).

    What `np.unique` over an axis gives, by whole numbers of 30 columns at a time: forty times as fast.
    """
    key = np.zeros(len(met), np.int64)
    for j in range(met.shape[1]):
        if j and j % 30 == 0:
            key = np.unique(key, return_inverse=True)[1].astype(np.int64)  # ranks keep the order
        key = 2 * key + met[:, j]
    _, first, cell = np.unique(key, return_index=True, return_inverse=True)
    return met[first], cell


def rescaled(limits: Iterable[Limit | Share], factor: float) -> tuple[Limit | Share, ...]:
    """The same limits for a population `factor` times as large: sums scale, shares stay."""

    def scaled(bound: float | None) -> float | None:
        return None if bound is None else bound * factor

    return tuple(
        x if isinstance(x, Share) else replace(x, minimum=scaled(x.minimum), maximum=scaled(x.maximum)) for x in limits
    )


def _limit(spec: LimitSpec, selection: Callable[[Where, str], Selection]) -> Limit | Share:
    part = selection(spec.part, spec.name)
    if spec.whole is not None:
        whole = selection(spec.whole, spec.name)
        return Share(spec.name, spec.measure, part, whole, spec.minimum, spec.maximum, spec.penalty)
    return Limit(
        spec.name, spec.measure, spec.minimum, spec.maximum, part.offers, part.cells, spec.penalty, spec.report_only
    )


def _label(conditions: list[Condition], pattern: NDArray[np.bool_]) -> str:
    parts = [f"{c} = {' or '.join(map(str, v))}" for (c, v), yes in zip(conditions, pattern, strict=True) if yes]
    return ", ".join(parts) or "everybody else" if conditions else "everybody"


def _matches(column: Any, values: tuple[Any, ...]) -> NDArray[np.bool_]:
    column = column.combine_chunks()
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    wanted = pa.array(list(values)).cast(column.type)
    return np.asarray(pc.fill_null(pc.is_in(column, wanted), False).to_numpy(zero_copy_only=False), bool)


def _check_values(
    specs: tuple[LimitSpec, ...],
    column: str,
    values: tuple[Any, ...],
    customers: pa.Table,
    domain: Callable[[str], set[Any]],
) -> None:
    name = next(s.name for s in specs for w in (s.part, s.whole or Where()) if (column, values) in w.customers)
    where = f"limit {name!r}"
    if column not in customers.column_names:
        raise CampaignError(f"customers have no column {column!r}.", where=where, remedy=_near(column, customers))
    known = domain(column)
    unknown = [v for v in values if v not in known]
    if unknown:
        shown = ", ".join(sorted(map(str, known))[:12])
        near = difflib.get_close_matches(str(unknown[0]), [str(v) for v in known], 1)
        hint = f"Did you mean {near[0]!r}?" if near else f"Known values: {shown}."
        raise CampaignError(f"no customer has {column} = {unknown[0]!r}.", where=where, remedy=hint)


def _offers(where: Where, offers: pa.Table, name: str) -> tuple[int, ...]:
    picked = np.ones(offers.num_rows, bool)
    for column, values in where.offers:
        if column not in offers.column_names:
            raise CampaignError(
                f"offers have no column {column!r}.", where=f"limit {name!r}", remedy=_near(column, offers)
            )
        known = set(offers[column].to_pylist())
        for value in values:
            if value not in known:
                shown = ", ".join(sorted(str(v) for v in known)[:12])
                raise CampaignError(
                    f"no offer has {column} = {value!r}.", where=f"limit {name!r}", remedy=f"Known values: {shown}."
                )
        picked &= _matches(offers[column], values)
    return tuple(np.flatnonzero(picked).tolist())


def _near(column: str, table: pa.Table) -> str:
    near = difflib.get_close_matches(column, table.column_names, 1)
    return f"Did you mean {near[0]!r}?" if near else "Known columns: " + ", ".join(table.column_names) + "."
