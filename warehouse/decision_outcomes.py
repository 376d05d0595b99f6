"""What became of each decision: its events, brought to one outcome."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime
from typing import TYPE_CHECKING

from sqlalchemy import BigInteger, ColumnElement, String, Text, func, literal, select, type_coerce
from sqlmodel import Session, col
from sqlmodel import select as sql_select

from warehouse.counted import Counted, Tally
from warehouse.feedback_log import JOINED, Heard, listed
from warehouse.single_tables import SingleRow
from warehouse.statements import statement
from warehouse.store import Store
from warehouse.tables import AllocationRow, CampaignRow, FeedbackRow

if TYPE_CHECKING:
    import pyarrow as pa
    from duckdb import DuckDBPyConnection

LATEST = "latest"
_LOG = FeedbackRow.__table__.c  # type: ignore[attr-defined]  # SQLModel makes it
_COLUMNS = (_LOG.decision_id, _LOG.event_id, _LOG.outcome, _LOG.reward_micros, _LOG.occurred_at, _LOG.received_at)
_AT_ONCE = 32_768  # rows that the database hands over
_COUNTED = 131_072  # events that are counted together, at least: what is in memory beside the lines
_EVENTS_A_LINE = 3  # that wait until lines are counted again
_MASK = 2**31 - 1  # of numbers that are summed, so that no sum is too large
_BETWEEN = "\x1f"
_RELATIONS = {name: name for name in ("so_far", "events", "counting")}
_SO_FAR = """CREATE TABLE so_far (decision_id VARCHAR, event_id VARCHAR, outcome BIGINT, reward_micros HUGEINT,
    occurred_at BIGINT, received_at BIGINT)"""


def outcomes(
    store: Store,
    *,
    up_to: datetime | None = None,
    received_until: datetime | None = None,
    counted: Counted | None = None,
) -> "pa.Table":
    """What is known of every decision: one row each.

    Of a decision's events the latest counts, by `occurred_at`, ties by event id, unless its campaign says otherwise in
    `[feedback] aggregation`: the `first`; or all, with the `sum` or the `max` of their rewards, the largest outcome and
    the latest times.

    Args:
        store: the operational database.
        up_to: leave out events that occurred later; None takes all. It looks at `occurred_at`, so that the same events
            give the same answer whenever they arrived.
        received_until: leave out events that were received later: what was known at that time.
        counted: what this process counted before, to go on from; only without `received_until`.

    Returns:
        decision_id text, outcome int8, reward float64 (currency units), occurred_at and received_at timestamps in UTC;
        ordered by decision_id.

    Raises:
        ValueError: both `received_until` and `counted` were given.
    """
    import duckdb
    import pyarrow as pa

    if counted is not None and received_until is not None:
        raise ValueError("what was counted before says nothing of what was known at a time")
    counts = [_LOG.status.in_(JOINED)]
    if up_to is not None:
        counts.append(_LOG.occurred_at <= up_to)
    if received_until is not None:
        counts.append(_LOG.received_at <= received_until)
    with duckdb.connect(":memory:", config={"threads": 1}) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        with store.transaction(write=False) as session:
            other = counting(session)
            texts = (pa.array(list(values), pa.string()) for values in (other, other.values()))
            connection.register("counting", pa.table(list(texts), names=["source", "aggregation"]))
            connection.execute(_SO_FAR)
            _count_log(connection, session, counts, up_to, counted)
        found: pa.Table = connection.sql(statement("outcomes.sql", _RELATIONS)).to_arrow_table()
    return found


def _count_log(
    connection: "DuckDBPyConnection",
    session: Session,
    counts: Sequence[ColumnElement[bool]],
    up_to: datetime | None,
    counted: Counted | None,
) -> None:
    """Bring the events of the log to one line per decision, in the connection's `so_far`."""
    end, begin = session.connection().execute(select(func.max(_LOG.sequence))).scalar() or 0, 0
    if counted is not None:
        begin = counted.restore(connection, up_to, lambda place: _tally(session, counts, place))
        place = counted.next_place(end)
        if place:
            _count(connection, _events(session, counts, begin, place))
            counted.keep(connection, up_to, place, _tally(session, counts, place))
            begin = place
    _count(connection, _events(session, counts, begin, end))


def _tally(session: Session, counts: Sequence[ColumnElement[bool]], place: int) -> Tally:
    """Of the events that count up to a place in the log."""
    key, received = (
        part.bitwise_and(literal(_MASK, BigInteger))
        for part in (_LOG.decision_key, type_coerce(_LOG.received_at, BigInteger))
    )
    tally = select(func.count(), func.sum(key + received)).where(_LOG.sequence <= place, *counts)
    events, checksum = session.connection().execute(tally).one()
    return Tally(int(events), int(checksum or 0))


