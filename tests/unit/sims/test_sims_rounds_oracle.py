"""Rounds without a workspace: the oracle beside them, plans that are refused, and the figures of all of them."""

from dataclasses import replace

import numpy as np
import pytest

from allot import CampaignError, LimitError
from sims import build, nbo
from sims import rounds as runs
from sims.description import NBO, Cut, Drift, Offering
from sims.files import write
from sims.limits import campaign_limits, reference_limits
from sims.oracle import best_plan
from sims.round_figures import summary_of
from sims.visits import Contacts


def test_the_oracle_plans_every_round_with_its_truth_and_its_limits():
    about = replace(NBO, days=24, history=200, drift=Drift(at=0.5), budget=Cut(at=0.6, to=0.5),
                    offers=Offering(arrivals=(0.5,), retirements=(0.5,) * 7))  # fmt: skip
    world = build(about, 12, 40)
    limits = reference_limits(world, 0)
    halved = (replace(limits[0], maximum=limits[0].maximum / 2), *limits[1:])
    assert campaign_limits(world, 8) == limits and campaign_limits(world, 16) == halved
    expected = [
        best_plan(world, day, world.eligible & world.open(day), wanted).value
        for day, wanted in ((0, limits), (8, limits), (16, halved))
    ]
    assert runs.oracle_values(world, 3) == pytest.approx(expected, rel=1.1 * runs.ORACLE_GAP)
    assert (world.open(8).sum(), world.open(16).sum()) == (11, 5)
    assert expected[2] < 0.9 * best_plan(world, 16, world.eligible, halved).value


def test_whom_the_oracle_contacts_he_tires():
    about = replace(NBO, days=24, history=200, drift=Drift("none"), fatigue=0.5)
    tired, fresh = (runs.oracle_values(build(replace(about, fatigue=x), 12, 40), 3) for x in (0.5, 0.0))
    assert tired[0] == fresh[0] == pytest.approx(fresh[2])
    assert tired[2] < tired[1] < tired[0]


def test_contacts_are_forgotten_after_thirty_days():
    lately = Contacts(3)
    for day, who in ((0, [0, 1]), (8, [1])):
        lately.add(np.array(who), day)
    assert [lately.on(day).tolist() for day in (8, 29, 30, 38)] == [[1, 2, 0], [1, 2, 0], [0, 1, 0], [0, 0, 0]]


def test_a_plan_that_is_refused_leaves_everybody_without_and_says_why(tmp_path, monkeypatch):
    world = nbo(12, customers=60, days=10, history=200)
    lab = runs.Lab(world, write(world, tmp_path), None)

    def refused(workspace, campaign, *, now):
        raise LimitError("too narrow.", where="limits")

    monkeypatch.setattr(runs, "allocate", refused)
    one = runs._decided(lab, 1, 8, np.zeros(60, np.int64))
    assert (one.choice == -1).all() and "too narrow" in one.plan["status"]
    told = runs.scored(world, one, 7.0)
    assert (told["reward"], told["spend"], told["true_spend"], told["contacts"]) == (0.0, 0.0, 0.0, 0)
    assert told["budget"] == reference_limits(world, 0)[0].maximum
    assert told["oracle_share"] == 0.0 and runs.scored(world, one, 0.0)["oracle_share"] is None


def line(seed, number, reward, best, status="released"):
    share = reward / best if best else None
    return {"world": "w", "policy": "allot", "seed": seed, "round": number, "reward": reward, "oracle_reward": best,
            "oracle_share": share, "status": status}  # fmt: skip


def test_the_summary_is_of_all_rounds_of_each_seed():
    lines = [line(1, 1, 2, 4), line(1, 2, 4, 6), line(2, 1, 1, 10), line(2, 2, 9, 10, "no room"), line(2, 3, 0, 0)]
    x = summary_of(lines)["allot"]
    assert (x["seeds"], x["rounds"], x["refused_rounds"]) == (2, 3, 1)
    assert x["oracle_share"] == pytest.approx((0.6 + 0.5) / 2)
    assert x["std_error"] == pytest.approx(0.05)
    assert (x["worst"], x["worst_seed"], x["worst_round_share"]) == (0.5, 2, 0.1)
    assert (x["first"], x["last"]) == pytest.approx(((0.5 + 0.1) / 2, (4 / 6 + 0.9) / 2))
    assert x["gain"] == pytest.approx((4 / 6 - 0.5 + 0.8) / 2)


def test_where_nothing_can_be_earned_there_is_no_summary():
    with pytest.raises(CampaignError, match="seed 1"):
        summary_of([line(1, 1, 0, 0)])
