"""Outcomes free what decisions do not spend, and take it again where they are corrected."""

from datetime import UTC, datetime, timedelta

import pytest

import warehouse.settling
from warehouse import Ledger, StoredAllocation, feedback_items, feedback_log, open_store, outcomes, take_feedback
from warehouse.columns import micros
from warehouse.feedback import Batch, rejoin, write_feedback
from warehouse.settling import Settling
from warehouse.single_tables import SingleRow

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
DUE = NOW + timedelta(days=7)


@pytest.fixture
def ledger(store):
    ledger = Ledger(store, worker="web-1", clock=lambda: NOW)
    ledger.open("spring", {"budget": 10_000, "letters": 10_000})
    return ledger


def hold(ledger, *decisions, due=DUE):
    with ledger.store.transaction() as session:
        for decision in decisions:
            ledger.room(session, "spring", {"budget": 100, "letters": 10})
            amounts, sure = {"budget": 100, "letters": 10}, {"budget": 30, "letters": 10}
            ledger.hold(session, "spring", decision, amounts, sure=sure, due=due)


def say(store, *said, first=0):
    """(decision, outcome) each, later ones later."""
    for i, (decision, outcome) in enumerate(said, first):
        at = (NOW + timedelta(minutes=i)).isoformat()
        event = {"event_id": f"e{i}", "decision_id": decision, "outcome": outcome, "reward": 0.0, "occurred_at": at}
        receipt = take_feedback(store, feedback_items([event]), set, received_at=NOW + timedelta(days=1))
        assert receipt.accepted + receipt.corrected == 1


def spent(ledger):
    assert all(x.right for x in ledger.recount("spring"))
    return {b.limit: (b.spent, b.held - b.lent) for b in ledger.balances("spring")}


def test_a_success_spends_all_a_failure_what_is_sure_and_others_go_on_holding(ledger, store):
    hold(ledger, "a", "b", "c")
    say(store, ("a", 1), ("b", 0))
    settling = Settling(store)
    assert settling.turn(NOW).decisions == 2
    assert spent(ledger) == {"budget": (130, 100), "letters": (20, 10)}
    assert settling.turn(NOW) is None


def test_silence_is_a_failure_when_it_is_due(ledger, store):
    hold(ledger, "a")
    settling = Settling(store)
    assert settling.turn(DUE - timedelta(minutes=2)).decisions == 0
    assert settling.turn(DUE).decisions == 1
    assert spent(ledger) == {"budget": (30, 0), "letters": (10, 0)}


def test_a_correction_before_it_is_due_settles_again(ledger, store):
    hold(ledger, "a", "b")
    say(store, ("a", 0), ("b", 1))
    settling = Settling(store)
    settling.turn(NOW)
    assert spent(ledger)["budget"] == (130, 0)
    say(store, ("a", 1), ("b", 0), first=2)
    assert settling.turn(NOW).decisions == 2
    assert spent(ledger)["budget"] == (130, 0)
    say(store, ("b", 1), first=4)
    assert settling.turn(NOW).decisions == 1
    assert spent(ledger)["budget"] == (200, 0)


@pytest.mark.parametrize(("aggregation", "left"), [("latest", 30), ("first", 100), ("sum", 100), ("max", 100)])
def test_the_event_that_counts_in_learning_is_the_one_that_spends(ledger, store, aggregation, left):
    store.put_campaign("spring", {"feedback": {"aggregation": aggregation}}, digest="d", at=NOW)
    store.put_allocation(StoredAllocation("alloc-1", "spring", "d", "released", NOW, {}, {}, NOW))
    with store.transaction() as session:
        facts = {"campaign": "spring", "release_id": "alloc-1", "customer_id": "c", "customer_key": 1}
        made = {"decided_at": NOW, "digest": "d", "prior": "p", "posterior": "q", "answer": {}, "numbers": b""}
        session.add(SingleRow(decision_id="a", **facts, **made))
    hold(ledger, "a")
    say(store, ("a", 1), ("a", 0))
    Settling(store).turn(NOW)
    assert outcomes(store)["outcome"].to_pylist() == [int(left == 100)]
    assert spent(ledger)["budget"] == (left, 0)


def unfunded(ledger):
    assert all(x.right for x in ledger.recount("spring"))
    return {b.limit: b.unfunded for b in ledger.balances("spring")}


def test_what_was_freed_and_taken_since_stands_beside_the_account(ledger, store):
    hold(ledger, "a")
    say(store, ("a", 0))
    settling = Settling(store)
    settling.turn(NOW)
    ledger.open("spring", {"budget": 50})
    say(store, ("a", 1), first=1)
    assert settling.turn(NOW).short == {"budget": 50}
    assert (spent(ledger)["budget"], unfunded(ledger)) == ((50, 0), {"budget": 50, "letters": 0})


def test_a_success_after_it_was_due_is_spent_once_and_a_correction_frees_it_again(ledger, store):
    hold(ledger, "a", "b")
    settling, later = Settling(store), DUE + timedelta(days=3)
    settling.turn(later)
    assert spent(ledger)["budget"] == (60, 0)
    say(store, ("a", 1))
    assert settling.turn(later).decisions == 1
    assert spent(ledger)["budget"] == (130, 0)
    say(store, ("b", 0), first=1)
    assert settling.turn(later).decisions == 0
    assert Settling(store).turn(later).decisions == 0  # nor does a worker that begins anew
    say(store, ("a", 0), first=2)
    assert settling.turn(later + timedelta(days=400)).decisions == 1
    assert (spent(ledger), unfunded(ledger)) == ({"budget": (60, 0), "letters": (20, 0)}, {"budget": 0, "letters": 0})


