"""Problems with several offers per customer and groups, with limits of every kind around a plan that keeps them."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from portfolio import Limit, Problem, Selection, Share, use_of


def crowd(
    seed: int, n: int, k: int = 6, *, most: int | None = None, style: str = "plain", cells: int = 3
) -> tuple[Problem, NDArray[np.int64]]:
    """Customers without limits and a random plan for them; `most` None draws 1 to 5 and groups or none."""
    rng = np.random.default_rng(seed)
    groups = None if rng.random() < 0.4 else rng.integers(0, int(rng.integers(1, k + 1)), k)
    most = int(rng.integers(1, 6)) if most is None else most
    value, cost = rng.gamma(2.0, 10.0, (n, k)) - 5.0, rng.uniform(0.5, 5.0, (n, k))
    if style == "rounded":
        value, cost = np.round(value / 5) * 5.0, np.broadcast_to(np.round(rng.uniform(0.5, 5.0, k), 1), (n, k)).copy()
    if style == "copies":
        value, cost = np.repeat(value[: -(-n // 10)], 10, 0)[:n], np.repeat(cost[: -(-n // 10)], 10, 0)[:n]
    if style == "equal":
        value, cost = np.full((n, k), 7.0), np.full((n, k), 2.0)
    eligible = rng.random((n, k)) < 0.8
    problem = Problem(value, cost, eligible, rng.integers(0, cells, n), most=most, groups=groups, n_cells=cells)
    return problem, some_plan(problem, rng)


def some_plan(problem: Problem, rng: np.random.Generator) -> NDArray[np.int64]:
    """(n, most) random offers inside `most` and groups."""
    n, k = problem.value.shape
    plan = np.full((n, problem.most), -1)
    for i in range(n):
        taken: set[int] = set()
        for a in rng.permutation(k)[: rng.integers(0, k + 1)]:
            group = int(a if problem.groups is None else problem.groups[a])
            if problem.eligible[i, a] and group not in taken and len(taken) < problem.most:
                plan[i, len(taken)] = a
                taken.add(group)
    return plan


def limited(instance: tuple[Problem, NDArray[np.int64]], seed: int) -> Problem:
    """The same customers under limits that the plan keeps, some of them only just."""
    problem, plan = instance
    rng = np.random.default_rng(seed)
    use = use_of(problem, plan)
    count = use[0].sum(0)
    part = float(use[0, :, 1].sum() / max(use[0].sum(), 1))
    limits = (
        Limit("budget", "cost", maximum=float(use[1].sum()) * rng.uniform(1.0, 1.1) + 1e-6),
        Limit("cap", "count", maximum=count[0] + rng.choice([0.0, 0.5, 1.7]), offers=(0,)),
        Limit("floor", "count", minimum=count[2] - rng.choice([0.0, 0.5, 1.7]), offers=(2,)),
        Limit("cell", "count", maximum=float(use[0, 1].sum()), cells=(1,)),
        Limit("worth", "value", minimum=min(float(use[2, :, 3].sum()), 20.0) - 1e-6, offers=(3,)),
        Share("mix", "count", Selection(offers=(1,)), Selection(), maximum=min(1.0, part + 0.05)),
        Limit("soft", "count", maximum=max(count[3] - 2, 0.0), offers=(3,), penalty=3.0),
    )
    return replace(problem, limits=limits)


def assert_may_have(problem: Problem, choice: NDArray[np.int64]) -> None:
    """Eligible offers, none twice, at most `most`, at most one of a group: counted without the product's own code."""
    rows = choice.reshape(len(problem.value), -1)
    assert rows.shape[1] == problem.most
    for i, row in enumerate(rows):
        offers = [int(a) for a in row if a >= 0]
        assert len(set(offers)) == len(offers)
        assert all(problem.eligible[i, a] for a in offers)
        if problem.groups is not None:
            groups = [int(problem.groups[a]) for a in offers]
            assert len(set(groups)) == len(groups)
