"""Evaluation: what the log may be asked, what makes the answer invalid, and which rows count."""

import json
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from engine_workspace import LATE, SECOND, decisions

from allot import CampaignError, DataError
from engine.evaluate import Question, evaluate
from engine.learn import learn
from engine.logs import _rewarded, log_from_allocation
from engine.replay import replay
from engine.stages import Stages
from engine.train import train
from engine.workspaces import init, load
from sims.files import OUTCOME_DAYS, moment
from warehouse import Workspace, attach, connect, current_version, open_store

NOTHING = Question(None, None, None, (), OUTCOME_DAYS, moment(LATE))


@pytest.fixture
def logged(trained, tmp_path):
    """Writes exposures that no model has seen: the history, decided a day later."""

    def write(**columns):
        table = pq.read_table(trained.files.exposures)
        at = pa.array(table["decided_at"].to_numpy() + np.timedelta64(1, "D")).cast(pa.timestamp("us", "UTC"))
        table = table.set_column(table.column_names.index("decided_at"), "decided_at", at).drop_columns(["outcome_at"])
        for name, values in columns.items():
            table = table.set_column(table.column_names.index(name), name, values)
        path = tmp_path / "log.parquet"
        pq.write_table(table, path)
        return path

    return write


def everybody(lab):
    """The campaign, addressed to the people of the history."""
    return replace(lab.campaign, audience="starts_with(customer_id, 'h')", name="to the history")


def assert_same_policy(found):
    """Every weight is one: importance weighting gives the log's own mean."""
    ips = next(e for e in found["estimates"] if e["estimator"] == "ips")
    assert ips["value"] == pytest.approx(found["logged"]["value"], rel=1e-5)
    assert found["largest_weight"] == pytest.approx(1.0, abs=1e-5)
    assert found["ess"] == pytest.approx(found["rows"], rel=1e-5)


def test_the_logged_policy_is_judged_on_all_rows_that_were_drawn(heard):
    lab, (first, second) = heard
    for plan, day in ((first, 0), (second, SECOND)):
        found = evaluate(lab.workspace, replace(NOTHING, allocations=(plan["allocation_id"],)))
        answers = {row.decision_id: row.reward for row in lab.answers(plan, day)}
        rows = decisions(plan, "decision_id", "held_out")
        drawn = [answers[d] for d, out in zip(*rows.values(), strict=True) if not out]
        assert (found["rows"], found["left_out"]) == (len(drawn), plan["held_out"])
        assert found["logged"]["value"] == pytest.approx(np.mean(drawn), abs=1e-6)  # money is kept in micros
        assert_same_policy(found)


def test_the_latest_allocation_that_is_due_is_the_default(heard):
    lab, (first, second) = heard
    assert evaluate(lab.workspace, NOTHING)["log"] == second["allocation_id"]
    assert evaluate(lab.workspace, replace(NOTHING, as_of=moment(SECOND + 1)))["log"] == first["allocation_id"]
    with pytest.raises(DataError, match="has all its outcomes"):
        evaluate(lab.workspace, replace(NOTHING, as_of=moment(1)))


def test_its_own_campaign_replayed_on_its_own_log_is_the_policy_that_was_logged(heard):
    """Nothing but the headroom that rehearsals may have raised lies between them."""
    lab, (first, _) = heard
    question = replace(NOTHING, campaign=lab.campaign, allocations=(first["allocation_id"],))
    found = evaluate(lab.workspace, question)
    assert found["limits_scaled_by"] == 1.0
    assert found["rows"] == found["logged_in_audience"]
    assert_same_policy(found)
    assert found["verdict"] != "invalid"


def test_a_replay_uses_the_models_of_the_log_and_not_what_was_learnt_from_it(copies, decided):
    lab, (first, _) = copies(), decided[1]
    lab.feed(lab.answers(first, 0), 4)
    half = replace(lab.campaign, limits=(replace(lab.campaign.limits[0], maximum=40.0), *lab.campaign.limits[1:]))
    question = replace(NOTHING, campaign=half, allocations=(first["allocation_id"],))
    before = evaluate(lab.workspace, question)
    learn(lab.workspace, as_of=moment(LATE))
    after = evaluate(lab.workspace, question)
    assert after["estimate"] == before["estimate"]
    assert after["difference"]["value"] != 0.0
    assert before["verdict"] != "invalid"


