"""An allocation is a function of its version stamp: the same again from the same, and from nothing else."""

import shutil
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest
from engine_workspace import LATE, SECOND, Lab, decisions, load_and_train

import engine.plan
from allot import CampaignError
from engine.allocate import reproduce
from engine.campaign import Exploration
from engine.explain import explain
from engine.frontier import frontier, stored_problem
from engine.learn import learn
from engine.train import train
from engine.workspaces import init, load
from portfolio import solve, usage, use_of
from sims.files import OUTCOME_DAYS, moment
from warehouse import Workspace, open_store


def stored(lab, summary):
    with open_store(lab.workspace) as store:
        return store.allocation(summary["allocation_id"])


def test_the_same_request_is_the_same_allocation_and_is_not_made_again(copies, decided):
    lab, (first, _) = copies(), decided[1]
    again = lab.allocate(0)
    assert again["allocation_id"] == first["allocation_id"]
    assert again["decisions_sha256"] == first["decisions_sha256"]
    with open_store(lab.workspace) as store:
        assert len(store.allocations()) == 2


def test_seed_data_and_posterior_each_make_another_allocation(copies, decided, tmp_path):
    first = decided[1][0]
    ids = {first["allocation_id"]}
    ids.add(copies().allocate(0, seed=8)["allocation_id"])
    lab = copies()
    table = pq.read_table(lab.files.customers)
    pq.write_table(table.slice(1), tmp_path / "customers.parquet")
    load(lab.workspace, {"customers": tmp_path / "customers.parquet"})
    other = lab.allocate(0)
    assert other["versions"]["data"] != first["versions"]["data"]
    ids.add(other["allocation_id"])
    lab = copies()
    lab.feed(lab.answers(first, 0), 8)
    learn(lab.workspace, as_of=moment(8))
    other = lab.allocate(0, again=True)
    assert other["versions"]["posterior"] != first["versions"]["posterior"]
    ids.add(other["allocation_id"])
    assert len(ids) == 4


def statuses(lab):
    with open_store(lab.workspace) as store:
        return {a.allocation_id: a.status for a in store.allocations()}


def test_of_one_campaign_and_moment_the_last_allocation_counts(copies, decided):
    """And the first again when it is asked for again; nothing is lost, and nothing is folded for both."""
    lab, (first, second) = copies(), decided[1]
    other = lab.allocate(0, seed=8)
    assert statuses(lab) == {
        first["allocation_id"]: "superseded",
        other["allocation_id"]: "released",
        second["allocation_id"]: "released",
    }
    back = lab.allocate(0)
    assert back["decisions_sha256"] == first["decisions_sha256"]
    now = statuses(lab)
    assert (now[first["allocation_id"]], now[other["allocation_id"]]) == ("released", "superseded")
    lab.feed([*lab.answers(first, 0), *lab.answers(other, 0)], 8)
    made = learn(lab.workspace, as_of=moment(SECOND))
    assert (made["folded"], made["windows"]) == (first["audience"], 1)
    assert reproduce(lab.workspace, other["allocation_id"])["identical"]


def test_once_outcomes_have_come_in_another_allocation_must_be_insisted_on(copies, decided):
    lab, (first, _) = copies(), decided[1]
    lab.feed(lab.answers(first, 0)[:1], 4)
    with pytest.raises(CampaignError, match=f"was already released.*{first['allocation_id']}"):
        lab.allocate(0, seed=8)
    assert statuses(lab)[first["allocation_id"]] == "released"
    other = lab.allocate(0, seed=8, again=True)
    assert statuses(lab)[first["allocation_id"]] == "superseded"
    lab.feed(lab.answers(other, 0)[:1], 4)
    made = learn(lab.workspace, as_of=moment(OUTCOME_DAYS))
    assert (made["folded"], made["filled"]) == (1, other["audience"] - 1)


def test_past_allocations_are_reproduced_to_the_bit_when_the_world_has_moved_on(copies, decided, tmp_path):
    """New outcomes, a new posterior, a new prior, new data and new allocations change nothing that was decided."""
    lab, plans = copies(), decided[1]
    lab.feed([*lab.answers(plans[0], 0), *lab.answers(plans[1], 8)], LATE)
    learn(lab.workspace, as_of=moment(LATE))
    third = lab.allocate(LATE)
    pq.write_table(pq.read_table(lab.files.customers).slice(50), tmp_path / "customers.parquet")
    load(lab.workspace, {"customers": tmp_path / "customers.parquet"})
    train(lab.workspace, as_of=moment(LATE + 1), outcome_days=OUTCOME_DAYS)
    for plan in (*plans, third):
        found = reproduce(lab.workspace, plan["allocation_id"])
        assert found["identical"], plan["allocation_id"]
        assert found["sha256"] == plan["decisions_sha256"]


