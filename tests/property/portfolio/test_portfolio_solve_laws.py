"""Whole plans: the large path against the exact referee, ties, certificates and invariances."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import portfolio.conflicts.diagnose
import portfolio.solver
from portfolio.certificate import bound_of, recount
from portfolio.conflicts.diagnose import diagnose
from portfolio.limits import Limit, Problem, Selection, Share, compile_rows, usage, use_of
from portfolio.solver import solve


def random_problem(seed, *, n=60, k=4, g=3, style="plain"):
    """Limits of every kind around a random plan, so that it exists; some of them fractional, some tight."""
    rng = np.random.default_rng(seed)
    value = rng.gamma(2.0, 10.0, (n, k)) - 5.0
    cost = rng.uniform(0.5, 5.0, (n, k))
    if style == "quantum":
        value = np.maximum(np.round(value / 5), 1) * 5.0
        cost = np.broadcast_to(np.round(rng.uniform(0.5, 5.0, k), 1), (n, k)).copy()
    if style == "copies":
        value, cost = np.repeat(value[: n // 10], 10, 0), np.repeat(cost[: n // 10], 10, 0)
    if style == "equal":
        value, cost = np.full((n, k), 7.0), np.full((n, k), 2.0)
    eligible = rng.random((n, k)) < 0.8
    cell = np.r_[np.arange(g), rng.integers(0, g, n - g)]
    plan = np.where(rng.random(n) < 0.6, rng.integers(0, k, n), -1)
    plan = np.where((plan >= 0) & eligible[np.arange(n), plan], plan, -1)
    bare = Problem(value, cost, eligible, cell)
    use = use_of(replace(bare, limits=(Limit("cells", "count", cells=(g - 1,), maximum=1.0),)), plan)
    count = use[0].sum(0)
    part = float(use[0, :, 1].sum() / max(use[0].sum(), 1))
    limits = (
        Limit("budget", "cost", maximum=float(use[1].sum()) * rng.uniform(1.0, 1.1) + 1e-6),
        Limit("cap", "count", maximum=count[0] + rng.choice([0.0, 0.5, 1.7]), offers=(0,)),
        Limit("floor", "count", minimum=count[2] - rng.choice([0.0, 0.5, 1.7]), offers=(2,)),
        Limit("cell", "count", maximum=float(use[0, 1].sum()), cells=(1,)),
        Limit("worth", "value", minimum=min(float(use[2, :, 3].sum()), 20.0) - 1e-6, offers=(3,)),
        Share("mix", "count", Selection(offers=(1,)), Selection(), maximum=min(1.0, part + 0.05)),
        Limit("watched", "cost", maximum=0.0, report_only=True),
        Limit("soft", "count", maximum=count[3] - 2, offers=(3,), penalty=3.0),
    )
    return replace(bare, limits=limits)


def assert_kept(problem, choice):
    """Counted without the product's own tables."""
    n = len(problem.value)
    picked = choice.reshape(n, -1)
    for limit in problem.limits:
        if isinstance(limit, Share) or limit.report_only or limit.penalty is not None:
            continue
        total = 0.0
        for i in range(n):
            for a in picked[i][picked[i] >= 0]:
                inside = limit.offers is None or a in limit.offers
                if inside and (limit.cells is None or problem.cell[i] in limit.cells):
                    measures = {"count": 1.0, "cost": problem.cost[i, a], "value": problem.value[i, a]}
                    total += measures[limit.measure]
        room = 1e-9 * max(abs(total), 1.0) if limit.measure != "count" else 0.0
        assert limit.maximum is None or total <= limit.maximum + room, limit.name
        assert limit.minimum is None or total >= limit.minimum - room, limit.name
    rows = np.nonzero(picked >= 0)
    assert problem.eligible[rows[0], picked[rows]].all()


