"""Problems with risk for the tests, and all their plans where they are tiny."""

from itertools import product

import numpy as np

from portfolio import Limit, Problem, Risk


def risky(n, k, seed, *, d=3, pair=False, limits=True):
    """Values, limits on cost and count, and errors that the customers of an offer share; no bound on risk yet."""
    rng = np.random.default_rng(seed)
    value, cost = rng.gamma(2.0, 10.0, (n, k)), rng.uniform(0.5, 5.0, (n, k))
    stated = (Limit("budget", "cost", maximum=1.2 * n), Limit("cap", "count", maximum=float(n // 2), offers=(0,)))
    problem = Problem(value, cost, rng.random((n, k)) < 0.9, rng.integers(0, 2, n), stated if limits else ())
    features = np.column_stack([np.ones(n), rng.standard_normal((n, d - 1))]).astype(np.float32)
    own = rng.standard_normal((n, k)).astype(np.float32) if pair else None
    root = 0.3 * rng.standard_normal((k, d + pair, d + pair))
    return problem, Risk(0.8 * value, root @ root.transpose(0, 2, 1), features, own, price=0.0)


def every_plan(problem):
    """All plans of at most one offer per customer that keep the limits, counted without the product's own tables."""
    n, k = problem.value.shape
    for plan in product(range(-1, k), repeat=n):
        who = [i for i in range(n) if plan[i] >= 0]
        if all(problem.eligible[i, plan[i]] for i in who) and all(_kept(problem, x, plan, who) for x in problem.limits):
            yield np.array(plan)


def _kept(problem, limit, plan, who):
    measure = {"count": np.ones_like(problem.value), "cost": problem.cost, "value": problem.value}[limit.measure]
    counted = [i for i in who if limit.offers is None or plan[i] in limit.offers]
    used = sum(measure[i, plan[i]] for i in counted if limit.cells is None or problem.cell[i] in limit.cells)
    low = -np.inf if limit.minimum is None else limit.minimum
    high = np.inf if limit.maximum is None else limit.maximum
    return low - 1e-9 <= used <= high + 1e-9


def worth_of(problem, plan):
    """Value of a plan (n,), pair by pair."""
    return sum(float(problem.value[i, a]) for i, a in enumerate(plan) if a >= 0)


def sd_of(risk, plan):
    """Standard deviation of a plan's total value, by the whole covariance of its pairs."""
    pairs = [(i, a) for i, a in enumerate(plan) if a >= 0]
    total = 0.0
    for i, a in pairs:
        for j, b in pairs:
            if a == b:
                psi = [np.atleast_1d(_psi(risk, x, a)) for x in (i, j)]
                total += risk.sensitivity[i, a] * risk.sensitivity[j, a] * (psi[0] @ risk.covariance[a] @ psi[1])
    return float(np.sqrt(max(total, 0.0)))


def _psi(risk, i, a):
    shared = np.ones(1) if risk.features is None else risk.features[i].astype(float)
    return shared if risk.pair_feature is None else np.append(shared, risk.pair_feature[i, a])
