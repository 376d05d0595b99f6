"""What stands behind an evaluation: weights are counted once, and rankings do not flatter what was shown."""

from types import SimpleNamespace

import numpy as np
import pytest

from engine.evaluation_detail import calibration_error, ranking, weight_bins

OFFERS = ("a", "b", "c", "d")


def logged(preference, rows=20_000, seed=0):
    """Offers a to d with chances .4, .3, .2, .1, shown with the given chances; arm 4, no offer, never."""
    r = np.random.default_rng(seed)
    shown = np.tile([*preference, 0.0], (rows, 1))
    arm = r.choice(5, rows, p=shown[0])
    chance = np.array([0.4, 0.3, 0.2, 0.1, 0.0])
    return SimpleNamespace(
        offer_ids=OFFERS,
        arm=arm,
        outcome=(r.random(rows) < chance[arm]).astype(float),
        propensity=shown[0][arm],
        support=shown > 0,
        cluster=np.arange(rows),
    ), np.tile(chance, (rows, 1))


def test_every_row_and_all_weight_is_in_one_bin():
    found = weight_bins(np.array([0.0, 0.0, 0.05, 1.0, 1.5, 60.0]))
    assert sum(x["rows"] for x in found) == pytest.approx(1.0)
    assert sum(x["weight"] for x in found) == pytest.approx(1.0)
    assert found[0] == {"from": 0.0, "to": 0.0, "rows": pytest.approx(2 / 6), "weight": 0.0}
    assert (found[-1]["from"], found[-1]["to"], found[-1]["weight"]) == (50.0, None, pytest.approx(60 / 62.55))
    assert all(x["weight"] == 0.0 for x in weight_bins(np.zeros(3)))


@pytest.mark.parametrize("preference", [(0.25, 0.25, 0.25, 0.25), (0.7, 0.1, 0.1, 0.1), (0.1, 0.1, 0.1, 0.7)])
def test_what_was_shown_more_often_does_not_stand_higher(preference):
    """Of all successes .4 : .3 : .2 : .1 are of a, b, c and d, whatever the logging policy preferred."""
    rows, chance = logged(preference)
    found = ranking(rows, chance)
    error = 4 * np.sqrt(0.25 / found["effective"])
    assert found["at"][0]["recall"] == pytest.approx(0.4, abs=error)
    assert found["at"][1]["recall"] == pytest.approx(0.9, abs=error)
    assert found["map"] == pytest.approx(0.4 + 0.3 / 2 + 0.2 / 3 + 0.1 / 4, abs=error)
    assert found["at"][1]["ndcg"] == pytest.approx(0.4 + 0.3 / np.log2(3) + 0.2 / 2, abs=error)
    assert found["rate_map"] == pytest.approx(found["map"], abs=error)


def test_equal_beliefs_are_worth_what_chance_is():
    rows, chance = logged((0.25, 0.25, 0.25, 0.25))
    found = ranking(rows, np.full_like(chance, 0.5))
    assert found["at"][0]["recall"] == pytest.approx(0.25)
    assert found["map"] == pytest.approx((1 + 1 / 2 + 1 / 3 + 1 / 4) / 4)


def test_too_few_successes_rank_nothing():
    rows, chance = logged((0.25, 0.25, 0.25, 0.25), rows=100)
    assert ranking(rows, chance) is None
    rows.outcome[:] = 0.0
    assert ranking(rows, chance) is None


def test_beliefs_that_are_a_tenth_too_high_are_off_by_a_tenth():
    rows, chance = logged((0.25, 0.25, 0.25, 0.25))
    assert calibration_error(rows, chance) < 0.03
    assert calibration_error(rows, chance + 0.1) == pytest.approx(0.1, abs=4 * np.sqrt(0.25 / 20_000))
    assert calibration_error(rows, np.zeros_like(chance)) is None
