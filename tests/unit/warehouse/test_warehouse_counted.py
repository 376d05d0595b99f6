"""Counting the log goes on where it ended, and says the same as counting all of it."""

import random
import shutil
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from warehouse import Counted, StoredAllocation, decision_outcomes, feedback_items, outcomes, take_feedback
from warehouse.dead_letters import retry, sweep

NOW = datetime(2026, 3, 1, tzinfo=UTC)
WAYS = ("latest", "first", "sum", "max")
NUMBERS = range(12)


@pytest.fixture
def counted(database, monkeypatch):
    """Lines that are kept however few events they save."""
    monkeypatch.setattr("warehouse.counted._WORTH", 1)
    monkeypatch.setattr("warehouse.counted._SHARE", 1_000)
    made = Counted(database)
    yield made
    made.close()


@pytest.fixture
def ids(store):
    """Ids of decisions in allocations whose campaigns count events in every way."""
    for way in WAYS:
        store.put_campaign(way, {"feedback": {"aggregation": way}}, digest="d", at=NOW)
        store.put_allocation(StoredAllocation(f"alloc-{way}", way, "d", "released", NOW, {}, {}, NOW))
    return [f"alloc-{way}-{number:016x}" for way in WAYS for number in NUMBERS]


@pytest.fixture
def read(monkeypatch):
    """How many events were read from the log, call by call."""
    lengths = []
    events = decision_outcomes._events

    def counting(*args):
        for part in events(*args):
            lengths.append(part.num_rows)
            yield part

    monkeypatch.setattr(decision_outcomes, "_events", counting)
    return lengths


def take(store, ids, numbers, *, known=set, at=NOW, seed=0):
    """Events of some numbers about decisions drawn at random."""
    draw = random.Random(f"{seed} {numbers}")
    said = [
        {
            "event_id": f"e{number:04}",
            "decision_id": draw.choice(ids),
            "outcome": draw.randrange(2),
            "reward": draw.randrange(-5, 9) / 4,
            "occurred_at": (at - timedelta(days=draw.randrange(4))).isoformat(),
        }
        for number in numbers
    ]
    return take_feedback(store, feedback_items(said), known, received_at=at)


def all_but(hidden):
    """Decisions that are known: those of some ids that are not hidden."""
    return lambda some: dict.fromkeys(set(some) - hidden, 0)


def test_it_goes_on_where_it_ended(store, counted, ids, read):
    for start in range(0, 500, 100):
        take(store, ids, range(start, start + 100))
        read.clear()
        found = outcomes(store, counted=counted)
        went_on = sum(read)
        assert found.equals(outcomes(store))
        assert went_on == min(200, start + 100)  # those that came since the reading before the last
    assert counted.events == 400


SEEDS = [*range(2), *(pytest.param(seed, marks=pytest.mark.soak) for seed in range(2, 12))]


@pytest.mark.parametrize("seed", SEEDS)
def test_it_says_the_same_as_counting_all_whatever_happens_to_the_log(store, counted, ids, seed):
    draw, hidden, number, now = random.Random(seed), set(ids[::3]), 0, NOW
    for _ in range(25):
        now += timedelta(hours=draw.randrange(1, 9))
        happens = draw.choice(["take", "take", "take", "join", "expire", "retry", "future"])
        if happens in ("take", "future"):
            size = draw.randrange(1, 40)
            at = now + timedelta(days=30) if happens == "future" else now
            take(store, ids, range(number, number + size), known=all_but(hidden), at=at, seed=seed)
            number += size
        elif happens == "join":
            hidden -= set(draw.sample(sorted(hidden), min(4, len(hidden))))
            sweep(store, all_but(hidden), now=now, patience=timedelta(days=99))
        elif happens == "expire":
            sweep(store, lambda _: {}, now=now, patience=timedelta(hours=draw.randrange(20)))
        else:
            retry(store, None, now=now)
        up_to = draw.choice([now, now, now, now - timedelta(days=2), None])
        assert outcomes(store, up_to=up_to, counted=counted).equals(outcomes(store, up_to=up_to)), happens
    assert counted.events > 0


