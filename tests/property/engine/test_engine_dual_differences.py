"""The dual that prices descend: by a limit's price, its slope is the limit's expected use, its bend the Hessian.

Central differences through everything between a price and the dual: rows, charges, quadrature, cells and weights.
"""

import numpy as np
import pytest
from engine_problems import CELLS, K, N, population

from bandit import Use
from engine.oracle import ExpectedOracle
from portfolio import Limit, Selection, Share, compile_rows
from portfolio.prices import evaluator

LIMITS = (
    *(Limit(f"all {measure}", measure, maximum=1.0) for measure in ("count", "cost", "value")),
    *(Limit(f"some {measure}", measure, maximum=1.0, offers=(0, 2), cells=(1,)) for measure in ("count", "cost")),
    Limit("least value", "value", minimum=1.0, offers=(1,)),
    *(
        Share(f"share of {measure}", measure, Selection((3,)), Selection(None, (0, 1)), maximum=0.2)
        for measure in ("count", "cost", "value")
    ),
)
PRICES = np.array([0.8, 0.3, 0.1, 0.5, -0.2, -0.3, 0.4, 0.2, 0.15])


@pytest.fixture(scope="module", params=["profit", "incremental"])
def dual(request):
    """Value, consumption (m,) and Hessian (m, m) at prices, of customers who count more or less."""
    worth, problem = population(8, objective=request.param)
    use = Use(problem.cost, problem.value, problem.cell, problem.n_cells)
    weight = np.random.default_rng(2).uniform(0.5, 3.0, N)
    return evaluator(ExpectedOracle(worth.scores, use, weight), compile_rows(LIMITS, CELLS, K))


def steps(size):
    """Two prices around the same ones, limit by limit."""
    for row in range(len(PRICES)):
        step = np.zeros(len(PRICES))
        step[row] = size
        yield row, PRICES + step, PRICES - step


def test_the_slope_of_the_dual_is_the_limits_expected_use(dual):
    _, use, _ = dual(PRICES)
    assert (np.abs(use) > 1.0).all()
    size = 1e-3
    for row, up, down in steps(size):
        slope = (dual(up)[0] - dual(down)[0]) / (2 * size)
        assert -slope == pytest.approx(use[row], rel=2e-4), LIMITS[row].name


def test_the_bend_of_the_dual_is_its_hessian(dual):
    _, _, hessian = dual(PRICES)
    assert np.array_equal(hessian, hessian.T)
    assert np.linalg.eigvalsh(hessian).min() > -1e-9 * np.abs(hessian).max()  # convex
    size = 1e-3
    for row, up, down in steps(size):
        bend = (dual(down)[1] - dual(up)[1]) / (2 * size)
        assert np.allclose(bend, hessian[row], rtol=1e-3, atol=1e-3 * np.abs(hessian[row]).max()), LIMITS[row].name