def test_what_came_too_late_for_the_budget_goes_before_everything_else_that_is_freed(ledger, store):
    settling, later = Settling(store), DUE + timedelta(days=1)
    hold(ledger, "a")
    settling.turn(later)
    ledger.open("spring", {"budget": 130})  # 30 of them are spent
    hold(ledger, "b", due=later + timedelta(days=1))
    say(store, ("a", 1))
    assert settling.turn(later).short == {"budget": 70}
    assert (spent(ledger)["budget"], unfunded(ledger)["budget"]) == ((30, 100), 70)
    assert settling.turn(later + timedelta(minutes=2)).decisions == 0
    say(store, ("b", 0), first=1)  # frees 70
    with store.transaction() as session:
        assert ledger.room(session, "spring", {"budget": 1})["budget"] == 0
    settling.turn(later + timedelta(minutes=4))
    with store.transaction() as session:
        assert ledger.room(session, "spring", {"budget": 1})["budget"] == 0
    settling.turn(later + timedelta(minutes=6))
    assert (spent(ledger)["budget"], unfunded(ledger)["budget"]) == ((130, 0), 0)


def test_what_workers_were_lent_and_do_not_use_pays_for_what_came_late(ledger, store):
    hold(ledger, "a")
    later = DUE + timedelta(days=1)
    Settling(store).turn(later)
    ledger.open("spring", {"budget": 130})
    with store.transaction() as session:
        assert ledger.room(session, "spring", {"budget": 100})["budget"] == 100
    say(store, ("a", 1))
    assert Settling(store).turn(later).short == {}
    assert (spent(ledger)["budget"], unfunded(ledger)["budget"]) == ((100, 0), 0)
    with store.transaction() as session:
        assert ledger.room(session, "spring", {"budget": 30})["budget"] == 30


def test_an_event_that_found_its_decision_after_later_ones_were_read_is_posted_within_a_day(ledger, store):
    hold(ledger, "a")
    settling, later = Settling(store), DUE + timedelta(days=1)
    at = NOW.isoformat()
    event = {"event_id": "slow", "decision_id": "a", "outcome": 1, "reward": 0.0, "occurred_at": at}
    take_feedback(store, feedback_items([event]), lambda _: (), received_at=later)
    settling.turn(later)
    rejoin(store, set, now=later)
    settling.turn(later)
    assert spent(ledger)["budget"] == (30, 0)
    settling.turn(later + timedelta(days=1))
    assert spent(ledger)["budget"] == (100, 0)


def test_many_are_settled_a_page_at_a_time_whatever_is_due_at_one_moment(ledger, store, monkeypatch):
    monkeypatch.setattr(warehouse.settling, "_AT_ONCE", 3)
    names = [f"d{i}" for i in range(11)]
    hold(ledger, *names)
    say(store, *((name, 0) for name in names))
    settling = Settling(store)
    assert [settling.turn(NOW).decisions for _ in range(4)] == [3, 3, 3, 2]
    assert spent(ledger)["budget"] == (330, 0)


def test_batches_are_no_affair_of_outcomes(ledger, store):
    with store.transaction() as session:
        ledger.set_aside(session, "spring", "alloc-1", {"budget": 5_000})
    assert Settling(store).turn(NOW + timedelta(days=4_000)).decisions == 0
    assert spent(ledger)["budget"] == (0, 5_000)


def test_a_late_success_that_found_no_room_is_taken_back_where_it_is_corrected(ledger, store):
    ledger.open("spring", {"budget": 100, "letters": 10_000})
    hold(ledger, "a")
    settling = Settling(store)
    after = DUE + timedelta(hours=3)
    settle(settling, after)
    with store.transaction() as session:
        ledger.room(session, "spring", {"budget": 70})
        ledger.hold(session, "spring", "b", {"budget": 70}, due=DUE + timedelta(days=9))
    say(store, ("a", 1))
    settle(settling, after)
    assert unfunded(ledger) == {"budget": 70, "letters": 0}
    say(store, ("a", 0), first=1)
    settle(settling, after)
    assert unfunded(ledger) == {"budget": 0, "letters": 0}
    assert spent(ledger)["budget"] == (30, 70)


def test_an_event_that_was_committed_after_one_with_a_later_number_is_found_soon(ledger, store, database, monkeypatch):
    if store.dialect == "sqlite":
        pytest.skip("SQLite gives numbers to one transaction at a time")
    hold(ledger, "a", "b", due=NOW)
    settling, now = Settling(store), NOW + timedelta(hours=3)
    settle(settling, now)
    with open_store(database) as other, other.transaction() as early:
        write_feedback(early, [success(0, "a", now)])
        another = feedback_log._writer() + 1  # process, with a row of its own in the tally
        monkeypatch.setattr(feedback_log, "_writer", lambda: another)
        with store.transaction() as late:
            write_feedback(late, [success(1, "b", now)])
        settle(settling, now)
        assert spent(ledger)["budget"] == (130, 0)
    for seconds in range(5, 125, 5):
        settle(settling, now + timedelta(seconds=seconds))
    assert spent(ledger)["budget"] == (200, 0)


def success(number, decision, received):
    event = {"event_id": f"e{number}", "decision_id": decision, "outcome": 1, "reward": 0.0, "occurred_at": str(NOW)}
    return Batch(tuple(feedback_items([event])), {decision: micros(NOW)}, received)


def settle(settling, now):
    while settling.turn(now) is not None:
        pass
