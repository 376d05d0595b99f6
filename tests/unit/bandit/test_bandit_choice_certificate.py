"""What a panel's residual promises, on grids too coarse for half of the rows."""

import numpy as np

from bandit import choice_probabilities
from bandit.quadrature_panel import LEVELS, add_panel, evaluate, make_grid, make_scratch
from bandit.quadrature_range import bound_scores, collect, copy_row, find_bottom, place, score_range
from bandit.scores import Scores, block_arms


def test_a_row_that_a_coarse_grid_certifies_is_right():
    """Sums to one alone would certify rows that are wrong by many times the residual."""
    rng = np.random.default_rng(7)
    rows, offers, certified = 1500, 4, 0
    mean, sd = rng.normal(-2.5, 0.8, (rows, offers)), rng.lognormal(-1.2, 0.9, (rows, offers))
    price, eligible = rng.uniform(0, 0.1, (rows, offers)), np.ones((rows, offers), bool)
    arms = block_arms(Scores(mean, sd, np.ones(offers), price, eligible, -9.0), slice(0, rows))
    exact = choice_probabilities(mean, sd, np.ones(offers), price, eligible, outside=-9.0, tolerance=1e-8)
    count, reach = 24, 6.3
    rule, scratch = (make_grid(), 1 + LEVELS.index(count), count), make_scratch(offers + 1)
    for i in range(rows):
        copy_row(arms, i, scratch.row)
        best = bound_scores(reach, scratch)
        bottom = find_bottom(reach, best, scratch.row)
        n = collect(scratch.bounds, bottom, scratch.live)
        lower, width, _ = place(n, bottom, scratch)
        first, last, _ = score_range(bottom, (lower, width), n, reach, scratch)
        if evaluate((first, last), width, n, rule, scratch) <= 1e-6:
            scratch.chance[:] = 0.0
            add_panel(n, count, False, scratch)
            certified += 1
            assert np.abs(scratch.chance[:n] - exact[i, scratch.live[:n]]).max() < 2e-6
    assert rows / 10 < certified < rows
