"""Experiments: the plan comes first and is kept, the control is who was held out, and below the floors nobody wins."""

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pyarrow.parquet as pq
import pytest
from engine_workspace import SECOND, decisions

from allot import CampaignError, DataError, NotFoundError
from allot.uniforms import uniforms
from engine import experiments
from engine.beforehand import known_before
from engine.experiments import read, register
from engine.rows import column_keys
from sims.files import Feedback, moment
from warehouse import AuditEntry, current_version, open_store

HELD = 0.4
DUE = SECOND + 30


def half(lab, **changes):
    exploration = replace(lab.campaign.exploration, holdout=HELD)
    return replace(lab.campaign, exploration=exploration, limits=(), name="trial", **changes)


def enrol(lab, day=0, **changes):
    campaign = half(lab, **changes)
    return lab.allocate(day, name=campaign.name, exploration=campaign.exploration, limits=(), **changes)


def say(lab, plan, day, lift):
    """Of every decision: nine in ten earn 10 by chance, those that are not held out `lift` more."""
    rows = decisions(plan, "decision_id", "customer_id", "held_out")
    u = uniforms(7 + day, column_keys(pq.read_table(plan["decisions"], columns=["customer_id"])["customer_id"]))
    at = moment(day + 1).isoformat()
    told = [
        Feedback(f"{d}-1", d, 1, 10.0 * (0.5 + x) + (0.0 if out else lift), at)
        for d, out, x in zip(rows["decision_id"], rows["held_out"], u, strict=True)
        if x > 0.1
    ]
    lab.feed(told, day + 2)


@pytest.fixture
def planned(lab):
    register(lab.workspace, half(lab), effect=2.0, power=0.8, now=moment(-1))
    return lab


def test_what_is_planned_says_how_small_a_lift_it_finds(lab):
    found = register(lab.workspace, half(lab), effect=2.0, power=0.8, now=moment(-1))
    plan = found["plan"]
    assert plan["customers"] == 400 and plan["holdout"] == HELD
    assert plan["detectable"] == pytest.approx(2.8016 * plan["sd"] * np.sqrt(1 / 240 + 1 / 160), rel=1e-4)
    assert plan["needed"] == pytest.approx(400 * (plan["detectable"] / 2.0) ** 2, abs=1)
    again = register(lab.workspace, half(lab), effect=2.0, power=0.8, now=moment(0))
    assert again == found


def test_a_plan_after_the_first_allocation_is_refused(lab):
    enrol(lab)
    with pytest.raises(CampaignError, match="allocated already"):
        register(lab.workspace, half(lab), effect=None, power=0.8, now=moment(1))
    with pytest.raises(CampaignError, match="nobody is held out"):
        none = replace(half(lab), exploration=replace(lab.campaign.exploration, holdout=0.0))
        register(lab.workspace, none, effect=None, power=0.8, now=moment(1))
    with pytest.raises(CampaignError, match="without feedback"):
        register(lab.workspace, half(lab, no_feedback="ignore"), effect=None, power=0.8, now=moment(1))


def test_a_lift_is_found_and_money_adds_up(planned):
    plan = enrol(planned)
    say(planned, plan, 0, lift=3.0)
    found = read(planned.workspace, "trial", as_of=moment(DUE))
    assert (found["verdict"], found["finding"]) == ("supported", "more")
    assert found["lift"]["low"] < 3.0 * 0.9 < found["lift"]["high"]
    treated = plan["audience"] - plan["held_out"]
    assert found["in_all"]["value"] == pytest.approx(treated * found["lift"]["value"])
    assert found["cost"] == pytest.approx(plan["planned_cost"] / treated)
    assert found["split"]["held_out"] == plan["held_out"] and found["split"]["chance"] > 0.05
    assert found["lift"]["std_error"] <= found["plain"]["std_error"] * 1.1


def test_without_a_lift_nothing_is_found_and_a_second_allocation_is_the_same_customers(planned):
    for day in (0, SECOND):
        say(planned, enrol(planned, day), day, lift=0.0)
    found = read(planned.workspace, "trial", as_of=moment(DUE))
    assert found["finding"] is None and found["verdict"] == "supported"
    assert found["lift"]["low"] < 0 < found["lift"]["high"]
    assert (found["rows"], found["split"]["customers"], found["allocations"]) == (800, 400, 2)
    first, second = found["looks"]
    assert (first["rows"], second["rows"]) == (400, 800) and first["at"] < second["at"]
    assert second["lift"] == found["lift"] and second["chance"] == found["split"]["chance"]
    young = read(planned.workspace, "trial", as_of=moment(SECOND + 1))
    assert young["looks"] == [first] and young["lift"] == first["lift"]
    assert (young["rows"], young["waiting"]) == (400, 400)


