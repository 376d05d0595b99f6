"""Many writes, one commit: a work fails alone, a commit for everybody, nobody is answered before it is durable."""

import threading
from concurrent.futures import CancelledError
from datetime import UTC, datetime

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError, OperationalError

from allot import BusyError, WorkspaceError
from warehouse import AuditEntry, GroupCommit, group_commit, open_store
from warehouse.group_commit import Company
from warehouse.tables import CampaignRow

AT = datetime(2026, 3, 1, tzinfo=UTC)
WAIT = 10  # seconds, before a test gives up


@pytest.fixture
def writer(store):
    made = GroupCommit(store, most=8, waiting=16)
    yield made
    made.close()


def row(name):
    return CampaignRow(name=name, version=1, document={}, digest=name, created_at=AT)


def adds(name):
    return lambda session: session.add(row(name)) or name


def names(store):
    return [campaign.name for campaign in store.campaigns()]


class Held:
    """Keeps the writer busy inside a transaction until released, so that what comes meanwhile shares the next."""

    def __init__(self, writer):
        self.entered, self.released = threading.Event(), threading.Event()
        self.future = writer.submit(self._hold)
        assert self.entered.wait(WAIT)

    def _hold(self, _session):
        self.entered.set()
        assert self.released.wait(WAIT)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.released.set()
        self.future.result(WAIT)


def together(writer, *works):
    with Held(writer):
        return [writer.submit(work) for work in works]


def refuse(_session):
    raise ZeroDivisionError("refused")


def test_a_work_that_fails_fails_alone_and_leaves_no_trace(store, writer):
    def half(session):
        session.add(row("half"))
        session.flush()
        raise ZeroDivisionError

    def twice(session):
        session.add(row("a"))

    first, bad, double, last = together(writer, adds("a"), half, twice, adds("b"))
    assert (first.result(WAIT), last.result(WAIT)) == ("a", "b")
    with pytest.raises(ZeroDivisionError):
        bad.result(WAIT)
    with pytest.raises(IntegrityError):
        double.result(WAIT)
    assert names(store) == ["a", "b"]


def test_works_are_done_once_unless_one_that_shares_their_transaction_fails(store, writer):
    done = []

    def counted(name):
        return lambda session: done.append(name) or adds(name)(session)

    for future in together(writer, *[counted(name) for name in "abc"]):
        future.result(WAIT)
    assert done == list("abc")
    first, bad, last = together(writer, counted("d"), refuse, counted("e"))
    with pytest.raises(ZeroDivisionError):
        bad.result(WAIT)
    assert (first.result(WAIT), last.result(WAIT), names(store)) == ("d", "e", list("abcde"))
    assert done == [*"abc", "d", "d", "e"]


def test_what_waits_shares_one_transaction(store, writer):
    def number(session):
        return session.connection().connection.dbapi_connection, session

    seen = [future.result(WAIT) for future in together(writer, *[number] * 8)]
    assert len({id(session) for _, session in seen}) == 1
    assert len({id(session) for _, session in [f.result(WAIT) for f in together(writer, *[number] * 9)]}) == 2


def transaction(session):
    return session


def test_who_asks_again_as_soon_as_answered_shares_the_next_commit(writer, monkeypatch):
    """Held and b are answered apart; c comes only once held was answered, and the commit of b waits for it."""
    monkeypatch.setattr(group_commit, "_PATIENCE", WAIT)
    late = []
    with Held(writer) as held:
        held.future.add_done_callback(lambda _: timer.start())
        timer = threading.Timer(0.05, lambda: late.append(writer.submit(transaction)))
        first = writer.submit(transaction)
    shared = first.result(WAIT)
    timer.join(WAIT)  # it has started by now: a future wakes who waits for it before it calls back
    assert late[0].result(WAIT) is shared


def test_nobody_waits_for_company_that_never_was(writer, monkeypatch):
    monkeypatch.setattr(group_commit, "_PATIENCE", 10 * WAIT)
    for _ in range(5):
        writer.submit(transaction).result(WAIT)


def test_who_does_not_come_is_waited_for_a_while_only(writer, monkeypatch):
    monkeypatch.setattr(group_commit, "_PATIENCE", 0.05)
    for future in together(writer, transaction, transaction):
        future.result(WAIT)
    assert writer.submit(transaction).result(WAIT)


def test_what_is_waited_for_in_vain_is_waited_for_less_and_less_often():
    company, waited = Company(), []
    for commit in range(100):
        waited += [commit] if company.awaited() == 2 else []
        company.shared(1, 1, 1)  # somebody always comes while it is written, and never before
    assert waited == [1, 3, 7, 15, 31, 63]
    company = Company()
    for _ in range(100):
        company.shared(1, 4, 0)  # everybody comes in time
        assert company.awaited() == 4


def test_nobody_is_answered_before_the_commit(database, store, writer):
    found = []

    def look(future):
        with open_store(database) as other:
            found.append(len(other.campaigns()))

    with Held(writer):
        futures = [writer.submit(adds(name)) for name in "abc"]
        for future in futures:
            future.add_done_callback(look)
    assert [future.result(WAIT) for future in futures] == ["a", "b", "c"]
    writer.close()
    assert found == [3, 3, 3]


