"""In which segments would the policy have earned more or less? By a column of the customers, as it was at the time."""

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from allot import DataError
from engine.logs import LoggedRows
from offline_eval import Estimate, Log, Report, slices
from offline_eval import evaluate as judge
from warehouse import Workspace, attach, connect, current_version, customer_rows, read_version

Floats: TypeAlias = NDArray[np.float64]

MOST_SEGMENTS: Final = 20
_PARTS: Final = 4
_ALL: Final = slice(None)
_OTHERS: Final = "others"
_UNKNOWN: Final = "unknown"
_NO_SEGMENTS: Final = ("customer_id", "household_id", "valid_from", "pair_id")


@dataclass(frozen=True, slots=True)
class Segments:
    """A column of the customers cut into at most 20 segments: `code` (r,) numbers the names."""

    column: str
    names: tuple[str, ...]
    code: NDArray[np.int64]


def segments_of(workspace: Workspace, rows: LoggedRows, by: str | None, preferred: Iterable[str]) -> Segments | None:
    """The segment of each logged customer.

    Args:
        workspace: with the customers; those of the log's own version where it has one.
        rows: r decisions.
        by: a customer column. None = the first of `preferred` that has a few texts, else one called segment, else any.
        preferred: columns that the campaign's limits speak of.

    Returns:
        None where `by` is None and no column has a few texts.

    Raises:
        DataError: customers have no such column, or it says the same of every logged customer.
    """
    people = _people(workspace, rows)
    if by is None:
        found = segment_column(people, preferred)
        return None if found is None else segmented_by(people, found)
    known = [name for name in people.column_names if name not in _NO_SEGMENTS]
    if by not in known:
        near = difflib.get_close_matches(by, known, 1)
        remedy = f"Did you mean {near[0]!r}?" if near else f"Known columns: {', '.join(known)}."
        raise DataError(f"customers have no column {by!r}.", where="--by", remedy=remedy)
    cut = segmented_by(people, by)
    if len(cut.names) < 2:
        what = f"{by!r} says the same of every logged customer: {cut.names[0]}."
        raise DataError(what, where="--by", remedy="Give another column, or none.")
    return cut


def segment_column(people: pa.Table, preferred: Iterable[str] = ()) -> str | None:
    """A column of 2 to 20 texts: a preferred one, one called segment, else the first; None without any."""
    order = {name: i for i, name in enumerate((*preferred, "segment"))}
    few = [name for name in people.column_names if name not in _NO_SEGMENTS and _few_texts(people[name])]
    return min(few, key=lambda name: order.get(name, len(order)), default=None)


def segmented_by(people: pa.Table, column: str) -> Segments:
    """A column's segments: its values by name, the rare ones together; numbers of many values in quarters."""
    values = people[column].combine_chunks()
    if pa.types.is_dictionary(values.type):
        values = values.dictionary_decode()
    kind = values.type
    if (pa.types.is_integer(kind) or pa.types.is_floating(kind)) and len(pc.unique(values)) > MOST_SEGMENTS:
        return _quarters(column, values)
    coded = pc.fill_null(values.cast(pa.string()), _UNKNOWN).dictionary_encode()
    names = np.array(coded.dictionary.to_pylist(), object)
    code = coded.indices.to_numpy().astype(np.int64)
    if len(names) > MOST_SEGMENTS:
        size = np.bincount(code, minlength=len(names))
        rare = np.argsort(-size, kind="stable")[MOST_SEGMENTS - 1 :]
        names = names.copy()
        names[rare] = _OTHERS
    different, place = np.unique(names.astype(str), return_inverse=True)
    return Segments(column, tuple(different.tolist()), place[code].astype(np.int64))


def _quarters(column: str, values: pa.Array) -> Segments:
    x = values.cast(pa.float64()).to_numpy(zero_copy_only=False)
    known = ~np.isnan(x)
    edges = np.unique(np.quantile(x[known], np.linspace(0, 1, _PARTS + 1)))
    inner = edges[1:-1]
    code = np.where(known, np.searchsorted(inner, x, side="right"), len(inner) + 1).astype(np.int64)
    names = [f"{low:.4g} to {high:.4g}" for low, high in pairwise(edges)]
    present, place = np.unique(code, return_inverse=True)
    every = (*names, _UNKNOWN)
    return Segments(column, tuple(every[i] for i in present), place.astype(np.int64))


def by_segment(
    report: Report, rows: LoggedRows, target: Floats, q_hat: Floats, segments: Segments
) -> dict[str, Any] | None:
    """The policy less what was done in every segment, with intervals that hold in all of them together.

    Each segment has a verdict of its own, by the same floors as the whole; below them it has no difference and nobody
    wins. A finding is an interval that leaves out 0. With as many segments as names, each interval is at the level
    1 - 0.05 / segments (Bonferroni), so that of all logs at most one in twenty has a wrong finding.

    Args:
        report: the evaluation of the policy on all rows.
        rows: r decisions.
        target, q_hat: (r, k + 1) the policy's probabilities and the modelled rewards.
        segments: of the rows.

    Returns:
        column, level, method, and one line for each segment; None unless the whole is supported.
    """
    if report.verdict != "supported" or report.estimate is None:
        return None
    found = slices(report.estimate, segments.code, _log(rows), report.logged)
    lines = []
    for one in found:
        at = segments.code == one.segment
        own = _judged(rows, at, target, q_hat)
        known = own.verdict == "supported"
        lines.append(
            {
                "segment": segments.names[one.segment],
                "rows": one.rows,
                "ess": own.ess,
                "weighted_successes": own.weighted_successes,
                "verdict": own.verdict,
                "reasons": list(own.reasons),
                "logged": own.logged.value,
                **_figures(one.estimate if known else None),
                "adjusted": one.adjusted if known else None,
                "finding": _finding(one.estimate) if known else None,
            }
        )
    return {"column": segments.column, "level": report.logged.level, "method": "Bonferroni", "segments": lines}


def _judged(rows: LoggedRows, at: NDArray[np.bool_], target: Floats, q_hat: Floats) -> Report:
    def part(table: NDArray[Any] | None) -> NDArray[Any] | None:
        return None if table is None else table[at]

    return judge(_log(rows, at), target[at], q_hat[at], support=part(rows.support), chances=part(rows.probability))


def _log(rows: LoggedRows, at: NDArray[np.bool_] | slice = _ALL) -> Log:
    return Log(rows.reward[at], rows.arm[at], rows.propensity[at], rows.cluster[at])


def _figures(e: Estimate | None) -> dict[str, float | None]:
    if e is None:
        return dict.fromkeys(("difference", "low", "high"))
    return {"difference": e.value, "low": e.low, "high": e.high}


def _finding(e: Estimate) -> str | None:
    return "more" if e.low > 0 else "less" if e.high < 0 else None


def _people(workspace: Workspace, rows: LoggedRows) -> pa.Table:
    """What was known of each row's customer at the time, r rows."""
    version = current_version(workspace) if rows.stamp is None else read_version(workspace, rows.stamp.data)
    pairs = pa.table({"pair_id": np.arange(len(rows.arm)), "customer_id": rows.customer_id, "at": rows.decided_at})
    with connect(workspace) as connection:
        attach(connection, workspace, version)
        return customer_rows(connection, pairs)


def _few_texts(column: pa.ChunkedArray) -> bool:
    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
        return False
    return 1 < len(pc.unique(column.cast(pa.string()).drop_null())) <= MOST_SEGMENTS