def test_an_event_that_is_committed_after_its_place_was_counted_is_counted_too(store, counted, ids):
    """Another process's transaction: it was given an early number, and ends late."""
    take(store, ids, range(50))
    with store.transaction() as session:  # the number after all
        session.execute(text("UPDATE feedback_event SET sequence = sequence + 1000 WHERE sequence > 25"))
    for _ in range(3):
        before = outcomes(store, counted=counted)
    assert counted.events == 50
    with store.transaction() as session:
        copy = "sequence, event_id, decision_id, outcome, reward_micros, occurred_at, received_at, digest, status"
        given = copy.replace("sequence", "26").replace("event_id", "'late'").replace("reward_micros", "77000000")
        session.execute(
            text(
                f"INSERT INTO feedback_event ({copy}, reason, decision_key) "
                f"SELECT {given}, reason, decision_key FROM feedback_event WHERE event_id = 'e0003'"
            )
        )
    after = outcomes(store, counted=counted)
    assert after.equals(outcomes(store))
    assert not after.equals(before)


def test_as_many_events_of_an_earlier_time_are_not_the_same_events(store, counted, ids):
    """One that is left out now, and one that has joined since: as many as before, and others."""
    take(store, ids[:1], range(1), at=NOW + timedelta(days=9))
    take(store, ids[1:2], range(1, 2), known=all_but({ids[1]}))
    take(store, ids[2:], range(2, 50), known=all_but({ids[1]}))
    for _ in range(2):
        outcomes(store, counted=counted)
    sweep(store, all_but(set()), now=NOW, patience=timedelta(days=99))
    assert counted.events == 49
    up_to = NOW + timedelta(days=1)
    assert outcomes(store, up_to=up_to, counted=counted).equals(outcomes(store, up_to=up_to))


def test_what_was_known_at_a_time_is_never_taken_from_what_was_counted_before(store, counted):
    with pytest.raises(ValueError, match="known at a time"):
        outcomes(store, received_until=NOW, counted=counted)


@pytest.mark.parametrize("harm", ["gone", "cut", "garbage"])
def test_a_file_that_is_lost_or_damaged_is_made_anew(store, counted, ids, harm, read):
    for start in (0, 50):
        take(store, ids, range(start, start + 50))
        outcomes(store, counted=counted)
    assert counted.events == 50
    (file,) = counted._folder.iterdir()
    if harm == "gone":
        file.unlink()
    else:
        file.write_bytes(file.read_bytes()[:90] if harm == "cut" else b"no lines in here")
    read.clear()
    assert outcomes(store, counted=counted).equals(outcomes(store))
    assert counted.events == 100
    assert read[:2] == [100, 100]  # all by the one, then by the other


def test_without_a_place_for_its_file_it_counts_all(store, counted, ids, database):
    database.spills.rmdir()
    database.spills.write_text("no folder")
    for start in (0, 50):
        take(store, ids, range(start, start + 50))
        assert outcomes(store, counted=counted).equals(outcomes(store))
    assert counted.events == 0


def test_a_log_that_was_put_back_and_filled_up_with_others_is_counted_anew(store, counted, ids):
    for _ in range(2):
        take(store, ids, range(100))
        outcomes(store, counted=counted)
    assert counted.events == 100
    with store.transaction() as session:
        session.execute(text("DELETE FROM feedback_event WHERE sequence > 60"))
    take(store, ids, range(200, 280), seed=1)
    with store.transaction() as session:  # in the places of the others, as after the restoration of a backup
        [(first,)] = session.execute(text("SELECT min(sequence) FROM feedback_event WHERE event_id >= 'e0200'"))
        session.execute(text(f"UPDATE feedback_event SET sequence = sequence - {first - 61} WHERE sequence >= {first}"))
    assert outcomes(store, counted=counted).equals(outcomes(store))


def test_a_full_disk_keeps_nothing_of_the_file_and_a_folder_that_is_gone_is_made_anew(
    store, counted, ids, database, monkeypatch
):
    take(store, ids, range(100))
    outcomes(store, counted=counted)
    whole = Counted._written

    def half(self, connection):
        whole(self, connection)
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as full:
        full.setattr(Counted, "_written", half)
        assert outcomes(store, counted=counted).equals(outcomes(store))
    assert (counted.events, list(database.spills.iterdir())) == (0, [])
    outcomes(store, counted=counted)
    assert counted.events == 100
    shutil.rmtree(counted._folder)
    for _ in range(2):
        assert outcomes(store, counted=counted).equals(outcomes(store))
    assert counted.events == 100


def test_its_file_outlives_the_sweeping_of_scratch_and_goes_with_it(store, counted, ids, database):
    for _ in range(2):
        take(store, ids, range(50))
        outcomes(store, counted=counted)
    with database.lock():  # sweeps what nobody claims
        pass
    assert len(list(database.spills.iterdir())) == 1
    counted.close()
    assert list(database.spills.iterdir()) == []