def test_the_order_of_the_rows_in_the_files_changes_nothing(trained, decided, tmp_path):
    r = np.random.default_rng(2)

    def shuffled(path):
        table = pa_csv.read_csv(path) if path.suffix == ".csv" else pq.read_table(path)
        table = table.take(pa.array(r.permutation(table.num_rows)))
        out = tmp_path / f"{path.stem}.parquet"
        pq.write_table(table, out)
        return out

    files = trained.files
    files = replace(files, customers=shuffled(files.customers), exposures=shuffled(files.exposures))
    files = replace(files, offers=shuffled(files.offers))
    init(tmp_path / "workspace")
    settings = "workspace.toml"  # the same house, or others would be held out
    shutil.copy(trained.workspace.root / settings, tmp_path / "workspace" / settings)
    lab = Lab(trained.world, files, shuffled(trained.events), Workspace.open(tmp_path / "workspace"), trained.campaign)
    load_and_train(lab)
    first = decided[1][0]
    again = lab.allocate(0)
    for model in ("prior", "posterior", "house"):
        assert again["versions"][model] == first["versions"][model]
    columns = ("customer_id", "offer_id", "held_out", "propensity", "probability", "mean", "sd", "values", "costs")
    assert decisions(again, *columns) == decisions(first, *columns)


def test_the_control_group_stays_the_same_and_has_the_right_size(copies, decided):
    """For every campaign and seed; a larger group contains the smaller one."""

    def held_out(summary):
        columns = decisions(summary, "customer_id", "held_out")
        return {c for c, out in zip(*columns.values(), strict=True) if out}

    lab, (first, second) = copies(), decided[1]
    group = held_out(first)
    assert held_out(second) == group
    assert held_out(lab.allocate(1, name="autumn", seed=99, objective="value")) == group
    larger = held_out(lab.allocate(1, name="winter", exploration=Exploration(holdout=0.3)))
    assert group < larger
    n = len(lab.world.customers)
    for share, found in ((0.1, group), (0.3, larger)):
        assert abs(len(found) - share * n) < 4 * np.sqrt(n * share * (1 - share))
    assert held_out(lab.allocate(1, name="none", exploration=Exploration(holdout=0.0))) == set()


def test_held_out_customers_are_left_alone_with_certainty(decided):
    _, (first, _) = decided
    rows = decisions(first)
    k = len(first["offer_ids"])
    for held, offer, status, p, row in zip(
        *(rows[c] for c in ("held_out", "offer_id", "status", "propensity", "probability")), strict=True
    ):
        if held:
            assert (offer, status, p) == (None, "held_out", 1.0)
            assert row == [0.0] * k + [1.0]
    assert sum(rows["held_out"]) == first["held_out"] > 0


def test_the_summary_is_what_the_decisions_say(decided):
    """Recounted from the file alone: books, planned value and cost, every limit."""
    lab, (first, _) = decided
    rows = decisions(first)
    chosen = [o is not None for o in rows["offer_id"]]
    assert (first["audience"], first["chosen"]) == (len(chosen), sum(chosen))
    assert first["audience"] == sum(first[key] for key in ("chosen", "no_offer", "no_eligible", "held_out"))
    assert first["planned_value"] == pytest.approx(sum(rows["value"]), rel=1e-12)
    assert first["planned_cost"] == pytest.approx(sum(rows["cost"]), rel=1e-12)
    problem, choice = stored_problem(lab.workspace, stored(lab, first))
    for stated, counted in zip(first["limits"], usage(problem.limits, use_of(problem, choice)), strict=True):
        assert stated["used"] == pytest.approx(counted.used, rel=1e-6)
        assert counted.slack >= -1e-6
    assert {x["name"]: x["share"] for x in first["limits"]} == {
        "budget": False, "cap": False, "seniors": False, "calls": True
    }  # fmt: skip


def test_propensities_are_the_chosen_probabilities_and_nothing_impossible_was_chosen(decided):
    _, (first, _) = decided
    rows = decisions(first)
    position = {o: a for a, o in enumerate([*first["offer_ids"], None])}
    for offer, p, row, eligible in zip(
        *(rows[c] for c in ("offer_id", "propensity", "probability", "eligible")), strict=True
    ):
        assert p == np.float64(np.float32(row[position[offer]])) > 0
        assert offer is None or eligible[position[offer]]
        assert sum(row) == pytest.approx(1.0, abs=1e-5)


