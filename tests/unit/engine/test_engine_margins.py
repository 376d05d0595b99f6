"""Where successes bring more from some customers than from others, these are worth more, in every figure."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from engine_workspace import Lab, furnish

from bandit import Beliefs
from engine.computed import set_up
from engine.explain import explain
from engine.models import load_foundation
from engine.objective import Terms, worth_of
from engine.stages import Stages
from engine.stamp import stamp_now
from engine.train import Wishes, train
from engine.workspaces import load
from sims.files import OUTCOME_DAYS, moment
from warehouse import open_store

K = 3
TERMS = Terms(np.array([10.0, 20.0, 40.0]), np.full(K, 0.5), np.array([0.0, 2.0, 0.0]), outside_margin=15.0)


@pytest.fixture(scope="module")
def plenty(tmp_path_factory) -> Lab:
    """Exposures enough to learn margins from; nothing is loaded yet."""
    return furnish(tmp_path_factory.mktemp("plenty"), history=7_500)


def with_rewards(lab: Lab, folder, factor) -> Lab:
    """The lab, loaded, with rewards that are multiplied by `factor` of the customer's spend."""
    lab = lab.copy(folder)
    people = pq.read_table(lab.files.customers, columns=["customer_id", "monthly_spend"])
    spend = dict(zip(people["customer_id"].to_pylist(), people["monthly_spend"].to_pylist(), strict=True))
    log = pq.read_table(lab.files.exposures)
    times = factor(np.array([spend[who] for who in log["customer_id"].to_pylist()]))
    rewards = pa.array(log["reward"].to_numpy() * times)
    path = lab.workspace.root.parent / "rewards.parquet"
    pq.write_table(log.set_column(log.column_names.index("reward"), "reward", rewards), path)
    files = lab.files
    load(lab.workspace, {"customers": files.customers, "offers": files.offers, "exposures": path, "events": lab.events})
    return lab


@pytest.fixture(scope="module")
def uneven(plenty, tmp_path_factory) -> Lab:
    """A success of who spends more than most brings ten times as much, with any offer and with none."""
    return with_rewards(plenty, tmp_path_factory.mktemp("uneven"), lambda x: np.where(x > np.median(x), 2.0, 0.2))


def made(lab: Lab, *, margins: bool):
    asked = Wishes(margins=margins)
    return train(lab.workspace, as_of=moment(0), outcome_days=OUTCOME_DAYS, wishes=asked)


def test_a_customer_whose_successes_bring_more_is_worth_more(uneven):
    assert made(uneven, margins=True)["learnt_margins"]
    with open_store(uneven.workspace) as store:
        stamp = stamp_now(uneven.workspace, store, uneven.campaign)
        found = set_up(uneven.workspace, store, uneven.campaign, stamp, Stages())
    spend = np.asarray(found.audience.people.columns["monthly_spend"], np.float64)
    rich = spend > np.median(spend)
    margin, redemption = (np.array(found.audience.offers[c].to_pylist()) for c in ("margin", "redemption_cost"))
    relative = (found.worth.scores.value + redemption) / margin
    assert 1.4 < np.median(relative[rich]) < 2.4 and np.median(relative[~rich]) < 0.7
    plan = uneven.allocate(0)
    rows = pq.read_table(plan["decisions"], columns=["customer_id", "offer_id"]).to_pylist()
    who = next(row["customer_id"] for row in rows if row["offer_id"] is not None)
    told = explain(uneven.workspace, who, plan["allocation_id"])
    worth = {
        part: sum(r["worth"] for r in told["reasons"] if r["part"] == part) for part in ("level", "prior", "learnt")
    }
    doubt = next(r["worth"] for r in told["reasons"] if r["part"] == "uncertainty")
    assert sum(row["worth"] for row in told["reasons"]) == pytest.approx(told["score"], abs=1e-6)
    pair = next(offer for offer in told["offers"] if offer["offer_id"] == told["chosen"])
    unsure = pair["success"] * (1.0 + np.exp(-pair["mean"])) - 1.0  # E σ(m + sz) over σ(m)
    assert doubt == pytest.approx(unsure * sum(worth.values()), rel=1e-3)


