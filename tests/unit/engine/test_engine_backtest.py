"""Backtests: nothing from after a moment is used for it, and a column that knows the future is named."""

import json
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pyarrow as pa
import pytest
from engine_town import DAYS, END, OUTCOME_DAYS, START, TIME, campaign, likes, town, workspace

from allot import DataError
from engine.backtest import Rolling, backtest
from warehouse import open_store

TWICE = Rolling(2, OUTCOME_DAYS, END)


@pytest.fixture(scope="module")
def liking():
    return town(1, likes)


@pytest.fixture(scope="module")
def honest(liking, tmp_path_factory):
    """The town's backtest, without any leak."""
    made = workspace(tmp_path_factory.mktemp("honest"), liking.customers(), liking.exposures())
    found = backtest(made, campaign(), TWICE)
    with open_store(made) as store:
        assert store.current("posterior") is None and not list(made.models.glob("*"))  # nothing is kept
    return found


def test_what_can_be_learnt_is_earned_and_about_as_planned(honest):
    """Knowing the taste brings .5 where chance brings .23: about 2.6 more per decision."""
    assert honest["verdict"] == "supported", honest["reasons"]
    assert honest["difference"]["low"] > 1.5
    assert honest["difference"]["value"] < 3.5
    assert abs(honest["planned_minus_realised"]) < 0.7
    assert honest["plan_missed"] == (not honest["estimate"]["low"] <= honest["planned"] <= honest["estimate"]["high"])
    assert not [w for w in honest["warnings"] if "hindsight" in w]
    assert any("no valid_from" in w for w in honest["warnings"])


def test_spans_follow_one_another_and_training_grows(honest, liking):
    first, second = honest["origins"]
    assert first["until"] == second["from"]
    begin = np.quantile(liking.day, 0.5)
    middle = (begin + liking.day.max()) / 2
    for line, low, high in ((first, begin, middle), (second, middle, DAYS)):
        assert line["rows"] == ((liking.day >= low) & (liking.day < high)).sum()
        assert line["trained_on"] == (liking.day + OUTCOME_DAYS <= low).sum()
    assert honest["rows"] == first["rows"] + second["rows"]
    value = (first["rows"] * first["logged"]["value"] + second["rows"] * second["logged"]["value"]) / honest["rows"]
    assert honest["logged"]["value"] == pytest.approx(value)


def test_what_happens_after_a_span_changes_nothing_in_it(honest, liking, tmp_path):
    """The policy of the first span, and so its effective sample, is the same to the last digit."""
    later = liking.day > (np.quantile(liking.day, 0.5) + liking.day.max()) / 2
    outcome = np.where(later, 1 - liking.outcome, liking.outcome)
    made = workspace(tmp_path, liking.customers(), liking.exposures(outcome=outcome, reward=10.0 * outcome))
    found = backtest(made, campaign(), TWICE)
    assert found["origins"][0]["ess"] == honest["origins"][0]["ess"]
    assert found["origins"][0]["logged"]["value"] == honest["origins"][0]["logged"]["value"]
    assert found["origins"][1]["logged"]["value"] != honest["origins"][1]["logged"]["value"]


def test_a_column_that_holds_the_outcome_is_named_and_makes_the_answer_invalid(liking, tmp_path):
    """Today's customers hold what each of them bought; only the rare mistyped one does not."""
    r = np.random.default_rng(5)
    bought = np.where(r.random(len(liking.day)) < 0.03, 1 - liking.outcome, liking.outcome)
    made = workspace(tmp_path, liking.customers(bought=bought), liking.exposures())
    found = backtest(made, campaign(), TWICE)
    assert found["verdict"] == "invalid"
    assert any("customer.bought alone explains" in reason for reason in found["reasons"])
    assert found["estimate"] is None
    assert [line["verdict"] for line in found["origins"]] == ["invalid", "invalid"]
    assert not any("taste" in reason for reason in found["reasons"])