def test_a_cap_of_nothing_is_replayed_as_a_rule(heard):
    """As in an allocation, the offer has no chance at all, exploration included."""
    lab, (first, _) = heard
    limits = tuple(replace(x, maximum=0.0) if x.name == "cap" else x for x in lab.campaign.limits)
    with open_store(lab.workspace) as store:
        rows = log_from_allocation(lab.workspace, store, store.allocation(first["allocation_id"]), moment(LATE))
        target = replay(lab.workspace, store, replace(lab.campaign, limits=limits), rows, Stages()).probability
    capped = first["offer_ids"].index("offer-01")
    assert (target[:, capped] == 0).all()
    assert (target.sum(0) > 0).sum() == target.shape[1] - 1


def test_a_policy_may_not_be_judged_on_rows_that_it_was_trained_on(trained, logged):
    question = replace(NOTHING, campaign=everybody(trained), log=trained.files.exposures)
    found = evaluate(trained.workspace, question)
    assert found["verdict"] == "invalid"
    assert "learnt from 2,750 of these 2,750 rows" in found["reasons"][0]
    fresh = evaluate(trained.workspace, replace(question, log=logged()))
    assert fresh["verdict"] != "invalid", fresh["reasons"]
    assert fresh["rows"] == 2_750


def test_a_single_row_that_was_trained_on_is_enough(trained, logged):
    table = pq.read_table(trained.files.exposures)
    at = (table["decided_at"].to_numpy() + np.timedelta64(1, "D")).astype("datetime64[us]")
    at[7] -= np.timedelta64(1, "D")
    path = logged(decided_at=pa.array(at).cast(pa.timestamp("us", "UTC")))
    found = evaluate(trained.workspace, replace(NOTHING, campaign=everybody(trained), log=path))
    assert found["verdict"] == "invalid"
    assert "learnt from 1 of these" in found["reasons"][0]


@pytest.mark.parametrize("way", ["folded", "trained on", "neither"])
def test_our_own_decisions_are_no_news_when_they_come_back_as_a_file(copies, decided, tmp_path, way):
    """An export of decisions that the posterior or the prior has learnt from may not judge them either."""
    lab, (first, _) = copies(), decided[1]
    answers = {row.decision_id: row for row in lab.answers(first, 0)}
    lab.feed(answers.values(), 4)
    if way == "folded":
        learn(lab.workspace, as_of=moment(OUTCOME_DAYS))
    elif way == "trained on":
        train(lab.workspace, as_of=moment(OUTCOME_DAYS), outcome_days=OUTCOME_DAYS)
    rows = decisions(first, "decision_id", "customer_id", "offer_id", "propensity", "held_out")
    kept = [i for i, out in enumerate(rows["held_out"]) if not out]
    path = tmp_path / "export.parquet"
    exported = {name: [rows[name][i] for i in kept] for name in ("customer_id", "offer_id", "propensity")}
    said = [answers[rows["decision_id"][i]] for i in kept]
    outcomes = {"outcome": [a.outcome for a in said], "reward": [a.reward for a in said]}
    pq.write_table(pa.table({**exported, **outcomes, "decided_at": [moment(0)] * len(kept)}), path)
    found = evaluate(lab.workspace, replace(NOTHING, campaign=lab.campaign, log=path))
    assert (found["verdict"] == "invalid") == (way != "neither"), found["reasons"]
    assert f"learnt from {len(kept)} of these" in found["reasons"][0] or way == "neither"


def test_without_propensities_nothing_is_estimated(trained, logged):
    propensity = pq.read_table(trained.files.exposures)["propensity"].to_pylist()
    propensity[3] = None
    path = logged(propensity=pa.array(propensity, pa.float64()))
    found = evaluate(trained.workspace, replace(NOTHING, campaign=everybody(trained), log=path))
    assert found["verdict"] == "invalid"
    assert found["reasons"][0].startswith("1 of 2,750 logged rows have no propensity")
    assert found["estimate"] is None and found["estimates"] == []


def unpaid(table, where):
    """The table's rewards as a column that is empty where `where` holds."""
    return pa.array([None if gone else r for gone, r in zip(where, table["reward"].to_pylist(), strict=True)])


