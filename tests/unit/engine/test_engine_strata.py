"""The stratified samples that prices are found on."""

from dataclasses import replace

import numpy as np
import pytest

from bandit import Use
from engine.sampling import focused, stratified
from portfolio import Limit, compile_rows


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


CELLS, K = 5, 4


def crowd(n=30_000, seed=7):
    """What contacts consume, who is eligible, and limits of which the last speaks of few customers."""
    r = np.random.default_rng(seed)
    worth, cost = r.gamma(2.0, 5.0, (n, K)) * (1.0, 0.9, 0.8, 0.6), r.uniform(0.5, 3.0, (n, K))
    use = Use(cost, worth, r.choice(CELLS, n, p=(0.4, 0.3, 0.15, 0.1, 0.05)), CELLS)
    limits = (
        Limit("budget", "cost", maximum=0.5 * n),
        Limit("cap", "count", maximum=0.1 * n, offers=(0,)),
        Limit("few", "count", minimum=0.01 * n, offers=(3,), cells=(4,)),
    )
    charges = np.zeros((3, CELLS, K))
    charges[0], charges[1] = 4.0, 1.5
    return use, r.random((n, K)) < 0.8, charges, compile_rows(limits, CELLS, K)


def taken(use, eligible, charges):
    """What each customer consumes of the last limit: a contact with the offer that is worth most, if it is worth it."""
    net = np.where(eligible, use.worth - charges[0, use.cell] - charges[1, use.cell] * use.cost, -np.inf)
    return ((net.argmax(1) == 3) & (net.max(1) > 0) & (use.cell == 4)).astype(float)


def test_a_focused_sample_speaks_for_every_cell_and_is_about_as_large_as_asked_for():
    use, eligible, charges, rows = crowd()
    eligible[:50] = False
    for size in (500, 3_000, 60_000):
        picked, weight = focused(use, eligible, charges, rows, size)
        assert len(np.unique(picked)) == len(picked)
        count = np.bincount(use.cell, minlength=CELLS)
        assert np.bincount(use.cell[picked], weight, CELLS) == pytest.approx(count, rel=1e-12)
        assert (weight >= 1.0).all()
        assert len(picked) <= size + 20 * CELLS * (K + 1)
    assert len(picked) > 0.5 * len(use.cell)


def test_a_focused_sample_knows_what_few_customers_consume():
    """Over seeds, its error is a third of a plain sample's at most, and half of that of one focused on other limits."""
    errors = []
    for seed in range(12):
        use, eligible, charges, rows = crowd(seed=seed)
        some = taken(use, eligible, charges)
        others = compile_rows((Limit("cap", "count", maximum=3_000.0, offers=(0,)),), CELLS, K)
        samples = (focused(use, eligible, charges, limits, 1_500) for limits in (rows, others))
        drawn = (*samples, stratified(use.cell, 1_500))
        errors.append([float(some[picked] @ weight) / some.sum() - 1 for picked, weight in drawn])
    ours, unaware, plain = np.sqrt((np.array(errors) ** 2).mean(0))
    assert ours < plain / 3
    assert ours < unaware / 2


def test_without_limits_and_with_numbers_that_are_none_a_sample_is_drawn_all_the_same():
    use, eligible, charges, _ = crowd(2_000)
    worth = use.worth.copy()
    worth[::7, 1], worth[::11, 2] = np.nan, np.inf
    picked, weight = focused(replace(use, worth=worth), eligible, charges, compile_rows((), CELLS, K), 300)
    assert weight.sum() == pytest.approx(2_000, rel=1e-12)
    assert len(np.unique(picked)) == len(picked) and picked.min() >= 0 and picked.max() < 2_000
