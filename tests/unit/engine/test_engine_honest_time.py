"""Nothing counts before it was known, and nothing counts twice, whatever way it comes back."""

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from engine_workspace import LATE, OUTCOME_DAYS, decisions

from allot import CampaignError
from engine.computed import set_up
from engine.evaluate import Question, evaluate
from engine.explain import explain
from engine.learn import learn
from engine.stages import Stages
from engine.stamp import stamp_now
from engine.train import train
from engine.workspaces import load
from sims.files import moment
from warehouse import open_store

TIME = pa.timestamp("us", "UTC")


def exported(lab, plan, answers, path):
    """An allocation as somebody's log would hold it: decision ids, outcomes, propensities."""
    d = decisions(plan, "decision_id", "customer_id", "offer_id", "propensity", "held_out")
    said = {row.decision_id: row for row in answers}
    outcome = [said[i].outcome if i in said else 0 for i in d["decision_id"]]
    at = moment(0)
    table = pa.table(
        {
            "customer_id": d["customer_id"],
            "offer_id": pa.array(d["offer_id"], pa.string()),
            "decided_at": pa.array([at] * len(outcome), TIME),
            "propensity": d["propensity"],
            "outcome": outcome,
            "reward": [float(y) for y in outcome],
            "outcome_at": pa.array([at + timedelta(days=3) if y else None for y in outcome], TIME),
            "decision_id": d["decision_id"],
        }
    )
    pq.write_table(table, path)
    return path


def test_decisions_that_come_back_as_exposures_are_trained_on_once(lab, tmp_path):
    plan = lab.allocate(0)
    answers = lab.answers(plan, 0)
    lab.feed(answers, 4)
    before = train(lab.workspace, as_of=moment(LATE), outcome_days=OUTCOME_DAYS)
    load(lab.workspace, {"exposures": exported(lab, plan, answers, tmp_path / "back.parquet")}, append=True)
    again = train(lab.workspace, as_of=moment(LATE), outcome_days=OUTCOME_DAYS)
    assert again["rows"] == before["rows"]


def test_a_campaign_is_not_judged_on_decisions_that_its_posterior_has_folded(lab, tmp_path):
    plan = lab.allocate(0)
    answers = lab.answers(plan, 0)
    lab.feed(answers, 4)
    log = exported(lab, plan, answers, tmp_path / "log.parquet")
    campaign = replace(lab.campaign, name="another", as_of=moment(LATE))
    question = Question(campaign, log, None, (), OUTCOME_DAYS, moment(LATE))
    assert not any("learnt" in reason for reason in evaluate(lab.workspace, question)["reasons"])
    learn(lab.workspace, as_of=moment(LATE))
    answer = evaluate(lab.workspace, question)
    assert answer["verdict"] == "invalid"
    assert any("learnt" in reason for reason in answer["reasons"])


def test_outcomes_of_exposures_that_came_later_are_not_trained_on(lab, tmp_path):
    table = pq.read_table(lab.files.exposures)
    rate = train(lab.workspace, as_of=moment(0), outcome_days=OUTCOME_DAYS)["arms"][0]["rate"]
    late = pa.array([moment(5)] * table.num_rows, TIME)
    success = np.asarray(table["outcome"]) == 1
    at = pa.array(np.where(success, late.to_numpy(zero_copy_only=False), np.datetime64("NaT")), TIME)
    path = tmp_path / "late.parquet"
    pq.write_table(table.set_column(table.column_names.index("outcome_at"), "outcome_at", at), path)
    load(lab.workspace, {"exposures": path})
    assert train(lab.workspace, as_of=moment(0), outcome_days=OUTCOME_DAYS)["arms"][0]["rate"] == 0.0
    assert train(lab.workspace, as_of=moment(6), outcome_days=OUTCOME_DAYS)["arms"][0]["rate"] == rate


def test_a_plan_of_which_nothing_was_heard_teaches_nothing(lab):
    """It may never have been sent: neither learning nor training takes its silence for failure."""
    rows = train(lab.workspace, as_of=moment(0), outcome_days=OUTCOME_DAYS)["rows"]
    plan = lab.allocate(0)
    made = learn(lab.workspace, as_of=moment(LATE))
    assert (made["folded"], made["filled"], made["windows"]) == (0, 0, 0)
    assert any(plan["allocation_id"] in warning for warning in made["warnings"])
    assert train(lab.workspace, as_of=moment(LATE), outcome_days=OUTCOME_DAYS)["rows"] == rows


def test_an_outcome_before_its_decision_is_refused(lab):
    plan = lab.allocate(0)
    row, other = lab.answers(plan, 0)[:2]
    early = replace(row, occurred_at=(moment(0) - timedelta(seconds=1)).isoformat())
    receipt = lab.feed([early, other], 4)
    assert (receipt["accepted"], receipt["rejected"]) == (1, 1)
    assert "before the decision" in receipt["reasons"][0]["reason"]


