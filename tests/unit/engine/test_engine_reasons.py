"""What a score is made of adds up to it, for every objective, and says what the model says."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
from engine_workspace import decisions
from pyarrow import csv

from engine.explain import explain
from engine.learn import learn
from sims.files import moment

OBJECTIVES = ("profit", "value", "conversions", "incremental")


def chosen_customers(summary, most):
    rows = decisions(summary, "customer_id", "offer_id")
    return [c for c, o in zip(rows["customer_id"], rows["offer_id"], strict=True) if o is not None][:most]


def rate(objective, offer):
    """What a success with the offer is worth to the objective."""
    earned = {"conversions": 1.0, "value": offer["margin"]}
    return earned.get(objective, offer["margin"] - offer["redemption_cost"])


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_the_terms_add_up_to_the_score(lab, objective):
    margin = 30.0 if objective == "incremental" else None
    summary = lab.allocate(0, objective=objective, outside_margin=margin, name=objective)
    catalogue = {row["offer_id"]: row for row in csv.read_csv(lab.files.offers).to_pylist()}
    for customer in chosen_customers(summary, 8):
        told = explain(lab.workspace, customer, summary["allocation_id"])
        offer = next(o for o in told["offers"] if o["offer_id"] == told["chosen"])
        assert told["score"] == offer["value"] - offer["price"]
        assert sum(r["worth"] for r in told["reasons"]) == pytest.approx(told["score"], abs=1e-9)
        logits = [r["logit"] for r in told["reasons"] if r["logit"] is not None]
        assert sum(logits) == pytest.approx(offer["mean"], abs=1e-9)
        of_logits = sum(r["worth"] for r in told["reasons"] if r["logit"] is not None)
        sure = 1.0 / (1.0 + np.exp(-offer["mean"]))
        assert of_logits == pytest.approx(rate(objective, catalogue[told["chosen"]]) * sure, rel=1e-6)
        without = next(r for r in told["reasons"] if r["part"] == "no offer")
        assert (without["worth"] != 0.0) == (objective == "incremental")
        price = next(r for r in told["reasons"] if r["part"] == "price")
        assert price["worth"] == -offer["price"]


def test_what_was_learnt_since_training_is_told_apart_from_the_prior(copies, decided):
    """The prior's terms stay; only the learnt ones move."""
    lab, (first, _) = copies(), decided[1]
    before = lab.allocate(8, name="later")
    lab.feed(lab.answers(first, 0), 8)
    learn(lab.workspace, as_of=moment(40))
    after = lab.allocate(8, name="much later")
    logits = []
    for customer in sorted(set(chosen_customers(before, 400)) & set(chosen_customers(after, 400))):
        told = [explain(lab.workspace, customer, s["allocation_id"]) for s in (before, after)]
        if told[0]["chosen"] == told[1]["chosen"]:
            logits = [{(r["part"], r["term"]): r["logit"] for r in t["reasons"]} for t in told]
            break
    old, new = logits
    assert all(old[key] == new[key] for key in old if key[0] == "prior")
    assert old["learnt", "offer"] != new["learnt", "offer"]


def test_a_decision_whose_model_is_gone_is_still_explained(lab):
    summary = lab.allocate(0)
    customer = chosen_customers(summary, 1)[0]
    shutil.rmtree(lab.workspace.models / summary["versions"]["prior"])
    told = explain(lab.workspace, customer, None)
    assert told["chosen"] is not None and told["reasons"] is None
    assert summary["versions"]["prior"] in told["without_reasons"]


def test_no_offer_has_no_score(lab):
    held = replace(lab.campaign.exploration, holdout=0.5)
    summary = lab.allocate(0, exploration=held)
    rows = decisions(summary, "customer_id", "offer_id")
    customer = rows["customer_id"][rows["offer_id"].index(None)]
    told = explain(lab.workspace, customer, None)
    assert (told["score"], told["reasons"], told["without_reasons"]) == (None, None, "")
    assert np.isfinite(told["no_offer"]["behind"])
