"""The stratified sample that prices are found on."""

import numpy as np
import pytest

from engine.oracle import stratified


@pytest.mark.parametrize(("n", "cells", "size"), [(1000, 5, 100), (1000, 300, 100), (60_000, 40, 5000), (7, 3, 7)])
def test_every_cell_is_represented_by_weights_that_sum_to_its_customers(n, cells, size):
    r = np.random.default_rng(n)
    cell = r.choice(cells, n, p=r.dirichlet(np.full(cells, 0.3)))
    rows, weight = stratified(cell, size)
    assert len(np.unique(rows)) == len(rows)
    assert weight.sum() == pytest.approx(n, rel=1e-12)
    assert np.bincount(cell[rows], weight, cells) == pytest.approx(np.bincount(cell, minlength=cells), rel=1e-12)
    assert (weight >= 1.0).all()


def test_it_is_about_as_large_as_asked_for_and_small_cells_are_taken_whole():
    cell = np.repeat([0, 1, 2], [50_000, 40, 9_960])
    rows, weight = stratified(cell, 5000)
    assert 4900 < len(rows) < 5150
    assert (weight[cell[rows] == 1] == 1.0).all() and (cell[rows] == 1).sum() == 40


def test_asked_for_everybody_it_is_everybody():
    cell = np.random.default_rng(1).integers(0, 4, 200)
    rows, weight = stratified(cell, 200)
    assert sorted(rows) == list(range(200))
    assert (weight == 1.0).all()


def test_a_mean_over_the_sample_is_the_mean_over_everybody():
    """Within four standard errors; customers come in an order that has nothing to do with what is measured."""
    r = np.random.default_rng(2)
    cell = r.integers(0, 6, 20_000)
    x = cell + r.normal(size=len(cell))
    rows, weight = stratified(cell, 2000)
    error = 1.0 / np.sqrt(len(rows))  # between the cells there is none
    assert abs(np.average(x[rows], weights=weight) - x.mean()) < 4 * error
