"""An allocation and the single decisions after it draw on one budget."""

from dataclasses import replace
from datetime import timedelta

import pytest

from allot import LimitError, NotFoundError
from engine.allocate import allocate, reproduce
from engine.approval import approve, release
from engine.budget_orders import budget, change_cap, freeze
from engine.budgets import account_of, caps_of
from engine.campaign import LimitSpec, SingleDecisions, Where
from sims.files import moment
from warehouse import Ledger, open_store

BUDGET = LimitSpec("budget", "cost", Where(), maximum=120.0)
LETTERS = LimitSpec("letters", "count", Where(), maximum=200.0, single_share=0.5)


@pytest.fixture
def lab(copies):
    lab = copies()
    return replace(
        lab, campaign=replace(lab.campaign, limits=(BUDGET, LETTERS), single_decisions=SingleDecisions(0.25))
    )


def request(lab, **changes):
    return replace(lab.campaign, **({"as_of": moment(0)} | changes))


def use(summary):
    return {limit["name"]: limit["used"] for limit in summary["limits"]}


def free(lab):
    with open_store(lab.workspace) as store:
        ledger = Ledger(store, worker="test", clock=lambda: moment(0))
        assert all(x.right for x in ledger.recount(account_of(request(lab))))
        return {b.limit: b.free / 1e6 for b in ledger.balances(account_of(request(lab)))}


def take(lab, limit, amount):
    with open_store(lab.workspace) as store, store.transaction() as session:
        ledger = Ledger(store, worker="test", clock=lambda: moment(0))
        account = account_of(request(lab))
        assert ledger.set_aside(session, account, f"single {limit}", {limit: round(amount * 1e6)})


def test_an_allocation_keeps_its_part_and_leaves_what_it_does_not_use(lab):
    summary = lab.allocate(0)
    used, left = use(summary), free(lab)
    assert used["budget"] <= 90.0
    assert used["letters"] <= 100.0
    assert {limit["name"]: limit["maximum"] for limit in summary["limits"]} == {"budget": 90.0, "letters": 100.0}
    assert left == {"budget": pytest.approx(120.0 - used["budget"], abs=2e-6), "letters": 200.0 - used["letters"]}
    assert lab.allocate(0)["allocation_id"] == summary["allocation_id"]
    assert free(lab) == left


def test_an_allocation_in_the_place_of_another_spends_in_its_place(lab):
    lab.allocate(0)
    other = lab.allocate(0, seed=8)
    assert free(lab)["budget"] == pytest.approx(120.0 - use(other)["budget"], abs=2e-6)


def test_where_single_decisions_took_more_the_allocation_has_what_is_left(lab):
    first = lab.allocate(0)
    left = free(lab)["budget"]
    assert left > 30.0
    take(lab, "budget", left)
    other = lab.allocate(0, seed=8)
    assert use(other)["budget"] <= other["limits"][0]["maximum"] == pytest.approx(120.0 - left, abs=2e-6)
    assert other["versions"]["room"] == {"budget": round((120.0 - left) * 1e6)}
    assert lab.allocate(0, seed=8)["allocation_id"] == other["allocation_id"]
    assert reproduce(lab.workspace, other["allocation_id"])["identical"]
    assert reproduce(lab.workspace, first["allocation_id"])["identical"]


def test_an_allocation_that_fails_gives_its_part_back(lab):
    band = replace(LETTERS, minimum=150.0)
    with pytest.raises(LimitError, match="above what single decisions leave"):
        lab.allocate(0, limits=(BUDGET, band))
    impossible = replace(BUDGET, maximum=0.5)
    with pytest.raises(LimitError):
        lab.allocate(0, limits=(impossible, LETTERS))
    assert free(lab) == {name: cap / 1e6 for name, cap in caps_of(request(lab, limits=(BUDGET, band))).items()}


def test_a_draft_holds_its_part_until_it_is_released(lab):
    campaign = request(lab)
    made = allocate(lab.workspace, campaign, now=moment(0), release=False)
    assert free(lab) == {"budget": pytest.approx(30.0), "letters": 100.0}
    allocate(lab.workspace, campaign, now=moment(0) + timedelta(hours=1))
    assert free(lab)["budget"] == pytest.approx(120.0 - use(made)["budget"], abs=2e-6)


