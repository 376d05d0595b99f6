"""The power goes at any moment: what was acknowledged is there, what was not is there whole or not at all."""

import random
import threading
from datetime import UTC, datetime

import pytest
from power_cuts import cuts, recording, restore

import warehouse.fresh
from warehouse import Store, StoredModel, feedback_items, make_database, take_feedback
from warehouse.database import in_file

NOW = datetime(2026, 3, 1, tzinfo=UTC)
BATCH = 5
BLOB = 60_000
CHECKPOINT_PAGES = 500  # few, so that a short run has several checkpoints


def events(name):
    at = "2026-02-01T00:00:00Z"
    ids = (f"{name}.{i}" for i in range(BATCH))
    return [{"event_id": i, "decision_id": f"A-{i}", "outcome": 1, "reward": 1, "occurred_at": at} for i in ids]


def blob(name):
    return random.Random(name).randbytes(BLOB)


def with_pragmas(monkeypatch, *pragmas):
    """Every connection says these after what it always says."""
    settle = warehouse.fresh.settle

    def more(connection):
        settle(connection)
        for pragma in pragmas:
            connection.execute(f"PRAGMA {pragma}")

    monkeypatch.setattr("warehouse.database.settle", more)


@pytest.fixture(autouse=True)
def many_checkpoints(monkeypatch):
    with_pragmas(monkeypatch, f"wal_autocheckpoint={CHECKPOINT_PAGES}")


def record(path, rounds):
    """Three threads write feedback and one writes models, each saying so when a commit is done."""
    make_database(path)
    before = {str(path): path.read_bytes()}
    with recording() as trace:
        store = Store.open(in_file(path))

        def feed(thread):
            for n in range(rounds):
                name = f"e{thread}-{n}"
                take_feedback(store, feedback_items(events(name)), set, received_at=NOW)
                trace.say(("events", name))

        def train(_):
            for n in range(rounds):
                name = f"q{n}"
                store.put_model(StoredModel("posterior", name, NOW, blob=blob(name)))
                trace.say(("model", name))

        threads = [threading.Thread(target=work, args=(i,)) for i, work in enumerate((feed, feed, feed, train))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    return trace, before, store


def broken(folder, files, said):
    """Every promise that the files left by a cut do not keep."""
    folder.mkdir()
    restore(folder, files)
    found = []
    with Store.open(in_file(folder / "allot.db")) as store:
        with store.transaction(write=False) as session:
            ask = session.connection().exec_driver_sql
            checked = ask("PRAGMA integrity_check").scalars().all()
            found += [f"damaged: {line}" for line in checked if line != "ok"]
            kept = ask("SELECT event_id, status FROM feedback_event").all()
            models = dict(ask("SELECT model_id, blob FROM model").all())
            current = ask("SELECT model_id FROM model WHERE is_current").scalars().all()
        batches = {}
        for event_id, status in kept:
            batches.setdefault(event_id.rpartition(".")[0], []).append(status)
        found += [f"half a batch: {name}" for name, held in batches.items() if held != ["accepted"] * BATCH]
        found += [f"lost: {name}" for kind, name in said if kind == "events" and name not in batches]
        found += [f"lost: {name}" for kind, name in said if kind == "model" and name not in models]
        found += [f"another blob: {name}" for name, held in models.items() if held != blob(name)]
        found += [f"current: {current}"] * (len(current) != (1 if models else 0))
    return found


def promises_broken(tmp_path, *, rounds, moments, seed):
    """What each of some power cuts broke, and what was recorded."""
    trace, before, store = record(tmp_path / "allot.db", rounds)
    draw = random.Random(seed)
    after_an_answer = [i + 1 for i, event in enumerate(trace.events) if event[0] == "said"]
    chosen = draw.sample(after_an_answer, moments // 2) + draw.choices(
        range(len(trace.events)), k=moments - moments // 2
    )
    seen = []
    for n, (files, said) in enumerate(cuts(trace, before, sorted(chosen), draw)):
        seen.append(broken(tmp_path / f"cut{n}", files, said))
    store.close()
    return seen, trace


def test_a_power_cut_loses_nothing_that_was_acknowledged(tmp_path):
    seen, trace = promises_broken(tmp_path, rounds=40, moments=20, seed=1)
    assert [found for found in seen if found] == []
    synced = {path for kind, path, *_ in trace.events if kind == "sync"}
    assert {path.rpartition("allot.db")[2] for path in synced} == {"", "-wal"}, "the log was never checkpointed"


def test_with_weaker_syncs_the_same_cuts_lose_acknowledged_events(tmp_path, monkeypatch):
    with_pragmas(monkeypatch, "synchronous=NORMAL", f"wal_autocheckpoint={CHECKPOINT_PAGES}")
    seen, _ = promises_broken(tmp_path, rounds=40, moments=20, seed=1)
    assert sum(any(line.startswith("lost") for line in found) for found in seen) >= 5
    assert not any(line.startswith(("damaged", "half")) for found in seen for line in found)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(6))
def test_fifty_power_cuts_in_a_longer_run_lose_nothing(tmp_path, seed, record_property):
    seen, trace = promises_broken(tmp_path, rounds=150, moments=50, seed=seed)
    said = sum(kind == "said" for kind, *_ in trace.events)
    broken_ones = sum(map(bool, seen))
    record_property(
        f"power cuts, seed {seed}",
        f"{len(seen)} cuts in {len(trace.events):,} writes and syncs with {said} acknowledged commits, "
        f"{broken_ones} of them lost or damaged anything",
    )
    assert (len(seen), broken_ones) == (50, 0)
