"""Split customers are made whole without moving a limit."""

import numpy as np
import pytest

import portfolio.several.vertex
from portfolio.several.vertex import settle


def mixture(owners, columns, rows, seed, *, alike=False):
    rng = np.random.default_rng(seed)
    share = rng.dirichlet(np.ones(columns), owners)
    worth = rng.gamma(2.0, 5.0, (owners, columns))
    effect = rng.random((owners, columns, rows)) * (rng.random((owners, columns, rows)) < 0.4)
    if alike:
        worth[:], effect[:] = worth[0], effect[0]
    return share, worth, effect


@pytest.mark.parametrize(("owners", "columns", "rows"), [(40, 3, 5), (600, 4, 31), (5, 2, 9), (900, 2, 1)])
@pytest.mark.parametrize("alike", [False, True])
def test_all_rows_stay_where_they_are_and_worth_never_falls(owners, columns, rows, alike):
    share, worth, effect = mixture(owners, columns, rows, seed=rows, alike=alike)
    whole = settle(share, worth, effect)
    np.testing.assert_allclose(whole.sum(1), 1.0, atol=1e-12)
    assert (whole >= 0).all()
    moved = np.einsum("sb,sbm->m", whole - share, effect)
    assert np.abs(moved).max() <= 1e-9 * owners
    assert (worth * (whole - share)).sum() >= -1e-9
    assert (whole > 0).sum() - owners <= rows
    assert (whole.max(1) < 1 - 1e-9).sum() <= rows


def test_without_rows_everybody_takes_the_best_column_of_the_mixture():
    share, worth, effect = mixture(20, 3, 0, seed=1)
    share[:, 2] = 0.0
    share /= share.sum(1, keepdims=True)
    whole = settle(share, worth, effect)
    assert (whole.argmax(1) == worth[:, :2].argmax(1)).all()
    assert ((whole == 0) | (whole == 1)).all()


def test_who_is_whole_already_stays(monkeypatch):
    share, worth, effect = mixture(50, 3, 4, seed=2)
    share[10:] = np.eye(3)[np.random.default_rng(0).integers(0, 3, 40)]
    whole = settle(share, worth, effect)
    assert (whole[10:] == share[10:]).all()


def test_chunks_of_owners_end_at_a_vertex_as_well(monkeypatch):
    monkeypatch.setattr(portfolio.several.vertex, "_CHUNK", 37)
    share, worth, effect = mixture(400, 3, 6, seed=3)
    whole = settle(share, worth, effect)
    assert (whole > 0).sum() - 400 <= 6
    assert np.abs(np.einsum("sb,sbm->m", whole - share, effect)).max() <= 1e-7