def test_a_success_without_a_reward_counts_at_its_offers_margin(trained, logged):
    table = pq.read_table(trained.files.exposures)
    with connect(trained.workspace) as connection:
        attach(connection, trained.workspace, current_version(trained.workspace))
        margin = dict(connection.execute("FROM offers SELECT offer_id, margin").fetchall())
    offer, outcome = table["offer_id"].to_pylist(), table["outcome"].to_pylist()
    gone = [o is not None and y == 1 and i % 2 == 0 for i, (o, y) in enumerate(zip(offer, outcome, strict=True))]
    full = [margin[o] if g else r for g, o, r in zip(gone, offer, table["reward"].to_pylist(), strict=True)]
    question = replace(NOTHING, campaign=everybody(trained))
    found = evaluate(trained.workspace, replace(question, log=logged(reward=unpaid(table, gone))))
    wanted = evaluate(trained.workspace, replace(question, log=logged(reward=pa.array(full))))
    assert sum(gone) > 50
    assert found["warnings"] == [f"{sum(gone):,} successes have no reward: each counts at its offer's margin"]
    assert wanted["warnings"] == []
    assert {**found, "warnings": [], "seconds": 0} == {**wanted, "seconds": 0}


def test_a_success_without_offer_and_reward_is_refused_where_margins_differ(trained, logged):
    table = pq.read_table(trained.files.exposures)
    gone = [o is None and y == 1 for o, y in zip(*(table[c].to_pylist() for c in ("offer_id", "outcome")), strict=True)]
    question = replace(NOTHING, campaign=everybody(trained), log=logged(reward=unpaid(table, gone)))
    first = table["customer_id"][gone.index(True)].as_py()
    with pytest.raises(
        DataError, match=f"{sum(gone)} successes without an offer have no reward.*e.g. customer"
    ) as told:
        evaluate(trained.workspace, question)
    assert "log.parquet, column reward" in str(told.value) and first.startswith("h")
    shared = np.full(3, 7.0)
    rows = pa.table({"reward_known": [False, True], "reward": [1.0, 4.0]})
    reward, _ = _rewarded(rows, np.array([3, 3]), shared, question.log)
    assert reward.tolist() == [7.0, 4.0]  # a margin that all offers share is what a success is worth


def test_customers_of_the_log_whom_the_campaign_does_not_address_are_said_and_not_planned_for(trained, logged):
    whole = evaluate(trained.workspace, replace(NOTHING, campaign=everybody(trained), log=logged()))
    some = replace(everybody(trained), audience="starts_with(customer_id, 'h') AND ends_with(customer_id, '1')")
    part = evaluate(trained.workspace, replace(NOTHING, campaign=some, log=logged()))
    outside = part["rows"] - part["logged_in_audience"]
    assert 0 < part["logged_in_audience"] < part["rows"]
    assert f"{outside:,} of {part['rows']:,} logged decisions are about customers outside" in part["warnings"][0]
    assert whole["planned"] is not None and whole["warnings"] == []
    assert part["planned"] is None and part["planned_minus_realised"] is None


def test_decisions_about_unknown_customers_are_said(trained, logged):
    who = [
        f"nobody {i}" if i < 40 else c
        for i, c in enumerate(pq.read_table(trained.files.exposures)["customer_id"].to_pylist())
    ]
    found = evaluate(
        trained.workspace, replace(NOTHING, campaign=everybody(trained), log=logged(customer_id=pa.array(who)))
    )
    assert "40 logged decisions are about customers of whom nothing is known" in found["warnings"]


@pytest.mark.parametrize("missing", ["customers", "offers"])
def test_a_log_of_a_house_without_customers_or_offers_is_not_evaluated(trained, tmp_path, missing):
    init(tmp_path / "home")
    workspace = Workspace.open(tmp_path / "home")
    there = {"customers": trained.files.customers, "offers": trained.files.offers}
    load(workspace, {name: path for name, path in there.items() if name != missing})
    path = target_file(tmp_path / "list.csv", [("h1", None, 1.0)])
    with pytest.raises(DataError, match=f"no {missing} are loaded"):
        evaluate(workspace, replace(NOTHING, log=trained.files.exposures, target=path))


def target_file(path, rows):
    path.write_text("customer_id,offer_id,probability\n" + "".join(f"{c},{o or ''},{p}\n" for c, o, p in rows))
    return path


def test_a_list_that_repeats_the_log_earns_what_the_log_earned(heard, tmp_path):
    lab, (first, _) = heard
    rows = decisions(first, "customer_id", "held_out", "probability")
    offers = [*first["offer_ids"], None]
    listed = []
    for customer, out, row in zip(*rows.values(), strict=True):
        p = np.asarray(row, np.float64) / np.sum(row, dtype=np.float64)
        listed += [] if out else [(customer, o, repr(float(x))) for o, x in zip(offers, p, strict=True) if x > 0]
    path = target_file(tmp_path / "list.csv", listed)
    found = evaluate(lab.workspace, replace(NOTHING, target=path, allocations=(first["allocation_id"],)))
    assert_same_policy(found)