def test_a_count_of_outcomes_is_named_although_it_tells_less_than_the_outcome_would(tmp_path):
    """Each customer is asked four times; today's customers hold how often each succeeded, wrong for one in four."""
    r = np.random.default_rng(3)
    who = np.tile(np.arange(1_000), 4)
    chance = 0.05 + 0.5 * r.random(1_000)
    asked = town(2, lambda taste, _: chance[who], n=len(who))
    often = np.bincount(who, asked.outcome)
    ids = [f"r{i:04d}" for i in range(len(chance))]
    people = {"customer_id": ids, "chance": np.round(chance, 1)}
    log = asked.exposures(customer_id=[ids[i] for i in who])
    told = {}
    for name, column in (
        ("honest", {}),
        ("leak", {"often": np.where(r.random(1_000) < 0.75, often, r.permutation(often))}),
    ):
        made = workspace(tmp_path / name, pa.table({**people, **column}), log)
        told[name] = backtest(made, campaign(), Rolling(1, OUTCOME_DAYS, END))
    assert told["leak"]["verdict"] == "invalid"
    assert any("Given customer.often, two successes of one customer" in why for why in told["leak"]["reasons"])
    assert not any("customer.chance" in why for why in (*told["leak"]["reasons"], *told["honest"]["reasons"]))
    assert told["honest"]["verdict"] != "invalid", told["honest"]["reasons"]


def test_a_column_that_is_vouched_for_is_believed(liking, tmp_path):
    made = workspace(tmp_path, liking.customers(bought=liking.outcome), liking.exposures())
    found = backtest(made, campaign(), Rolling(1, OUTCOME_DAYS, END, known=("customer.bought",)))
    assert not any("bought" in reason for reason in (*found["reasons"], *found["warnings"]))


def test_a_column_written_with_hindsight_promises_more_than_it_keeps(liking, tmp_path):
    """It was filled for some of the outcomes before the first span, and holds nothing of what came then."""
    some = np.random.default_rng(7).random(len(liking.day)) < 0.15
    known = np.where(some & (liking.day < np.quantile(liking.day, 0.5)), liking.outcome, 0)
    made = workspace(tmp_path, liking.customers(noted=known), liking.exposures())
    found = backtest(made, campaign(), TWICE)
    assert any("customer.noted explains" in w and "hindsight" in w for w in found["warnings"]), found["warnings"]


def test_customers_are_as_of_each_moment(liking, tmp_path):
    """What is written of a customer after a decision, right or wrong, does not change the decision."""
    answers = []
    for name, said, taste in (("true", liking.outcome, liking.taste), ("false", 1 - liking.outcome, -liking.taste)):
        early = pa.array([START - timedelta(days=1)] * len(liking.day), TIME)
        late = pa.array([START + timedelta(days=float(d) + 2) for d in liking.day], TIME)
        first = liking.customers(bought=pa.nulls(len(liking.day), pa.int64()), valid_from=early)
        second = replace(liking, taste=taste).customers(bought=said, valid_from=late)
        made = workspace(tmp_path / name, pa.concat_tables([first, second]), liking.exposures())
        found = backtest(made, campaign(), TWICE)
        assert not any("bought" in reason for reason in (*found["reasons"], *found["warnings"]))
        assert not any("valid_from" in w for w in found["warnings"])
        answers.append(found["origins"])
    for one, other in zip(*answers, strict=True):
        assert (one["estimate"], one["ess"]) == (other["estimate"], other["ess"])


def test_logs_that_are_too_short_or_silent_about_chances_are_said_to_be(liking, tmp_path):
    made = workspace(tmp_path, liking.customers(), liking.exposures(propensity=pa.nulls(len(liking.day), pa.float64())))
    found = backtest(made, campaign(), TWICE)
    assert (found["verdict"], found["origins"]) == ("invalid", [])
    assert "log with each decision the probability" in found["reasons"][0]
    same = pa.array([START] * len(liking.day), TIME)
    made = workspace(tmp_path / "one", liking.customers(), liking.exposures(decided_at=same))
    with pytest.raises(DataError, match="the log spans 0 days"):
        backtest(made, campaign(), TWICE)
    with pytest.raises(DataError, match="0 moments"):
        backtest(made, campaign(), Rolling(0, OUTCOME_DAYS, END))


def test_the_answer_is_finite_json(honest):
    assert json.loads(json.dumps(honest, allow_nan=False))["rows"] == honest["rows"]
