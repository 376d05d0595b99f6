"""What a panel's residual promises, on grids too coarse for half of the rows."""

import numpy as np

from bandit import choice_probabilities
from bandit.quadrature_math import lobatto
from bandit.quadrature_panel import add_panel, evaluate, make_scratch
from bandit.quadrature_range import bound_scores, collect, find_bottom, find_knees, place, score_range
from bandit.scores import Scores, block_arms


def test_a_row_that_a_coarse_grid_certifies_is_right():
    """Sums to one alone would certify rows that are wrong by many times the residual."""
    rng = np.random.default_rng(7)
    rows, offers, certified = 1500, 4, 0
    mean, sd = rng.normal(-2.5, 0.8, (rows, offers)), rng.lognormal(-1.2, 0.9, (rows, offers))
    price, eligible = rng.uniform(0, 0.1, (rows, offers)), np.ones((rows, offers), bool)
    arms = block_arms(Scores(mean, sd, np.ones(offers), price, eligible, -9.0), slice(0, rows))
    exact = choice_probabilities(mean, sd, np.ones(offers), price, eligible, outside=-9.0, tolerance=1e-8)
    rule, scratch = lobatto(28), make_scratch(offers + 1)
    for i in range(rows):
        find_knees(arms, i, scratch.knees)
        bound_scores(arms, i, scratch)
        bottom = find_bottom(offers + 1, scratch.bounds)
        n = collect(scratch.bounds, bottom, scratch.live)
        lower, width, _ = place(n, scratch)
        first, last, _ = score_range(bottom, lower, width, n, scratch)
        if evaluate((first, last), width, n, rule, scratch) <= 1e-6:
            scratch.chance[:] = 0.0
            add_panel(n, len(rule[0]), False, scratch)
            certified += 1
            assert np.abs(scratch.chance[:n] - exact[i, scratch.live[:n]]).max() < 2e-6
    assert rows / 10 < certified < rows