def test_a_commit_that_fails_fails_everybody_and_writes_nothing(store, writer):
    def dangling(session):  # looked at when the transaction commits
        if store.dialect == "sqlite":
            session.execute(text("PRAGMA defer_foreign_keys=ON"))
            insert = "INSERT INTO allocation VALUES ('a', 'none', 'none', 's', 0, '{}', '{}', NULL, NULL, 0)"
            session.execute(text(insert))
        else:
            session.execute(text("CREATE TABLE child (name TEXT REFERENCES parent DEFERRABLE INITIALLY DEFERRED)"))
            session.execute(text("INSERT INTO child VALUES ('nobody')"))

    if store.dialect == "postgresql":
        with store.transaction() as session:
            session.execute(text("CREATE TABLE parent (name TEXT PRIMARY KEY)"))

    futures = together(writer, adds("a"), dangling, adds("b"))
    for future in futures:
        with pytest.raises(WorkspaceError):
            future.result(WAIT)
    assert names(store) == []
    assert writer.submit(adds("c")).result(WAIT) == "c"


def test_a_transaction_that_the_database_gave_up_fails_everybody(store, writer):
    """A full disk makes SQLite roll back by itself; what comes after must not commit on its own."""
    futures = together(
        writer, adds("a"), lambda session: session.execute(text("ROLLBACK")) and refuse(session), adds("b")
    )
    for future in futures:
        with pytest.raises((WorkspaceError, ZeroDivisionError)):
            future.result(WAIT)
    assert names(store) == []
    assert writer.submit(adds("c")).result(WAIT) == "c"
    assert names(store) == ["c"]


def test_works_run_in_the_order_in_which_they_came(writer):
    order = []
    futures = together(writer, *[lambda _, i=i: order.append(i) for i in range(12)])
    for future in futures:
        future.result(WAIT)
    assert order == list(range(12))


def test_closing_writes_what_waits_and_then_refuses(store, writer):
    with Held(writer):
        futures = [writer.submit(adds(name)) for name in "abcdefghij"]
        closing = threading.Thread(target=writer.close)
        closing.start()
    closing.join(WAIT)
    assert [future.result(0) for future in futures] == list("abcdefghij")
    assert names(store) == list("abcdefghij")
    writer.close()
    with pytest.raises(WorkspaceError, match="nothing is written"):
        writer.submit(adds("k"))


def test_more_than_may_wait_is_refused_at_once_and_leaves_the_others(store, writer):
    with Held(writer):
        futures = [writer.submit(adds(f"{i:02}")) for i in range(16)]
        with pytest.raises(BusyError, match="16 writes"):
            writer.submit(adds("one too many"))
    assert [future.result(WAIT) for future in futures] == names(store)


def test_a_work_that_was_cancelled_in_time_is_not_done(store, writer):
    with Held(writer):
        kept, dropped = writer.submit(adds("a")), writer.submit(adds("b"))
        assert dropped.cancel()
    assert kept.result(WAIT) == "a"
    with pytest.raises(CancelledError):
        dropped.result(WAIT)
    assert names(store) == ["a"]


def test_the_loser_of_a_race_tries_again_with_everybody(store, writer):
    class Deadlock(Exception):
        sqlstate = "40P01"

    tries = []

    def lose(session):
        tries.append(session)
        if len(tries) < 3:
            raise OperationalError("", {}, Deadlock())
        session.add(row("b"))

    futures = together(writer, adds("a"), lose)
    for future in futures:
        future.result(WAIT)
    assert names(store) == ["a", "b"]
    assert len({id(session) for session in tries}) == 3

    def always(_session):
        raise OperationalError("", {}, Deadlock())

    futures = together(writer, adds("c"), always)
    for future in futures:
        with pytest.raises(WorkspaceError):
            future.result(WAIT)
    assert names(store) == ["a", "b"]


def test_the_stores_own_methods_join_the_transaction(store, writer):
    entry = AuditEntry(AT, "x", "y", "z")

    def audited(_session):
        store.audit(entry)
        raise ZeroDivisionError

    def kept(_session):
        store.audit(entry)

    bad, good = together(writer, audited, kept)
    good.result(WAIT)
    with pytest.raises(ZeroDivisionError):
        bad.result(WAIT)
    assert store.audit_trail() == (entry,)


def test_items_of_a_kind_that_share_a_commit_are_written_in_one_call(store, writer):
    calls = []

    def add(session, given):
        calls.append(list(given))
        session.add_all([row(name) for name in given])
        return [name.upper() for name in given]

    with Held(writer):
        futures = [
            writer.submit_item("a", add),
            writer.submit(adds("b")),
            writer.submit_item("c", add),
            writer.submit(adds("d")),
        ]
    assert [future.result(WAIT) for future in futures] == ["A", "b", "C", "d"]
    assert (calls, names(store)) == ([["a", "c"]], list("abcd"))


def test_an_item_that_fails_fails_alone(store, writer):
    def add(session, given):
        session.add_all([row(name) for name in given])
        session.flush()
        if "bad" in given:
            raise ZeroDivisionError
        return list(given)

    with Held(writer):
        first, bad, last = [writer.submit_item(name, add) for name in ("a", "bad", "c")]
    assert (first.result(WAIT), last.result(WAIT), names(store)) == ("a", "c", ["a", "c"])
    with pytest.raises(ZeroDivisionError):
        bad.result(WAIT)
    with pytest.raises(ZeroDivisionError):
        writer.submit_item("bad", add).result(WAIT)
    assert names(store) == ["a", "c"]
