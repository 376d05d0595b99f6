"""Training answers for what it made, and a model that is worse does not take the place of a better one."""

import json
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from engine_workspace import LATE, Lab

from allot import DataError, WorkspaceError
from engine.models import load_foundation, load_posterior
from engine.stamp import current_posterior_id
from engine.train import Wishes, train
from engine.workspaces import load
from sims.files import OUTCOME_DAYS, moment
from warehouse import open_store, pack_arrays, unpack_arrays


def again(lab: Lab, day: int = 0, **wishes):
    return train(lab.workspace, as_of=moment(day), outcome_days=OUTCOME_DAYS, wishes=Wishes(**wishes))


def in_use(lab: Lab) -> str:
    with open_store(lab.workspace) as store:
        return current_posterior_id(store)


def with_exposures(lab: Lab, table: pa.Table) -> None:
    path = lab.workspace.root.parent / "other.parquet"
    pq.write_table(table, path)
    load(lab.workspace, {"exposures": path})


def later(lab: Lab, days: int) -> pa.Table:
    """The same exposures, so many days later: for a model, rows that it never saw."""
    table = pq.read_table(lab.files.exposures)
    for name in ("decided_at", "outcome_at"):
        if name in table.column_names:
            place = table.column_names.index(name)
            table = table.set_column(place, name, pc.add(table[name], pa.scalar(timedelta(days=days))))
    return table


def misled(table: pa.Table) -> pa.Table:
    """Outcomes of the earlier rows say the contrary of what is true."""
    at = table["decided_at"].to_numpy()
    outcome = table["outcome"].to_numpy()
    wrong = np.where(at < np.quantile(at.astype(np.int64), 0.8).astype(at.dtype), 1 - outcome, outcome)
    kept = [name for name in table.column_names if name not in ("outcome", "outcome_at", "reward")]
    return table.select(kept).append_column("outcome", pa.array(wrong))


def test_the_same_log_gives_the_same_model_which_equals_its_predecessor(lab):
    before = in_use(lab)
    made = again(lab)
    assert (made["posterior"], made["in_use"], made["refused"]) == (before, True, "")
    assert made["constant"] == ""
    # judged by what it said of these rows before it was fitted to them, not after
    assert made["predecessor"]["rows"] == made["holdout_rows"] == 550
    assert made["predecessor"]["prior"] == made["prior"]
    # to the last bit: between a model and itself chance explains nothing, so any rounding would look like a difference
    assert (made["predecessor"]["difference"], made["predecessor"]["std_error"]) == (0.0, 0.0)


def test_the_report_is_kept_with_the_model(lab):
    made = again(lab)
    with open_store(lab.workspace) as store:
        kept = store.model("prior", made["prior"]).manifest["report"]
    assert kept == {name: value for name, value in made.items() if name != "seconds"}
    assert sum(arm["rows"] for arm in kept["arms"]) == kept["rows"] == 2_750
    assert sum(arm["holdout_rows"] for arm in kept["arms"]) == kept["holdout_rows"]
    assert {line["k"] for line in kept["ranking"]} == {1, 3, 5}
    assert all(0 <= line[name] <= 1 for line in kept["ranking"] for name in ("recall", "ndcg", "rate_recall"))


def test_a_log_that_was_cut_short_does_not_wipe_out_what_was_known(lab):
    before = in_use(lab)
    with_exposures(lab, later(lab, 20).slice(0, 40))
    made = again(lab, LATE)
    assert not made["in_use"]
    assert "the same of everybody" in made["refused"]
    assert in_use(lab) == before
    assert not (lab.workspace.models / made["prior"]).exists()
    with open_store(lab.workspace) as store:
        assert store.model("prior", made["prior"]).manifest["report"]["refused"] == made["refused"]
        assert store.audit_trail(subject=made["prior"])[-1].action == "refuse"
    forced = again(lab, LATE, force=True)
    assert (forced["in_use"], forced["refused"]) == (True, made["refused"])
    assert in_use(lab) == forced["posterior"] != before


def test_a_model_that_is_worse_on_rows_that_neither_saw_is_not_put_to_use(lab):
    before = in_use(lab)
    with_exposures(lab, misled(later(lab, 20)))
    made = again(lab, LATE)
    old = made["predecessor"]
    assert old["rows"] == made["holdout_rows"]
    assert old["difference"] > 1.645 * old["std_error"]
    assert not made["in_use"] and "more than chance explains" in made["refused"]
    assert in_use(lab) == before