def test_a_list_must_name_every_logged_customer(heard, tmp_path):
    lab, (first, _) = heard
    rows = decisions(first, "customer_id", "held_out")
    drawn = [c for c, out in zip(*rows.values(), strict=True) if not out]
    path = target_file(tmp_path / "list.csv", [(c, None, 1.0) for c in drawn[1:]])
    with pytest.raises(DataError, match="1 are not listed at all"):
        evaluate(lab.workspace, replace(NOTHING, target=path, allocations=(first["allocation_id"],)))
    path = target_file(tmp_path / "list.csv", [(c, None, 0.5) for c in drawn])
    with pytest.raises(DataError, match=r"sum to 0\.5, not to 1"):
        evaluate(lab.workspace, replace(NOTHING, target=path, allocations=(first["allocation_id"],)))


def test_questions_that_are_none(trained, logged, tmp_path):
    path = target_file(tmp_path / "list.csv", [])
    with pytest.raises(CampaignError, match="both a campaign and --target"):
        evaluate(trained.workspace, replace(NOTHING, campaign=trained.campaign, target=path))
    with pytest.raises(CampaignError, match="no policy to evaluate"):
        evaluate(trained.workspace, replace(NOTHING, log=logged()))
    with pytest.raises(DataError, match="older than"):
        question = replace(NOTHING, campaign=everybody(trained), log=logged(), as_of=moment(-100))
        evaluate(trained.workspace, question)


def test_the_answer_says_what_it_rests_on(heard):
    lab, (first, _) = heard
    found = evaluate(lab.workspace, replace(NOTHING, campaign=lab.campaign, allocations=(first["allocation_id"],)))
    assert [x["offer_id"] for x in found["propensities"]] == [*first["offer_ids"], None]
    assert sum(x["taken"] for x in found["propensities"]) == found["rows"]
    assert not any(x["alarm"] for x in found["propensities"])
    assert sum(x["rows"] for x in found["weights"]) == pytest.approx(1.0)
    assert found["calibration_error"] < 0.2


def test_every_estimator_answers_when_asked_and_nothing_else_changes(heard, tmp_path):
    lab, (first, _) = heard
    question = replace(NOTHING, campaign=lab.campaign, allocations=(first["allocation_id"],), by="segment")
    plain, every = (evaluate(lab.workspace, replace(question, every_estimator=asked)) for asked in (False, True))
    judged = [e["estimator"] for e in plain["estimates"]]
    more = every["estimates"][len(judged) :]
    assert judged == ["ips", "snips", "dr", "sndr"]
    names = ["dm", "clipped_ips", "switch_dr", "dr_os", "subgaussian_ips", "subgaussian_dr", "mrdr", "mips"]
    assert [e["estimator"] for e in more] == names
    assert every["estimates"][: len(judged)] == plain["estimates"] and every["estimate"] == plain["estimate"]
    for e in more:  # the policy is nearly the logged one: all agree with what was earned
        assert abs(e["value"] - plain["logged"]["value"]) < 4 * plain["logged"]["std_error"], e
    assert any("know their noise" in warning for warning in every["warnings"])
    customers = decisions(first, "customer_id")["customer_id"]
    certain = target_file(tmp_path / "list.csv", [(c, first["offer_ids"][0], 1.0) for c in customers])
    found = evaluate(lab.workspace, replace(NOTHING, target=certain, every_estimator=True))
    assert "replay" not in [e["estimator"] for e in found["estimates"]]  # the log is not uniform


def test_decisions_of_two_allocations_about_the_same_customers_are_balanced_when_asked(heard):
    lab, plans = heard
    both = tuple(plan["allocation_id"] for plan in plans)
    found = evaluate(lab.workspace, replace(NOTHING, allocations=both, every_estimator=True))
    balanced = next(e for e in found["estimates"] if e["estimator"] == "balanced_ips")
    assert balanced["value"] == pytest.approx(found["logged"]["value"])  # the policy is the loggers' own


def test_the_answer_is_finite_json(heard):
    lab, (first, _) = heard
    found = evaluate(lab.workspace, replace(NOTHING, campaign=lab.campaign, allocations=(first["allocation_id"],)))
    assert json.loads(json.dumps(found, allow_nan=False))["rows"] == found["rows"]
