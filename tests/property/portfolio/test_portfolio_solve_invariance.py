"""What must not matter to a whole plan does not: order, names of cells, unit of money, limits with room, threads."""

from dataclasses import replace

import numpy as np
import pytest

import portfolio.large.passes
from portfolio.certificate import bound_of, recount
from portfolio.curvature import Touch
from portfolio.dual import descend, propose
from portfolio.large.population import Population
from portfolio.large.settle import Market, samples_of
from portfolio.limits import Limit, Problem, Selection, Share, compile_rows
from portfolio.solver import Prepared, solve

G, K = 4, 6


def problem_of(n, seed=0, kind=np.float32):
    """Limits of several kinds, most of which hold the plan back."""
    rng = np.random.default_rng(seed)
    value = rng.gamma(2.0, 10.0, (n, K)).astype(kind)
    cost = rng.uniform(0.5, 5.0, (n, K)).astype(kind)
    limits = (
        Limit("budget", "cost", maximum=0.9 * n),
        Limit("cap", "count", maximum=0.11 * n, offers=(0,)),
        Limit("floor", "count", minimum=0.14 * n, offers=(2,)),
        Limit("cell", "cost", maximum=0.2 * n, cells=(1,)),
        Limit("worth", "value", minimum=2.5 * n, offers=(3,)),
        Share("mix", "count", Selection((4,), (2,)), Selection(None, (2,)), minimum=0.2),
    )
    return Problem(value, cost, rng.random((n, K)) < 0.8, rng.integers(0, G, n), limits)


def rearranged(problem, order):
    return replace(problem, **{x: getattr(problem, x)[order] for x in ("value", "cost", "eligible", "cell")})


@pytest.mark.parametrize("n", [2_000, 30_000])
def test_the_order_of_customers_changes_no_bit(n):
    problem = problem_of(n)
    order = np.random.default_rng(1).permutation(n)
    one, other = solve(problem), solve(rearranged(problem, order))
    assert (other.choice == one.choice[order]).all()
    assert (other.row_prices == one.row_prices).all()
    assert other.value == pytest.approx(one.value, rel=1e-13)
    assert other.bound == pytest.approx(one.bound, rel=1e-13)


@pytest.mark.parametrize("n", [2_000, 20_000])
@pytest.mark.parametrize("alike", [False, True])
def test_where_customers_tie_exactly_order_changes_the_plan_only_within_its_gap(n, alike):
    problem = problem_of(n)
    value, cost = np.round(problem.value / 5.0) * 5.0, np.round(problem.cost[:1] + 0.0 * problem.cost, 1)
    problem = replace(problem, value=value.astype(np.float32), cost=cost.astype(np.float32))
    if alike:  # crowds of customers who differ in nothing
        problem = rearranged(problem, np.arange(n) % 40)
    order = np.random.default_rng(1).permutation(n)
    one, again, other = solve(problem), solve(problem), solve(rearranged(problem, order))
    assert (again.choice == one.choice).all()
    assert (again.row_prices == one.row_prices).all()
    assert other.bound == pytest.approx(one.bound, rel=1e-9)
    lost = max(one.gap, other.gap) * abs(one.bound)
    assert abs(other.value - one.value) <= lost + 1e-9 * abs(one.bound)
    for shown, found in ((problem, one), (rearranged(problem, order), other)):
        assert found.status in ("optimal", "feasible")
        assert found.gap < 1e-3
        assert recount(shown, compile_rows(problem.limits, G, K), found.choice)[1]


def test_threads_change_no_bit(monkeypatch):
    problem = problem_of(30_000)
    alone = solve(problem)
    monkeypatch.setattr(portfolio.large.passes, "_ALONE", 1_000)
    together = solve(problem)
    assert (alone.choice == together.choice).all()
    assert (alone.row_prices == together.row_prices).all()
    assert (alone.value, alone.bound) == (together.value, together.bound)


def test_cells_that_no_limit_tells_apart_may_be_split():
    problem = problem_of(4_000)
    fine = replace(problem, cell=problem.cell + G * np.random.default_rng(2).integers(0, 2, 4_000))
    limits = tuple(
        replace(x, cells=tuple(c + G * h for c in x.cells for h in (0, 1))) if isinstance(x, Limit) and x.cells else x
        for x in problem.limits
        if isinstance(x, Limit)
    )
    coarse = replace(problem, limits=tuple(x for x in problem.limits if isinstance(x, Limit)))
    one, other = solve(coarse, gap=1e-4), solve(replace(fine, limits=limits), gap=1e-4)
    assert other.value == pytest.approx(one.value, rel=2e-4)
    assert other.bound == pytest.approx(one.bound, rel=1e-6)