def test_unless_it_is_asked_for_margins_are_the_offers_own(uneven):
    assert not made(uneven, margins=False)["learnt_margins"]
    with open_store(uneven.workspace) as store:
        stamp = stamp_now(uneven.workspace, store, uneven.campaign)
        found = set_up(uneven.workspace, store, uneven.campaign, stamp, Stages())
    assert found.worth.scores.value.ndim == 1


def test_where_rewards_are_the_margins_there_is_nothing_to_learn(plenty, tmp_path):
    told = made(with_rewards(plenty, tmp_path, np.ones_like), margins=True)
    assert not told["learnt_margins"]
    assert any("the same" in note for note in told["warnings"])


def test_successes_whose_reward_nobody_wrote_down_say_nothing_of_margins(uneven, tmp_path):
    lab = uneven.copy(tmp_path)
    log = pq.read_table(uneven.workspace.root.parent / "rewards.parquet")
    kept = np.arange(log.num_rows) % 3 == 0
    place = log.column_names.index("reward")
    path = tmp_path / "third.parquet"
    pq.write_table(log.set_column(place, "reward", pc.if_else(pa.array(kept), log["reward"], None)), path)
    load(lab.workspace, {"exposures": path})
    told = made(lab, margins=True)
    won = np.asarray(log["outcome"]) == 1
    assert f"{(won & ~kept).sum():,} successes have no reward: margins are learnt from the others" in told["warnings"]
    level = load_foundation(lab.workspace, told["prior"]).margins.level
    arm = np.searchsorted(load_foundation(lab.workspace, told["prior"]).offer_ids, log["offer_id"].fill_null("~"))
    paid = np.asarray(log["reward"])[won & kept]
    total, rows = np.bincount(arm[won & kept], paid, len(level)), np.bincount(arm[won & kept], minlength=len(level))
    assert level == pytest.approx((total + 10 * paid.mean()) / (rows + 10))


@pytest.mark.parametrize("objective", ["profit", "value", "conversions", "incremental"])
def test_a_customer_who_brings_as_much_as_all_is_worth_what_he_was(objective):
    r = np.random.default_rng(1)
    beliefs = Beliefs(r.normal(-1, 1, (20, K + 1)).astype(np.float32), np.full((20, K + 1), 0.3, np.float32))
    same = replace(TERMS, relative=np.ones((20, K + 1)))
    plain, found = (worth_of(objective, beliefs, np.ones((20, K), bool), t, np.ones(K + 1)) for t in (TERMS, same))
    assert found.value.tobytes() == plain.value.tobytes() and found.cost.tobytes() == plain.cost.tobytes()
    assert np.array_equal(np.broadcast_to(plain.scores.value, (20, K)), np.broadcast_to(found.scores.value, (20, K)))


def test_twice_the_amount_is_twice_the_value_and_costs_the_same():
    r = np.random.default_rng(2)
    beliefs = Beliefs(r.normal(-1, 1, (20, K + 1)).astype(np.float32), np.full((20, K + 1), 0.3, np.float32))
    relative = np.repeat([[1.0], [2.0]], 10, axis=0) * np.ones(K + 1)
    beliefs = Beliefs(np.tile(beliefs.mean[:10], (2, 1)), beliefs.sd)
    for objective in ("value", "conversions", "incremental"):
        free = replace(TERMS, contact_cost=np.zeros(K), redemption_cost=np.zeros(K), relative=relative)
        worth = worth_of(objective, beliefs, np.ones((20, K), bool), free, np.ones(K + 1))
        times = 1.0 if objective == "conversions" else 2.0
        np.testing.assert_allclose(worth.value[10:], times * worth.value[:10], rtol=1e-6)
        assert np.array_equal(worth.cost[10:], worth.cost[:10])
