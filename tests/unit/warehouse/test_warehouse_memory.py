"""Contacts, customer rows as of a time, and which memory columns there are."""

from datetime import UTC, date, datetime, timedelta

import duckdb
import numpy as np
import pyarrow as pa
import pytest
from test_warehouse_decisions import META, decisions

from allot import DataError, WorkspaceError
from warehouse.contacts import contacts_view
from warehouse.decisions import read_decisions, write_decisions
from warehouse.memory import MemorySpec, column_word, memory_columns, memory_features
from warehouse.rows import customer_rows

NOW = datetime(2026, 3, 1, tzinfo=UTC)
TIME = pa.timestamp("us", "UTC")
DAY = timedelta(days=1)


@pytest.fixture
def connection():
    with duckdb.connect() as opened:
        opened.execute("SET TimeZone = 'UTC'")
        yield opened


def pairs(*rows):
    customers, times = zip(*rows, strict=True)
    return pa.table({"pair_id": range(len(rows)), "customer_id": customers, "at": pa.array(times, TIME)})


def exposures(*rows):
    names = ("customer_id", "offer_id", "decided_at", "outcome", "outcome_at", "decision_id")
    kinds = (pa.string(), pa.string(), TIME, pa.int8(), TIME, pa.string())
    columns = list(zip(*rows, strict=True)) or [()] * 6
    return pa.table([pa.array(c, kind) for c, kind in zip(columns, kinds, strict=True)], names=list(names))


OFFERS = pa.table({"offer_id": ["o0", "o1", "o2"], "channel": ["mail", "push", "push"], "category": ["a", "b", None]})


def test_contacts_are_exposures_and_decisions_with_an_offer_and_a_decision_counts_once(connection, tmp_path):
    given = decisions()
    path = write_decisions(tmp_path, given, META).path
    decided = [row for row in read_decisions(path).to_pylist() if row["offer_id"] is not None]
    first, second = decided[:2]
    connection.register("offers", OFFERS)
    log = exposures(
        ("x", "o1", NOW - DAY, 1, NOW, None),
        ("x", None, NOW - DAY, 1, NOW, None),
        (first["customer_id"], first["offer_id"], NOW - 2 * DAY, 0, NOW, first["decision_id"]),
    )
    connection.register("exposures", log)
    answers = pa.table(
        {"decision_id": [second["decision_id"]], "outcome": [1], "occurred_at": pa.array([NOW + DAY], TIME)}
    )
    contacts_view(connection, [path], answers)
    found = connection.sql("FROM contacts").to_arrow_table().to_pylist()
    assert len(found) == len(decided) + 1
    by_customer = {row["customer_id"]: row for row in found}
    assert len(by_customer) == len(found)
    assert by_customer["x"] == {
        "customer_id": "x",
        "offer_id": "o1",
        "channel": "push",
        "category": "b",
        "at": NOW - DAY,
        "outcome": 1,
        "outcome_at": NOW,
    }
    assert by_customer[first["customer_id"]]["at"] == NOW - 2 * DAY
    answered = by_customer[second["customer_id"]]
    assert (answered["at"], answered["outcome"], answered["outcome_at"]) == (NOW, 1, NOW + DAY)
    assert {
        row["outcome"] for row in found if row["customer_id"] not in ("x", *(r["customer_id"] for r in decided[:2]))
    } == {None}


def test_contacts_without_exposures_or_decisions_are_none(connection):
    connection.register("offers", OFFERS.select(["offer_id"]))
    contacts_view(connection, [], None, exposures=None)
    assert connection.sql("FROM contacts").fetchall() == []
    found = memory_features(connection, pairs(("x", NOW)), MemorySpec(), events=None)
    assert found["contacts_90d"].to_pylist() == [0]
    assert found["days_since_contact"].to_pylist() == [None]


def test_exposures_may_lack_the_optional_columns(connection):
    connection.register("offers", OFFERS)
    connection.register("log", exposures(("x", "o1", NOW, 1, NOW, None)).select([0, 1, 2]))
    contacts_view(connection, [], None, exposures="log", name="some contacts")
    (row,) = connection.sql('FROM "some contacts"').to_arrow_table().to_pylist()
    assert tuple(row.values()) == ("x", "o1", "push", "b", NOW, None, None)


def test_decisions_must_say_when_they_were_made(connection, tmp_path):
    connection.register("offers", OFFERS)
    path = write_decisions(tmp_path, decisions(), {k: v for k, v in META.items() if k != "as_of"}).path
    with pytest.raises(WorkspaceError, match="when they were made"):
        contacts_view(connection, [path], None, exposures=None)


def test_training_and_serving_see_the_same_through_different_pairs(connection):
    """The row of a pair is the same among past decisions and among today's audience."""
    connection.register("offers", OFFERS)
    rng = np.random.default_rng(2)
    log = [(f"c{i % 7}", "o0", NOW - DAY * float(rng.random() * 60), int(i % 2), NOW - DAY, None) for i in range(80)]
    connection.register("exposures", exposures(*log))
    contacts_view(connection, [], None)
    spec = MemorySpec(channels=("mail",), offers=("o0", "o1"))
    training = pairs(*((row[0], row[2]) for row in log), *((f"c{i}", NOW) for i in range(7)))
    serving = pairs(*((f"c{i}", NOW) for i in range(7)))
    trained = memory_features(connection, training, spec, events=None).slice(80)
    served = memory_features(connection, serving, spec, events=None)
    assert trained.drop_columns(["pair_id"]).combine_chunks() == served.drop_columns(["pair_id"]).combine_chunks()
    assert sum(served["contacts_90d_mail"].to_pylist()) == 80
    assert sum(served["contacts_90d_offer_o0"].to_pylist()) == 80
    assert set(served["days_since_contact_offer_o1"].to_pylist()) == {None}


