"""Amounts from end to end: learnt, chosen between under a budget, replayed, explained and judged like successes."""

import csv
import json
import random
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from engine_shop import FEE, LOGGED, NOISE, OUTCOME_DAYS, PEOPLE, START, Shop

from allot import AllotError, CampaignError, DataError
from bandit import AMOUNTS
from engine.allocate import reproduce
from engine.backtest import Rolling, backtest
from engine.campaign import read_campaign
from engine.computed import load_models, set_up
from engine.evaluate import Question, evaluate
from engine.explain import explain
from engine.hindsight import in_hindsight
from engine.learn import learn
from engine.risk import campaign_risk
from engine.stages import Stages
from engine.stamp import Stamp, stamp_now
from engine.train import Wishes, train
from engine.workspaces import load
from warehouse import open_store

EVERY = 6
"""Days from one allocation to the next; outcomes of the one before are mature by then."""


def moment(day):
    return START + timedelta(days=day)


def learnt(shop, day):
    return learn(shop.workspace, as_of=moment(day))


@pytest.fixture(scope="module")
def story(tmp_path_factory):
    """Trained, then three times allocated, heard of and learnt from. Never to be changed."""
    shop = Shop(tmp_path_factory.mktemp("shop"), 1)
    made, plans, said = shop.train(), [], []
    for turn in range(3):
        plans.append(shop.allocate(EVERY * turn))
        said.append(shop.answers(plans[-1], EVERY * turn, turn))
        shop.feed(said[-1], EVERY * turn + 3)
        last = learnt(shop, EVERY * (turn + 1))
    return shop, made, plans, said, last


@pytest.fixture
def shop(story, tmp_path):
    return story[0].copy(tmp_path)


def test_later_rounds_truly_earn_more_than_the_first(story):
    shop, _, plans, _, _ = story
    first, last = (shop.promised(plan) for plan in (plans[0], plans[-1]))
    gain = last - first
    assert gain.mean() > 4 * gain.std(ddof=1) / np.sqrt(PEOPLE)
    assert last.sum() > 1.25 * first.sum()


def test_what_is_planned_is_what_customers_truly_spend_more(story):
    """Of the first round, the model knows one offer by its relatives only."""
    shop, _, plans, _, _ = story
    planned, true = 0.0, 0.0
    for plan in plans[1:]:
        told = shop.decisions(plan)
        chosen = np.flatnonzero(told["arm"] < len(FEE))
        row, arm = told["row"][chosen], told["arm"][chosen]
        planned += plan["planned_value"]
        true += (shop.truth[row, arm] - FEE[arm] - shop.truth[row, -1]).sum()
    assert planned == pytest.approx(true, rel=0.15)


def test_the_logged_chances_are_those_of_gaussian_draws_less_what_limits_charge(story):
    shop, _, plans, _, _ = story
    campaign = read_campaign(shop.document(2 * EVERY))
    with open_store(shop.workspace) as store:
        setup = set_up(shop.workspace, store, campaign, Stamp.from_json(plans[2]["versions"]), Stages())
    told = shop.decisions(plans[2])
    free = ~np.asarray(told["held_out"])
    price = plans[2]["limits"][0]["price"]
    mean, sd = setup.beliefs.mean[free], setup.beliefs.sd[free] * setup.played
    drawn, r = np.zeros((free.sum(), len(FEE) + 1)), np.random.default_rng(1)
    for _ in range(4_000):
        amount = mean + sd * r.normal(size=mean.shape)
        worth = np.append(amount[:, :-1] - FEE - price * FEE, amount[:, -1:], axis=1)
        drawn[np.arange(len(worth)), worth.argmax(1)] += 1 / 4_000
    even = np.asarray(told["probability"])[free] - 0.98 * drawn  # the rest is the exploration share
    assert np.abs(even.sum(1) - 0.02).max() < 1e-5
    assert np.abs(even - even.mean(0)).max() < 5 * 0.5 / np.sqrt(4_000)
    assert np.abs(even.mean(0) - 0.02 / (len(FEE) + 1)).max() < 0.01


def test_offers_are_chosen_as_often_as_their_chances_say(story):
    shop, _, plans, _, _ = story
    off, variance = np.zeros(len(FEE) + 1), np.zeros(len(FEE) + 1)
    for plan in plans:
        told = shop.decisions(plan)
        free = ~np.asarray(told["held_out"])
        chance = np.asarray(told["probability"])[free]
        off += np.bincount(told["arm"][free], minlength=len(FEE) + 1) - chance.sum(0)
        variance += (chance * (1 - chance)).sum(0)
        own = chance[np.arange(len(chance)), told["arm"][free]]
        assert np.asarray(told["propensity"])[free] == pytest.approx(own, abs=1e-9)
    assert np.abs(off).max() < 4 * np.sqrt(variance.max())


