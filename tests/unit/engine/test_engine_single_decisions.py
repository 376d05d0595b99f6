"""One customer now: what a single decision shares with its release, and what it knows that the release could not."""

import shutil
from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import pytest
from engine_singles import ON_BOTH, PLENTY, counter, exploring

from allot.uniforms import key, keys, stream, uniform, uniforms
from engine.budgets import MICROS
from engine.campaign import ContactPolicy
from engine.learn import learn
from engine.serving import snapshot
from engine.serving.budget import BOUNDLESS, Needs
from engine.serving.customer import from_audience
from engine.serving.moment import as_of_now
from engine.serving.requests import Decision, Refusal, Request
from engine.serving.snapshot import BUDGET, build, last_release, refreshed
from engine.serving.weigh import Chances, chances, drawn
from portfolio import MEASURES
from sims.files import moment
from warehouse import feedback_items, open_store, read_decisions, take_feedback
from warehouse.singles import Numbers, single_of


@pytest.fixture(scope="module")
def released(decided, tmp_path_factory):
    """With one release that has prices and no exploration; never to be changed."""
    lab, _ = decided
    lab = lab.copy(tmp_path_factory.mktemp("released"))
    plan = lab.allocate(20, exploration=replace(lab.campaign.exploration, share=0.0))
    return lab, plan


@pytest.fixture
def house(released, kept_in, tmp_path):
    lab, _ = released
    return kept_in(lab, tmp_path).workspace


def probability(desk, customer_id, at=None, room=None):
    """(k + 1,) with which a customer's offer would be drawn."""
    found = chances_of(desk, customer_id, at, room)
    return Chances(found.reasons[0], found.price[0], found.probability[0])


def chances_of(desk, customer_id, at=None, room=None):
    """The same, as those of one customer among many."""
    decider, person = desk.decider, from_audience(desk.snapshot, customer_id)
    with desk.store.transaction(write=False) as session:
        reasons = as_of_now(desk.snapshot.book, person, desk.opened if at is None else at, session)
    room = np.full(len(decider.needs.names), PLENTY) if room is None else room
    return chances(desk.snapshot, decider.weigh([person]), decider.prices, reasons[None], room)


def test_one_text_has_the_key_and_the_uniform_that_many_have():
    texts = ["", "c", "c0000017", "a longer name, with blanks", "ü" * 9]
    assert [key(t) for t in texts] == keys(texts).tolist()
    of = stream(3, "spring")
    assert [uniform(of, int(k), 2) for k in keys(texts)] == uniforms(of, keys(texts), 2).tolist()


def test_at_the_release_s_prices_chances_are_those_of_the_release(released, house):
    _, plan = released
    table = read_decisions(house.decisions / plan["allocation_id"] / "decisions.parquet")
    said = dict(zip(table["customer_id"].to_pylist(), table["probability"].to_pylist(), strict=True))
    with counter(house) as desk:
        for customer in desk.customers[:60]:
            found = probability(desk, customer)
            np.testing.assert_allclose(found.probability, said[customer], atol=3e-6)


@ON_BOTH
def test_the_same_decision_is_answered_once_and_another_body_is_refused(house):
    with counter(house) as desk:
        customer, other = desk.customers[:2]
        first = desk.one("d-1", customer)
        again = desk.one("d-1", customer, after=timedelta(hours=2))
        assert again == first
        (taken,) = desk.decide(desk.request("d-1", other))
        assert isinstance(taken, Refusal)
        assert taken.why == "taken"
        assert len(desk.purse.held) <= 1


def test_a_decision_that_is_asked_for_twice_in_one_transaction_is_made_and_held_once(house):
    with counter(house) as desk:
        requests = [desk.request(f"d-{i}", customer) for i, customer in enumerate(desk.customers[:20])]
        said = desk.decide(*(request for request in requests for _ in range(2)))
        assert said[::2] == said[1::2]
        assert set(desk.purse.held) == {d.decision_id for d in said if d.status == "chosen"} != set()


def test_what_is_kept_says_what_was_drawn(house):
    with counter(house) as desk:
        said = [desk.one(f"d-{i}", c) for i, c in enumerate(desk.customers[:20])]
        assert any(d.offer_id is not None for d in said)
        with desk.store.transaction(write=False) as session:
            kept = {d.decision_id: single_of(session, d.decision_id) for d in said}
    for decision in said:
        row = kept[decision.decision_id]
        numbers = Numbers.unpack(row.numbers)
        request = desk.request(decision.decision_id, decision.customer_id)
        (played,) = drawn(numbers.probability[None], house.house_key, [request])
        ids = (*desk.snapshot.book.offer_ids, None)
        assert ids[played] == decision.offer_id == row.offer_id
        assert decision.propensity == float(numbers.probability[played])
        assert Decision.from_document(row.answer) == decision


