"""Where there is nothing to learn, nothing may seem to be won: no policy is judged by what it has learnt from."""

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from engine_town import END, OUTCOME_DAYS, START, campaign, nothing, town, workspace

from engine.backtest import Rolling, backtest
from engine.evaluate import Question, evaluate
from engine.train import train

SEEDS = (11, 12, 13, 14)


@pytest.fixture(scope="module")
def towns(tmp_path_factory):
    """Rewards that are pure noise, and three columns of noise to learn them from."""
    made = []
    for seed in SEEDS:
        people = town(seed, nothing, n=2_400)
        r = np.random.default_rng(seed)
        more = {f"noise_{j}": r.normal(size=len(people.day)) for j in range(3)}
        made.append(workspace(tmp_path_factory.mktemp(f"noise{seed}"), people.customers(**more), people.exposures()))
    return made


def test_a_policy_fitted_on_noise_does_not_beat_uniform_on_later_rows(towns):
    found = [backtest(made, campaign(), Rolling(2, OUTCOME_DAYS, END)) for made in towns]
    assert all(one["verdict"] != "invalid" for one in found), [one["reasons"] for one in found]
    gain = np.array([one["difference"]["value"] for one in found])
    error = np.array([one["difference"]["std_error"] for one in found])
    assert abs(gain.sum()) < 4 * np.sqrt((error**2).sum())
    assert (gain < 4 * error).all()


def test_on_its_own_training_rows_it_gets_no_figure(towns, tmp_path):
    """Its own beliefs promise more than uniform: that is what the rule keeps from being called a result."""
    made = towns[0]
    train(made, as_of=END, outcome_days=OUTCOME_DAYS)
    log = made.root.parent / "exposures.parquet"
    question = Question(campaign(), log, None, (), OUTCOME_DAYS, END)
    found = evaluate(made, question)
    assert found["verdict"] == "invalid"
    assert "learnt from 2,400 of these 2,400 rows" in found["reasons"][0]
    assert found["estimate"] is None and found["difference"] is None


def test_a_model_that_predates_the_log_may_be_judged_and_does_not_win(towns):
    """Trained to the middle, judged on the file's later half alone; rows of the first half would spoil it."""
    made = towns[1]
    middle = START + timedelta(days=30)
    train(made, as_of=middle, outcome_days=OUTCOME_DAYS)
    path = made.root.parent / "exposures.parquet"
    table = pq.read_table(path)
    later = path.with_name("later.parquet")
    pq.write_table(table.filter(pc.field("decided_at") >= middle), later)
    question = Question(replace(campaign(), as_of=middle), later, None, (), OUTCOME_DAYS, END)
    found = evaluate(made, question)
    assert found["verdict"] != "invalid", found["reasons"]
    assert abs(found["difference"]["value"]) < 4 * found["difference"]["std_error"]
    assert evaluate(made, replace(question, log=path))["verdict"] == "invalid"
