"""Whole plans: the path for many customers against the exact referee, prices, certificates and conflicts."""

from dataclasses import replace

import numpy as np
import pytest
from contested_instances import (
    assert_kept,
    assert_prices_pay_for_what_binds,
    contested,
    one_customer,
    planned,
    random_problem,
)
from hypothesis import given, settings
from hypothesis import strategies as st

import portfolio.conflicts.diagnose
import portfolio.solver
from portfolio.certificate import bound_of, recount
from portfolio.conflicts.diagnose import diagnose
from portfolio.limits import Limit, Problem, compile_rows, usage, use_of
from portfolio.solver import solve


@settings(max_examples=8, deadline=None, derandomize=True)
@given(seed=st.integers(0, 10_000), style=st.sampled_from(["plain", "quantum", "copies", "equal"]))
def test_large_path_lies_between_the_referee_and_its_own_bound(seed, style):
    problem = random_problem(seed, n=40, style=style)
    exact, found = solve(problem), planned(problem)
    assert exact.status in ("optimal", "feasible")
    assert_kept(problem, exact.choice)
    assert found.status in ("optimal", "feasible")
    assert_kept(problem, found.choice)
    room = 1e-6 * abs(exact.value)
    assert found.value <= exact.value + room
    assert found.bound >= exact.value - room
    assert exact.value - found.value <= 0.4 * problem.value.max()  # less than half of what one customer can bring


def assert_as_the_referee(seed):
    """The path for many customers and one integer program: infeasible where it is, else within a customer of it."""
    problem = contested(seed)
    exact, found = solve(problem), planned(problem)
    assert (found.status == "infeasible") == (exact.status == "infeasible"), seed
    if exact.status == "infeasible":
        assert found.conflict == exact.conflict != (), seed
        return
    assert found.status in ("optimal", "feasible") and found.broken == (), seed
    assert_kept(problem, exact.choice)
    assert_kept(problem, found.choice)
    room = 1e-7 * abs(exact.bound) + 1e-9
    assert found.value <= exact.bound + room, seed
    assert found.bound >= exact.value - room, seed
    assert found.value >= exact.value - one_customer(problem), seed
    assert_prices_pay_for_what_binds(problem, found)


def test_random_problems_are_planned_as_the_referee_plans_them():
    for seed in range(25):
        assert_as_the_referee(seed)


@pytest.mark.soak
@pytest.mark.parametrize("first", range(0, 4_000, 500))
def test_thousands_of_random_problems_are_planned_as_the_referee_plans_them(first):
    for seed in range(first, first + 500):
        assert_as_the_referee(seed)


def test_bounds_and_uses_of_partitions_add_up_to_those_of_the_population():
    problem = random_problem(3, n=9_000)
    rng = np.random.default_rng(0)
    rows = compile_rows(problem.limits, problem.n_cells, 4)
    price = rng.exponential(2.0, len(rows.names)) * np.where(np.isfinite(rows.upper), 1.0, -1.0)
    price = np.clip(price, -rows.penalty, rows.penalty)
    plan = np.where(problem.eligible[:, 1], rng.integers(-1, 2, 9_000), -1)
    plan = np.where(problem.eligible[:, 0] | (plan != 0), plan, -1)
    nothing = np.zeros(len(price))
    free = replace(rows, lower=nothing, upper=nothing)
    use, total = 0.0, float(np.sum(price * np.where(price > 0, rows.upper, rows.lower)))
    for some in (slice(0, 100), slice(100, 101), slice(101, 9_000)):
        arrays = {x: getattr(problem, x)[some] for x in ("value", "cost", "eligible", "cell")}
        part = replace(problem, **arrays)
        use = use + use_of(part, plan[some])
        total += bound_of(part, free, price)
    assert use == pytest.approx(use_of(problem, plan), rel=1e-12)
    assert total == pytest.approx(bound_of(problem, rows, price), rel=1e-12)


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
    assert_prices_pay_for_what_binds(problem, found)


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
