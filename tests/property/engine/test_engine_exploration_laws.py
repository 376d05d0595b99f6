"""The even share of exploration: known, inside every limit by itself, and no smaller than it has to be."""

import numpy as np
import pytest
from engine_problems import CELLS, K, limits, population, seeds, under
from hypothesis import example, given, settings
from hypothesis import strategies as st

from engine.exploration import LARGEST_PART, even_policy
from portfolio import Limit, Selection, Share, compile_rows, expected_use

few = settings(max_examples=50, deadline=None, derandomize=True)
shares = st.sampled_from([0.01, 0.05, 0.5])


def explored(seed, some, share):
    _, problem = population(seed)
    problem = under(problem, some)
    rows = compile_rows(problem.limits, problem.n_cells, K)
    table, use = even_policy(problem, rows, share)
    return problem, rows, table, use


@few
@given(seeds, limits(), shares)
def test_it_is_a_policy_over_eligible_offers_and_its_use_is_as_stated(seed, some, share):
    problem, _, table, use = explored(seed, some, share)
    assert np.allclose(table.sum(1), 1.0, atol=1e-12)
    assert (table >= 0).all()
    assert (table[:, :K][~problem.eligible] == 0).all()
    assert np.allclose(use, expected_use(problem, table), atol=1e-9)


@few
@given(seeds, limits(), shares)
def test_it_takes_at_most_a_tenth_of_every_maximum(seed, some, share):
    _problem, rows, _, use = explored(seed, some, share)
    bounded = [r for r, name in enumerate(rows.names) if name.startswith("limit") and np.isfinite(rows.upper[r])]
    for r in bounded:
        assert share * rows.consumption(use)[r] <= LARGEST_PART * rows.upper[r] + 1e-9


@few
@given(seeds, limits(), shares)
def test_it_satisfies_every_share_by_itself(seed, some, share):
    _problem, rows, _, use = explored(seed, some, share)
    level, size = rows.consumption(use), np.einsum("rtga,tga->r", np.abs(rows.coefficient), np.abs(use))
    for r in (r for r, name in enumerate(rows.names) if name.startswith("share")):
        assert rows.lower[r] - 1e-9 * size[r] <= level[r] <= rows.upper[r] + 1e-9 * size[r]


@few
@given(seeds, limits(), shares)
def test_customers_of_a_cell_are_explored_alike(seed, some, share):
    """Uniform over what is eligible, times one factor of the cell and offer."""
    problem, _, table, _ = explored(seed, some, share)
    uniform = problem.eligible / (1.0 + problem.eligible.sum(1, keepdims=True))
    for cell in range(CELLS):
        rows = problem.cell == cell
        factor = table[rows, :K] / np.where(uniform[rows] > 0, uniform[rows], np.nan)
        assert np.nanmax(np.ptp(np.nan_to_num(factor, nan=np.nanmax(factor)), 0), initial=0.0) <= 1.0 + 1e-12
        assert all(np.ptp(f[~np.isnan(f)]) < 1e-12 for f in factor.T)
        assert np.nanmax(factor) <= 1.0 + 1e-12


@given(seeds)
@settings(max_examples=5, deadline=None, derandomize=True)
def test_without_limits_it_is_uniform_over_what_is_eligible_and_no_offer(seed):
    problem, _, table, _ = explored(seed, (), 0.05)
    options = 1.0 + problem.eligible.sum(1)
    assert np.allclose(table[:, K], 1.0 / options)
    assert np.allclose(table[:, :K], problem.eligible / options[:, None])


@given(seeds, st.floats(0.05, 0.9))
@example(0, 0.3)
@settings(max_examples=20, deadline=None, derandomize=True)
def test_a_share_takes_away_what_is_too_much_and_nothing_else(seed, most):
    """A maximum for offers 0 and 1 cuts these until the share holds with equality, or not at all."""
    share = Share("share 0", "count", Selection((0, 1)), Selection(), maximum=most)
    _problem, _, _table, use = explored(seed, (share,), 0.05)
    _, _, _, free = explored(seed, (), 0.05)
    assert np.allclose(use[0][:, 2:], free[0][:, 2:])
    before, after = (u[0][:, :2].sum() / u[0].sum() for u in (free, use))
    assert after == pytest.approx(min(before, most), rel=1e-9)


@given(seeds, st.sampled_from([1.0, 12.0, 90.0]))
@settings(max_examples=10, deadline=None, derandomize=True)
def test_a_maximum_takes_away_what_is_too_much_and_nothing_else(seed, maximum):
    _problem, _, _, use = explored(seed, (Limit("limit 0", "count", maximum=maximum, offers=(1,)),), 0.5)
    _, _, _, free = explored(seed, (), 0.5)
    assert np.allclose(use[0][:, [0, 2, 3]], free[0][:, [0, 2, 3]])
    assert 0.5 * use[0][:, 1].sum() == pytest.approx(min(0.5 * free[0][:, 1].sum(), LARGEST_PART * maximum))
