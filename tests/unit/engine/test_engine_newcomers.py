"""Offers come and go between two trainings: a newcomer is offered, learnt of and explained, and nobody else notices."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from engine_workspace import LATE, SECOND, answers, decisions, stock

from allot import CampaignError
from bandit import Columns, Margins
from engine.allocate import reproduce
from engine.computed import set_up
from engine.evaluate import Question, evaluate
from engine.explain import explain
from engine.kin import kin_keys
from engine.learn import learn
from engine.models import load_foundation, load_models, posterior_id, taking_in
from engine.risk import campaign_risk
from engine.stages import Stages
from engine.stamp import stamp_now
from engine.train import Wishes, train
from sims.files import OUTCOME_DAYS, moment
from warehouse import open_store

FIRST, EARLY = "offer-99", "offer-00"  # the second newcomer stands first in the catalogue


def models(lab, posterior_id):
    with open_store(lab.workspace) as store:
        return load_models(lab.workspace, store, posterior_id)


def setup_of(lab, day=0):
    campaign = replace(lab.campaign, as_of=moment(day))
    with open_store(lab.workspace) as store:
        stamp = stamp_now(lab.workspace, store, campaign)
        return set_up(lab.workspace, store, campaign, stamp, Stages())


def learnt(lab):
    return learn(lab.workspace, as_of=moment(LATE))


@pytest.fixture(scope="module")
def story(trained, tmp_path_factory):
    """One newcomer before the first allocation, another before the second. Never to be changed."""
    lab = trained.copy(tmp_path_factory.mktemp("newcomers"))
    stock(lab, FIRST)
    first = lab.allocate(0)
    stock(lab, FIRST, EARLY)
    second = lab.allocate(SECOND)
    return lab, (first, second), [answers(lab, first, 0), answers(lab, second, SECOND)]


@pytest.fixture(scope="module")
def later(story, tmp_path_factory):
    """With everything heard and learnt. Never to be changed."""
    lab = story[0].copy(tmp_path_factory.mktemp("later"))
    lab.feed([*story[2][0], *story[2][1]], LATE)
    return lab, learnt(lab)


def test_nobody_elses_beliefs_change_by_a_bit(trained, lab):
    stock(lab, FIRST, EARLY)
    plain, wide = setup_of(trained), setup_of(lab)
    assert wide.audience.offer_ids == [EARLY, *plain.audience.offer_ids, FIRST]
    for one, other in ((plain.beliefs.mean, wide.beliefs.mean), (plain.beliefs.sd, wide.beliefs.sd)):
        assert np.array_equal(one, np.delete(other, [0, -2], axis=1))
    assert np.array_equal(plain.played, np.delete(wide.played, [0, -2]))
    assert wide.played[0] == wide.played[-2] == wide.played.max()


def test_a_newcomer_is_offered_at_once(story):
    for plan, new in zip(story[1], ((FIRST,), (EARLY, FIRST)), strict=True):
        rows = decisions(plan, "offer_id", "probability")
        chance = np.array(rows["probability"]).mean(0)
        for offer in new:
            assert offer in rows["offer_id"]
            assert chance[plan["offer_ids"].index(offer)] > 0.01


def test_the_plan_says_who_is_new(story, decided):
    assert story[1][1]["newcomers"] == [EARLY, FIRST]  # as the catalogue has them
    assert any(warning.startswith(f"{EARLY}, {FIRST}: newer than the model") for warning in story[1][1]["warnings"])
    assert decided[1][0]["newcomers"] == [] and not any("newer" in w for w in decided[1][0]["warnings"])


def test_a_newcomer_learns_from_its_outcomes_and_warm_offers_do_not(story, tmp_path):
    lab, (first, _), _ = story
    states = []
    for said in (0, 1):
        (tmp_path / str(said)).mkdir()
        own = lab.copy(tmp_path / str(said))
        own.feed(answers(own, first, 0, said), LATE)
        made = learn(own.workspace, as_of=moment(OUTCOME_DAYS))
        assert made["newcomers"] == [FIRST]
        states.append(models(own, made["posterior"]))
    (foundation, low), (_, high) = states
    _, base = taking_in(models(lab, first["versions"]["posterior"]), pa.table({"offer_id": [FIRST]}))
    arm = foundation.offer_ids.index(FIRST)
    start, down, up = (state.weights()[0][arm, 0] for state in (base, low, high))
    assert down < start - 0.1 and start + 0.1 < up
    assert low.cold[arm] and low.count[arm] == decisions(first, "offer_id")["offer_id"].count(FIRST)
    warm, others = ~low.cold, np.arange(len(low.cold)) != arm
    for one, other in zip(low.weights(), high.weights(), strict=True):
        assert np.array_equal(one[warm], other[warm])
    assert np.array_equal(low.count[others], high.count[others])
    assert np.array_equal(low.mean[0], high.mean[0]) and not np.array_equal(low.mean[1], high.mean[1])


def second_first(lab, heard):
    """The window that names both newcomers is folded before the one that names the first."""
    lab.feed(heard[1], LATE)
    assert learnt(lab)["newcomers"] == [EARLY, FIRST]
    lab.feed(heard[0], LATE)


def day_by_day(lab, heard):
    """The second window is laid over while it is young, and folded again behind the checkpoint of the first."""
    lab.feed([*heard[0], *heard[1][::2]], SECOND + 3)
    young = learn(lab.workspace, as_of=moment(SECOND + 4))
    assert young["overlaid"] and young["newcomers"] == [FIRST, EARLY]
    learnt(lab)
    lab.feed(heard[1][1::2], LATE)


@pytest.mark.parametrize("way", [second_first, day_by_day])
def test_the_way_outcomes_came_does_not_change_the_posterior(story, later, tmp_path, way):
    lab = story[0].copy(tmp_path)
    way(lab, story[2])
    made = learnt(lab)
    assert made["newcomers"] == later[1]["newcomers"] == [FIRST, EARLY]
    assert made["posterior"] == later[1]["posterior"]


def test_newcomers_belong_to_the_posterior_and_not_to_what_was_trained(later):
    foundation, state = models(later[0], later[1]["posterior"])
    assert foundation.newcomers == (FIRST, EARLY)
    assert foundation.widened(["offer-98"]).id == foundation.id == later[1]["prior"]
    ids = [posterior_id(state, foundation.id, new) for new in ((FIRST, EARLY), (EARLY, FIRST), ())]
    assert ids[0] == later[1]["posterior"] and len(set(ids)) == 3


def test_what_was_learnt_of_a_newcomer_is_what_is_believed_of_it_next(story, later, tmp_path):
    before, after = setup_of(story[0], LATE), setup_of(later[0], LATE)
    state = models(later[0], later[1]["posterior"])[1]
    assert np.array_equal(after.played[[-2, 0]], state.temperature()[-3:-1])
    assert (after.beliefs.sd[:, [0, -2]] < before.beliefs.sd[:, [0, -2]]).all()
    lab = later[0].copy(tmp_path)
    stock(lab, FIRST, EARLY, "offer-98")
    again = setup_of(lab, LATE)
    assert np.array_equal(np.delete(again.beliefs.mean, -3, axis=1), after.beliefs.mean)


@pytest.fixture(scope="module")
def retrained(later, tmp_path_factory):
    """Trained again when the first newcomer had been retired, after a third allocation. Never to be changed."""
    lab = later[0].copy(tmp_path_factory.mktemp("retrained"))
    third = lab.allocate(LATE)
    stock(lab, EARLY)
    made = train(lab.workspace, as_of=moment(LATE), outcome_days=OUTCOME_DAYS, wishes=Wishes(force=True))
    return lab, third, made, learnt(lab)


def test_decisions_on_newcomers_are_reproduced_to_the_bit(retrained, story):
    lab, third, _, _ = retrained
    for plan in (story[1][1], third):
        assert reproduce(lab.workspace, plan["allocation_id"])["identical"]


def test_an_offer_that_left_is_not_offered_and_its_evidence_stays(later, tmp_path):
    lab = later[0].copy(tmp_path)
    full = setup_of(lab, LATE)
    stock(lab, EARLY, without=("offer-02",))
    gone = [full.audience.offer_ids.index(offer) for offer in ("offer-02", FIRST)]
    fewer = setup_of(lab, LATE)
    assert not {"offer-02", FIRST} & set(fewer.audience.offer_ids)
    assert np.array_equal(fewer.beliefs.mean, np.delete(full.beliefs.mean, gone, axis=1))
    assert learnt(lab)["posterior"] == later[1]["posterior"]
    stock(lab, FIRST, EARLY)
    assert np.array_equal(setup_of(lab, LATE).beliefs.mean, full.beliefs.mean)


def test_a_training_takes_newcomers_in_and_forgets_who_was_retired(retrained):
    """Old decisions on a retired offer make no windows: these would let the log's evidence fade."""
    lab, _, made, after = retrained
    foundation = load_foundation(lab.workspace, made["prior"])
    assert EARLY in foundation.offer_ids and FIRST not in foundation.offer_ids and foundation.newcomers == ()
    assert (after["posterior"], after["windows"], after["newcomers"]) == (made["posterior"], 0, [])