def test_an_offer_that_came_since_does_not_spare_a_model_the_comparison(lab):
    before = in_use(lab)
    offers = lab.files.offers.read_text()
    path = lab.workspace.root.parent / "offers.csv"
    path.write_text(offers.rstrip("\n") + "\n" + offers.splitlines()[1].replace("offer-01", "offer-99") + "\n")
    load(lab.workspace, {"offers": path})
    with_exposures(lab, misled(later(lab, 20)))
    made = again(lab, LATE)
    assert made["predecessor"]["rows"] == made["holdout_rows"]
    assert not made["in_use"] and "more than chance explains" in made["refused"]
    assert in_use(lab) == before


def test_a_posterior_of_an_earlier_version_is_said_to_be_one_and_training_replaces_it(lab):
    with open_store(lab.workspace) as store:
        kept = store.model("posterior", current_posterior_id(store))
        arrays = unpack_arrays(kept.blob)
        store.put_model(replace(kept, blob=pack_arrays({n: a for n, a in arrays.items() if n != "width"})))
        with pytest.raises(WorkspaceError, match="earlier version") as refused:
            load_posterior(store, kept.model_id)
    assert "allot train" in refused.value.remedy
    assert again(lab)["in_use"]
    with open_store(lab.workspace) as store:
        load_posterior(store, current_posterior_id(store))


def test_a_model_of_an_earlier_version_is_said_to_be_one_and_training_replaces_it(lab):
    prior = again(lab)["prior"]
    path = lab.workspace.models / prior / "manifest.json"
    manifest = json.loads(path.read_text())
    del manifest["files"]["held.npz"]
    path.write_text(json.dumps(manifest))
    with pytest.raises(WorkspaceError, match="earlier version") as refused:
        load_foundation(lab.workspace, prior)
    assert "allot train" in refused.value.remedy
    made = again(lab, monotone=("customer.monthly_spend=up",))
    assert made["in_use"] and any("earlier version" in note for note in made["warnings"])


def test_training_again_mends_a_damaged_model(lab):
    made = again(lab)
    (lab.workspace.models / made["prior"] / "model.txt").unlink()
    mended = again(lab)
    assert mended["prior"] == made["prior"] and any("is missing" in note for note in mended["warnings"])
    assert load_foundation(lab.workspace, made["prior"]).id == made["prior"]


def test_only_rows_that_somebody_chose_are_weighted(decided, tmp_path):
    lab = decided[0].copy(tmp_path)
    plan = decided[1][0]
    lab.feed(lab.answers(plan, 0), 5)
    made = again(lab, 8, weigh=True)
    assert made["rows"] == 2_750 + plan["audience"]
    logged = pq.read_table(lab.files.exposures)["propensity"]
    assert made["weighted_rows"] == len(logged) - logged.null_count + plan["audience"] - plan["held_out"]
    assert made["prior"] != again(lab, 8)["prior"]


@pytest.mark.parametrize(
    ("wishes", "words"),
    [
        (("customer.monthly_spent=up",), "no column of numbers 'customer.monthly_spent'"),
        (("customer.segment=down",), "no column of numbers"),
        (("offer.margin=up", "offer.margin=down"), "in which one direction"),
        (("offer.margin",), "in which one direction"),
    ],
)
def test_a_direction_needs_a_column_of_numbers(lab, wishes, words):
    with pytest.raises(DataError, match=words) as refused:
        again(lab, monotone=wishes)
    assert refused.value.remedy


def test_a_direction_is_part_of_the_model(lab):
    made = again(lab, monotone=("customer.monthly_spend=up",))
    assert made["monotone"] == ["customer.monthly_spend=up"]
    foundation = load_foundation(lab.workspace, made["prior"])
    spend = foundation.features.names.index("customer.monthly_spend")
    people = np.random.default_rng(1).normal(size=(200, len(foundation.features.names)))
    richer = people.copy()
    richer[:, spend] += np.linspace(0.0, 3.0, 200)
    assert (foundation.prior.logits(richer) - foundation.prior.logits(people)).min() >= -1e-6


def test_cross_columns_that_do_not_pay_are_not_read_and_the_report_says_so(lab):
    wish = "cross.share_own_category=down"
    made = again(lab, monotone=(wish,))
    assert not made["cross"]["used"] and made["cross"]["rows"] == made["rows"] - made["holdout_rows"]
    assert "2,200 rows before those held out" in made["cross"]["because"]
    assert any("held to no direction: cross columns are not used" in note for note in made["warnings"])
    foundation = load_foundation(lab.workspace, made["prior"])
    read = (*foundation.features.names, *made["gain"])
    assert not any("_offer_" in name or name.startswith("cross.") for name in read)
    assert again(lab)["prior"] == made["prior"] and again(lab)["warnings"] != made["warnings"]