def test_the_budget_is_held_by_every_plan_and_nobody_held_out_costs_anything(story):
    shop, _, plans, _, _ = story
    for plan in plans:
        told = shop.decisions(plan)
        cost = np.append(FEE, 0.0)[told["arm"]]
        assert cost[np.asarray(told["held_out"])].sum() == 0.0
        assert np.asarray(told["cost"]) == pytest.approx(cost)
        assert plan["limits"][0]["used"] == pytest.approx(cost.sum())
        assert 0.95 * 0.9 * PEOPLE < cost.sum() <= 0.9 * PEOPLE


def test_a_repeated_allocation_is_the_same_to_the_byte_and_its_stamp_names_the_kind(shop, story):
    for plan in story[2]:
        assert plan["versions"]["outcome"] == "amount"
        assert reproduce(shop.workspace, plan["allocation_id"])["identical"]


def test_amounts_in_another_order_or_at_once_give_the_same_posterior_to_the_bit(story, tmp_path):
    late = Shop(tmp_path, 1)
    assert late.train()["posterior"] == story[1]["posterior"]
    for turn in range(3):  # the same decisions: each is made with what was known then
        assert late.allocate(EVERY * turn)["decisions_sha256"] == story[2][turn]["decisions_sha256"]
        rows = list(story[3][turn])
        random.Random(turn).shuffle(rows)
        for part in (rows[:100], rows[100:]):
            late.feed(part, EVERY * turn + 3)
        last = learnt(late, EVERY * (turn + 1))
    assert last["posterior"] == story[4]["posterior"]
    assert learnt(late, 3 * EVERY)["folded"] == 0


def test_a_corrected_amount_is_learnt_anew_from_its_window(shop, story):
    first = story[3][1][0]
    shop.feed([{**first, "event_id": "x", "reward": first["reward"] + 500.0}], 3 * EVERY)
    told = learnt(shop, 3 * EVERY)
    assert told["posterior"] != story[4]["posterior"] and told["refolded"] == 2
    shop.feed([{**first, "event_id": "y"}], 3 * EVERY)
    assert learnt(shop, 3 * EVERY)["posterior"] == story[4]["posterior"]


def test_young_amounts_are_laid_over_until_they_are_mature(shop):
    plan = shop.allocate(3 * EVERY)
    shop.feed(shop.answers(plan, 3 * EVERY, 9), 3 * EVERY + 2)
    young = learnt(shop, 3 * EVERY + 3)
    assert (young["folded"], young["overlaid"]) == (0, PEOPLE)
    assert learnt(shop, 3 * EVERY + OUTCOME_DAYS)["folded"] == PEOPLE


@pytest.mark.parametrize("objective", ["profit", "value", "incremental"])
def test_the_terms_of_an_amount_add_up_to_the_score_exactly(shop, objective):
    plan = shop.allocate(3 * EVERY, objective=objective, name=objective)
    told = shop.decisions(plan)
    for customer in [c for c, o in zip(told["customer_id"], told["offer_id"], strict=True) if o is not None][:5]:
        why = explain(shop.workspace, customer, plan["allocation_id"])
        pair = next(offer for offer in why["offers"] if offer["offer_id"] == why["chosen"])
        worth = dict.fromkeys(("cost", "no offer", "uncertainty"), 0.0)
        for row in why["reasons"]:
            worth[row["part"]] = worth.get(row["part"], 0.0) + row["worth"]
        assert sum(worth.values()) == pytest.approx(why["score"], abs=1e-9)
        amounts = [row["amount"] for row in why["reasons"] if row["amount"] is not None]
        assert sum(amounts) == pytest.approx(pair["amount"], abs=1e-9) == pytest.approx(pair["mean"], abs=1e-9)
        arm = plan["offer_ids"].index(why["chosen"])
        assert worth["cost"] == pytest.approx(0.0 if objective == "value" else -FEE[arm])
        assert (worth["no offer"] < 0.0) == (objective == "incremental") and worth["uncertainty"] == 0.0
        assert sum(x["amount"] for x in why["experts"]) == pytest.approx(
            sum(row["amount"] for row in why["reasons"] if row["part"] == "learnt"), abs=1e-6
        )


def test_training_again_takes_own_amounts_into_the_log(shop, story):
    told = train(shop.workspace, as_of=moment(3 * EVERY), outcome_days=1.0, wishes=Wishes(kind=AMOUNTS))
    assert (told["rows"], told["outcome"], told["in_use"]) == (LOGGED + 3 * PEOPLE, "amount", True)
    assert told["squared_error"] < told["base_squared_error"]
    assert told["squared_error"] == pytest.approx(NOISE**2, rel=0.3)
    assert told["predecessor"]["rows"] > 0 and told["brier"] is None and told["ranking"] == []
    assert learnt(shop, 3 * EVERY)["folded"] == 0
    json.dumps(told)


def test_a_model_of_another_kind_is_no_rival_and_said_to_be_one(shop):
    told = train(shop.workspace, as_of=moment(3 * EVERY), outcome_days=1.0, wishes=Wishes(force=True))
    assert told["outcome"] == "success"
    assert "the model in use learns amounts, this one does not: nothing was compared" in told["warnings"]
    assert shop.allocate(3 * EVERY, objective="profit")["versions"].get("outcome", "success") == "success"


