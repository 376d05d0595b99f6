"""Several decisions about one customer, each by a policy of its own: balanced over them."""

from itertools import product

import numpy as np
import pytest

import offline_eval as oe
from allot import DataError, ShapeError

CHANCES = np.array([[0.7, 0.2, 0.1], [0.1, 0.3, 0.6], [0.5, 0.25, 0.25]])  # two decisions about one customer, one other
TARGET = np.array([[0.2, 0.5, 0.3], [0.3, 0.5, 0.2], [0.1, 0.1, 0.8]])
BRINGS = np.array([[3.0, 1.0, 2.0], [3.0, 1.0, 2.0], [0.5, 4.0, 1.0]])
WHO = np.array([7, 7, 9])


def logged(actions):
    rows = np.arange(3)
    return oe.Log(BRINGS[rows, actions], np.array(actions), CHANCES[rows, actions], WHO)


def test_it_has_the_expectation_of_the_target_and_less_noise_than_ips():
    """Over all 27 logs that could have been written, each with its chance."""
    moments = {"balanced": np.zeros(2), "ips": np.zeros(2)}
    for actions in product(range(3), repeat=3):
        log, chance = logged(actions), float(np.prod(CHANCES[np.arange(3), actions]))
        values = {"balanced": oe.balanced_by_customer(log, TARGET, CHANCES), "ips": oe.ips(log, TARGET)}
        for name, found in values.items():
            moments[name] += chance * np.array([found.value, found.value**2])
    truth = (TARGET * BRINGS).sum(1).mean()
    assert moments["balanced"][0] == pytest.approx(truth)
    spread = {name: second - first**2 for name, (first, second) in moments.items()}
    assert spread["balanced"] < 0.8 * spread["ips"]


def test_who_was_decided_on_once_counts_as_in_ips():
    log = logged((0, 2, 1))
    alone = oe.Log(log.reward, log.action, log.propensity, np.arange(3))
    found = oe.balanced_by_customer(alone, TARGET, CHANCES)
    assert found.contributions == pytest.approx(oe.ips(alone, TARGET).contributions)
    assert found.estimator == "balanced_ips"
    both = oe.balanced_by_customer(log, TARGET, CHANCES)
    assert both.contributions[:2] == pytest.approx([0.5 / 0.8 * 3.0, 0.5 / 0.7 * 2.0])


def test_it_asks_for_customers_and_for_whole_rows():
    log = logged((0, 2, 1))
    with pytest.raises(ShapeError, match="no customers"):
        oe.balanced_by_customer(oe.Log(log.reward, log.action, log.propensity), TARGET, CHANCES)
    with pytest.raises(ShapeError, match="chances"):
        oe.balanced_by_customer(log, TARGET, CHANCES[:, :2])
    with pytest.raises(DataError, match="had no chance"):
        oe.balanced_by_customer(log, TARGET, CHANCES * [[1, 1, 0], [1, 1, 0], [1, 1, 1]])
