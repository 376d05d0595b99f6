"""`allot budget`: what is left, and a stop that holds for whoever draws on it."""

import json
from datetime import UTC, datetime

import pytest
from typer.testing import CliRunner

from allot import NotFoundError
from api.cli import app
from engine.budgets import account_of
from engine.campaign import read_campaign
from warehouse import Ledger, StoredAllocation

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def released(store):
    """A release of the campaign spring; the name of its accounts."""
    campaign = read_campaign({"name": "spring", "as_of": NOW})
    document = campaign.to_document()
    store.put_campaign("spring", document, digest=campaign.digest, at=NOW)
    row = StoredAllocation("A-1", "spring", campaign.digest, "released", NOW, {}, {"document": document}, NOW)
    store.put_allocation(row)
    return account_of(campaign)


@pytest.fixture
def allot(database):
    def run(*words):
        done = CliRunner().invoke(app, ["budget", *words, "--workspace", str(database.root), "--output", "json"])
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        return json.loads(done.stdout)

    return run


def test_a_frozen_budget_gives_nothing_until_it_is_thawed(allot, store):
    account = released(store)
    ledger = Ledger(store, worker="web", clock=lambda: NOW)
    ledger.open(account, {"spend": 5_000_000, "letters": 3_000_000})

    def room():
        with store.transaction() as session:
            return ledger.room(session, account, {"spend": 1_000_000, "letters": 1_000_000})

    assert all(left > 0 for left in room().values())
    frozen = allot("freeze", "spring")
    assert [(b["limit"], b["cap"], b["frozen"]) for b in frozen["limits"]] == [
        ("letters", 3.0, True),
        ("spend", 5.0, True),
    ]
    assert set(room().values()) <= {0}
    assert allot("show", "spring")["limits"][0]["frozen"] is True
    assert allot("thaw", "spring")["limits"][0]["frozen"] is False
    assert all(left > 0 for left in room().values())


@pytest.mark.parametrize("word", ["show", "freeze", "thaw"])
def test_a_campaign_without_budgets_is_said_to_have_none(allot, word):
    with pytest.raises(NotFoundError):
        allot(word, "autumn")


def test_another_cap_holds_at_once(allot, store):
    ledger = Ledger(store, worker="web", clock=lambda: NOW)
    ledger.open(released(store), {"spend": 5_000_000})
    (spend,) = allot("cap", "spring", "spend", "2.5")["limits"]
    assert (spend["cap"], spend["left"], spend["right"]) == (2.5, 2.5, True)


def test_what_late_outcomes_cost_without_room_is_shown(allot, store, database):
    account = released(store)
    ledger = Ledger(store, worker="web", clock=lambda: NOW)
    ledger.open(account, {"spend": 5_000_000})
    with store.transaction() as session:
        ledger.room(session, account, {"spend": 3_000_000})
        ledger.hold(session, account, "d1", {"spend": 3_000_000}, sure={"spend": 1_000_000})
    for succeeded, cap in ((False, 2_500_000), (True, 2_500_000)):
        ledger.open(account, {"spend": cap})
        with store.transaction() as session:
            ledger.settle_outcomes(session, {"d1": succeeded})
    (shown,) = allot("show", "spring")["limits"]
    assert (shown["spent"], shown["left"], shown["unfunded"], shown["right"]) == (2.5, 0.0, 0.5, True)
    words = CliRunner().invoke(app, ["budget", "show", "spring", "--workspace", str(database.root)]).stdout
    assert "spend: outcomes that came late cost 0.50 for which no room is left." in words
