"""Decisions that wait for their outcome, by age."""

from datetime import UTC, datetime, timedelta

import pytest

from warehouse import Ledger
from warehouse.waiting import waiting_holds

NOW, HOUR, OUTCOME = datetime(2026, 3, 1, 12, tzinfo=UTC), timedelta(hours=1), timedelta(days=2)


@pytest.fixture
def ledger(store):
    ledger = Ledger(store, worker="web-1", clock=lambda: NOW)
    for campaign in ("spring", "autumn"):
        ledger.open(campaign, {"budget": 10_000, "letters": 10_000})
    return ledger


def hold(ledger, decision, age, amount=100, campaign="spring"):
    with ledger.store.transaction() as session:
        ledger.room(session, campaign, {"budget": amount, "letters": 10})
        amounts, sure = {"budget": amount, "letters": 10}, {"budget": 30, "letters": 10}
        ledger.hold(session, campaign, decision, amounts, sure=sure, due=NOW - age + OUTCOME)


def test_holds_are_counted_by_age_with_what_failures_would_free(ledger, store):
    hold(ledger, "a", 0.2 * HOUR)
    hold(ledger, "b", 2.5 * HOUR, amount=70)
    hold(ledger, "c", 2.9 * HOUR)
    hold(ledger, "too old", 2 * OUTCOME)
    hold(ledger, "of another", HOUR, campaign="autumn")
    with store.transaction() as session:
        ledger.settle_outcomes(session, {"c": False})
        ledger.set_aside(session, "spring", "alloc-1", {"budget": 500})
        found = waiting_holds(session, "spring", outcome=OUTCOME, now=NOW, width=HOUR)
    assert (found.made, found.open) == ((1, 0, 2), (1, 0, 1))
    assert found.back == {"budget": (70, 0, 40)}  # letters are spent whatever the outcome


def test_a_clock_that_is_behind_sees_decisions_of_no_age_and_nothing_is_an_answer(ledger, store):
    hold(ledger, "a", -HOUR)
    with store.transaction(write=False) as session:
        found = waiting_holds(session, "spring", outcome=OUTCOME, now=NOW, width=HOUR)
        nothing = waiting_holds(session, "winter", outcome=OUTCOME, now=NOW, width=timedelta(0))
    assert (found.made, found.open, found.back) == ((1,), (1,), {"budget": (70,)})
    assert (nothing.made, nothing.open, nothing.back) == ((), (), {})
