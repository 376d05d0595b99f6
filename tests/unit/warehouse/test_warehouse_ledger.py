"""Budgets: nobody takes more than a cap leaves, and what nobody uses anybody may take."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from allot import CampaignError, LeaseLostError, NotFoundError, WorkspaceError
from warehouse import Ledger
from warehouse.accounts import ACCOUNTS

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
TERM = 30.0


class Clock:
    def __init__(self):
        self.now = NOW

    def __call__(self):
        return self.now

    def forward(self, seconds):
        self.now += timedelta(seconds=seconds)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def ledger(store, clock):
    opened = Ledger(store, worker="web-1", clock=clock, lease_seconds=TERM)
    opened.open("spring", {"budget": 1_000, "letters": 500})
    return opened


@pytest.fixture
def other(store, clock):
    return Ledger(store, worker="web-2", clock=clock, lease_seconds=TERM)


NEED = {"budget": 60, "letters": 10}


def room(ledger, store, campaign="spring", need=NEED):
    with store.transaction() as session:
        return ledger.room(session, campaign, need)


def hold(ledger, store, decision, sure=None, campaign="spring", **amounts):
    with store.transaction() as session:
        ledger.room(session, campaign, NEED)
        ledger.hold(session, campaign, decision, amounts, sure=sure)


def late_hold(ledger, store, decision, **amounts):
    """As somebody who asked for room in an earlier transaction and believes that it is still there."""
    with store.transaction() as session:
        ledger.hold(session, "spring", decision, amounts)


def settle(ledger, store, decision, **amounts):
    with store.transaction() as session:
        return ledger.settle(session, decision, amounts)


def balance(ledger, limit="budget"):
    return next(b for b in ledger.balances("spring") if b.limit == limit)


def drain(ledger, store, amount, start=0):
    """Hold one amount after the other until there is no room for another; returns what is held."""
    held = 0
    while room(ledger, store, need={"budget": amount})["budget"] >= amount:
        hold(ledger, store, f"{start}-{amount}-{held}", budget=amount)
        held += amount
    return held


def test_a_lease_is_a_part_of_what_is_free_and_at_least_the_largest_amount(ledger, store):
    assert room(ledger, store) == {"budget": 62, "letters": 31}
    assert balance(ledger).lent == 62
    assert all(x.right for x in ledger.recount("spring"))


def test_a_worker_is_lent_what_it_needs_or_a_thousandth_and_all_there_is_where_that_would_not_do(ledger, store):
    assert room(ledger, store, need={"budget": 400}) == {"budget": 400, "letters": 0}
    assert room(ledger, store, need={"letters": 499}) == {"budget": 400, "letters": 499}
    assert room(ledger, store, need=None) == {"budget": 400, "letters": 499}
    assert room(ledger, store, need={"budget": 1_001}) == {"budget": 1_000, "letters": 499}
    hold(ledger, store, "a", budget=400)
    assert room(ledger, store, need={"budget": 1_200})["budget"] == 600
    ledger.open("autumn", {"budget": 64_000})
    assert room(ledger, store, "autumn", None) == {"budget": 4_000}


def test_a_batch_that_was_not_made_leaves_no_trace(ledger, store):
    with store.transaction() as session:
        ledger.set_aside(session, "spring", "alloc-1", {"budget": 800})
        ledger.cancel(session, "alloc-1")
        assert ledger.set_aside(session, "spring", "alloc-1", {"budget": 900}) == {"budget": 900}
        ledger.settle(session, "alloc-1", {"budget": 850})
        ledger.cancel(session, "alloc-1")
    assert (balance(ledger).held, balance(ledger).spent, balance(ledger).free) == (0, 0, 1_000)


def test_a_decision_holds_its_amounts_until_its_outcome_settles_them(ledger, store):
    hold(ledger, store, "d1", budget=60, letters=10)
    assert (balance(ledger).held, balance(ledger).lent, balance(ledger).spent) == (62, 2, 0)
    assert settle(ledger, store, "d1", budget=25, letters=10) == {}
    after = {b.limit: (b.held - b.lent, b.spent) for b in ledger.balances("spring")}
    assert after == {"budget": (0, 25), "letters": (0, 10)}
    assert all(x.right for x in ledger.recount("spring"))


def test_outcomes_settle_many_decisions_at_once(ledger, store):
    for n in range(6):
        hold(ledger, store, f"d{n}", budget=50, letters=10, sure={"budget": 20, "letters": 10})
    with store.transaction() as session:
        assert ledger.settle_outcomes(session, {f"d{n}": n < 2 for n in range(5)} | {"unknown": True}) == {}
    assert balance(ledger).spent == 2 * 50 + 3 * 20
    assert balance(ledger, "letters").spent == 50
    assert all(x.right for x in ledger.recount("spring"))


def test_a_corrected_outcome_is_posted_within_what_is_free(ledger, store):
    hold(ledger, store, "d1", budget=60)
    settle(ledger, store, "d1", budget=10)
    assert settle(ledger, store, "d1", budget=40) == {}
    assert balance(ledger).spent == 40
    settle(ledger, store, "d1", budget=0)
    ledger.open("spring", {"budget": 30})
    assert settle(ledger, store, "d1", budget=60) == {"budget": 30}
    assert balance(ledger).spent == 30
    assert all(x.right for x in ledger.recount("spring"))


def test_an_amount_beyond_what_was_held_is_said_and_not_spent(ledger, store):
    hold(ledger, store, "d1", budget=60)
    assert settle(ledger, store, "d1", budget=75) == {"budget": 15}
    assert balance(ledger).spent == 60


def test_the_cap_is_used_up_to_the_last_micro_and_never_passed(ledger, other, store):
    held = (
        drain(ledger, store, 60) + drain(other, store, 60, 1) + drain(ledger, store, 9, 2) + drain(other, store, 1, 3)
    )
    assert held == 1_000
    assert room(ledger, store)["budget"] == room(other, store)["budget"] == 0
    assert (balance(ledger).held, balance(ledger).free, balance(ledger).lent) == (1_000, 0, 0)


def test_what_one_worker_cannot_use_is_called_in_for_another(ledger, other, store):
    room(other, store)  # 62 lie idle at the other worker
    assert drain(ledger, store, 1) == 1_000
    with pytest.raises(LeaseLostError):
        late_hold(other, store, "late", budget=60)
    assert balance(ledger).held == 1_000


def test_a_lease_that_expired_cannot_hold_even_before_anybody_reclaims_it(ledger, store, clock):
    room(ledger, store)
    clock.forward(TERM)
    with pytest.raises(LeaseLostError):
        late_hold(ledger, store, "d1", budget=1)
    hold(ledger, store, "d1", budget=1)  # asking for room begins another
    assert all(x.right for x in ledger.recount("spring"))


def test_a_lease_that_was_ended_cannot_hold_whatever_its_owner_believes(ledger, other, store, clock):
    room(ledger, store)
    assert ledger.reclaim(clock.now + timedelta(hours=1)) == 62 + 31  # by a clock that is an hour ahead
    with pytest.raises(LeaseLostError):
        late_hold(ledger, store, "d1", budget=1)
    assert drain(other, store, 1) == 1_000


def test_a_new_life_of_a_worker_ends_the_lease_of_the_one_before(ledger, store, clock):
    room(ledger, store)
    again = Ledger(store, worker="web-1", clock=clock, lease_seconds=TERM)
    assert room(again, store)["budget"] == 62
    with pytest.raises(LeaseLostError):
        late_hold(ledger, store, "d1", budget=1)
    assert balance(ledger).lent == 62


def test_a_fence_is_never_given_twice(ledger, other, store, clock):
    room(ledger, store)
    ledger.reclaim(clock.now + timedelta(hours=1))
    room(other, store)  # has another number than the one that is gone
    with pytest.raises(LeaseLostError):
        late_hold(ledger, store, "d1", budget=1)
    again = Ledger(store, worker="web-1", clock=clock, lease_seconds=TERM)
    room(again, store)
    with pytest.raises(LeaseLostError):
        late_hold(ledger, store, "d1", budget=1)


def test_a_lease_in_use_is_renewed(ledger, store, clock):
    room(ledger, store)
    for _ in range(10):
        clock.forward(0.9 * TERM)
        room(ledger, store)
        ledger.reclaim(clock.now)
        late_hold(ledger, store, f"{clock.now}", budget=1)


def test_a_failed_transaction_takes_nothing(ledger, store):
    room(ledger, store)
    with pytest.raises(LeaseLostError), store.transaction() as session:
        ledger.hold(session, "spring", "d1", {"letters": 1, "budget": 63})
    assert (balance(ledger).lent, balance(ledger, "letters").lent) == (62, 31)
    with pytest.raises(ZeroDivisionError), store.transaction() as session:
        ledger.hold(session, "spring", "d1", {"budget": 60})
        raise ZeroDivisionError
    assert balance(ledger).lent == 62
    assert settle(ledger, store, "d1", budget=60) == {}
    assert balance(ledger).spent == 0


def test_a_decision_holds_once(ledger, store):
    hold(ledger, store, "d1", budget=5)
    with pytest.raises(WorkspaceError):
        hold(ledger, store, "d1", budget=5)
    assert balance(ledger).held - balance(ledger).lent == 5


def test_a_lowered_cap_exhausts_the_account_and_follows_what_is_freed(ledger, store):
    for n in range(5):
        hold(ledger, store, f"d{n}", budget=60)
    ledger.open("spring", {"budget": 100})
    assert (balance(ledger).cap, balance(ledger).held) == (300, 300)
    assert room(ledger, store)["budget"] == 0
    for n in range(4):
        settle(ledger, store, f"d{n}")
    assert (balance(ledger).cap, balance(ledger).held) == (100, 60)
    assert room(ledger, store)["budget"] == 40
    ledger.open("spring", {"budget": 900})
    assert room(ledger, store)["budget"] == 60


def test_a_frozen_budget_lends_nothing_and_keeps_what_is_held(ledger, other, store):
    hold(ledger, store, "d1", budget=60)
    room(other, store)
    ledger.freeze("spring")
    assert room(ledger, store) == room(other, store) == {"budget": 0, "letters": 0}
    with pytest.raises(LeaseLostError):
        late_hold(other, store, "d2", budget=1)
    assert settle(ledger, store, "d1", budget=60) == {}
    ledger.freeze("spring", frozen=False)
    assert room(ledger, store)["budget"] == 60
    with pytest.raises(NotFoundError):
        ledger.freeze("autumn")


def test_a_freeze_reaches_also_the_lease_that_a_transaction_is_using(ledger, store, clock):
    owner = Ledger(store, worker="owner", clock=clock)
    room(ledger, store)
    with ThreadPoolExecutor(1) as elsewhere:
        with store.transaction() as session:
            assert ledger.room(session, "spring", NEED)["budget"] > 0
            frozen = elsewhere.submit(owner.freeze, "spring")  # PostgreSQL passes the lease over, SQLite waits for us
            ledger.hold(session, "spring", "d1", {"budget": 1})
            if store.dialect == "postgresql":
                frozen.result(10)
        frozen.result(10)
    assert room(ledger, store) == {"budget": 0, "letters": 0}
    assert all(x.right for x in ledger.recount("spring"))


def test_nobody_who_has_the_budgets_waits_for_a_decision_that_is_being_made(ledger, other, store, clock):
    """One order for everybody: a lease first, then the budgets; whoever has the budgets passes locked leases over."""
    if store.dialect == "sqlite":
        pytest.skip("one writer at a time: everybody waits for a decision")
    owner = Ledger(store, worker="owner", clock=clock)
    for number in range(2):
        hold(ledger, store, f"free-{number}", budget=40, letters=5)
        settle(ledger, store, f"free-{number}")
    hold(other, store, "d1", budget=40)

    def corrected():
        with store.transaction() as session:  # more than is free: leases are called in
            owner.set_aside(session, "spring", "batch", {"budget": 880})
            ledger.settle(session, "free-0", {"budget": 40, "letters": 5})

    def all_of_it():
        with store.transaction() as session:
            other.room(session, "spring", {"budget": 900, "letters": 400})

    acts = [
        corrected,
        all_of_it,
        lambda: owner.reclaim(NOW + timedelta(days=1)),
        lambda: owner.recount("spring"),
        lambda: owner.open("spring", {"budget": 1_100}),
        lambda: owner.freeze("spring"),
    ]
    with ThreadPoolExecutor(1) as elsewhere, store.transaction() as session:
        assert min(ledger.room(session, "spring", {"budget": 1, "letters": 1}).values()) > 0  # as it is lent already
        ledger.hold(session, "spring", "d2", {"letters": 1})
        for act in acts:
            elsewhere.submit(act).result(5)
        ledger.hold(session, "spring", "d3", {"budget": 1})
    assert all(x.right for x in ledger.recount("spring"))


def test_a_batch_is_set_aside_once_and_leaves_what_it_does_not_use(ledger, store):
    room(ledger, store)
    with store.transaction() as session:
        assert ledger.set_aside(session, "spring", "alloc-1", {"budget": 800, "letters": 600}) == {
            "budget": 800,
            "letters": 500,
        }
        assert ledger.set_aside(session, "spring", "alloc-1", {"budget": 1})["budget"] == 800
    assert drain(ledger, store, 1) == 200
    settle(ledger, store, "alloc-1", budget=790, letters=490)
    assert room(ledger, store) == {"budget": 10, "letters": 10}
    with pytest.raises(NotFoundError), store.transaction() as session:
        ledger.set_aside(session, "spring", "alloc-2", {"stamps": 1})


def test_a_campaign_without_accounts_has_no_room(ledger, store):
    assert room(ledger, store, "autumn") == {}
    with pytest.raises(LeaseLostError):
        hold(ledger, store, "d1", campaign="autumn", budget=1)
    hold(ledger, store, "d2", campaign="autumn", budget=0)


def test_a_negative_cap_is_refused(ledger):
    with pytest.raises(CampaignError, match="negative"):
        ledger.open("spring", {"budget": -1})


def test_the_database_itself_refuses_what_is_over_a_cap(ledger, store):
    for change in ({"held_micros": 1_001}, {"spent_micros": -1}, {"asked_micros": 1_001}, {"held_micros": -1}):
        with pytest.raises(WorkspaceError, match=r"(?i)check"), store.transaction() as session:
            session.execute(ACCOUNTS.update().where(ACCOUNTS.c.limit_name == "budget").values(change))
