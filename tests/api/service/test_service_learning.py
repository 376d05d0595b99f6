"""The worker learns when there is something new, and only then; waiting feedback finds its decision by itself."""

from datetime import UTC, datetime, timedelta

import pytest

from allot import LockedError
from api.service.learning import Joining, Learning
from api.service.worker import LANES
from warehouse import Workspace, feedback_items, open_store, outcomes, read_decisions, take_feedback

NOW = datetime(2026, 4, 20, 12, 10, tzinfo=UTC)
SOON = timedelta(minutes=5)


@pytest.fixture
def house(home):
    workspace = Workspace.open(home)
    (path,) = home.glob("decisions/*/decisions.parquet")
    ids = read_decisions(path, ["decision_id"])["decision_id"].to_pylist()
    with open_store(workspace) as store:
        yield workspace, store, ids


def events(ids, stem="e"):
    at = "2026-04-02T00:00:00Z"
    return feedback_items(
        {"event_id": f"{stem}{i}", "decision_id": name, "outcome": i % 2, "reward": 1.0, "occurred_at": at}
        for i, name in enumerate(ids)
    )


learn_once = Learning()


def test_it_learns_when_feedback_came_and_then_rests(house):
    workspace, store, ids = house
    first = learn_once(workspace, store, NOW)
    assert first is not None
    assert learn_once(workspace, store, NOW + SOON) is None
    take_feedback(store, events(ids[:50]), set, received_at=NOW)
    learnt = learn_once(workspace, store, NOW + SOON)
    assert 40 < learnt["folded"] <= 50
    assert learnt["posterior"] == store.current("posterior").model_id != first["posterior"]
    assert learn_once(workspace, store, NOW + 2 * SOON) is None
    take_feedback(store, events(ids[:50]), set, received_at=NOW)
    assert learn_once(workspace, store, NOW + 3 * SOON) is None, "repeats are nothing new"


def test_time_alone_is_something_new_once_an_hour(house):
    workspace, store, _ = house
    learn_once(workspace, store, NOW)
    assert learn_once(workspace, store, NOW + timedelta(minutes=49)) is None
    assert learn_once(workspace, store, NOW + timedelta(minutes=51)) is not None


def test_what_comes_in_while_it_learns_is_learnt_next(house, monkeypatch):
    workspace, store, ids = house
    import engine.learn as learning

    whole = learning.learn

    def slow(*args, **kwargs):
        done = whole(*args, **kwargs)
        take_feedback(store, events(ids[:5]), set, received_at=NOW)
        return done

    monkeypatch.setattr(learning, "learn", slow)
    learn_once(workspace, store, NOW)
    monkeypatch.undo()
    assert learn_once(workspace, store, NOW + SOON)["folded"] > 0


def test_it_gives_way_to_a_command_and_is_due_afterwards(house):
    workspace, store, ids = house
    take_feedback(store, events(ids[:5]), set, received_at=NOW)
    with workspace.lock(), pytest.raises(LockedError):
        learn_once(workspace, store, NOW)
    assert learn_once(workspace, store, NOW)["folded"] > 0


def test_after_a_long_fold_it_waits_as_long_as_that_took(house):
    from warehouse.learning_marks import LearningMark, put_learning_mark

    workspace, store, _ = house
    put_learning_mark(store, LearningMark({}, NOW, 30.0))
    assert learn_once(workspace, store, NOW + timedelta(seconds=29)) is None
    assert learn_once(workspace, store, NOW + timedelta(seconds=31)) is not None


def test_without_a_model_there_is_nothing_to_learn(database, store):
    assert learn_once(database, store, NOW) is None


def test_waiting_feedback_joins_or_dies_by_itself(house, monkeypatch):
    workspace, store, ids = house
    joining = Joining()
    assert joining(workspace, store, NOW) is None
    take_feedback(store, events([ids[0], "nobody"]), lambda _: set(), received_at=NOW)
    assert joining(workspace, store, NOW + SOON) == {"joined": 1, "dead": 0}
    assert outcomes(store)["decision_id"].to_pylist() == [ids[0]]
    assert joining(workspace, store, NOW + 2 * SOON) is None
    monkeypatch.setenv("ALLOT_FEEDBACK_HOURS", "0.5")
    assert joining(workspace, store, NOW + timedelta(minutes=29)) is None
    assert joining(workspace, store, NOW + timedelta(minutes=31)) == {"joined": 0, "dead": 1}


def test_the_worker_does_both():
    _, chores = LANES["learning"]
    assert {each.name for each in chores} == {"joining", "learning"}
    assert max(each.seconds for each in chores) <= 5
