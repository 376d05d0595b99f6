"""Three posteriors in place of one: trained, decided with, learnt, laid over, explained and judged like one."""

from dataclasses import replace

import numpy as np
import pytest
from engine_workspace import LATE, SECOND, answers, decisions, stock

from bandit import Experts
from engine.allocate import reproduce
from engine.computed import set_up
from engine.evaluate import Question, evaluate
from engine.explain import explain
from engine.learn import learn
from engine.models import load_models
from engine.risk import campaign_risk
from engine.stages import Stages
from engine.stamp import stamp_now
from engine.train import Wishes, train
from sims.files import OUTCOME_DAYS, moment
from warehouse import open_store

NEW, THIRD = "offer-99", 12


def retrain(lab, day=0, **wishes):
    return train(lab.workspace, as_of=moment(day), outcome_days=OUTCOME_DAYS, wishes=Wishes(**wishes))


def learnt(lab, day=LATE):
    return learn(lab.workspace, as_of=moment(day))


def model(lab, name):
    with open_store(lab.workspace) as store:
        return load_models(lab.workspace, store, name)


@pytest.fixture(scope="module")
def story(trained, tmp_path_factory):
    """Trained with experts, allocated, allocated twice more with a new offer; what the world says. Never changed."""
    lab = trained.copy(tmp_path_factory.mktemp("experts"))
    made = retrain(lab, experts=True)
    first = lab.allocate(0)
    stock(lab, NEW)
    plans = first, lab.allocate(SECOND), lab.allocate(THIRD)
    return lab, made, plans, [answers(lab, plan, day) for plan, day in zip(plans, (0, SECOND, THIRD), strict=True)]


@pytest.fixture(scope="module")
def later(story, tmp_path_factory):
    """With everything heard and learnt at once. Not to be changed."""
    lab = story[0].copy(tmp_path_factory.mktemp("later"))
    lab.feed([row for rows in story[3] for row in rows], LATE)
    return lab, learnt(lab)


def test_the_first_of_them_is_the_posterior_that_training_makes_without_them(story, lab):
    made = story[1]
    assert made["experts"] == pytest.approx(dict.fromkeys(("plain", "quick", "curved"), 1 / 3))
    plain = retrain(lab)
    assert plain["experts"] == {"plain": 1.0} and plain["prior"] == made["prior"]
    one, three = model(lab, plain["posterior"])[1], model(story[0], made["posterior"])[1]
    assert isinstance(three, Experts)
    arrays = three.plain.to_arrays()
    assert all(arrays[name].tobytes() == array.tobytes() for name, array in one.to_arrays().items())


def test_the_same_log_and_seed_give_the_same_experts(story, lab):
    assert retrain(lab, experts=True)["posterior"] == story[1]["posterior"]


def test_the_way_outcomes_came_does_not_change_them(story, later, tmp_path):
    """Young decisions laid over, the second allocation before the first, in pieces, sent twice."""
    lab, (first, second, third) = story[0].copy(tmp_path), story[3]
    lab.feed(second[::2], SECOND + 3)
    young = learnt(lab, SECOND + 4)
    assert young["overlaid"] and young["posterior"] != story[1]["posterior"]
    lab.feed([*second[1::2], *second, *third], LATE)
    learnt(lab)
    lab.feed([*reversed(first)], LATE)
    made = learnt(lab)
    assert (made["posterior"], made["experts"]) == (later[1]["posterior"], later[1]["experts"])
    assert made["newcomers"] == [NEW]


def test_learning_says_who_is_believed(later):
    lab, made = later
    state = model(lab, made["posterior"])[1]
    assert made["experts"] == state.shares and sum(made["experts"].values()) == pytest.approx(1.0)
    assert len(set(made["experts"].values())) == 3
    assert list(made["experts"])[int(state.score.argmax())] == max(made["experts"], key=made["experts"].get)


def test_decisions_are_reproduced_to_the_bit_and_judged(later, story):
    lab, (first, second, _) = later[0], story[2]
    assert reproduce(lab.workspace, second["allocation_id"])["identical"]
    question = Question(lab.campaign, None, None, (first["allocation_id"],), OUTCOME_DAYS, moment(LATE))
    found = evaluate(lab.workspace, question)
    assert found["largest_weight"] == pytest.approx(1.0, abs=1e-5)


@pytest.mark.parametrize("after", ["training", "learning"])
def test_scores_are_taken_apart_to_the_last_cent_and_each_expert_has_a_share(story, later, tmp_path, after):
    lab = later[0].copy(tmp_path)
    plan = story[2][1] if after == "training" else lab.allocate(LATE)
    shares = (story[1] if after == "training" else later[1])["experts"]
    rows = decisions(plan, "customer_id", "offer_id")
    chosen = [c for c, o in zip(*rows.values(), strict=True) if o is not None][:5]
    new = rows["customer_id"][rows["offer_id"].index(NEW)]
    for customer in [*chosen, new]:
        told = explain(lab.workspace, customer, plan["allocation_id"])
        assert sum(r["worth"] for r in told["reasons"]) == pytest.approx(told["score"], abs=1e-9)
        mean = next(o["mean"] for o in told["offers"] if o["offer_id"] == told["chosen"])
        assert sum(r["logit"] for r in told["reasons"] if r["logit"] is not None) == pytest.approx(mean, abs=1e-9)
        terms = {r["term"]: r["logit"] for r in told["reasons"] if r["part"] == "learnt"}
        assert ("curves in them" in terms) == (shares["curved"] > 0)
        assert sum(e["logit"] for e in told["experts"]) == pytest.approx(sum(terms.values()), abs=1e-9)
        assert {e["expert"]: e["share"] for e in told["experts"]} == shares


def test_the_risk_of_a_pair_is_the_doubt_in_its_beliefs(story):
    """A single customer's value varies by slope times sd of the logit, experts or not."""
    lab = story[0]
    campaign = replace(lab.campaign, as_of=moment(SECOND))
    with open_store(lab.workspace) as store:
        stamp = stamp_now(lab.workspace, store, campaign)
        setup = set_up(lab.workspace, store, campaign, stamp, Stages())
        risk = campaign_risk(lab.workspace, store, campaign, stamp, setup, price=0.0)
    for row, offer in ((0, 0), (5, 3), (7, -1)):
        psi = np.array([*risk.features[row], risk.pair_feature[row, offer]], float)
        assert np.sqrt(psi @ risk.covariance[offer] @ psi) == pytest.approx(setup.beliefs.sd[row, :-1][offer], rel=1e-3)


def test_training_again_with_experts_has_nothing_to_warn_of(story, lab):
    assert not any("experts" in warning for warning in story[1]["warnings"] + retrain(lab, experts=True)["warnings"])


def test_training_again_without_experts_goes_back_to_one_posterior(later, tmp_path):
    lab = later[0].copy(tmp_path)
    made = retrain(lab, LATE, force=True)  # whether it is better is not asked here
    assert made["experts"] == {"plain": 1.0}
    assert [w for w in made["warnings"] if "experts (quick, curved)" in w]
    after = learnt(lab)
    assert (after["posterior"], after["experts"], after["folded"]) == (made["posterior"], {"plain": 1.0}, 0)
