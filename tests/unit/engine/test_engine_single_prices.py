"""Prices of single decisions follow what is left, and every decision names its own."""

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from engine_singles import counter

from engine.budgets import account_of
from engine.campaign import SingleDecisions
from engine.serving.prices import crowd_of, newest_prices
from sims.files import moment
from warehouse import Ledger
from warehouse.prices import latest_prices

DAY = 20


@pytest.fixture
def desk(decided, tmp_path):
    """A release whose campaign keeps half of its limits for 300 single decisions a day, for ten days."""
    lab, _ = decided
    lab = lab.copy(tmp_path)
    single = SingleDecisions(share=0.5, expected_per_day=300.0, until=moment(DAY + 10))
    limits = tuple(x for x in lab.campaign.limits if x.name == "budget")
    lab.allocate(DAY, limits=limits, single_decisions=single)
    with counter(lab.workspace) as found:
        clock = {"now": moment(DAY)}
        ledger = Ledger(found.store, worker="desk", clock=lambda: clock["now"])
        ledger.open(account_of(found.snapshot.book.campaign), {"budget": 200_000_000})
        yield found, ledger, clock


def spend(desk, ledger, micros, name="spent"):
    """Take some of the budget away."""
    account = account_of(desk.snapshot.book.campaign)
    with desk.store.transaction() as session:
        ledger.room(session, account, {"budget": micros})
        ledger.hold(session, account, name, {"budget": micros})


def charged(prices):
    """What a contact that costs 1 in expectation is charged at most."""
    return (prices.charges[0] + prices.charges[1]).max()


def test_prices_are_kept_until_they_are_due_and_rise_as_the_budget_goes(desk):
    desk, ledger, _ = desk
    at = moment(DAY) + timedelta(minutes=1)
    first = newest_prices(desk.store, ledger, desk.snapshot, at)
    again = newest_prices(desk.store, ledger, desk.snapshot, at + timedelta(minutes=20))
    assert again.version == first.version
    np.testing.assert_array_equal(again.charges, first.charges)
    hourly = newest_prices(desk.store, ledger, desk.snapshot, at + timedelta(hours=1))
    assert hourly.version != first.version
    (balance,) = ledger.balances(account_of(desk.snapshot.book.campaign))
    spend(desk, ledger, int(0.8 * (balance.free + balance.lent)))
    dear = newest_prices(desk.store, ledger, desk.snapshot, at + timedelta(hours=1, seconds=1))
    assert dear.version != hourly.version
    assert charged(dear) > charged(hourly) > 0
    with desk.store.transaction(write=False) as session:
        kept = latest_prices(session, account_of(desk.snapshot.book.campaign))
    assert kept.price_version == dear.version
    np.testing.assert_array_equal(kept.tables["charges"], dear.charges)


def test_what_a_decision_holds_counts_until_outcomes_have_shown_how_soon_it_comes_back(desk):
    desk, ledger, _ = desk
    account, at = account_of(desk.snapshot.book.campaign), moment(DAY) + timedelta(hours=1)
    terms, days = desk.snapshot.book.terms, desk.snapshot.book.campaign.outcome_days

    def part(prices):
        """Of what an offer can cost beyond its expectation, so much counts."""
        ratio = prices.charges[0] / prices.charges[1] / (terms.contact_cost + terms.redemption_cost)
        return (ratio / (1.0 + ratio)).max()

    first = newest_prices(desk.store, ledger, desk.snapshot, at)
    assert part(first) == pytest.approx(days / (10 - 1 / 24))  # nobody knows: as if all were held to the last
    due = at + timedelta(days=desk.snapshot.book.campaign.outcome_days)
    with desk.store.transaction() as session:
        for i in range(400):
            made = timedelta(minutes=i / 8)
            ledger.room(session, account, {"budget": 40_000})
            ledger.hold(session, account, f"h{i}", {"budget": 40_000}, sure={"budget": 1_000}, due=due - made)
        ledger.settle_outcomes(session, {f"h{i}": False for i in range(400)})
    later = newest_prices(desk.store, ledger, desk.snapshot, at + timedelta(hours=1))
    assert 0 < part(later) < 0.3 * part(first)


def test_a_decision_competes_at_the_prices_that_it_names(desk):
    desk, ledger, _ = desk
    prices = newest_prices(desk.store, ledger, desk.snapshot, moment(DAY))
    desk.prices = replace(prices, charges=prices.charges + 1e6)
    said = [desk.one(f"d{i}", c) for i, c in enumerate(desk.customers[:40])]
    assert {d.price_version for d in said} == {prices.version}
    assert sum(d.offer_id is not None for d in said) < 10  # what exploration alone plays


def test_the_crowd_is_what_the_release_was_made_for(desk):
    desk, _, _ = desk
    crowd = crowd_of(desk.snapshot, size=50)
    assert crowd.audience == len(desk.customers)
    assert 50 <= len(crowd.problem.eligible) <= 100
    assert crowd.problem.eligible.any(1).all()
    assert crowd.share == desk.snapshot.book.campaign.exploration.share


def test_without_a_forecast_the_release_s_own_prices_hold(decided, tmp_path):
    lab, _ = decided
    with counter(lab.copy(tmp_path).workspace) as desk:
        ledger = Ledger(desk.store, worker="desk", clock=lambda: moment(DAY))
        assert newest_prices(desk.store, ledger, desk.snapshot, moment(DAY)) is None
        assert desk.decider.prices.version == desk.snapshot.book.release_id