def test_too_few_earnings_name_no_winner(planned):
    plan = enrol(planned)
    rows = decisions(plan, "decision_id", "held_out")
    some = [d for d, out in zip(*rows.values(), strict=True) if not out][:60]
    planned.feed([Feedback(f"{d}-1", d, 1, 500.0, moment(1).isoformat()) for d in some], 2)
    found = read(planned.workspace, "trial", as_of=moment(DUE))
    assert (found["verdict"], found["finding"]) == ("insufficient", None)
    assert "0 decisions of those held out earned something" in found["reasons"][0]
    assert [x["lift"] for x in found["looks"]] == [None]


@pytest.mark.parametrize("way", ["late", "edited", "another holdout"])
def test_what_was_not_done_as_registered_is_invalid(lab, way):
    right = register(lab.workspace, half(lab), effect=None, power=0.8, now=moment(-1))
    detail = {"plan": right["plan"], "digest": right["digest"]}
    if way == "edited":
        detail["plan"] = {**right["plan"], "effect": 0.5}
    if way == "another holdout":
        exploration = replace(lab.campaign.exploration, holdout=0.1)
        plan = lab.allocate(0, name="trial", exploration=exploration, limits=())
    else:
        plan = enrol(lab)
        with open_store(lab.workspace) as store:
            at = moment(1 if way == "late" else -0.5)
            store.audit(AuditEntry(at, "somebody", "register experiment", "experiment trial", detail))
    say(lab, plan, 0, lift=3.0)
    found = read(lab.workspace, "trial", as_of=moment(DUE))
    assert (found["verdict"], found["lift"], found["finding"], found["looks"]) == ("invalid", None, None, [])
    words = {"late": "after the first allocation", "edited": "digest is another", "another holdout": "holdout was not"}
    assert words[way] in found["reasons"][0]


def test_there_is_nothing_to_read_before_there_is_something(planned):
    with pytest.raises(NotFoundError, match="no experiment 'other'"):
        read(planned.workspace, "other", as_of=moment(DUE))
    with pytest.raises(DataError, match="not been allocated"):
        read(planned.workspace, "trial", as_of=moment(DUE))
    enrol(planned)
    with pytest.raises(DataError, match="no decision is old enough"):
        read(planned.workspace, "trial", as_of=moment(1))


def test_only_what_came_before_the_start_is_known(trained):
    log = pq.read_table(trained.files.exposures)
    ids = log["customer_id"].combine_chunks().unique()
    decided, arrived = (log[c].to_numpy() for c in ("decided_at", "outcome_at"))
    start = np.sort(decided)[len(decided) // 2]
    at = datetime.fromtimestamp(start.astype("datetime64[us]").astype(int) / 1e6, UTC)
    version = current_version(trained.workspace)
    found = known_before(trained.workspace, version, ids, at, ("past decisions", "past reward"))
    assert found[:, 0].sum() == (decided <= start).sum()
    known = np.nan_to_num(log["reward"].to_numpy()) * ((decided <= start) & (arrived <= start))
    assert found[:, 1].sum() == pytest.approx(known.sum())
    assert 0 < known.sum() < np.nansum(log["reward"].to_numpy())


def test_a_past_that_differs_between_the_groups_is_not_adjusted_for():
    """The same customers are always held out: their past may be an effect, and adjusting would take it away."""
    r = np.random.default_rng(2)
    treated = r.random(4000) < 0.6
    luck = r.normal(size=4000)
    reward = luck + treated
    past = np.column_stack([luck + r.normal(size=4000), 2.0 * treated + r.normal(size=4000)])
    ones = np.arange(4000)
    rows = experiments._Rows(np.zeros(4000, int), ones, treated, reward, past, 0)
    assert experiments._even(rows).tolist() == [True, False]
    found = experiments._lifts(rows, 4000, "supported")
    assert found["lift"]["low"] < 1.0 < found["lift"]["high"]
    assert found["variance_removed"] == pytest.approx(0.5, abs=0.06)


def test_a_customer_counts_once_in_the_split_however_often_decided_on():
    """Ten allocations to the same people, 45 % of them held out where 40 % were planned, are no more news than one."""
    treated = np.arange(400) >= 180

    def found(times):
        n = 400 * times
        rows = (np.repeat(np.arange(times), 400), np.tile(np.arange(400), times), np.tile(treated, times))
        return experiments._split(experiments._Rows(*rows, np.zeros(n), np.zeros((n, 0)), 0), 0.4)

    assert found(10) == found(1)
    assert found(1)["held_out"] == 180 and found(1)["chance"] > 0.05