def test_a_newcomers_score_is_explained(story):
    lab, (_, second), _ = story
    rows = decisions(second, "customer_id", "offer_id")
    for offer in (FIRST, EARLY):
        told = explain(lab.workspace, rows["customer_id"][rows["offer_id"].index(offer)], second["allocation_id"])
        assert told["chosen"] == offer
        assert sum(r["worth"] for r in told["reasons"]) == pytest.approx(told["score"], abs=1e-9)
        logits = [r["logit"] for r in told["reasons"] if r["logit"] is not None]
        assert sum(logits) == pytest.approx(next(o["mean"] for o in told["offers"] if o["offer_id"] == offer))


def test_a_policy_on_newcomers_is_judged(later, story):
    """Its own campaign, replayed on its own log, is the policy that was logged: every weight is one."""
    lab, first = later[0], story[1][0]
    question = Question(lab.campaign, None, None, (first["allocation_id"],), OUTCOME_DAYS, moment(LATE))
    found = evaluate(lab.workspace, question)
    assert found["largest_weight"] == pytest.approx(1.0, abs=1e-5)
    assert found["rows"] == found["logged_in_audience"]


def test_a_newcomers_risk_is_its_groups(story):
    lab = story[0]
    setup = setup_of(lab, SECOND)
    with open_store(lab.workspace) as store:
        stamp = stamp_now(lab.workspace, store, lab.campaign)
        campaign = replace(lab.campaign, as_of=moment(SECOND))
        risk = campaign_risk(lab.workspace, store, campaign, stamp, setup, price=0.0)
    foundation, state = taking_in(models(lab, stamp.posterior), setup.audience.offers)
    for place, offer in ((0, EARLY), (-1, FIRST)):
        arm = foundation.offer_ids.index(offer)
        assert np.allclose(risk.covariance[place], np.diag(state.variance[1] * state.width[arm]))


