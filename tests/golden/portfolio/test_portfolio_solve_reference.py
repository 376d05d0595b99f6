"""A real instance full of ties: completions of 4,000 exposures, 10 offers, reward paid on completion."""

import os
from pathlib import Path

import numpy as np
import pytest

from portfolio.limits import Limit, Problem
from portfolio.solver import solve

_REPOSITORY = Path(__file__).resolve().parents[3]
_DATA = Path(os.environ.get("ALLOT_DATA", _REPOSITORY.parent / "shared" / "data"))
_FILE = _DATA.parent / "reference" / "starbucks_lp.npz"


@pytest.mark.parametrize(
    ("budget", "capped", "optimum"),
    [(1.5, False, 0.71640), (1.0, False, 0.50000), (1.5, True, 0.57647), (1.0, True, 0.45295)],
)
def test_the_outside_optimum_is_reached_where_every_row_ties(budget, capped, optimum):
    if not _FILE.exists():
        pytest.skip(f"the reference file {_FILE} is not there; point ALLOT_DATA at the data directory beside it")
    with np.load(_FILE) as file:
        completion, reward = file["Q"], file["R"]
    n, k = completion.shape
    limits = [Limit("budget", "cost", maximum=budget * n)]
    if capped:
        limits += [Limit(f"cap {a}", "count", maximum=0.2 * n, offers=(a,)) for a in range(k)]
    everybody = np.ones((n, k), bool)
    found = solve(Problem(completion, completion * reward, everybody, np.zeros(n, int), tuple(limits)))
    chosen = found.choice
    rows = np.nonzero(chosen >= 0)[0]
    assert completion[rows, chosen[rows]].sum() / n == pytest.approx(optimum, abs=1.2e-4)
    assert (completion * reward)[rows, chosen[rows]].sum() <= budget * n * (1 + 1e-12)
    if capped:
        assert np.bincount(chosen[rows], minlength=k).max() <= 0.2 * n
    assert found.value <= found.bound <= found.value * (1 + 1e-5)
