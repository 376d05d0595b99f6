import numpy as np
import pytest

from allot import CampaignError, ShapeError
from sims import nbo


@pytest.fixture(scope="module")
def world():
    return nbo(5, customers=2000, days=10, history=2000)


def test_outcomes_do_not_depend_on_order_or_chunks(world):
    r = np.random.default_rng(0)
    rows, offer, day = r.permutation(2000), r.integers(-1, 12, 2000), r.integers(0, 10, 2000)
    whole = world.outcomes(rows, offer, day)[0]
    assert 0 < whole.sum() < 2000
    order = r.permutation(2000)
    assert np.array_equal(world.outcomes(rows[order], offer[order], day[order])[0], whole[order])
    parts = [world.outcomes(rows[i : i + 7], offer[i : i + 7], day[i : i + 7])[0] for i in range(0, 2000, 7)]
    assert np.array_equal(np.concatenate(parts), whole)


def test_a_customer_asked_twice_on_different_days_answers_afresh(world):
    rows = np.arange(2000)
    sums = [world.outcomes(rows, 2, day)[0] for day in range(5)]
    assert len({tuple(s) for s in sums}) == 5


def test_reward_is_the_margin_of_the_offer_and_the_outside_margin_without_one(world):
    rows = np.arange(2000)
    for offer in (-1, 0, 11):
        outcome, reward = world.outcomes(rows, offer, 0)
        worth = world.outside_margin if offer < 0 else world.offers.margin[offer]
        assert outcome.any()
        assert np.allclose(reward, worth * outcome)


def test_drift_comes_at_mid_time_for_at_least_half_the_offers_and_never_without_offer(world):
    rows = np.arange(2000)
    first = np.column_stack([world.success(rows, a, 0) for a in range(12)])
    for day in range(10):
        now = np.column_stack([world.success(rows, a, day) for a in range(12)])
        changed = int((now != first).any(0).sum())
        assert changed == 0 if day < 5 else 6 <= changed <= 9
        assert np.array_equal(world.success(rows, -1, day), world.success(rows, -1, 0))


def test_value_is_money_earned_less_money_paid(world):
    rows = np.arange(2000)
    for a in range(12):
        chance = world.success(rows, a, 0)
        earned = chance * world.offers.margin[a]
        paid = world.offers.contact_cost[a] + chance * world.offers.redemption_cost[a]
        assert np.allclose(world.value(0)[:, a], earned - paid)
        assert np.allclose(world.cost(0)[:, a], paid)
        lost = world.success(rows, -1, 0) * world.outside_margin
        assert np.allclose(world.value(0, basis="incremental")[:, a], earned - paid - lost)
    assert not world.value(0)[:, 12].any()
    assert not world.value(0, basis="incremental")[:, 12].any()


def test_rows_select_customers(world):
    rows = np.array([5, 3, 1999])
    assert np.array_equal(world.value(9, rows), world.value(9)[rows])
    assert np.array_equal(world.cost(9, rows), world.cost(9)[rows])


def test_cold_offers_have_no_history_and_the_control_group_is_a_tenth(world):
    log = world.history
    assert set(log.offer) == {-1, *range(8)}
    assert not world.offers.warm[8:].any()
    assert world.offers.warm[:8].all()
    assert (log.offer == -1).sum() == 200
    assert (log.offer >= 0).sum() == 2000


def test_the_logger_states_a_whole_distribution_that_covers_what_it_did(world):
    log = world.history
    assert np.allclose(log.probability.sum(1), 1.0, atol=1e-12)
    assert (log.probability[np.arange(len(log.offer)), log.offer] > 0).all()
    assert not log.probability[:, 8:12].any()


def test_no_offer_responds_less_than_offers_do(world):
    assert 0 < world.before[:, -1].mean() < 0.5 * world.before[:, :-1].mean()


def test_the_reference_has_1500_new_customers_a_day():
    world = nbo(3, days=4, per_day=10, history=50)
    assert world.arrival.tolist() == [d for d in range(4) for _ in range(10)]
    assert world.drift_day == 2
    assert len(world.customer_ids) == len(set(world.customer_ids)) == 40


def test_a_world_of_one_customer_has_chances():
    assert np.isfinite(nbo(1, customers=1, days=4, history=50).value(3)).all()


def test_an_empty_world_is_refused():
    with pytest.raises(ShapeError):
        nbo(1, customers=0)
    for key in ("days", "per_day", "history"):
        with pytest.raises(CampaignError, match=f"{key} = 0"):
            nbo(1, **{key: 0})