def test_outcomes_that_arrive_after_training_are_said_not_swallowed(lab):
    plan = lab.allocate(0)
    first, *answers = lab.answers(plan, 0)
    lab.feed([first], 4)
    train(lab.workspace, as_of=moment(LATE), outcome_days=OUTCOME_DAYS)
    lab.feed(answers, LATE)
    said = learn(lab.workspace, as_of=moment(LATE))["warnings"]
    successes = sum(row.outcome for row in answers)
    assert any(f"{successes:,} decisions that the model was trained on have another outcome" in w for w in said)


def mean_success(lab):
    """Mean believed chance of success over everybody and every offer; nothing is decided."""
    campaign = replace(lab.campaign, as_of=moment(50))
    with open_store(lab.workspace) as store:
        setup = set_up(lab.workspace, store, campaign, stamp_now(lab.workspace, store, campaign), Stages())
    return float(setup.worth.expected.mean())


def test_young_decisions_count_by_the_delays_of_the_log(lab):
    """Outcomes come as they did in the log, within a week; beliefs go from what they were to what they will be."""
    everybody = replace(lab.campaign.exploration, holdout=0.0)  # who is held out depends on the house, by chance
    plan = lab.allocate(0, outcome_days=30.0, exploration=everybody)
    # half of the world's successes, so that all beliefs have a way to go; they come evenly over the days
    answers = [row for row in lab.answers(plan, 0) if row.outcome][::2]
    delay = (np.arange(len(answers)) + 0.5) / len(answers) * OUTCOME_DAYS
    rows = [replace(r, occurred_at=moment(d).isoformat()) for r, d in zip(answers, delay, strict=True)]
    believed = {0: mean_success(lab)}
    for day in (2, 4, 40):
        lab.feed([row for row, d in zip(rows, delay, strict=True) if d <= day], day)
        made = learn(lab.workspace, as_of=moment(day))
        assert (made["overlaid"] > 0) == (day < 40)
        believed[day] = mean_success(lab)
    # a part of the evidence moves beliefs about that part of the way: counted as failures, the young would drag them to
    # the end at once; left out while their successes count, they would push them the other way
    assert believed[40] < 0.9 * believed[0]
    for day in (2, 4):
        moved = (believed[0] - believed[day]) / (believed[0] - believed[40])
        assert moved == pytest.approx(day / OUTCOME_DAYS, abs=0.2)


def test_where_silence_says_nothing_young_successes_do_not_stand_alone(lab):
    plan = lab.allocate(0, no_feedback="ignore", outcome_days=30.0)
    lab.feed([row for row in lab.answers(plan, 0) if row.outcome], 4)
    made = learn(lab.workspace, as_of=moment(5))
    assert made["overlaid"] == 0
    assert made["waiting"] == plan["audience"]


def test_a_second_allocation_of_the_same_moment_takes_the_place_of_the_first(lab):
    first = lab.allocate(0)
    second = lab.allocate(0, seed=8)
    with open_store(lab.workspace) as store:
        status = {a.allocation_id: a.status for a in store.allocations()}
    assert status == {first["allocation_id"]: "superseded", second["allocation_id"]: "released"}
    lab.feed(lab.answers(second, 0)[:5], 4)
    made = learn(lab.workspace, as_of=moment(LATE))
    assert (made["folded"], made["filled"]) == (5, second["audience"] - 5)


def test_once_outcomes_have_come_in_it_takes_a_word_to_replace_an_allocation(lab):
    from engine.allocate import allocate

    first = lab.allocate(0)
    lab.feed(lab.answers(first, 0)[:3], 4)
    with pytest.raises(CampaignError, match="outcomes of it have come in") as refused:
        lab.allocate(0, seed=8)
    assert "--again" in refused.value.remedy
    other = replace(lab.campaign, as_of=moment(0), seed=8)
    made = allocate(lab.workspace, other, now=moment(5), again=True)
    assert made["allocation_id"] != first["allocation_id"]


def test_everybody_in_the_audience_can_be_explained(lab):
    """Also who has nothing eligible, in a cell of their own."""
    from governance import Rule

    rule = Rule("no seniors", "Seniors are left alone", "segment <> 'senior'")
    limits = tuple(x for x in lab.campaign.limits if x.name in ("budget", "cap"))
    seniors = next(x for x in lab.campaign.limits if x.name == "seniors")
    plan = lab.allocate(0, rules=(rule,), limits=(*limits, replace(seniors, minimum=None, maximum=50.0)))
    d = decisions(plan, "customer_id", "status")
    excluded = next(c for c, s in zip(d["customer_id"], d["status"], strict=True) if s == "no_eligible")
    why = explain(lab.workspace, excluded, plan["allocation_id"])
    assert {reason for o in why["offers"] for reason in o["excluded_by"]} >= {"Seniors are left alone"}
