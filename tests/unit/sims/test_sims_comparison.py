"""Shares, intervals and phases are what one works out by hand."""

import numpy as np
import pytest

from allot import CampaignError
from sims.comparison import Compared, interval, summarised
from sims.run_files import Run


def run(policy, seed, reward, *, status=("released",) * 4, contacts=None):
    reward = np.asarray(reward, float)
    many = np.tile([[3, 1]], (4, 1)) if contacts is None else contacts
    return Run(
        policy=policy,
        seed=seed,
        offers=("a", "b"),
        decisions=np.full(4, 10),
        contacts=many,
        reward=reward,
        spend=np.full(4, 6.0),
        budget=np.full(4, 8.0),
        fullest=np.full(4, 0.75),
        seconds=np.full(4, 0.5),
        status=status,
        prices=({},) * 4,
        claims=None,
        judged=(),
    )


@pytest.fixture
def compared():
    return Compared(
        [
            run("lints", 1, [1, 2, 3, 2]),
            run("lints", 2, [2, 2, 2, 0], status=("released", "no", "released", "no")),
            run("allot", 1, [3, 2, 4, 3]),
            run("allot", 2, [1, 2, 2, 3]),
            run("oracle", 1, [4, 4, 4, 4]),
            run("oracle", 2, [2, 4, 2, 4]),
        ]
    )


def test_every_run_and_every_policy_in_figures(compared):
    d = summarised("nbo", compared)
    assert d["reference"] == "allot"
    first = d["runs"][0]
    assert first == {
        "world": "nbo",
        "policy": "lints",
        "seed": 1,
        "reward": 8.0,
        "oracle_reward": 16.0,
        "oracle_share": 0.5,
        "spend": 24.0,
        "budget": 32.0,
        "decisions": 40,
        "contacts": 16,
        "worst_day": 1,
        "worst_day_share": 0.25,
        "refused_days": 0,
        "seconds": 2.0,
    }
    lints, allot, oracle = (d["summary"][name] for name in ("lints", "allot", "oracle"))
    assert (lints["oracle_share"], lints["worst"], lints["worst_seed"]) == (0.5, 0.5, 1)
    assert (lints["worst_day_share"], lints["refused_days"], lints["regret"]) == (0.0, 2, 7.0)
    assert (allot["oracle_share"], allot["worst"], allot["worst_seed"]) == (
        pytest.approx((0.75 + 8 / 12) / 2),
        8 / 12,
        2,
    )
    assert allot["behind"] is None
    assert lints["behind"]["value"] == pytest.approx(np.mean([0.25, 8 / 12 - 0.5]))
    assert oracle["oracle_share"] == 1.0 and oracle["regret"] == 0.0
    assert lints["decisions_per_second"] == 20.0


def test_without_the_product_the_first_is_the_reference(compared):
    others = [x for name in ("lints", "oracle") for x in compared.runs[name]]
    assert Compared(others).reference == "lints"


def test_intervals_are_student_t():
    span = interval(np.array([1.0, 2.0, 3.0, 6.0]))
    assert span["value"] == 3.0
    assert span["std_error"] == pytest.approx(np.std([1, 2, 3, 6], ddof=1) / 2)
    assert span["high"] - span["value"] == pytest.approx(3.182446305 * span["std_error"])
    assert span["value"] - span["low"] == pytest.approx(3.182446305 * span["std_error"])
    assert interval(np.array([2.0])) == {"value": 2.0, "std_error": None, "low": None, "high": None}


def test_phases_part_the_days_and_mean_their_regret(compared):
    parts = compared.phases("allot")
    assert [(x["first"], x["last"]) for x in parts] == [(1, 1), (2, 2), (3, 3), (4, 4)]
    assert [x["value"] for x in parts] == [1.0, 2.0, 0.0, 1.0]


def test_traffic_adds_up_to_everybody(compared):
    traffic = compared.traffic("allot")
    assert traffic == pytest.approx(np.tile([0.3, 0.1, 0.6], (4, 1)))


def test_a_day_on_which_nothing_can_be_earned_is_nobodys_worst():
    runs = Compared([run("lints", 1, [1, 0, 3, 2]), run("oracle", 1, [4, 0, 4, 4])])
    d = summarised("nbo", runs)
    assert (d["runs"][0]["worst_day"], d["runs"][0]["worst_day_share"]) == (1, 0.25)
    assert d["summary"]["lints"]["worst_day_share"] == 0.25
    assert np.isnan(runs.daily_shares("lints")[0]).tolist() == [False, True, False, False]


def test_where_nothing_can_be_earned_on_any_day_there_is_nothing_to_compare():
    runs = Compared([run(policy, seed, [0, 0, 0, 0]) for policy in ("lints", "oracle") for seed in (1,)])
    with pytest.raises(CampaignError, match="seed 1"):
        summarised("nbo", runs)
