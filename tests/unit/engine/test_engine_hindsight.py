"""What the past would have earned under other limits: replayed like with like, over one allocation or several."""

import json
from dataclasses import replace

import numpy as np
import pytest
from engine_workspace import LATE, OUTCOME_DAYS, SECOND

from allot import CampaignError, DataError
from engine.evaluate import Question, evaluate, logs_of
from engine.hindsight import in_hindsight
from engine.logs import log_from_allocation
from engine.pooled import over_arms, pooled
from engine.replay import prepared
from engine.scenario import read_scenarios
from engine.stages import Stages
from sims.files import moment
from warehouse import open_store

NOTHING = Question(None, None, None, (), OUTCOME_DAYS, moment(LATE))
BOTH = replace(NOTHING, since=moment(0), until=moment(LATE))


@pytest.fixture(scope="module")
def cut(heard):
    """A fifth less budget, and none for calls, on both allocations."""
    lab, _ = heard
    return in_hindsight(lab.workspace, BOTH, ["budget=-20%", "budget=-20%, cap=10"])


def read(lab, plans):
    with open_store(lab.workspace) as store:
        return [
            log_from_allocation(lab.workspace, store, store.allocation(p["allocation_id"]), moment(LATE)) for p in plans
        ]


def test_the_same_limits_earn_the_same_to_the_last_digit(heard):
    lab, _ = heard
    found = in_hindsight(lab.workspace, BOTH, ["budget=1x"])["scenarios"][0]
    assert found["estimate"] is not None
    assert (found["difference"]["value"], found["difference"]["std_error"]) == (0.0, 0.0)
    assert found["difference"]["planned_cost"] == 0.0


def test_less_budget_is_spent_and_shown_scaled_for_every_allocation(cut, heard):
    lab, plans = heard
    budget = next(x.maximum for x in lab.campaign.limits if x.name == "budget")
    written, less = cut["as_written"], cut["scenarios"][0]
    assert [r["log"] for r in less["replays"]] == [p["allocation_id"] for p in plans]
    for replay, before in zip(less["replays"], written["replays"], strict=True):
        limits, others = ({x["name"]: x for x in r["limits"]} for r in (replay, before))
        assert limits["budget"]["maximum"] == pytest.approx(0.8 * budget * replay["limits_scaled_by"])
        assert {n: x["maximum"] for n, x in limits.items() if n != "budget"} == {
            n: x["maximum"] for n, x in others.items() if n != "budget"
        }
    assert written["planned_cost"] <= 2 * budget
    assert less["planned_cost"] <= 2 * 0.8 * budget
    assert less["difference"]["planned_cost"] == pytest.approx(less["planned_cost"] - written["planned_cost"])
    assert less["difference"]["planned_cost"] < 0


def test_the_difference_is_per_decision_and_in_all(cut):
    for scenario in cut["scenarios"]:
        more = scenario["difference"]
        assert more["low"] < more["value"] < more["high"]
        for name in ("value", "low", "high"):
            assert more["in_all"][name] == pytest.approx(cut["rows"] * more[name])
        dr, base = (
            next(e["value"] for e in line["estimates"] if e["estimator"] == "dr")
            for line in (scenario, cut["as_written"])
        )
        assert more["value"] == pytest.approx(dr - base, abs=1e-12)


def test_pairing_makes_the_difference_surer_than_either(cut):
    more = cut["scenarios"][0]["difference"]
    alone = [
        next(e for e in line["estimates"] if e["estimator"] == "dr")["std_error"]
        for line in (cut["as_written"], cut["scenarios"][0])
    ]
    assert more["std_error"] < 0.7 * min(alone)


def test_the_truth_lies_within_four_errors(cut, heard):
    """The world knows what each policy earns on the customers who were logged."""
    lab, plans = heard
    logs = read(lab, plans)
    scenario = read_scenarios(["budget=-20%"], lab.campaign.limits)[0]
    worth = []
    with open_store(lab.workspace) as store:
        for log, day in zip(logs, (0, SECOND), strict=True):
            ready = prepared(lab.workspace, store, lab.campaign, log, Stages())
            more = ready.under(scenario, Stages()).probability - ready.under(None, Stages()).probability
            people = np.array([int(c[1:]) - 1 for c in log.customer_id.to_pylist()])
            offers = [*(lab.world.offers.ids.index(o) for o in log.offer_ids), -1]
            earns = np.append(lab.world.offers.margin, lab.world.outside_margin)
            chance = np.stack([lab.world.success(people, offer, day) for offer in offers], axis=1)
            worth.append((more * chance * earns[offers]).sum(1))
    truth = float(np.concatenate(worth).mean())
    more = cut["scenarios"][0]["difference"]
    assert abs(more["value"] - truth) < 4 * more["std_error"]


