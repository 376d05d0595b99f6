"""Plans under a risk limit: against every plan of tiny problems, and laws that hold at any size."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from portfolio_risky import every_plan, risky, sd_of, worth_of

from portfolio import Limit, Problem, compile_rows, solve, solve_with_risk
from portfolio.certificate import recount
from portfolio.risk.terms import Risk


def limited(risk, sd):
    return replace(risk, price=None, maximum_sd=sd)


def assert_proven(problem, risk, found):
    """Limits, sd, value and gap, recounted from the choice."""
    rows = compile_rows(problem.limits, problem.n_cells, problem.value.shape[1])
    value, kept = recount(problem, rows, found.solution.choice)
    sd = risk.deviation(risk.exposures(found.solution.choice))
    assert kept
    assert found.sd == pytest.approx(sd, rel=1e-12)
    assert found.solution.value == pytest.approx(value, rel=1e-12)
    assert risk.maximum_sd is None or sd <= risk.maximum_sd * (1 + 1e-8)
    worth = value - (risk.price or 0.0) * sd
    assert found.worth == pytest.approx(worth, rel=1e-12)
    assert worth <= found.bound * (1 + 1e-12)
    assert found.solution.gap == pytest.approx((found.bound - worth) / abs(found.bound), abs=1e-12)


@settings(max_examples=4, deadline=None, derandomize=True)
@given(seed=st.integers(0, 10_000), share=st.sampled_from([0.3, 0.6, 0.9]), floor=st.booleans())
def test_the_best_of_all_plans_lies_between_value_and_bound(seed, share, floor):
    problem, risk = risky(5, 2, seed, pair=seed % 2 == 0)
    if floor:
        problem = replace(problem, limits=(*problem.limits, Limit("floor", "count", minimum=2.0)))
    plans = [(worth_of(problem, plan), sd_of(risk, plan)) for plan in every_plan(problem)]
    free = max(plans)
    cap = share * free[1]
    found = solve_with_risk(problem, limited(risk, cap))
    safe = [value for value, sd in plans if sd <= cap * (1 + 1e-12)]
    if found.solution.status == "infeasible":
        assert not safe
        return
    assert found.solution.status in ("optimal", "feasible")
    assert_proven(problem, limited(risk, cap), found)
    assert found.solution.value <= max(safe) * (1 + 1e-9) <= found.solution.bound * (1 + 2e-9)
    if found.solution.status == "optimal":
        assert found.solution.value >= max(safe) * (1 - 1e-4)


@settings(max_examples=3, deadline=None, derandomize=True)
@given(seed=st.integers(0, 10_000), price=st.sampled_from([0.2, 0.7, 2.0]))
def test_with_a_price_the_best_of_all_plans_lies_between_worth_and_bound(seed, price):
    problem, risk = risky(5, 2, seed)
    best = max(worth_of(problem, plan) - price * sd_of(risk, plan) for plan in every_plan(problem))
    risk = replace(risk, price=price)
    found = solve_with_risk(problem, risk)
    assert_proven(problem, risk, found)
    assert found.worth <= best + 1e-9 * abs(best)
    assert best <= found.bound + 1e-9 * abs(best)
    assert found.worth >= best - 0.02 * abs(best)


def test_value_limits_count_the_original_value():
    problem, risk = risky(5, 2, 77)
    floor = 0.5 * max(worth_of(problem, plan) for plan in every_plan(problem))
    problem = replace(problem, limits=(*problem.limits, Limit("worth", "value", minimum=floor)))
    plans = [(worth_of(problem, plan), sd_of(risk, plan)) for plan in every_plan(problem)]
    cap = 0.8 * max(plans)[1]
    safe = [value for value, sd in plans if sd <= cap]
    found = solve_with_risk(problem, limited(risk, cap))
    assert safe
    assert found.solution.value == pytest.approx(max(safe), rel=1e-4)


@pytest.fixture(scope="module")
def middle():
    """A problem of 50 customers with its plan without regard to risk."""
    problem, risk = risky(50, 4, 21)
    plain = solve(problem, gap=1e-4)
    return problem, risk, plain, risk.deviation(risk.exposures(plain.choice))


@pytest.fixture(scope="module")
def curve(middle):
    problem, risk, _, free = middle
    shares = (0.4, 0.7, 1.01)
    return shares, [solve_with_risk(problem, limited(risk, s * free), gap=3e-3) for s in shares]


def test_every_plan_is_proven(middle, curve):
    problem, risk, _, free = middle
    for share, found in zip(*curve, strict=True):
        assert_proven(problem, limited(risk, share * free), found)
        assert found.solution.gap < 0.03


def test_no_feasible_plan_is_above_the_bound(middle, curve):
    """Random plans, thinned out until they keep limits and risk."""
    problem, risk, plain, free = middle
    rows = compile_rows(problem.limits, problem.n_cells, 4)
    shares, found = curve
    for seed in range(60):
        rng = np.random.default_rng(seed)
        plan = np.where(rng.random(50) < rng.random(), plain.choice, -1)
        while not recount(problem, rows, plan)[1]:
            plan[rng.integers(0, 50, 3)] = -1
        sd = risk.deviation(risk.exposures(plan))
        for share, one in zip(shares, found, strict=True):
            assert sd > share * free or recount(problem, rows, plan)[0] <= one.solution.bound


def test_more_risk_allowed_is_never_worth_less(curve):
    _, found = curve
    for less, more in itertools.pairwise(found):
        assert more.solution.value >= less.solution.value * (1 - 0.02)
        assert more.solution.bound >= less.solution.value
        assert more.risk_price <= less.risk_price * 1.05 + 1e-9


def test_risk_price_is_the_slope_of_the_curve(middle, curve):
    """Concave up to the gaps: at the price of one point, no other point is worth more than its own bound."""
    shares, found = curve
    free = middle[3]
    for at, here in zip(shares, found, strict=True):
        for to, there in zip(shares, found, strict=True):
            assert there.solution.value <= here.solution.bound + here.risk_price * (to - at) * free + 1e-6


def test_paying_the_price_of_a_limit_gives_no_more_risk_than_worth(middle, curve):
    problem, risk, _, free = middle
    shares, found = curve
    at = found[1]
    paid = solve_with_risk(problem, replace(risk, price=at.risk_price), gap=3e-3)
    assert_proven(problem, replace(risk, price=at.risk_price), paid)
    assert paid.solution.gap < 0.05
    limit_worth = at.solution.value - at.risk_price * at.sd
    paid_worth = paid.solution.value - at.risk_price * paid.sd
    assert limit_worth <= paid.solution.bound + 1e-9
    assert paid_worth <= at.solution.bound - at.risk_price * shares[1] * free + 1e-6 * at.solution.bound
    assert paid_worth >= limit_worth - 0.05 * at.solution.bound


def test_order_of_customers_does_not_matter(middle, curve):
    problem, risk, _, free = middle
    _, found = curve
    order = np.random.default_rng(4).permutation(50)
    shuffled = Problem(
        problem.value[order], problem.cost[order], problem.eligible[order], problem.cell[order], problem.limits
    )
    moved = Risk(risk.sensitivity[order], risk.covariance, risk.features[order], maximum_sd=0.7 * free)
    other = solve_with_risk(shuffled, moved, gap=3e-3)
    spare = found[1].solution.bound - found[1].solution.value
    assert other.solution.value == pytest.approx(found[1].solution.value, abs=2 * spare + 1e-6)
    assert other.solution.bound >= found[1].solution.value
    assert found[1].solution.bound >= other.solution.value


@pytest.mark.parametrize("most", [2])
def test_several_offers_per_customer_share_the_risk_limit(most):
    problem, risk = risky(20, 4, 31)
    problem = replace(problem, most=most, groups=np.array([0, 0, 1, 1]))
    plain = solve(problem, gap=1e-4)
    cap = 0.7 * risk.deviation(risk.exposures(plain.choice))
    found = solve_with_risk(problem, limited(risk, cap), gap=3e-3)
    assert found.solution.choice.shape == (20, most)
    assert_proven(problem, limited(risk, cap), found)
    assert found.solution.gap < 0.05


def relaxed(problem, risk):
    """The best value of plans that may be split, by one conic program over all pairs; limits written out by hand."""
    import cvxpy as cp

    who, offer = np.nonzero(problem.eligible)
    share = cp.Variable(len(who), nonneg=True)
    per_customer = np.zeros((len(problem.value), len(who)))
    per_customer[who, np.arange(len(who))] = 1.0
    load = risk.rooted_loads(who, offer)
    k, d = risk.shape
    exposed = np.zeros((k * d, len(who)))
    for p, a in enumerate(offer):
        exposed[a * d : (a + 1) * d, p] = load[p]
    budget, cap = problem.limits
    constraints = [
        per_customer @ share <= 1,
        problem.cost[who, offer] @ share <= budget.maximum,
        (offer == cap.offers[0]).astype(float) @ share <= cap.maximum,
        cp.norm(exposed @ share) <= risk.maximum_sd,
    ]
    program = cp.Problem(cp.Maximize(problem.value[who, offer] @ share), constraints)
    return float(program.solve(solver=cp.CLARABEL))


def assert_near_relaxed(n, seed, share, gap):
    problem, risk = risky(n, 4, seed)
    free = risk.deviation(risk.exposures(solve(problem, gap=1e-3).choice))
    risk = limited(risk, share * free)
    found, best = solve_with_risk(problem, risk, gap=1e-3), relaxed(problem, risk)
    assert_proven(problem, risk, found)
    assert found.solution.value <= best * (1 + 1e-6)
    assert best <= found.solution.bound * (1 + 1e-6)
    assert found.solution.bound <= best * (1 + gap)
    assert found.solution.value >= best * (1 - gap)


def test_a_large_problem_comes_near_the_conic_relaxation():
    assert_near_relaxed(700, 41, 0.7, 0.005)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("share", [0.5, 0.8])
def test_large_problems_come_near_the_conic_relaxation(seed, share):
    assert_near_relaxed(700, seed, share, 0.005)
