"""Which decisions exist: found in files once, then in memory, whatever the ids look like."""

from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pytest

from warehouse import Decisions, KnownDecisions, StoredAllocation, decision_ids, write_decisions
from warehouse.columns import micros
from warehouse.known_decisions import source_of

AT = datetime(2026, 3, 1, tzinfo=UTC)


def decisions(key):
    n = len(key)
    wide = np.zeros((n, 1))
    return Decisions(
        customer_id=pa.array([f"c{k}" for k in key]),
        key=key,
        choice=np.full(n, -1),
        held_out=np.zeros(n, bool),
        cell=np.zeros(n, int),
        propensity=np.ones(n),
        value=np.zeros(n),
        cost=np.zeros(n),
        probability=np.ones((n, 2)) / 2,
        mean=wide,
        sd=wide,
        values=wide,
        costs=wide,
        eligible=wide == 0,
    )


class Shop:
    def __init__(self, workspace, store):
        self.workspace, self.store = workspace, store
        self.store.put_campaign("spring", {}, digest="d", at=AT)

    def decide(self, allocation_id, keys):
        folder = self.workspace.decisions / allocation_id
        folder.mkdir(parents=True)
        key = np.array(sorted(keys), np.uint64)
        meta = {"allocation_id": allocation_id, "offer_ids": ["a"], "as_of": AT.isoformat()}
        path = write_decisions(folder, decisions(key), meta).path.relative_to(self.workspace.root)
        self.store.put_allocation(
            StoredAllocation(allocation_id, "spring", "d", "released", AT, {}, {}, AT, decisions_path=str(path))
        )
        return decision_ids(allocation_id, key).to_pylist()


@pytest.fixture
def shop(database, store):
    return Shop(database, store)


def test_only_ids_that_exist_are_found_with_the_time_of_their_decision(shop):
    ids = [name for a in ("A-1", "A-1-2", "B") for name in shop.decide(a, [0, 255, 2**64 - 1])]
    strangers = [
        "A-1-0000000000000001",
        "nobody",
        "",
        "-",
        "A-1-00000000000000FF",
        "A-1- 00000000000000f",
        "C" + ids[0],
    ]
    strangers += ["A-1-+0000000000000ff", "A-1-0_000000000000ff", "A-1-" + "٣" * 16]
    known = KnownDecisions(shop.workspace, shop.store)
    assert known([*ids, *strangers]) == dict.fromkeys(ids, micros(AT))
    assert known(strangers) == {}
    assert known([]) == {}


def test_files_are_read_once(shop):
    ids = shop.decide("A", range(10))
    known = KnownDecisions(shop.workspace, shop.store)
    assert known.missing(ids) == {"A"}
    assert known.known(ids) == {}
    known.load({"A", "unknown"})
    assert known.missing(ids) == set()
    (shop.workspace.decisions / "A" / "decisions.parquet").unlink()
    assert set(known(ids)) == set(ids)


def test_an_allocation_that_comes_later_is_found_then(shop):
    known = KnownDecisions(shop.workspace, shop.store)
    assert known(["A-0000000000000007"]) == {}
    (name,) = shop.decide("A", [7])
    assert known([name]) == {"A-0000000000000007": micros(AT)}


def test_memory_is_bounded_and_what_was_dropped_is_read_again(shop):
    ids = {a: shop.decide(a, range(100)) for a in "ABC"}
    known = KnownDecisions(shop.workspace, shop.store, most_bytes=1_600)
    for a in "ABAC":
        known(ids[a])
    assert known.missing([ids["B"][0]]) == {"B"}, "the one that was used longest ago"
    assert not known.missing([ids["A"][0], ids["C"][0]])
    assert len(known(ids["B"])) == 100
    assert len(KnownDecisions(shop.workspace, shop.store, most_bytes=0)(ids["A"])) == 100


@pytest.mark.parametrize(
    ("decision_id", "source"),
    [("alloc-1-0123456789abcdef", "alloc-1"), ("0123456789abcdef", ""), ("-0123456789abcdef", ""), ("x", ""), ("", "")],
)
def test_a_decisions_id_names_its_allocation(decision_id, source):
    assert source_of(decision_id) == source
