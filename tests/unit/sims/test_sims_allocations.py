"""Four ways from scores to a plan: all keep the limits, and none earns more in the scores than the optimum."""

from dataclasses import replace

import numpy as np
import pytest

from allot import LimitError
from portfolio import Limit, usage, use_of
from sims.allocations import Batch, balanced, batch_of, in_turn, optimum
from sims.days import Known, ours
from sims.description import WORLDS, Cut
from sims.limits import limits_of
from sims.world import build, nbo


@pytest.fixture(scope="module")
def known():
    return Known(nbo(7, days=4, per_day=400, history=1_500))


@pytest.fixture(scope="module")
def batch(known):
    rows = np.flatnonzero(known.world.arrival == 1)
    return batch_of(known.world, 1, rows, known.world.eligible[rows], 0 * rows)


def worth(batch, choice, scores):
    taken = choice >= 0
    return scores[taken, choice[taken]].sum()


def kept(batch, choice):
    assert batch.eligible[choice >= 0, choice[choice >= 0]].all()
    used = usage(batch.limits, use_of(batch.problem(batch.value), choice), {})
    assert all(x.used <= x.maximum * (1 + 1e-12) for x in used), used
    return used


def slowly(batch, scores, order):
    """One customer at a time, in plain words."""
    rest = {limit.name: limit.maximum for limit in batch.limits}
    choice = np.full(len(scores), -1)
    for i in order:
        for a in sorted(range(scores.shape[1]), key=lambda a: -scores[i, a]):
            takes = {
                x.name: 1.0 if x.measure == "count" else batch.cost[i, a]
                for x in batch.limits
                if x.offers is None or a in x.offers
            }
            if batch.eligible[i, a] and scores[i, a] > 0 and all(use <= rest[name] for name, use in takes.items()):
                choice[i] = a
                rest = {name: room - takes.get(name, 0.0) for name, room in rest.items()}
                break
    return choice


def test_a_batch_tells_the_truth_of_its_day_and_its_offers():
    world = build(replace(WORLDS["nbo-offers"], fatigue=0.5, budget=Cut(at=0.5, to=0.25), days=10, per_day=60), 3)
    rows, tired = np.arange(60), np.arange(60) % 3
    early, late, fresh = (
        batch_of(world, day, rows, world.eligible[:60], contacts)
        for day, contacts in ((4, tired), (5, tired), (5, 0 * tired))
    )
    assert np.array_equal(late.value, world.value(5, rows, contacts=tired)[:, :-1])
    assert np.array_equal(late.cost, world.cost(5, rows, contacts=tired))
    assert (late.value[tired > 0] < fresh.value[tired > 0]).any() and (
        late.value[tired == 0] == fresh.value[tired == 0]
    ).all()
    assert not world.open(5).all() and world.open(5).any()
    assert np.array_equal(late.eligible, world.eligible[:60] & world.open(5))
    whole = limits_of(late.value, late.cost, late.eligible, world.offers.ids)
    assert late.limits[0].maximum == pytest.approx(0.25 * whole[0].maximum)
    assert late.limits[1:] == whole[1:]
    assert early.limits[0] == limits_of(early.value, early.cost, early.eligible, world.offers.ids)[0]


@pytest.mark.parametrize("best_first", [False, True])
def test_in_turn_serves_one_customer_after_the_other(batch, best_first):
    scores = np.random.default_rng(1).normal(size=batch.value.shape)
    highest = np.where(batch.eligible, scores, -np.inf).max(1)
    order = np.argsort(-highest, kind="stable") if best_first else range(len(scores))
    decided = in_turn(batch, scores, best_first=best_first)
    assert np.array_equal(decided.choice, slowly(batch, scores, order))
    assert any(x.slack < 2 for x in kept(batch, decided.choice)), "the limits must matter here"
    assert decided.propensity is None and not decided.prices


def test_first_come_earns_less_than_best_first_and_both_less_than_the_optimum(batch):
    first, best, most = (
        worth(batch, decided.choice, batch.value)
        for decided in (
            in_turn(batch, batch.value),
            in_turn(batch, batch.value, best_first=True),
            optimum(batch, batch.value),
        )
    )
    assert 0 < first < best < most


def test_the_optimum_keeps_the_limits_and_passes_over_infinite_scores(batch):
    scores = batch.value.copy()
    scores[:, 2] = -np.inf
    decided = optimum(batch, scores)
    kept(batch, decided.choice)
    assert not (decided.choice == 2).any()
    assert (optimum(batch, batch.value).choice == 2).any()


def test_the_balanced_draw_keeps_the_limits_and_knows_the_chance_of_each_choice(known, batch):
    learner = ours(known)
    decided = balanced(batch, learner.worth(batch.rows, batch.eligible), None)
    assert decided.status == "released"
    kept(batch, decided.choice)
    assert decided.propensity.shape == (400,)
    assert (decided.propensity > 0).all() and (decided.propensity <= 1).all() and decided.propensity.std() > 0.05
    assert decided.prices["budget"] > 0


def test_prices_of_the_day_before_are_only_where_the_search_begins(known, batch):
    worth_of = ours(known).worth(batch.rows, batch.eligible)
    afresh = balanced(batch, worth_of, None)
    again = balanced(batch, worth_of, {"budget": 3.0, "a limit of yesterday": 1.0})
    assert again.prices == pytest.approx(afresh.prices, abs=2e-3)
    assert np.allclose(again.propensity, afresh.propensity, atol=5e-3) or (again.choice == afresh.choice).mean() > 0.95


def test_where_the_product_would_refuse_nobody_gets_anything(known, batch):
    narrow = Batch(*(getattr(batch, name) for name in batch.__slots__[:-1]), (Limit("few", "count", maximum=1),))
    decided = balanced(narrow, ours(known).worth(batch.rows, batch.eligible), None)
    assert (decided.choice == -1).all()
    assert "few" in decided.status


@pytest.mark.parametrize(
    "limit",
    [Limit("many", "count", minimum=3), Limit("rich", "value", maximum=3), Limit("band", "cost", minimum=1, maximum=3)],
)
def test_one_customer_at_a_time_only_maxima_can_be_kept(batch, limit):
    other = Batch(*(getattr(batch, name) for name in batch.__slots__[:-1]), (limit,))
    with pytest.raises(LimitError, match="only maxima"):
        in_turn(other, batch.value)
