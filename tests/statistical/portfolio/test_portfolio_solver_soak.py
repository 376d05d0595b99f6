"""Whatever the limits, if they can be kept, the deterministic solver keeps them and says how good its plan is."""

from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context

import numpy as np
import pytest

from benchmarks import recount
from tests.statistical.portfolio.solver_soak import Solved, examine, random_problem

QUANTILES = (0.5, 0.9, 0.95, 0.99, 1.0)


def test_the_random_problems_can_be_kept() -> None:
    for seed in range(48):
        made = random_problem(seed, 1_000, 2_000)
        assert recount.broken(made.problem, made.hidden) == []


@pytest.mark.parametrize("seed", range(1_000, 1_008))
def test_random_limits_that_can_be_kept_are_kept(seed: int) -> None:
    assert examine(seed, 2_000, 4_000).wrong == ()


@pytest.mark.soak
def test_large_random_limits_that_can_be_kept_are_kept(record_property: Callable[[str, object], None]) -> None:
    """208 problems of 20,000 to 200,000 customers, half of them full of ties."""
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        solved = list(pool.map(partial(examine, low=20_000, high=200_000), range(208)))
    wrong = [f"seed {one.seed}: {', '.join(one.wrong)}" for one in solved if one.wrong]
    record_property("solver, large random problems", summary(solved))
    for kind in sorted({one.kind for one in solved}):
        record_property(f"gaps, {kind}", gaps([one for one in solved if one.kind == kind]))
    assert wrong == []


def summary(solved: list[Solved]) -> str:
    """What was solved, how it ended and what it took."""
    status = ", ".join(f"{sum(x.status == s for x in solved)} {s}" for s in sorted({x.status for x in solved}))
    customers, limits = ([getattr(x, name) for x in solved] for name in ("customers", "limits"))
    seconds = np.array([x.cpu_seconds for x in solved])
    broken = sum(bool(x.wrong) for x in solved)
    return (
        f"{len(solved)} of {min(customers):,} to {max(customers):,} customers under {min(limits)} to {max(limits)} "
        f"limits; {status}; {broken} with a fault; CPU seconds {np.median(seconds):.2f} at the median, "
        f"{seconds.max():.1f} at most"
    )


def gaps(solved: list[Solved]) -> str:
    """Quantiles of the gap, recounted apart from the solver."""
    at = np.quantile([x.gap for x in solved], QUANTILES)
    stated = ", ".join(f"{100 * q:g} % at most {x:.1e}" for q, x in zip(QUANTILES, at, strict=True))
    return f"{len(solved)} problems; {stated}"
