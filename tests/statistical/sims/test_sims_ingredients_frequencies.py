"""What happens, is reported and is logged in worlds with everything switched on, as often as the description says."""

from dataclasses import replace

import numpy as np
import pytest

from sims import Description, build
from sims.description import Alone, Amounts, Bots, Defects, Drift, Reporting, Season, Taste

N = 40_000
ROWS = np.arange(N)
ALL = Description(
    name="all",
    days=20,
    history=20_000,
    fatigue=0.2,
    taste=Taste(trees=0.5),
    money=Amounts(margin_spread=0.5),
    alone=Alone(0.2, 0.3, 0.1),
    season=Season(0.6),
    drift=Drift("gradual", at=0.2, over=0.6),
    feedback=Reporting(delay_days=2, late=0.6, window_days=9, missing=0.1, wrong=0.15, correction_days=3),
    bots=Bots(0.05, at=0.4, over=0.2),
    defects=Defects(duplicated=0.1, missing_numbers=0.15, wrong_segments=0.2),
)


@pytest.fixture(scope="module")
def world():
    return build(ALL, 1003, customers=N)


def near(happened, chance):
    """A count against independent chances, within four standard errors."""
    p = np.broadcast_to(chance, np.shape(happened))
    return abs(np.sum(happened) - p.sum()) < 4 * np.sqrt((p * (1 - p)).sum())


@pytest.mark.parametrize("day", [0, 7, 19])
def test_outcomes_happen_as_often_as_the_truth_says_whatever_is_switched_on(world, day):
    contacts = ROWS % 4
    for offer in (-1, 0, 5, 11):
        chance = world.success(ROWS, offer, day, contacts=contacts)
        outcome, reward = world.outcomes(ROWS, offer, day, contacts=contacts)
        for part in (ROWS >= 0, contacts == 3, chance > np.median(chance)):
            assert near(outcome[part], chance[part])
        spread = 4 * np.sqrt(np.sum(reward**2))
        margin = world.outside_margin if offer < 0 else world.offers.margin[offer]
        assert abs(reward.sum() - (chance * margin * world.margin_factor).sum()) < spread


def test_the_log_is_of_the_same_kinds_of_customers():
    """Those who are lost answer to the logger, too, and the control group is full of those who buy anyway."""
    plain, kinds = (build(replace(ALL, alone=alone), 5, customers=10) for alone in (Alone(), Alone(lost_causes=0.5)))
    shown = plain.history.offer >= 0
    assert kinds.history.outcome[shown].sum() < 0.75 * plain.history.outcome[shown].sum()
    sure = build(replace(ALL, alone=Alone(sure_things=0.5)), 5, customers=10)
    assert sure.history.outcome[~shown].sum() > 3 * plain.history.outcome[~shown].sum()
    assert np.array_equal(sure.history.outcome[shown], plain.history.outcome[shown])


def test_reports_are_late_missing_and_wrong_as_often_as_described(world):
    before_the_flood = 3
    outcome = np.ones(N, np.int64)
    said = world.heard(ROWS, 2, before_the_flood, outcome)
    waited = said.day_heard - before_the_flood
    for days in range(2, 9):
        assert near(waited == days, 0.4 * 0.6 ** (days - 2))
    assert near(waited == 9, 0.6**7)
    assert near(said.missing, 0.1)
    assert near((said.outcome != said.corrected_outcome), 0.15)
    assert near((said.corrected_day >= 0), 0.15 * 0.9)
    assert near(said.corrected_outcome == 0, 0.6**8), "later than the window"


def test_bots_click_while_the_flood_lasts_for_their_share_of_the_customers(world):
    silence = np.zeros(N, np.int64)
    clicked = [world.heard(ROWS, 2, day, silence).corrected_outcome for day in range(20)]
    assert [bool(one.any()) for one in clicked] == [8 <= day < 12 for day in range(20)]
    assert near(clicked[8], 0.05)
    assert np.array_equal(clicked[8], clicked[11]), "the same customers all the time"


def test_defects_are_as_frequent_as_described(world):
    clean = build(replace(ALL, defects=Defects()), 1003, customers=N)
    assert near(np.isnan(world.customers.numeric), 0.15)
    assert near(world.customers.segment != clean.customers.segment, 0.2)
    assert near(np.bincount(world.history.person) == 2, 0.1)
    assert np.array_equal(world.before, clean.before)


def test_margins_are_multiplied_by_one_on_average_and_follow_spending(world):
    factor = world.margin_factor
    assert abs(factor.mean() - 1.0) < 4 * factor.std() / np.sqrt(N)
    assert np.log(factor).std() == pytest.approx(0.5, abs=0.01)
    clean = build(replace(ALL, defects=Defects()), 1003, customers=N)
    explained = np.corrcoef(np.log(factor), np.log(clean.customers.numeric[:, 0]))[0, 1] ** 2
    assert explained == pytest.approx(0.36, abs=0.02)
    logged = world.history.margin_factor
    assert abs(logged.mean() - 1.0) < 4 * logged.std() / np.sqrt(len(logged))