def test_damaged_numbers_are_refused_in_words(house):
    with counter(house) as desk:
        desk.one("d-1", desk.customers[0])
        with desk.store.transaction(write=False) as session:
            blob = single_of(session, "d-1").numbers
    with pytest.raises(Exception, match="damaged"):
        Numbers.unpack(blob[:-4])


def test_draws_follow_the_stated_chances(house):
    """20,000 decision ids of one customer, exploration included, by chi-square; 4 s.e."""
    with counter(house) as desk:
        desk.snapshot = exploring(desk.snapshot, share=0.3)
        customer = desk.customers[3]
        p = probability(desk, customer).probability
    n = 20_000
    asked = [Request(f"x{i}", "spring", customer, desk.opened) for i in range(n)]
    found = np.bincount(drawn(np.tile(p, (n, 1)), house.house_key, asked), minlength=len(p))
    possible = p > 0
    assert found[~possible].sum() == 0
    expected = n * p[possible].astype(float) / p.sum(dtype=float)
    chi2 = ((found[possible] - expected) ** 2 / expected).sum()
    df = possible.sum() - 1
    assert abs(chi2 - df) < 4 * np.sqrt(2 * df)


def test_what_decisions_log_is_what_they_play(house):
    """4,000 decisions about one customer, three tenths of them exploring, against the chances in their rows."""
    with counter(house) as desk:
        desk.snapshot = exploring(desk.snapshot, share=0.3)
        decider, customer = desk.decider, desk.customers[3]
        one, found = decider.weigh([from_audience(desk.snapshot, customer)]), chances_of(desk, customer)
        ids = (*desk.snapshot.book.offer_ids, None)
        played = np.zeros(len(ids))
        for i in range(4_000):
            (made,) = decider._settled([desk.request(f"y{i}", customer)], one, found)
            played[ids.index(made.decision.offer_id)] += 1
        logged = Numbers.unpack(made.single.numbers).probability.astype(float)
    expected = 4_000 * logged[logged > 0] / logged.sum()
    chi2 = ((played[logged > 0] - expected) ** 2 / expected).sum()
    df = len(expected) - 1
    assert abs(chi2 - df) < 4 * np.sqrt(2 * df)


def test_exploration_is_mixed_in_as_it_is_asked_for(house):
    with counter(house) as desk:
        customer = desk.customers[3]
        plain = probability(desk, customer).probability.astype(float)
        desk.snapshot = exploring(desk.snapshot, share=0.3)
        mixed = probability(desk, customer)
        even = np.append(mixed.reasons == 0, True) / (1 + (mixed.reasons == 0).sum())
        np.testing.assert_allclose(mixed.probability, 0.7 * plain + 0.3 * even, atol=1e-6)


def test_an_offer_that_cannot_be_reserved_is_not_eligible_and_the_rest_shares_its_chance(house):
    with counter(house) as desk:
        decider, customer = desk.decider, desk.customers[5]
        person = decider.weigh([from_audience(desk.snapshot, customer)])
        most = person.needs[0, decider.needs.names.index("budget")]
        full = probability(desk, customer)
        edge = int(np.median(most[full.reasons == 0]))
        room = np.array([edge if name == "budget" else PLENTY for name in decider.needs.names])
        found = probability(desk, customer, room=room)
        dear = most > edge
        assert ((found.reasons & np.uint64(BUDGET.mask)) != 0).tolist() == dear.tolist()
        assert not found.probability[:-1][dear].any()
        assert found.probability.sum() == pytest.approx(1.0, abs=1e-6)
        assert dear[full.reasons == 0].any()


@ON_BOTH
def test_the_most_that_an_offer_can_cost_is_reserved(house):
    with counter(house) as desk:
        terms = desk.snapshot.book.terms
        said = [desk.one(f"d-{i}", c) for i, c in enumerate(desk.customers[:40])]
        for decision in said:
            if decision.offer_id is None:
                assert decision.decision_id not in desk.purse.held
                continue
            a = desk.snapshot.book.offer_ids.index(decision.offer_id)
            most = terms.contact_cost[a] + terms.redemption_cost[a]
            held = desk.purse.held[decision.decision_id]
            assert most * MICROS <= held["budget"] < most * MICROS + 1.001
            assert held.get("cap", 0) == (MICROS if decision.offer_id == "offer-01" else 0)
            sure = desk.purse.sure[decision.decision_id]
            assert terms.contact_cost[a] * MICROS <= sure["budget"] < terms.contact_cost[a] * MICROS + 1.001
            assert sure.get("cap", 0) == held.get("cap", 0)


