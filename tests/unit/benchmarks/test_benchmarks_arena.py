"""The arena tells the peers what ours knows, in the range that they were promised, and counts everybody alike."""

from dataclasses import replace

import numpy as np
import pytest

from benchmarks import arena
from sims import WORLDS
from sims.days import Known, oracle_share
from sims.learners import Fixed
from sims.world import build


@pytest.fixture(scope="module")
def known() -> Known:
    return Known(build(replace(WORLDS["nbo"], days=30, per_day=20, history=3000), 1))


def test_the_peers_are_told_what_was_not_earned_between_nothing_and_everything(known: Known) -> None:
    job, money = arena.job_of(known), known.money
    best, worst = (money.net - money.fee).max(), -money.fee.max()
    shown = known.log.arm < known.offers
    arm, outcome = known.log.arm[shown], known.log.outcome[shown]
    earned = best - job["cost"] * (best - worst)
    assert np.allclose(earned, np.where(outcome == 1, money.net[arm], 0.0) - money.fee[arm])
    for told in (job["cost"], job["costs"]):
        assert 0.0 <= told.min() < told.max() <= 1.0
    assert np.array_equal(job["chance"], known.world.history.probability[shown, arm])


def test_the_peers_meet_the_same_customers_and_outcomes_as_ours(known: Known) -> None:
    job, world = arena.job_of(known), known.world
    rows = np.argsort(world.arrival, kind="stable")
    assert np.array_equal(job["allowed"], world.eligible[rows])
    assert np.array_equal(np.diff(job["ends"]), np.bincount(world.arrival, minlength=world.days))
    for day in (0, 17):
        here = np.arange(job["ends"][day], job["ends"][day + 1])
        outcome, _ = world.outcomes(rows[here], np.full(len(here), 3), day)
        assert np.array_equal(job["costs"][here, 3] < job["costs"].max(0)[3], outcome.astype(bool))


def test_a_choice_is_worth_to_a_peer_what_it_is_worth_to_ours(known: Known) -> None:
    world = known.world
    rows = np.argsort(world.arrival, kind="stable")
    table = np.random.default_rng(1).random((len(rows), known.offers)) + np.arange(known.offers)
    choice = np.where(world.eligible, table, -np.inf).argmax(1)[rows]
    assert arena._earned(known, choice)[0] == pytest.approx(100.0 * oracle_share(known, Fixed(table)))
    truth = np.concatenate([world.value(d, rows[world.arrival[rows] == d])[:, :-1] for d in range(world.days)])
    best = np.where(world.eligible[rows], truth, -np.inf).argmax(1)
    assert arena._earned(known, best) == pytest.approx(100.0, abs=0.2)


def test_everybody_has_as_many_settings_and_one_of_them_plays() -> None:
    assert {len(settings) for settings in arena.GRID.values()} == {8}
    assert all(len(set(settings)) == 8 for settings in arena.GRID.values())
    for tuned in arena.TUNED.values():
        assert tuned.keys() == arena.GRID.keys()
        assert all(tuned[who] in arena.GRID[who] for who in tuned)


def test_a_peer_that_does_not_learn_or_hears_costs_out_of_range_is_named() -> None:
    good = np.array([[80.0, 60.0, 85.0, -1.0, -0.1], [81.0, 61.0, 87.0, -0.9, 0.0]])
    costs, learns = arena.checked("VW bag", good).split("; ")
    assert costs == "VW bag: costs from -1.00 to 0.00, in the declared [-1, 0]"
    assert learns == "learns, +25.5 ± 6.4 points from days 1-5 to days 21-25"
    still, wide = good.copy(), good.copy()
    still[:, 2] = still[:, 1] + [1.0, -1.0]
    wide[0, 4] = 0.2
    assert "DOES NOT LEARN" in arena.checked("VW bag", still)
    assert "OUT OF the declared" in arena.checked("VW bag", wide)
