"""Cutting planes end at the lowest corner of a dual, and say so."""

import numpy as np
import pytest
from scipy.optimize import linprog

from portfolio.conflicts.cuts import lowest
from portfolio.dual import Domain


def corners(seed, m=4, pieces=30):
    """A convex function with corners, what it asks of prices, and its least value by a linear program."""
    rng = np.random.default_rng(seed)
    slope, height = rng.normal(0.0, 1.0, (pieces, m)), rng.normal(0.0, 1.0, pieces)
    upper, lower = rng.uniform(0.1, 1.0, m), np.where(np.arange(m) % 2, -0.2, -np.inf)
    domain = Domain(lower, upper, np.ones(m), np.full(m, 50.0), np.ones(m))

    def tangent(price):
        at = int(np.argmax(height - slope @ price))
        return float(height[at] - slope[at] @ price), slope[at]

    low = np.where(np.isfinite(lower), lower, 0.0)
    left = np.hstack((-slope, slope, -np.ones((pieces, 1))))
    bounds = [(0, 50.0)] * m + [(0, 50.0 if np.isfinite(x) else 0.0) for x in lower] + [(None, None)]
    best = linprog(np.concatenate((upper, -low, [1.0])), left, -height, bounds=bounds)
    return tangent, domain, float(best.fun)


@pytest.mark.parametrize("seed", range(4))
def test_the_lowest_corner_is_that_of_a_linear_program(seed):
    tangent, domain, best = corners(seed)
    price, value = lowest(tangent, domain, [np.zeros(4)], steps=60, tolerance=1e-9)
    assert value == pytest.approx(best, abs=1e-7)
    assert tangent(price)[0] + domain.support(price) == pytest.approx(value)
    assert (price == domain.clip(price)).all()


def test_no_value_is_worse_than_that_of_the_best_start():
    tangent, domain, _ = corners(9)
    starts = [np.zeros(4), np.full(4, 0.3)]
    values = [tangent(x)[0] + domain.support(x) for x in starts]
    assert lowest(tangent, domain, starts, steps=0, tolerance=1e-9)[1] == min(values)