def test_threads_and_the_order_of_rows_change_no_bit(connection):
    rng = np.random.default_rng(5)
    n = 20_000
    events = pa.table(
        {
            "customer_id": rng.choice([f"c{i}" for i in range(50)], n),
            "at": pa.array([NOW - DAY * float(d) for d in rng.random(n) * 300], TIME),
            "category": rng.choice(["a", "b"], n),
            "amount": rng.normal(size=n) * 1e3,
        }
    )
    wanted = pairs(*((f"c{i}", NOW) for i in range(50)))
    spec = MemorySpec(categories=("a", "b"))
    found = []
    for threads in (1, 2, 2):
        connection.execute(f"SET threads = {threads}")
        connection.register("source", events.take(rng.permutation(n)))
        connection.execute("CREATE OR REPLACE TABLE events AS FROM source")
        found.append(memory_features(connection, wanted, spec, contacts=None))
    assert found[0] == found[1] == found[2]


def test_columns_exist_only_where_there_is_something_to_remember(connection):
    spec = MemorySpec(channels=("E-Mail", "e mail", "Post"), categories=("Größe XL",))
    assert memory_columns(spec, contacts=False, events=False) == ()
    contacts = memory_columns(spec, contacts=True, events=False)
    assert "contacts_30d_e_mail" in contacts
    assert "contacts_90d_category_größe_xl" in contacts
    assert "days_since_event" not in contacts
    both = memory_columns(spec, contacts=True, events=True)
    assert len(both) == len(set(both)) <= 30
    assert memory_features(connection, pairs(("x", NOW)), spec, contacts=None, events=None).column_names == ["pair_id"]
    with pytest.raises(DataError, match="contacts_90d_category_a"):
        memory_columns(MemorySpec(channels=("category a",), categories=("a",)), contacts=True, events=False)
    assert [column_word(text) for text in ("  SMS!", "---", "a__b")] == ["sms", "unnamed", "a_b"]


def test_rows_are_of_the_version_valid_at_the_time(connection):
    connection.register(
        "customers",
        pa.table(
            {
                "customer_id": ["x", "x", "x", "y"],
                "valid_from": pa.array([NOW, None, NOW + DAY, NOW + DAY], TIME),
                "plan": ["b", "a", "c", "y"],
            }
        ),
    )
    second = timedelta(seconds=1)
    moments = [("x", NOW - second), ("x", NOW), ("x", NOW + DAY - second), ("x", NOW + DAY), ("y", NOW), ("z", NOW)]
    found = customer_rows(connection, pairs(*moments))
    assert found.to_pydict() == {"pair_id": list(range(6)), "plan": ["a", "b", "b", "c", None, None]}


def test_dates_become_days_up_to_the_pair(connection):
    connection.register(
        "customers",
        pa.table(
            {
                "customer_id": ["x", "y"],
                "since": [date(2026, 2, 1), None],
                "ends": pa.array([NOW + 1.5 * DAY, NOW], pa.timestamp("ns", "UTC")),
                "age": [41, 17],
            }
        ),
    )
    found = customer_rows(connection, pairs(("y", NOW), ("x", NOW), ("x", NOW + DAY)))
    assert found.to_pydict() == {
        "pair_id": [0, 1, 2],
        "days_since_since": [None, 28.0, 29.0],
        "days_since_ends": [0.0, -1.5, -0.5],
        "age": [17, 41, 41],
    }


@pytest.mark.parametrize("versions", [False, True])
def test_columns_asked_for_are_the_same_as_among_all(connection, versions):
    people = pa.table(
        {
            "customer_id": ["x", "y", "z"],
            "since": [date(2026, 2, 1), None, date(2026, 1, 1)],
            'a "b"': [1, 2, 3],
            "age": [41, 17, None],
        }
    )
    if versions:
        people = people.append_column("valid_from", pa.array([NOW] * 3, TIME))
    connection.register("customers", people)
    asked = pairs(("z", NOW), ("x", NOW), ("y", NOW), ("x", NOW - DAY))
    every = customer_rows(connection, asked)
    some = customer_rows(connection, asked, only=('a "b"', "days_since_since", "vanished"))
    assert some.equals(every.select(["pair_id", "days_since_since", 'a "b"']))
    assert customer_rows(connection, asked, only=()).equals(every.select(["pair_id"]))


def test_broken_pairs_and_customers_are_refused(connection):
    connection.register("customers", pa.table({"customer_id": ["x", "x"], "age": [1, 2]}))
    with pytest.raises(DataError, match="several rows"):
        customer_rows(connection, pairs(("x", NOW)))
    twice = pairs(("x", NOW), ("x", NOW)).set_column(0, "pair_id", pa.array([4, 4]))
    with pytest.raises(DataError, match="pair 4 repeats"):
        customer_rows(connection, twice)
    with pytest.raises(DataError, match="no time"):
        customer_rows(connection, pairs(("x", None)))
    connection.register("named", pa.table({"customer_id": ["x"], "pair_id": [2]}))
    with pytest.raises(DataError, match="reserved"):
        customer_rows(connection, pairs(("x", NOW)), customers="named")
