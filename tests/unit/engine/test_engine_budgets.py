"""One budget for an allocation and the single decisions after it: nothing is promised twice."""

from datetime import UTC, datetime, timedelta

import pytest

from allot import CampaignError, LimitError
from engine.budgets import account_of, batch_of, caps_of, for_batch, give_back, post, set_aside
from engine.campaign import read_campaign
from warehouse import Ledger

NOW = datetime(2026, 3, 1, tzinfo=UTC)
PLAIN = {
    "name": "spring",
    "as_of": NOW,
    "limits": [
        {"name": "budget", "measure": "cost", "maximum": 1000.1},
        {"name": "letters", "measure": "count", "maximum": 400, "single_share": 0.75},
        {"name": "wanted", "measure": "count", "minimum": 10},
        {"name": "soft", "measure": "count", "maximum": 10, "penalty": 2},
        {"name": "seen", "measure": "count", "maximum": 10, "report_only": True},
    ],
    "shares": [{"name": "calls", "maximum": 0.5, "part": {}}],
    "single_decisions": {"share": 0.2, "expected_per_day": 100},
}


@pytest.fixture
def campaign():
    return read_campaign(PLAIN)


@pytest.fixture
def ledger(store):
    return Ledger(store, worker="allocate", clock=lambda: NOW)


def free(ledger, campaign):
    return {b.limit: b.free for b in ledger.balances(account_of(campaign))}


def test_hard_maxima_of_sums_have_accounts_and_nothing_else(campaign):
    assert caps_of(campaign) == {"budget": 1_000_100_000, "letters": 400_000_000}
    assert batch_of(campaign) == {"budget": 800_080_000, "letters": 100_000_000}


def test_an_allocation_keeps_its_part_of_the_limits(campaign):
    limits = {x.name: (x.minimum, x.maximum) for x in for_batch(campaign).limits}
    assert limits == {
        "budget": (None, pytest.approx(800.08)),
        "letters": (None, 100.0),
        "wanted": (10.0, None),
        "soft": (None, 10.0),
        "seen": (None, 10.0),
        "calls": (None, 0.5),
    }
    less = {x.name: x.maximum for x in for_batch(campaign, {"budget": 5_500_000}).limits}
    assert (less["budget"], less["letters"]) == (5.5, 100.0)
    assert for_batch(for_batch(campaign)) == for_batch(campaign)


def test_a_minimum_above_what_is_left_of_the_maximum_is_refused():
    document = {**PLAIN, "limits": [{"name": "letters", "measure": "count", "minimum": 350, "maximum": 400}]}
    with pytest.raises(LimitError, match="the minimum 350 is above what single decisions leave of the maximum, 320"):
        for_batch(read_campaign(document))


def test_without_single_decisions_there_are_no_accounts_and_the_limits_are_as_written(ledger):
    campaign = read_campaign({**PLAIN, "single_decisions": None, "limits": PLAIN["limits"][:1]})
    assert for_batch(campaign) == campaign
    assert set_aside(ledger.store, campaign, [], now=NOW) == {}
    post(ledger.store, campaign, {"alloc-1": {"budget": 5.0}}, now=NOW)
    assert ledger.balances(account_of(campaign)) == ()


def test_a_release_spends_what_it_uses_and_leaves_the_rest(ledger, campaign):
    assert set_aside(ledger.store, campaign, [], now=NOW) == {}
    assert free(ledger, campaign) == {"budget": 200_020_000, "letters": 300_000_000}
    post(ledger.store, campaign, {"alloc-1": {"budget": 700.0000001, "letters": 90.0, "wanted": 90.0}}, now=NOW)
    assert free(ledger, campaign) == {"budget": 300_099_999, "letters": 310_000_000}
    assert all(x.right for x in ledger.recount(account_of(campaign)))


def test_an_allocation_that_is_not_made_gives_its_part_back_also_when_it_was_interrupted(ledger, campaign):
    set_aside(ledger.store, campaign, [], now=NOW)
    set_aside(ledger.store, campaign, [], now=NOW)
    assert free(ledger, campaign)["budget"] == 200_020_000
    give_back(ledger.store, campaign, now=NOW)
    assert free(ledger, campaign) == caps_of(campaign)


def test_an_allocation_in_the_place_of_another_has_what_that_one_used(ledger, campaign):
    set_aside(ledger.store, campaign, [], now=NOW)
    post(ledger.store, campaign, {"alloc-1": {"budget": 800.0, "letters": 100.0}}, now=NOW)
    with ledger.store.transaction() as session:  # single decisions take nearly all the rest
        ledger.set_aside(session, account_of(campaign), "d1", {"budget": 200_000_000})
    assert set_aside(ledger.store, campaign, ["alloc-1"], now=NOW) == {}
    give_back(ledger.store, campaign, now=NOW)
    assert set_aside(ledger.store, campaign, [], now=NOW) == {"budget": 100_000}  # had the first been sent
    give_back(ledger.store, campaign, now=NOW)
    set_aside(ledger.store, campaign, ["alloc-1"], now=NOW)
    post(ledger.store, campaign, {"alloc-1": {}, "alloc-2": {"budget": 750.0, "letters": 80.0}}, now=NOW)
    assert free(ledger, campaign) == {"budget": 50_100_000, "letters": 320_000_000}


def test_an_allocation_has_nothing_of_what_late_outcomes_have_cost(ledger, campaign):
    account, store = account_of(campaign), ledger.store
    set_aside(store, campaign, [], now=NOW)
    give_back(store, campaign, now=NOW)
    with store.transaction() as session:
        ledger.room(session, account, {"budget": 500_000_000})
        ledger.hold(session, account, "late", {"budget": 500_000_000})
        ledger.settle_outcomes(session, {"late": False})
        ledger.set_aside(session, account, "d1", {"budget": 900_000_000})
        assert ledger.settle_outcomes(session, {"late": True}) == {"budget": 399_900_000}
        ledger.cancel(session, "d1")
    assert set_aside(store, campaign, [], now=NOW) == {"budget": 500_100_000}


def test_a_release_that_there_is_no_room_for_any_more_is_refused(ledger, campaign):
    set_aside(ledger.store, campaign, [], now=NOW)
    give_back(ledger.store, campaign, now=NOW)
    with ledger.store.transaction() as session:
        ledger.set_aside(session, account_of(campaign), "d1", {"budget": 900_000_000})
    with pytest.raises(CampaignError, match="budget"):
        post(ledger.store, campaign, {"alloc-1": {"budget": 700.0, "letters": 90.0}}, now=NOW)
    assert free(ledger, campaign)["budget"] == 100_100_000


def test_every_moment_of_a_recurring_campaign_has_accounts_of_its_own(campaign):
    later = read_campaign({**PLAIN, "as_of": NOW + timedelta(days=7)})
    assert account_of(later) != account_of(campaign)