def test_temperature_zero_is_the_certified_optimum_with_probability_one(copies):
    lab = copies()
    plan = lab.allocate(0, again=True, exploration=Exploration(temperature=0.0, share=0.02, holdout=0.1))
    problem, choice = stored_problem(lab.workspace, stored(lab, plan))
    planned = problem.value[np.arange(len(choice)), choice][choice >= 0].sum(dtype=np.float64)
    assert plan["mechanism"] == "deterministic"
    assert planned == pytest.approx(plan["planned_value"], rel=1e-6)
    # Who is held out, and so the problem, differs in every workspace; whole numbers alone cost these few up to 2e-4.
    assert plan["drawn_value_bound"] * (1 - 5e-4) <= planned <= plan["drawn_value_bound"] * (1 + 1e-6)
    assert all(x.slack >= -1e-6 for x in usage(problem.limits, use_of(problem, choice)))
    assert set(decisions(plan, "propensity")["propensity"]) == {1.0}
    assert any("share" in warning for warning in plan["warnings"])
    assert plan["held_out"] > 0


def test_an_allocation_whose_draws_break_limits_is_refused_by_name(copies, monkeypatch):
    """Too few rehearsed landings keep the limits: nobody gets anything, and the limits are named."""
    rehearse = engine.plan.rehearse

    def unlucky(*args, **options):
        seen = rehearse(*args, **options)
        failures = np.zeros(len(seen.failures))
        failures[:2] = (0.1, 0.4)
        return replace(seen, acceptance=0.5, failures=failures)

    monkeypatch.setattr(engine.plan, "rehearse", unlucky)
    lab = copies()
    plan = lab.allocate(0, seed=11, objective="conversions", exploration=Exploration(share=0.0))
    assert plan["status"] == "headroom_too_small"
    assert plan["breached"] == ["cap", "budget"]
    assert plan["chosen"] == 0
    assert plan["rejection_rate"] == 0.5


def test_explain_repeats_what_was_kept(decided):
    lab, (first, _) = decided
    rows = decisions(first)
    for i in (rows["status"].index(s) for s in ("chosen", "no_offer", "held_out")):
        told = explain(lab.workspace, rows["customer_id"][i], first["allocation_id"])
        assert told["chosen"] == rows["offer_id"][i]
        assert told["propensity"] == rows["propensity"][i]
        chances = [*(o["probability"] for o in told["offers"]), told["no_offer"]["probability"]]
        assert chances == rows["probability"][i]
        open_ = [o for o in told["offers"] if o["eligible"]]
        assert all(o["excluded_by"] for o in told["offers"] if not o["eligible"])
        assert min([told["no_offer"]["behind"], *(o["behind"] for o in open_)]) == pytest.approx(0.0, abs=1e-9)


def test_the_frontier_rises_with_the_maximum_and_never_above_its_bound(decided):
    lab, (first, _) = decided
    curve = frontier(lab.workspace, stored(lab, first))
    assert curve.limit in {"budget", "cap"}
    maxima, values, prices = (np.array([getattr(p, x) for p in curve.points]) for x in ("maximum", "value", "price"))
    assert (np.diff(maxima) > 0).all()
    assert (np.diff(values) >= -2e-3 * np.abs(values[-1])).all()
    slack = 4e-3 * np.abs(values[-1])  # each point is within a thousandth of the best
    assert (np.diff(values) <= prices[:-1] * np.diff(maxima) + slack).all()
    assert (np.diff(values) >= prices[1:] * np.diff(maxima) - slack).all()
    own = values[np.argmin(np.abs(maxima - curve.own))]
    assert own == pytest.approx(curve.deterministic, rel=2e-3)
    assert curve.holds is not None and curve.holds[0] <= curve.own * (1 + 1e-9)
    assert first["planned_value"] <= curve.deterministic * (1 + 1e-3) <= curve.bound * (1 + 2e-3)
    assert curve.bound <= first["drawn_value_bound"] * (1 + 1e-6)


def test_the_cost_of_chance_is_what_the_best_fixed_plan_earns_more(decided):
    """Recounted from the decisions file and solved again: value, bound and shares agree with the summary."""
    lab, (first, _) = decided
    stated = first["cost_of_chance"]
    problem, _ = stored_problem(lab.workspace, stored(lab, first))
    best = solve(problem, gap=1e-4)
    assert stated["best_fixed_value"] == pytest.approx(best.value, rel=2e-4)
    assert stated["bound"] == pytest.approx(best.bound, rel=2e-4)
    assert stated["given_up"] == pytest.approx(stated["best_fixed_value"] - first["planned_value"], rel=1e-9)
    assert stated["given_up_share"] == pytest.approx(stated["given_up"] / stated["best_fixed_value"])
    assert stated["of_bound"] == pytest.approx(first["planned_value"] / stated["bound"], rel=1e-6)
    assert 0.005 < stated["given_up_share"] < 0.5
    assert not stated["sampled"]


def test_a_fixed_plan_pays_nothing_for_chance(copies):
    plan = copies().allocate(1, name="fixed", exploration=Exploration(temperature=0.0))
    assert plan["cost_of_chance"] is None
