"""Rounds in a small world: what the long runs rely on, once and quickly."""

from dataclasses import replace
from pathlib import Path
from shutil import copytree

import numpy as np
import pyarrow.parquet as pq
import pytest
from learning_proof import half_budget, recount, see

from engine.stamp import current_posterior_id
from sims import build, nbo
from sims import rounds as runs
from sims.description import NBO, Bots, Cut, Offering, Reporting
from sims.files import outcome_days
from sims.limits import reference_limits
from sims.oracle import realised_value
from sims.reports import reports_of
from warehouse import open_store, outcomes

N = 700


@pytest.fixture(scope="module")
def played(tmp_path_factory):
    """World, campaign, rounds whose decisions files outlive the laboratory, and what the proof sees in each."""
    world = nbo(18, customers=N, history=2_500)
    best = runs.oracle_values(world, 2)
    kept = tmp_path_factory.mktemp("decisions")
    rounds, seen = [], []
    with runs.laboratory(world) as lab:
        for one in runs.rounds_of(lab, 2):
            seen.append(see(lab, one, best[one.number - 1]))
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


@pytest.fixture(scope="module")
def rough():
    """A world in which everything happens, after three rounds, and what is known of its decisions then."""
    about = replace(
        NBO,
        days=24,
        history=2_500,
        fatigue=0.3,
        offers=Offering(arrivals=(0.0, 0.5, 0.9), retirements=(0.3,)),
        budget=Cut(at=0.5, to=0.5),
        feedback=Reporting(delay_days=2, late=0.7, window_days=12, missing=0.1, wrong=0.2, correction_days=6),
        bots=Bots(share=0.1, at=0.0, over=0.5),
    )
    world = build(about, 18, N)
    with runs.laboratory(world) as lab:
        rounds, decisions = [], []
        for one in runs.rounds_of(lab, 3):
            columns = pq.read_table(one.plan["decisions"], columns=["decision_id", "customer_id", "offer_id"])
            decisions.append(list(zip(*columns.to_pydict().values(), strict=True)))
            rounds.append(one)
        with open_store(lab.workspace) as store:
            known = outcomes(store)
            folded = store.model("posterior", current_posterior_id(store)).watermark["windows"]
        return world, rounds, decisions, dict(zip(*known.select(["decision_id", "outcome"]).to_pydict().values(),
                                                  strict=True)), folded  # fmt: skip


def test_what_is_known_after_the_rounds_is_what_was_heard_until_then(rough):
    """Late, missing and corrected reports: the last that was heard by day 24 counts, nothing else is known."""
    world, rounds, decisions, known, _ = rough
    expected, corrected = {}, 0
    for one, rows in zip(rounds, decisions, strict=True):
        reports = reports_of(world, rows, one.day, contacts=one.contacts)
        for report in sorted(reports, key=lambda report: report.day):
            if report.day <= 24:
                corrected += report.line.decision_id in expected
                expected[report.line.decision_id] = report.line.outcome
    assert known == expected
    assert corrected > 0.1 * len(known) and 0.7 * 3 * N < len(known) < 0.9 * 3 * N


def test_what_is_heard_late_is_learnt_too(rough):
    """Outcome_days are 12: on day 24 the rounds of days 0 and 8 are folded, with every report that came until then."""
    world, _, decisions, known, folded = rough
    assert outcome_days(world.about.feedback) == 12.0
    assert [window["answered"] for window in folded] == [sum(d in known for d, *_ in rows) for rows in decisions[:2]]
    assert [window["silent"] for window in folded] == [0, 0], "silence says nothing where reports are missing"


def test_offers_come_and_go_and_the_budget_is_cut(rough):
    world, rounds, *_ = rough
    arriving, retiring = 9, 0
    sent = [set(one.choice.tolist()) - {-1} for one in rounds]
    assert [arriving in offers for offers in sent] == [False, False, True]
    assert retiring in sent[0] and retiring not in sent[1] | sent[2]
    for one, offers in zip(rounds, sent, strict=True):
        assert one.plan["status"] == "released" and world.open(one.day)[list(offers)].all()
    figures = [runs.scored(world, one, 1.0) for one in rounds]
    budgets = [x["budget"] for x in figures]
    assert budgets == [budgets[0], budgets[0], budgets[0] / 2]
    assert all(0 < x["spend"] <= x["budget"] for x in figures)


def test_contacts_of_earlier_rounds_tire(rough):
    world, rounds, *_ = rough
    shown = [one.choice >= 0 for one in rounds]
    assert not rounds[0].contacts.any()
    assert np.array_equal(rounds[1].contacts, shown[0])
    assert np.array_equal(rounds[2].contacts, shown[0].astype(int) + shown[1])
    last = rounds[2]
    tired = realised_value(world, last.choice, last.day, contacts=last.contacts)
    assert runs.scored(world, last, 2 * tired)["oracle_share"] == 0.5
    assert tired < realised_value(world, last.choice, last.day)
