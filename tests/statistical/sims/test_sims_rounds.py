"""Rounds in a small world: what the long runs rely on, once and quickly."""

from dataclasses import replace
from pathlib import Path
from shutil import copytree

import numpy as np
import pyarrow.parquet as pq
import pytest
from learning_proof import half_budget, recount, see

from sims import nbo
from sims import rounds as runs
from sims.limits import reference_limits
from sims.oracle import oracle_value

N = 700


@pytest.fixture(scope="module")
def played(tmp_path_factory):
    """World, campaign, rounds whose decisions files outlive the laboratory, and what the proof sees in each."""
    world = nbo(18, customers=N, history=2_500)
    oracle = runs.oracle_of(world)
    kept = tmp_path_factory.mktemp("decisions")
    rounds, seen = [], []
    with runs.laboratory(world) as lab:
        for one in runs.rounds_of(lab, 2):
            seen.append(see(lab, one, oracle))
            folder = copytree(Path(one.plan["decisions"]).parent, kept / str(one.number))
            rounds.append(replace(one, plan={**one.plan, "decisions": str(folder / "decisions.parquet")}))
        return world, lab.campaign, rounds, seen


def test_every_limit_holds_in_every_round(played):
    world, _, rounds, seen = played
    limits = reference_limits(world, 0)
    assert len(limits) > 5
    for one, at in zip(rounds, seen, strict=True):
        used = recount(world, one)
        assert at.status == "released"
        assert at.breaches == ()
        assert all(used[x.name] <= x.maximum * (1 + 1e-9) for x in limits)
        assert used["budget"] > 0.9 * limits[0].maximum
        assert used == pytest.approx({**used, **{x["name"]: x["used"] for x in one.plan["limits"]}})


def test_the_recount_reads_the_file_and_not_the_summary(played, tmp_path):
    """One more offer in the file is one more in the recount, and costs what the file says."""
    world, _, rounds, _ = played
    one = rounds[0]
    table = pq.read_table(one.plan["decisions"])
    offers, cost = table["offer_id"].to_pylist(), table["cost"].to_pylist()
    row = offers.index(None)
    offers[row], cost[row] = "offer-01", 1000.0
    for name, values in (("offer_id", offers), ("cost", cost)):
        at = table.column_names.index(name)
        table = table.set_column(at, name, [values])
    pq.write_table(table, tmp_path / "decisions.parquet")
    changed = recount(world, replace(one, plan={**one.plan, "decisions": str(tmp_path / "decisions.parquet")}))
    was = recount(world, one)
    assert changed["cap offer-01"] == was["cap offer-01"] + 1
    assert changed["budget"] == pytest.approx(was["budget"] + 1000.0)


def test_a_plan_earns_no_more_of_the_oracle_than_its_overspending_explains(played):
    for one in played[3]:
        assert 0.3 < one.share < max(1.0, one.true_spend / one.budget)


def test_half_the_budget_halves_the_limits_on_cost_alone(played):
    campaign = played[1]
    halved = half_budget(campaign)
    for was, now in zip(campaign.limits, halved.limits, strict=True):
        assert now.maximum == (was.maximum / 2 if was.measure == "cost" else was.maximum)
    assert replace(halved, name=campaign.name, limits=campaign.limits) == campaign


def test_half_the_budget_is_estimated_near_its_truth_and_truly_earns_less(played):
    world, _, rounds, seen = played
    everybody = np.arange(N)
    margin = np.append(world.offers.margin, world.outside_margin)
    for one, at in zip(rounds, seen, strict=True):
        assert abs(at.judged.z) < 4
        earned = world.success(everybody, one.choice, one.day) * margin[one.choice]
        assert at.judged.truth < earned.mean()


def test_the_oracle_is_worked_out_once_before_and_once_after_the_drift(monkeypatch):
    world = nbo(12, customers=60, days=10, history=200)
    asked = []

    def counted(*args, **options):
        asked.append(oracle_value(*args, **options))
        return asked[-1]

    monkeypatch.setattr(runs, "oracle_value", counted)
    oracle = runs.oracle_of(world)
    early, late = [oracle(day) for day in (0, 4, 0)], [oracle(day) for day in (5, 9)]
    assert len(asked) == 2
    assert early == [asked[0]] * 3
    assert late == [asked[1]] * 2
    exact = oracle_value(world, 9, world.eligible, reference_limits(world, 0))
    assert asked[1] == pytest.approx(exact, rel=1.1 * runs.ORACLE_GAP)
    assert early[0] != late[0]
