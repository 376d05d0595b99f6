"""The order in which feedback arrives, its batches, its repeats and how much is counted at once change no outcome."""

import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from unittest.mock import patch

from hypothesis import given, settings
from hypothesis import strategies as st

from warehouse import Store, decision_outcomes, feedback_items, outcomes, take_feedback
from warehouse.database import in_file

NOW = datetime(2026, 3, 1, tzinfo=UTC)
EVENTS = st.lists(
    st.tuples(st.integers(0, 3), st.integers(0, 1), st.sampled_from([0.0, 1.25, -3.0]), st.integers(0, 3)),
    min_size=1,
    max_size=8,
)


def records(events):
    return [
        {
            "event_id": f"e{i}",
            "decision_id": f"A-{decision}",
            "outcome": outcome,
            "reward": reward,
            "occurred_at": (NOW - timedelta(days=day)).isoformat(),
        }
        for i, (decision, outcome, reward, day) in enumerate(events)
    ]


def by_hand(events):
    """The latest event of each decision; ties by event id."""
    latest = {}
    for record in records(events):
        rank = (record["occurred_at"], record["event_id"])
        if record["decision_id"] not in latest or rank > latest[record["decision_id"]][0]:
            latest[record["decision_id"]] = (rank, record)
    return [(name, r["outcome"], r["reward"]) for name, (_, r) in sorted(latest.items())]


def arrive(sent, late, size):
    """Take records one batch at a time; decisions named in `late` become known only at the last batch; so many events
    are counted at a time."""
    with tempfile.TemporaryDirectory() as folder, Store.open(in_file(Path(folder) / "allot.db"), create=True) as store:
        for hour, batch in enumerate(sent):
            last = hour == len(sent) - 1
            take_feedback(
                store,
                feedback_items(batch),
                lambda ids, last=last: {i for i in ids if last or i not in late},
                received_at=NOW + timedelta(hours=hour),
            )
        with patch.multiple(decision_outcomes, _AT_ONCE=size, _COUNTED=size, _EVENTS_A_LINE=0):
            found = outcomes(store)
    return list(zip(*(found[c].to_pylist() for c in ("decision_id", "outcome", "reward")), strict=True))


@settings(max_examples=25, deadline=None)
@given(EVENTS, st.data())
def test_order_of_arrival_batches_and_repeats_do_not_change_outcomes(events, data):
    sent = records(events)
    shuffled = data.draw(st.permutations(sent)) + data.draw(st.lists(st.sampled_from(sent), max_size=3))
    cut = data.draw(st.integers(0, len(shuffled)))
    late = data.draw(st.sets(st.sampled_from([f"A-{i}" for i in range(4)])))
    size = data.draw(st.integers(1, 8))
    assert arrive([shuffled[:cut], shuffled[cut:]], late, size) == by_hand(events)
