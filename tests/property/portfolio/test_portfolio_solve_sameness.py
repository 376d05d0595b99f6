"""What must not matter to a plan does not, under limits of every kind: order, cells, unit of money, spare limits."""

from dataclasses import replace

import numpy as np
import pytest
from contested_instances import assert_kept, contested, one_customer, planned

from portfolio.limits import Limit


def rescaled(problem, factor):
    """The same in other money: values, bounds on them, and penalties."""
    limits = []
    for x in problem.limits:
        unit = factor if x.measure == "value" and isinstance(x, Limit) else 1.0
        low, high = (None if b is None else b * unit for b in (x.minimum, x.maximum))
        pays = factor / (factor if x.measure == "value" else 1.0)
        limits.append(replace(x, minimum=low, maximum=high, penalty=None if x.penalty is None else x.penalty * pays))
    return replace(problem, value=problem.value * factor, limits=tuple(limits))


def split_cells(problem, rng):
    """Every cell in two, of which all limits speak together."""

    def both(x):
        return replace(x, cells=None if x.cells is None else tuple(c + h * g for c in x.cells for h in (0, 1)))

    g, limits = problem.n_cells, []
    for x in problem.limits:
        limits.append(both(x) if isinstance(x, Limit) else replace(x, part=both(x.part), whole=both(x.whole)))
    cell = problem.cell + g * rng.integers(0, 2, len(problem.cell))
    return replace(problem, cell=cell, limits=tuple(limits), n_cells=2 * g)


def assert_nothing_matters_that_must_not(seed):
    """Order, cells that no limit tells apart, unit of money, limits with room: the same verdict, as good a plan."""
    problem = contested(seed)
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(problem.value))
    moved = replace(problem, **{x: getattr(problem, x)[order] for x in ("value", "cost", "eligible", "cell")})
    loose = Limit("loose", "cost", maximum=10.0 * len(problem.value) * float(problem.cost.max()))
    one = planned(problem)
    variants = [
        (moved, 1.0),
        (split_cells(problem, rng), 1.0),
        (replace(problem, limits=(*problem.limits, loose)), 1.0),
    ]
    variants += [(rescaled(problem, factor), factor) for factor in (1024.0, 1000.0)]
    for which, (variant, factor) in enumerate(variants):
        other = planned(variant)
        assert (other.status == "infeasible", other.conflict) == (one.status == "infeasible", one.conflict), which
        if one.status != "infeasible":
            assert other.broken == one.broken == ()
            assert_kept(variant, other.choice)
            assert other.bound / factor == pytest.approx(one.bound, rel=1e-5, abs=1e-3 * one_customer(problem)), which
            assert other.value / factor == pytest.approx(one.value, rel=1e-9, abs=one_customer(problem)), which
            assert other.prices.get("loose", 0.0) == 0.0


def test_what_must_not_matter_does_not():
    for seed in range(4):
        assert_nothing_matters_that_must_not(seed)


@pytest.mark.soak
@pytest.mark.parametrize("first", range(4, 604, 100))
def test_what_must_not_matter_does_not_in_hundreds_of_random_problems(first):
    for seed in range(first, first + 100):
        assert_nothing_matters_that_must_not(seed)