def caps(lab):
    with open_store(lab.workspace) as store:
        balances = Ledger(store, worker="test", clock=lambda: moment(0)).balances(account_of(request(lab)))
        return {b.limit: b.cap / 1e6 for b in balances}


@pytest.mark.parametrize("maximum", [60.0, 1_000_000.0])
def test_a_plan_changes_no_cap_before_it_is_released(lab, maximum):
    lab.allocate(0)
    before = caps(lab)
    wide = request(lab, limits=(replace(BUDGET, maximum=maximum), LETTERS), approval="second_person", seed=8)
    draft = allocate(lab.workspace, wide, now=moment(0), by="one")
    assert draft["status"] == "draft"
    assert caps(lab) == before
    with open_store(lab.workspace) as store:
        approve(store, draft["allocation_id"], by="another", now=moment(0))
        release(store, draft["allocation_id"], by="another", now=moment(0))
    assert caps(lab) == {**before, "budget": maximum}


def test_a_plan_that_fails_changes_no_cap(lab):
    lab.allocate(0)
    before = caps(lab), free(lab)
    wide = replace(BUDGET, maximum=1_000_000.0)
    with pytest.raises(LimitError):
        lab.allocate(0, limits=(wide, replace(LETTERS, minimum=150.0)), seed=8)
    assert (caps(lab), free(lab)) == before


def test_under_a_lower_cap_the_allocation_has_what_single_decisions_left(lab):
    first = lab.allocate(0)
    take(lab, "budget", 25.0)
    lower = replace(BUDGET, maximum=60.0)
    other = lab.allocate(0, limits=(lower, LETTERS), seed=8)
    assert use(first)["budget"] > 45.0
    assert use(other)["budget"] <= other["limits"][0]["maximum"] == pytest.approx(35.0)
    assert caps(lab)["budget"] == 60.0


def test_a_campaign_without_single_decisions_has_what_those_before_left(lab):
    lab.allocate(0)
    left = free(lab)["budget"]
    take(lab, "budget", left)
    other = lab.allocate(0, single_decisions=None, limits=(BUDGET, replace(LETTERS, single_share=None)))
    assert use(other)["budget"] + left <= 120.0
    assert reproduce(lab.workspace, other["allocation_id"])["identical"]
    assert free(lab)["budget"] == pytest.approx(120.0 - left - use(other)["budget"], abs=2e-6)


def test_without_single_decisions_there_is_no_account(copies):
    lab = copies()
    lab.allocate(0)
    assert free(lab) == {}


def test_people_look_freeze_thaw_and_change_caps(lab):
    lab.allocate(20)
    with open_store(lab.workspace) as store:
        now, name = moment(21), lab.campaign.name
        before = {x["limit"]: x for x in budget(store, name, now=now)["limits"]}
        assert before["budget"]["cap"] == 120.0 == pytest.approx(before["budget"]["spent"] + before["budget"]["left"])
        assert all(x["right"] and not x["frozen"] for x in before.values())
        frozen = freeze(store, name, frozen=True, by="ada", now=now)
        assert [(x["left"], x["frozen"]) for x in frozen["limits"]] == [(0.0, True)] * 2
        freeze(store, name, frozen=False, by="ada", now=now)
        after = {x["limit"]: x for x in change_cap(store, name, "budget", 1.0, by="ada", now=now)["limits"]}
        assert (after["budget"]["left"], after["letters"]) == (0.0, before["letters"])
        acts = [entry.action for entry in store.audit_trail(subject=account_of(request(lab, as_of=moment(20))))]
        assert acts == ["freeze budget", "thaw budget", "change cap"]
        with pytest.raises(NotFoundError, match="stamps"):
            change_cap(store, name, "stamps", 1.0, by="ada", now=now)
        with pytest.raises(NotFoundError, match="nothing of campaign 'autumn'"):
            budget(store, "autumn", now=now)


def test_a_campaign_without_single_decisions_has_no_budget_to_look_at(copies):
    lab = copies()
    with open_store(lab.workspace) as store, pytest.raises(NotFoundError, match="keeps no budget"):
        budget(store, lab.campaign.name, now=moment(1))