def test_what_is_sure_of_an_offer_is_no_more_than_what_is_reserved_of_any_limit():
    cost, contact = np.array([7, 5, 3]), np.array([2, 5, 0])
    applies = np.array([[[True, False, True]], [[False, True, True]], [[True, True, False]]])
    needs = Needs(("contacts", "budget", "sales"), applies, np.arange(len(MEASURES)), cost, contact)
    (most,) = needs.of(np.array([0]), np.array([1.0, 1.0, 1.0]))
    sure = np.array([list(needs.sure(0, offer).values()) for offer in range(3)]).T
    assert (sure <= most).all()
    expected = {"count": [MICROS, 0, MICROS], "cost": [0, 5, 0], "value": [0, 0, 0]}
    assert sure.tolist() == [expected[measure] for measure in MEASURES]


def test_what_has_no_end_is_never_within_a_limit_and_the_ledger_is_not_asked_for_it(house):
    """Amounts: nobody knows how much one customer may bring."""
    applies = np.ones((len(MEASURES), 1, 2), bool)
    needs = Needs(
        ("contacts", "budget", "sales"), applies, np.arange(len(MEASURES)), np.array([7, 5]), np.array([2, 5])
    )
    found = needs.of(np.array([0, 0]), None)
    assert (found == BOUNDLESS).tolist() == [[[measure == "value"] * 2 for measure in MEASURES]] * 2
    with counter(house) as desk:
        those = replace(desk.decider.weigh([from_audience(desk.snapshot, desk.customers[0])]), needs=found[:1])
    assert those.most(np.ones((1, 2), bool)).tolist() == [[MICROS, 7, 0]]


def test_without_any_room_nothing_that_costs_is_given_and_nobody_overspends(house):
    with counter(house, budget=3 * MICROS, cap=0) as desk:
        said = [desk.one(f"d-{i}", c) for i, c in enumerate(desk.customers[:80])]
        assert all(d.offer_id != "offer-01" for d in said)
        assert sum(h["budget"] for h in desk.purse.held.values()) <= 3 * MICROS
        assert [d.status for d in said[-20:]].count("chosen") < [d.status for d in said[:20]].count("chosen")


def test_held_out_customers_get_nothing_with_certainty(house):
    with counter(house) as desk:
        book = desk.snapshot.book
        customer = book.customer_id[int(np.flatnonzero(book.held_out)[0])].as_py()
        decision = desk.one("d-1", customer)
    assert (decision.status, decision.offer_id, decision.propensity) == ("held_out", None, 1.0)


def test_offers_end_while_a_release_is_served(house):
    with counter(house) as desk:
        book, customer = desk.snapshot.book, desk.customers[0]
        ends = np.full(len(book.offer_ids), np.datetime64("NaT"), "datetime64[D]")
        ends[4] = np.datetime64(desk.opened.date())
        rules = tuple(replace(r, name="offer_ended") if r.name == "eligible_when" else r for r in book.rules)
        bit = next(r.mask for r in rules if r.name == "offer_ended")
        desk.snapshot = replace(desk.snapshot, book=replace(book, dates={"ends_on": ends}, rules=rules))
        today, tomorrow = probability(desk, customer), probability(desk, customer, desk.opened + timedelta(days=1))
    assert not today.reasons[4] & np.uint64(bit)
    assert tomorrow.reasons[4] & np.uint64(bit)
    assert tomorrow.probability[4] == 0
    assert ends[4].astype(object) == date.fromisoformat(desk.opened.date().isoformat())


@pytest.fixture
def polite(decided, kept_in, tmp_path):
    """A release under a contact policy: one contact in ten days, twenty quiet days."""
    lab, _ = decided
    lab = kept_in(lab, tmp_path)
    lab.allocate(20, contact=ContactPolicy(most=1, days=10, quiet_days=20), limits=())
    return lab


def reached_by_nobody(desk):
    book = desk.snapshot.book
    return [c for c in desk.customers if book.reached.count[book.find(c)] == 0]


def test_contacts_of_single_decisions_count_at_once_and_for_as_long_as_the_policy_says(polite):
    with counter(polite.workspace) as desk:
        people = reached_by_nobody(desk)
        taken = None
        for i, customer in enumerate(people):
            first, second = desk.decide(desk.request(f"a{i}", customer), desk.request(f"b{i}", customer))
            if first.offer_id is not None:
                taken = customer
                assert second.status == "no_eligible"
                break
        assert taken is not None
        rule = next(r for r in desk.snapshot.book.rules if r.name == "contacts")
        soon = probability(desk, taken, desk.opened + timedelta(days=9))
        later = probability(desk, taken, desk.opened + timedelta(days=10))
        assert (soon.reasons & np.uint64(rule.mask)).all()
        assert not (later.reasons & np.uint64(rule.mask)).any()