def test_other_money_changes_prices_and_nothing_else():
    problem = problem_of(6_000, kind=np.float64)
    limits = tuple(x for x in problem.limits if x.name != "worth")
    one = solve(replace(problem, limits=limits))
    for factor in (1024.0, 1000.0, 1e-3):
        other = solve(replace(problem, limits=limits, value=factor * problem.value))
        assert other.bound == pytest.approx(factor * one.bound, rel=1e-6)
        assert other.value == pytest.approx(factor * one.value, rel=1e-4)
        assert other.prices["budget"] == pytest.approx(factor * one.prices["budget"], rel=1e-3)


def test_a_limit_with_room_to_spare_changes_nothing():
    problem = problem_of(6_000)
    loose = Limit("loose", "count", maximum=6_000.0, offers=(0, 1))
    one, other = solve(problem), solve(replace(problem, limits=(*problem.limits, loose)))
    assert other.prices["loose"] == 0.0
    assert other.bound == pytest.approx(one.bound, rel=1e-7)
    assert other.value == pytest.approx(one.value, rel=1e-4)


def test_single_and_double_precision_agree_and_are_judged_by_what_was_given():
    single = problem_of(6_000)
    double = replace(single, value=single.value.astype(np.float64), cost=single.cost.astype(np.float64))
    one, other = solve(single), solve(double)
    assert other.bound == pytest.approx(one.bound, rel=1e-7)
    assert other.value == pytest.approx(one.value, rel=1e-4)
    rows = compile_rows(double.limits, G, K)
    assert recount(double, rows, one.choice)[0] == one.value


def test_prepared_once_and_solved_under_other_limits_is_as_solved_afresh():
    problem = problem_of(30_000)
    prepared, start = Prepared.of(problem), None
    for factor in (1.0, 0.9, 1.2):
        limits = (replace(problem.limits[0], maximum=factor * 27_000.0), *problem.limits[1:])
        warm, cold = prepared.solve(limits, start), solve(replace(problem, limits=limits))
        start = warm.row_prices
        assert warm.bound == pytest.approx(cold.bound, rel=1e-6)
        assert warm.value == pytest.approx(cold.value, rel=2e-5)


def test_every_plan_inside_the_limits_is_worth_less_than_every_bound():
    problem = problem_of(300)
    rows = compile_rows(problem.limits, G, K)
    rng = np.random.default_rng(3)
    best = solve(problem, gap=1e-3)
    worth = [best.value]
    for _ in range(200):  # plans beside the best: some customers drop out
        plan = np.where(rng.random(300) < rng.uniform(0, 0.02), -1, best.choice)
        value, kept = recount(problem, rows, plan)
        worth += [value] if kept else []
    assert len(worth) > 5
    for _ in range(50):
        price = rng.exponential(1.0, len(rows.names)) * np.where(np.isfinite(rows.upper), 1.0, -1.0)
        assert bound_of(problem, rows, best.row_prices + rng.uniform(0, 0.3) * price) >= max(worth)


def test_newton_without_a_trust_region_diverges_where_the_search_does_not():
    lost = 0  # a few customers react at a time: where none does, an undamped step goes to the end of the box
    for seed in range(5):
        problem = problem_of(300, seed)
        population = Population.of(problem)
        rows = compile_rows(problem.limits, G, K)
        market = Market.of(population, samples_of(population), rows)
        evaluate = market.samples[-1].evaluator(rows, Touch.of(rows), 0.0005 * population.typical)
        start = np.zeros(len(rows.names))
        damped = descend(evaluate, market.domain, start, steps=60, tolerance=1e-3, noise=1e-7)
        price, first = start, evaluate(start)[0] + market.domain.support(start)
        for _ in range(60):
            _, consumption, hessian = evaluate(price)
            price = propose(market.domain, hessian, consumption, price, 1e9)
        undamped = evaluate(price)[0] + market.domain.support(price)
        assert damped.dual < first
        lost += undamped > 2.0 * first
    assert lost == 5