@settings(max_examples=8, deadline=None, derandomize=True)
@given(seed=st.integers(0, 10_000), style=st.sampled_from(["plain", "quantum", "copies", "equal"]))
def test_large_path_lies_between_the_referee_and_its_own_bound(seed, style):
    problem = random_problem(seed, n=40, style=style)
    exact = solve(problem)
    assert exact.status in ("optimal", "feasible")
    assert_kept(problem, exact.choice)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(portfolio.solver, "EXACT_PAIRS", 0)
        found = solve(problem)
    assert found.status in ("optimal", "feasible")
    assert_kept(problem, found.choice)
    room = 1e-6 * abs(exact.value)
    assert found.value <= exact.value + room
    assert found.bound >= exact.value - room
    assert exact.value - found.value <= 0.4 * problem.value.max()  # less than half of what one customer can bring


def assert_as_the_referee(seed):
    """Random limits that may contradict each other, on the path for many customers and as one integer program."""
    rng = np.random.default_rng(seed)
    style = ("plain", "quantum", "copies", "equal")[seed % 4]
    problem = random_problem(seed, n=10 * int(rng.integers(2, 6)), k=4, style=style)
    moved = [
        replace(x, **{side: bound + rng.choice([0.0, 0.0, 1.0, -1.0]) * rng.integers(0, 12)})
        for x in problem.limits
        for side, bound in (("maximum", x.maximum), ("minimum", x.minimum))
        if bound is not None and isinstance(x, Limit)
    ]
    problem = replace(problem, limits=tuple(x for x in moved if rng.random() < 0.8))
    exact = solve(problem)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(portfolio.solver, "EXACT_PAIRS", 0)
        found = solve(problem)
    if exact.status == "infeasible":
        assert found.status == "infeasible" or found.broken, seed
        return
    assert found.status in ("optimal", "feasible"), seed
    assert_kept(problem, found.choice)
    room = 1e-7 * abs(exact.bound) + 1e-9
    assert found.value <= exact.bound + room, seed
    assert found.bound >= exact.value - room, seed
    assert found.value >= exact.value - problem.value.max(), seed


def test_random_problems_are_planned_as_the_referee_plans_them():
    for seed in range(25):
        assert_as_the_referee(seed)


@pytest.mark.soak
def test_thousands_of_random_problems_are_planned_as_the_referee_plans_them():
    for seed in range(25, 2_000):
        assert_as_the_referee(seed)


@settings(max_examples=10, deadline=None, derandomize=True)
@given(seed=st.integers(0, 10_000), direction=st.integers(0, 1_000))
def test_prices_of_any_origin_bound_every_plan_that_keeps_the_limits(seed, direction):
    problem = random_problem(seed, n=30)
    found = solve(problem)
    rows = compile_rows(problem.limits, problem.n_cells, problem.value.shape[1])
    rng = np.random.default_rng(direction)
    price = rng.exponential(2.0, len(rows.names)) * np.where(np.isfinite(rows.upper), 1.0, -1.0)
    price = np.clip(price, -rows.penalty, rows.penalty)
    assert bound_of(problem, rows, price) >= found.value - 1e-9 * abs(found.value)