def test_evaluation_plans_in_amounts(shop, story):
    question = Question(None, None, None, tuple(p["allocation_id"] for p in story[2]), 30.0, moment(60))
    told = evaluate(shop.workspace, question)
    assert told["estimate"]["value"] == pytest.approx(told["logged"]["value"], abs=3.0)
    assert abs(told["planned_minus_realised"]) < 4 * told["estimate"]["std_error"]
    assert told["ranking"] is None and told["calibration_error"] is None
    campaign = read_campaign(shop.document(2 * EVERY))
    replayed = evaluate(shop.workspace, replace(question, campaign=campaign))
    assert replayed["planned"] is not None and abs(replayed["planned"] - told["planned"]) < 5.0
    supposed = in_hindsight(shop.workspace, question, ["budget=-50%"])
    scenario, written = supposed["scenarios"][0], supposed["as_written"]
    assert scenario["planned_cost"] == pytest.approx(0.5 * written["planned_cost"], rel=0.05)


def test_a_backtest_trains_on_what_the_model_in_use_learns(shop):
    how = Rolling(2, 1.0, moment(0))
    told = backtest(shop.workspace, read_campaign(shop.document(0, objective="profit")), how)
    assert 20.0 < told["planned"] < 50.0
    for origin in told["origins"]:  # contacts cost more than a success at the margin of 1 would bring
        assert origin["limits"][0]["price"] > 1.0


def test_a_column_of_the_amounts_that_it_is_to_foretell_is_named(shop):
    """What each customer spent the one time that is logged, in the customers' table; every row of the log succeeded."""
    how, campaign = Rolling(1, 1.0, moment(0)), read_campaign(shop.document(0, objective="profit"))
    with (shop.files / "exposures.csv").open(newline="") as file:
        first = {row["customer_id"]: row for row in reversed(list(csv.DictReader(file)))}
    load(
        shop.workspace,
        {"exposures": shop._write("exposures", tuple(first["c0000"]), [r.values() for r in first.values()])},
    )
    honest = backtest(shop.workspace, campaign, how)
    assert honest["verdict"] == "insufficient" and not [why for why in honest["reasons"] if "customer." in why]
    spent = [first[c]["reward"] if c in first else "" for c in shop.ids]
    people = [(c, *x, s) for c, x, s in zip(shop.ids, shop.seen.tolist(), spent, strict=True)]
    load(shop.workspace, {"customers": shop._write("customers", ("customer_id", "age", "visits", "basket"), people)})
    spoilt = backtest(shop.workspace, campaign, how)
    assert spoilt["verdict"] == "invalid"
    assert any("customer.basket alone explains" in why for why in spoilt["reasons"])


def test_the_risk_of_an_amount_is_its_own_doubt(shop):
    campaign = read_campaign(shop.document(3 * EVERY, objective="profit"))
    with open_store(shop.workspace) as store:
        stamp = stamp_now(shop.workspace, store, campaign)
        setup = set_up(shop.workspace, store, campaign, stamp, Stages())
        risk = campaign_risk(shop.workspace, store, campaign, stamp, setup, price=0.0)
        foundation, _ = load_models(shop.workspace, store, stamp.posterior)
    assert risk.sensitivity == pytest.approx(np.ones_like(risk.sensitivity))
    assert foundation.prior.kind == AMOUNTS
    seen = np.concatenate([risk.features, risk.pair_feature[:, :1]], axis=1).astype(float)
    doubt = np.sqrt(np.einsum("ni,ij,nj->n", seen, risk.covariance[0], seen))
    assert doubt == pytest.approx(setup.beliefs.sd[:, 0], rel=1e-3)


@pytest.mark.parametrize(
    ("changes", "word"),
    [({"objective": "conversions"}, "counts successes"), ({"outside_margin": 5.0}, "outside_margin")],
)
def test_campaigns_that_speak_of_successes_are_refused(shop, changes, word):
    with pytest.raises(CampaignError, match=word):
        shop.allocate(3 * EVERY, **changes)


def test_costs_of_redemption_are_refused_by_training_and_by_allocating(shop):
    shop.stock(redemption_cost=2.0)
    for asked in (shop.train, lambda: shop.allocate(3 * EVERY)):
        with pytest.raises(DataError, match="redemption_cost"):
            asked()


def test_successes_of_unknown_amount_are_refused_before_the_work(shop):
    rows = (shop.folder.parent / "rewards.csv").open("w")
    with rows, (shop.files / "exposures.csv").open() as log:
        rows.writelines(line.rpartition(",")[0] + ",\n" if i % 100 == 1 else line for i, line in enumerate(log))
    load(shop.workspace, {"exposures": shop.folder.parent / "rewards.csv"})
    with pytest.raises(DataError, match=f"15 of {LOGGED:,} rows are successes without a reward"):
        shop.train()


@pytest.mark.parametrize(("wish", "word"), [({"margins": True}, "--learn-margins"), ({"experts": True}, "--experts")])
def test_wishes_that_need_successes_are_refused(wish, word):
    with pytest.raises(AllotError, match=word):
        Wishes(kind=AMOUNTS, **wish)
