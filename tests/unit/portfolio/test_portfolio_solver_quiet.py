"""Whatever the program over whole numbers meets, nothing but the caller writes to the terminal."""

from dataclasses import replace

import numpy as np
import pytest
from contested_instances import random_problem

from portfolio import Limit, solve


@pytest.mark.parametrize("seed", [0, 14, 17])
def test_a_solve_writes_nothing_to_the_terminal(capfd, seed):
    """Elastic counts and budgets together once made the integer program repair its plans aloud."""
    rng = np.random.default_rng(seed)
    problem = random_problem(seed, n=1_000)
    tight = [
        replace(x, maximum=0.5 * x.maximum, penalty=float(20 * 10 ** rng.uniform(-1, 5)))
        for x in problem.limits
        if isinstance(x, Limit) and x.maximum is not None and not x.report_only
    ]
    solve(replace(problem, limits=tuple(tight)), gap=1e-6)
    told = capfd.readouterr()
    assert (told.out, told.err) == ("", "")