def test_a_newcomer_starts_like_its_relatives_wherever_it_is_met(story, later):
    """In an allocation by the catalogue, in a fold by the catalogue of the allocation that chose it."""
    lab, plans, _ = story
    offers = setup_of(lab, SECOND).audience.offers
    foundation, state = taking_in(models(lab, plans[0]["versions"]["posterior"]), offers)
    learnt_of, folded = models(later[0], later[1]["posterior"])
    same = offers.filter(pc.field("offer_id") == "offer-01")
    kin = kin_keys(same, ["offer-01"], foundation.prior.columns)
    assert kin.shape == (1, 2) and (kin > 0).all()  # category and channel
    lift, width = state.relatives.of(kin)
    assert lift.any()
    for offer in (FIRST, EARLY):
        for known, one in ((foundation, state), (learnt_of, folded)):
            arm = known.offer_ids.index(offer)
            assert np.array_equal(one.lift[arm], lift[0]) and np.array_equal(one.width[arm], width[0])


def test_what_the_catalogue_does_not_say_makes_nobody_a_relative():
    columns = Columns(("customer.age",), ("offer.offer_id", "offer.category", "offer.channel"), (1, 2, 3))
    offers = pa.table({"offer_id": ["a", "b", "c"], "category": ["x", None, "x"], "margin": [1.0, 2.0, 3.0]})
    keys = kin_keys(offers, ["c", "b", "a"], columns)
    assert keys.shape == (3, 2) and keys[0, 0] == keys[2, 0] > 0
    assert keys[1, 0] == 0 and not keys[:, 1].any()
    twins = pa.table({"offer_id": ["a"], "category": ["x"], "channel": ["x"]})
    assert len(set(kin_keys(twins, ["a"], columns)[0].tolist())) == 2


def test_a_newcomers_amounts_are_those_of_the_mean_offer(story):
    lab, plans, _ = story
    foundation, _ = models(lab, plans[0]["versions"]["posterior"])
    prior = foundation.prior
    amounts = Margins(np.ones(len(prior.offers)), 0.1, prior.text, prior.offers, prior.columns)
    people = np.random.default_rng(1).normal(size=(50, prior.columns.width))
    known = replace(foundation, margins=amounts).relative_margins(people)
    wide = replace(foundation, margins=amounts).widened([FIRST, EARLY]).relative_margins(people)
    assert np.array_equal(np.delete(wide, [-3, -2], axis=1), known)
    assert np.allclose(wide[:, -3:-1], known[:, :-1].mean(1, keepdims=True)) and np.ptp(wide[:, -2]) > 0


def test_an_offer_must_be_taken_in_before_it_has_an_arm(story):
    lab, plans, _ = story
    model = models(lab, plans[0]["versions"]["posterior"])
    offers = pa.table({"offer_id": [EARLY, *model[0].offer_ids, FIRST]})
    with pytest.raises(CampaignError, match=EARLY):
        model[0].arms(offers)
    foundation, state = taking_in(model, offers)
    assert foundation.arms(offers)[[0, -2, -1]].tolist() == [
        len(state.cold) - 3,
        len(state.cold) - 2,
        len(state.cold) - 1,
    ]