def brute_force(problem):
    """Best value over all (k + 1)^n plans, or None."""
    n, k = problem.value.shape
    rows = compile_rows(problem.limits, problem.n_cells, k)
    best = None
    for code in range((k + 1) ** n):
        plan = np.array([code // (k + 1) ** i % (k + 1) - 1 for i in range(n)])
        if all(plan[i] < 0 or problem.eligible[i, plan[i]] for i in range(n)):
            value, kept = recount(problem, rows, plan)
            if kept and (best is None or value > best):
                best = value
    return best


@settings(max_examples=10, deadline=None, derandomize=True)
@given(seed=st.integers(0, 10_000))
def test_tiny_problems_agree_with_trying_every_plan(seed):
    rng = np.random.default_rng(seed)
    n, k = 5, 2
    limits = (
        Limit("budget", "cost", maximum=float(rng.uniform(1, 6))),
        Limit("floor", "count", minimum=float(rng.choice([0.3, 1.0, 2.4])), offers=(1,)),
        Limit("cap", "count", maximum=float(rng.choice([0.9, 1.5, 3.0])), offers=(0,)),
        Limit("soft", "count", maximum=1.0, penalty=float(rng.uniform(0.5, 3))),
    )
    eligible = rng.random((n, k)) < 0.7
    problem = Problem(rng.normal(3, 3, (n, k)), rng.uniform(0.5, 3, (n, k)), eligible, np.zeros(n, int), limits)
    best = brute_force(problem)
    found = solve(problem)
    conflict = diagnose(problem)
    assert (found.status == "infeasible") == (best is None) == (conflict is not None)
    if best is not None:
        assert found.value == pytest.approx(best, rel=1e-6, abs=1e-9)
        assert_kept(problem, found.choice)
    else:
        assert conflict is not None
        assert found.conflict == conflict.limits
        assert (found.choice == -1).all()
        for name in conflict.limits:  # irreducible: without any one of them a plan exists
            rest = tuple(x for x in limits if x.name in conflict.limits and x.name != name)
            assert brute_force(replace(problem, limits=rest)) is not None


@pytest.mark.parametrize("style", ["plain", "quantum", "copies", "equal"])
def test_thousands_of_customers_are_planned_within_a_tight_certified_gap(style):
    problem = random_problem(5, n=2_500, style=style)
    found = solve(problem, gap=3e-5)
    assert found.status in ("optimal", "feasible")
    assert_kept(problem, found.choice)
    one_customer = float(problem.value.max())
    assert found.bound - found.value <= max(2e-4 * found.bound, one_customer)
    assert found.value == pytest.approx(recount(problem, compile_rows(problem.limits, 3, 4), found.choice)[0])


def test_prices_have_the_sign_of_their_limit_and_are_zero_where_there_is_room():
    problem = random_problem(13, n=4_000)
    found = solve(problem, gap=1e-4)
    for row in found.usage:
        if row.name in ("watched", "soft", "mix"):
            continue
        price = found.prices[row.name]
        assert price >= 0 if row.minimum is None else price <= 0
        if row.slack > 0.02 * abs(row.used):
            assert abs(price) < 1e-6, row


def test_an_impossible_minimum_is_proven_and_named_at_any_size():
    problem = random_problem(14, n=4_000)
    eligible = int(problem.eligible[:, 2].sum())
    wish = Limit("wish", "count", minimum=eligible + 100, offers=(2,))
    found = solve(replace(problem, limits=(*problem.limits[:2], wish)))
    assert (found.status, found.conflict) == ("infeasible", ("wish",))
    conflict = diagnose(replace(problem, limits=(*problem.limits[:2], wish)))
    assert conflict is not None
    assert conflict.relaxation["wish"] == pytest.approx(100, rel=0.02)


def test_two_limits_that_contradict_each_other_are_both_named():
    problem = random_problem(15, n=4_000)
    floor = Limit("floor", "count", minimum=600.0, offers=(0, 1))
    roof = Limit("roof", "count", maximum=500.0)
    other = Limit("budget", "cost", maximum=1e6)
    conflict = diagnose(replace(problem, limits=(other, floor, roof)))
    assert conflict is not None
    assert sorted(conflict.limits) == ["floor", "roof"]
    assert conflict.relaxation["floor"] == pytest.approx(100, rel=0.02)
    assert conflict.relaxation["roof"] == pytest.approx(100, rel=0.02)


@settings(max_examples=10, deadline=None, derandomize=True)
@given(seed=st.integers(0, 10_000))
def test_a_problem_that_a_plan_keeps_is_never_called_infeasible(seed):
    problem = random_problem(seed, n=100)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(portfolio.conflicts.diagnose, "EXACT_PAIRS", 0)
        assert diagnose(problem) is None


def test_usage_is_a_recount_of_the_choice():
    problem = random_problem(16, n=3_000)
    found = solve(problem, gap=1e-4)
    assert found.usage == usage(problem.limits, use_of(problem, found.choice), found.prices)