def test_whom_the_release_itself_contacted_is_contacted(polite):
    with counter(polite.workspace) as desk:
        book = desk.snapshot.book
        contacted = [c for c in desk.customers if book.reached.count[book.find(c)] > 0]
        assert contacted
        assert desk.one("d-1", contacted[0]).status == "no_eligible"


def test_a_refusal_opens_the_quiet_days_whether_the_decision_was_single_or_not(polite):
    with counter(polite.workspace) as desk:
        book = desk.snapshot.book
        rule = next(r for r in book.rules if r.name == "quiet_period")
        batch = next(c for c in desk.customers if book.reached.count[book.find(c)] > 0)
        single = next(c for c in reached_by_nobody(desk) if desk.one(f"s-{c}", c).offer_id is not None)
        refused = {single: f"s-{single}", batch: f"{book.release_id}-{key(batch):016x}"}
        said = [
            {
                "event_id": f"e-{d}",
                "decision_id": d,
                "outcome": 0,
                "reward": 0.0,
                "occurred_at": desk.opened.isoformat(),
            }
            for d in refused.values()
        ]
        for customer in refused:
            assert not (probability(desk, customer).reasons & np.uint64(rule.mask)).any()
        take_feedback(desk.store, feedback_items(said), set, received_at=desk.opened)
        for customer in refused:
            for days, quiet in ((19, True), (20, False)):
                found = probability(desk, customer, desk.opened + timedelta(days=days))
                assert bool((found.reasons & np.uint64(rule.mask)).all()) is quiet


def test_a_new_posterior_is_picked_up_without_building(heard, tmp_path):
    lab, _ = heard
    lab = lab.copy(tmp_path)
    with open_store(lab.workspace) as store:
        before = build(lab.workspace, store, last_release(store, "spring"))
        assert refreshed(lab.workspace, store, before) is before
        learnt = learn(lab.workspace, as_of=moment(40))
        after = refreshed(lab.workspace, store, before)
        assert after.scoring.posterior_id == learnt["posterior"] != before.scoring.posterior_id
        assert after.scoring.scored is before.scoring.scored
        anew = build(lab.workspace, store, last_release(store, "spring"))
        one = from_audience(after, after.book.customer_id[7].as_py())
        for a, b in zip(after.scoring.beliefs(one.scored), anew.scoring.beliefs(one.scored), strict=True):
            if a is not None:
                assert np.array_equal(a.mean, b.mean)
                assert np.array_equal(a.sd, b.sd)


def test_as_long_as_nothing_is_released_no_releases_are_read(house, monkeypatch):
    def read(*_):
        raise AssertionError("releases were read")

    with counter(house) as desk:
        for name in ("release_head", "release_heads"):
            monkeypatch.setattr(snapshot, name, read)
        assert refreshed(house, desk.store, desk.snapshot) is desk.snapshot


def test_a_new_release_asks_for_a_new_snapshot(decided, tmp_path):
    lab, _ = decided
    lab = lab.copy(tmp_path)
    with counter(lab.workspace) as desk:
        lab.allocate(25)
        assert refreshed(desk.workspace, desk.store, desk.snapshot) is None


def test_without_its_model_a_release_is_served_from_its_segments(house):
    with counter(house) as desk:
        good = [desk.one(f"g{i}", c) for i, c in enumerate(desk.customers[:5])]
    for folder in house.models.iterdir():
        (folder / "features.json").write_text("{")
    with counter(house) as desk:
        assert desk.snapshot.scoring is None
        said = [desk.one(f"d{i}", c) for i, c in enumerate(desk.customers[:30])]
        assert {d.mode for d in said} == {"segment_prior"}
        assert any(d.offer_id is not None for d in said)
        assert good[0].mode == "normal"
        same = {d.propensity for d in said if d.offer_id == said[0].offer_id}
    shutil.rmtree(house.serving)
    with counter(house) as desk:
        said = [desk.one(f"e{i}", c) for i, c in enumerate(desk.customers[:5])]
        assert {(d.mode, d.status) for d in said} == {("no_rules", "no_eligible")}
    assert same


def test_who_is_not_in_the_audience_is_not_found(house):
    with counter(house) as desk:
        assert from_audience(desk.snapshot, "nobody") is None