def test_pooled_logs_keep_every_row_and_know_their_customers(heard):
    lab, plans = heard
    logs = read(lab, plans)
    rows = pooled(logs)
    assert len(rows.reward) == sum(len(log.reward) for log in logs)
    names = rows.customer_id.to_pylist()
    for i in (0, 5, len(names) - 1):
        same = [j for j, name in enumerate(names) if name == names[i]]
        assert set(np.flatnonzero(rows.cluster == rows.cluster[i])) == set(same)
    assert rows.cluster.max() + 1 == len(set(names)) < len(names)
    table, _ = rows.read()
    assert table.num_rows == len(names)
    chosen = rows.probability[np.arange(len(names)), rows.arm]
    assert chosen == pytest.approx(rows.propensity, rel=1e-5)


def test_an_offer_that_a_log_did_not_have_has_no_chance_there(heard):
    lab, plans = heard
    first, second = read(lab, plans)
    fewer = replace(second, offer_ids=("a new one", *second.offer_ids[1:]))
    ids = tuple(sorted({*first.offer_ids, *fewer.offer_ids}))
    table = over_arms([first.probability, fewer.probability], [first, fewer], ids)
    n = len(first.arm)
    assert (table[:n, ids.index("a new one")] == 0).all()
    assert (table[n:, ids.index(second.offer_ids[0])] == 0).all()
    assert (table[n:, ids.index("a new one")] == fewer.probability[:, 0]).all()
    assert table.sum(1) == pytest.approx(1.0)


def test_a_span_is_the_campaigns_own_allocations(heard):
    lab, plans = heard
    both, one = plans, plans[:1]
    for question, expected in (
        (BOTH, both),
        (replace(BOTH, campaign=lab.campaign), both),
        (replace(BOTH, until=moment(SECOND)), one),
        (replace(NOTHING, since=moment(SECOND)), plans[1:]),
        (replace(NOTHING, allocations=tuple(p["allocation_id"] for p in both[::-1])), both),
    ):
        with open_store(lab.workspace) as store:
            found = logs_of(lab.workspace, store, question)
        assert [log.name for log in found] == [p["allocation_id"] for p in expected]
    with pytest.raises(DataError, match="none of 0 released allocations of 'autumn' since 2026"):
        evaluate(lab.workspace, replace(BOTH, campaign=replace(lab.campaign, name="autumn")))


def test_several_logs_earned_what_all_their_rows_earned(heard):
    lab, plans = heard
    parts = [evaluate(lab.workspace, replace(NOTHING, allocations=(p["allocation_id"],))) for p in plans]
    found = evaluate(lab.workspace, BOTH)
    rows = np.array([p["rows"] for p in parts])
    assert found["rows"] == rows.sum()
    assert found["logged"]["value"] == pytest.approx(rows @ [p["logged"]["value"] for p in parts] / rows.sum())
    assert found["largest_weight"] == pytest.approx(1.0, abs=1e-5)


def test_questions_that_hindsight_cannot_answer(heard, tmp_path):
    lab, _ = heard
    with pytest.raises(CampaignError, match="a list has none"):
        in_hindsight(lab.workspace, replace(NOTHING, target=tmp_path / "list.csv"), ["budget=-20%"])
    with pytest.raises(CampaignError, match="which campaign's limits"):
        in_hindsight(lab.workspace, replace(NOTHING, log=lab.files.exposures), ["budget=-20%"])
    with pytest.raises(CampaignError, match="by one estimator"):
        in_hindsight(lab.workspace, replace(NOTHING, every_estimator=True), ["budget=-20%"])
    with pytest.raises(CampaignError, match="no limit 'budgit'"):
        in_hindsight(lab.workspace, NOTHING, ["budgit=-20%"])
    with pytest.raises(CampaignError, match="each allocation's own limits"):
        in_hindsight(lab.workspace, NOTHING, ["budget=0.5x..2x"])
    with pytest.raises(CampaignError, match="does not go with"):
        evaluate(lab.workspace, replace(BOTH, campaign=lab.campaign, log=lab.files.exposures))


def test_rows_that_the_policy_has_learnt_from_give_no_difference(trained):
    people = replace(trained.campaign, audience="starts_with(customer_id, 'h')", name="to the history")
    question = replace(NOTHING, campaign=people, log=trained.files.exposures)
    found = in_hindsight(trained.workspace, question, ["budget=-20%"])
    assert [line["verdict"] for line in (found["as_written"], *found["scenarios"])] == ["invalid", "invalid"]
    assert found["scenarios"][0]["difference"]["value"] is None
    assert json.loads(json.dumps(found, allow_nan=False))


def test_the_answer_is_finite_json(cut):
    assert json.loads(json.dumps(cut, allow_nan=False))["rows"] == cut["rows"]