def _count(connection: "DuckDBPyConnection", parts: "Iterable[pa.Table]") -> None:
    """Count events into the lines of `so_far`.

    Beside those lines only some events are in memory, so that it follows the number of decisions, not that of events.
    The lines are counted again with the events after them, of which there are at least three for each line.
    """
    lines, waiting = _lines(connection), []
    for part in parts:
        waiting.append(part)
        if sum(each.num_rows for each in waiting) >= max(_COUNTED, _EVENTS_A_LINE * lines):
            lines, waiting = _counted(connection, waiting), []
    if waiting:
        _counted(connection, waiting)


def _lines(connection: "DuckDBPyConnection") -> int:
    [(lines,)] = connection.execute("SELECT count(*) FROM so_far").fetchall()
    return int(lines)


def _counted(connection: "DuckDBPyConnection", events: "Sequence[pa.Table]") -> int:
    """Count some events into the lines; how many these are now."""
    import pyarrow as pa

    connection.register("events", pa.concat_tables(events))
    try:
        connection.execute(f"CREATE OR REPLACE TABLE so_far AS {statement('outcomes_so_far.sql', _RELATIONS)}")
    finally:
        connection.unregister("events")
    return _lines(connection)


def counting(session: Session, singles: Collection[str] | None = None) -> dict[str, str]:
    """How events count of allocations, by their ids, and of single decisions, by theirs, where it is not the latest.

    Args:
        session: of any transaction.
        singles: which single decisions to look at; default all.
    """
    campaign = (col(CampaignRow.name) == AllocationRow.campaign) & (
        col(CampaignRow.digest) == AllocationRow.campaign_digest
    )
    says = type_coerce(CampaignRow.document, Text).contains('"aggregation":')
    documents = sql_select(AllocationRow.allocation_id, CampaignRow.document).join(CampaignRow, campaign).where(says)
    by_id = {of: document.get("feedback", {}).get("aggregation", LATEST) for of, document in session.exec(documents)}
    other = {of: how for of, how in by_id.items() if how != LATEST}
    if other:
        released = col(SingleRow.release_id).in_(listed(session, other, String))
        named = sql_select(SingleRow.decision_id, SingleRow.release_id).where(released)
        if singles is not None:
            named = named.where(col(SingleRow.decision_id).in_(listed(session, singles, String)))
        other |= {decision_id: other[release] for decision_id, release in session.exec(named)}
    return other


def outcome_of(heard: Heard, aggregation: str) -> int:
    """The outcome of a decision of which this was heard: as `outcomes_so_far.sql` says."""
    return {"first": heard.first, LATEST: heard.latest}.get(aggregation, heard.largest)


def _events(session: Session, counts: Sequence[ColumnElement[bool]], begin: int, end: int) -> "Iterator[pa.Table]":
    """Events of the log after one place and up to another, some at a time, as `outcomes_so_far.sql` reads them.

    The database puts many rows into one text, which Arrow reads while the database makes the next: a million rows as
    objects of their own would take most of the time of learning. Ids are printable, so the two separators occur in
    none.
    """
    connection = session.connection()
    written = func.printf if connection.dialect.name == "sqlite" else func.format  # SQLite has the latter since 3.38
    rows = select(func.aggregate_strings(written(_BETWEEN.join(["%s"] * len(_COLUMNS)), *_COLUMNS), "\n"))
    with ThreadPoolExecutor(1) as reader:
        reading: Future[pa.Table] | None = None
        for after in range(begin, end, _AT_ONCE):
            among = (_LOG.sequence > after, _LOG.sequence <= min(end, after + _AT_ONCE), *counts)
            text = connection.execute(rows.where(*among)).scalar()
            if text:
                before, reading = reading, reader.submit(_read, text)
                if before is not None:
                    yield before.result()
        if reading is not None:
            yield reading.result()


def _read(text: str) -> "pa.Table":
    """Lines of two texts and four numbers each as a table."""
    import pyarrow as pa
    from pyarrow import csv

    names = [column.name for column in _COLUMNS]
    types = dict(zip(names, [pa.string()] * 2 + [pa.int64()] * 4, strict=True))
    return csv.read_csv(
        pa.py_buffer(text.encode()),
        csv.ReadOptions(column_names=names, use_threads=False),
        csv.ParseOptions(delimiter=_BETWEEN, quote_char=False),
        csv.ConvertOptions(column_types=types),
    )
