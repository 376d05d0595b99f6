"""The worker settles budgets by itself."""

from datetime import UTC, datetime, timedelta

from api.service.settling import SettlingBudgets
from warehouse import Ledger, feedback_items, take_feedback

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def test_outcomes_free_what_was_not_spent_and_leases_of_the_dead_end(database, store):
    ledger = Ledger(store, worker="web-1", clock=lambda: NOW, lease_seconds=30)
    ledger.open("spring", {"budget": 1_000})
    with store.transaction() as session:
        ledger.room(session, "spring", {"budget": 100})
        ledger.hold(session, "spring", "d1", {"budget": 100}, sure={"budget": 10})
    settle, later = SettlingBudgets(), NOW + timedelta(minutes=1)
    assert settle(database, store, NOW) is None
    event = {"event_id": "e1", "decision_id": "d1", "outcome": 0, "reward": 0, "occurred_at": NOW.isoformat()}
    take_feedback(store, feedback_items([event]), set, received_at=NOW)
    assert settle(database, store, NOW) == {"freed_micros": 0, "settled": 1}
    with store.transaction() as session:
        ledger.room(session, "spring", {"budget": 50})
    assert settle(database, store, later) == {"freed_micros": 61, "settled": 0}
    (account,) = ledger.balances("spring")
    assert (account.spent, account.held, account.free) == (10, 0, 990)
