"""Several offers per customer, by duality: against the exact referee, weak duality, ties, derivatives of the oracle."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from several_instances import assert_may_have, crowd, limited, some_plan

import portfolio.several.bundles
from portfolio import Limit, compile_rows, solve, use_of
from portfolio.certificate import recount
from portfolio.limits import Selection, Share
from portfolio.referee import whole_counts
from portfolio.several.bundles import to_bundles
from portfolio.several.crowd import SeveralCrowd, Taste
from portfolio.several.shelf import Shelf
from portfolio.several.solver import bound_several, solve_several
from portfolio.solution import Watch

STYLES = ("plain", "rounded", "copies", "equal")


def by_duality(problem, gap=1e-6):
    rows = whole_counts(compile_rows(problem.limits, problem.n_cells, problem.value.shape[1]))
    return solve_several(problem, rows, None, gap, Watch(None))


def assert_agrees_with_the_referee(seed, n=24):
    problem = limited(crowd(seed, n, style=STYLES[seed % 4]), seed)
    rows = whole_counts(compile_rows(problem.limits, problem.n_cells, problem.value.shape[1]))
    exact, found = solve(problem, gap=1e-4), by_duality(problem)
    assert exact.status in ("optimal", "feasible")
    assert found.status in ("optimal", "feasible")
    assert_may_have(problem, found.choice)
    assert recount(problem, rows, found.choice)[1]
    room = 1e-6 * abs(exact.bound)
    assert found.value <= exact.bound + room
    assert found.bound >= exact.value - room
    assert found.value >= exact.value - 2e-3 * abs(exact.value) - room
    assert found.gap == pytest.approx((found.bound - found.value) / abs(found.bound), abs=1e-12)


@pytest.mark.parametrize("seed", range(1, 9))
def test_the_plan_lies_between_the_referee_and_its_own_bound(seed):
    assert_agrees_with_the_referee(seed)


@pytest.mark.parametrize(("seed", "n"), [(974, 18), (1409, 21), (1986, 22)])
def test_few_customers_who_are_alike_are_planned_as_well_as_the_referee_plans_them(seed, n):
    """Their integer programs branch more often than those of many customers: every plan has equals."""
    assert_agrees_with_the_referee(seed, n)


@pytest.mark.soak
@pytest.mark.parametrize("block", range(20))
def test_thousands_of_plans_lie_between_the_referee_and_their_own_bounds(block):
    for seed in range(100 * block, 100 * block + 100):
        assert_agrees_with_the_referee(seed, n=16 + seed % 12)


@settings(max_examples=30, deadline=None, derandomize=True)
@given(seed=st.integers(0, 10_000))
def test_prices_of_any_origin_bound_every_plan_that_keeps_the_limits(seed):
    instance = crowd(seed, 30)
    problem = limited(instance, seed)
    rows = compile_rows(problem.limits, problem.n_cells, problem.value.shape[1])
    rng = np.random.default_rng(seed)
    price = rng.exponential(2.0, len(rows.names)) * np.where(np.isfinite(rows.upper), 1.0, -1.0)
    price = np.clip(price, -rows.penalty, rows.penalty)
    value, kept = recount(problem, rows, instance[1])
    assert kept
    assert bound_several(problem, rows, price) >= value - 1e-9 * abs(value)
    wrong = np.where(np.isfinite(rows.upper), -1.0, 1.0)
    assert bound_several(problem, rows, wrong) == np.inf


@settings(max_examples=20, deadline=None, derandomize=True)
@given(seed=st.integers(0, 10_000))
def test_no_plan_of_one_customer_beats_the_answer_to_charges(seed):
    problem, _ = crowd(seed, 6)
    rng = np.random.default_rng(seed)
    charges = rng.normal(0, 8, (3, 3, 6)) * np.array([1.0, 0.3, 0.1])[:, None, None]
    exact = SeveralCrowd(Shelf.of(problem), Taste.of(problem), 0.0, 3)
    (choice, lead), total = exact.stand(charges), exact.answer(charges, curvature=False).exact
    assert_may_have(problem, choice)
    paid = charges[0][problem.cell] + charges[1][problem.cell] * problem.cost + charges[2][problem.cell] * problem.value
    net = problem.value - paid

    def worth(plan):
        return np.where(plan >= 0, np.take_along_axis(net, np.maximum(plan, 0), 1), 0.0).sum(1)

    assert worth(choice).sum() == pytest.approx(total)
    assert (lead >= 0).all()
    for _ in range(40):
        other = some_plan(problem, rng)
        same = (np.sort(other, 1) == np.sort(choice, 1)).all(1)
        assert (worth(other) <= worth(choice) + 1e-9)[~same].all()
        assert (worth(choice) - worth(other) >= lead - 1e-9)[~same].all()


@pytest.mark.parametrize("seed", range(6))
def test_the_dual_falls_by_what_is_used_and_bends_as_its_curvature_says(seed):
    problem, _ = crowd(seed, 25, most=1 + seed % 5)
    rng = np.random.default_rng(seed)
    oracle = SeveralCrowd(Shelf.of(problem), Taste.of(problem), 3.0, 3)
    charges = rng.normal(2.0, 2.0, (3, 3, 6)) * np.array([1.0, 0.3, 0.1])[:, None, None]
    toward = rng.normal(0, 1, charges.shape) * np.array([1.0, 0.3, 0.1])[:, None, None]
    step = 1e-5
    here = oracle(charges, curvature=True)
    ahead, behind = (oracle(charges + s * step * toward, curvature=False) for s in (1, -1))
    slope = (ahead.value - behind.value) / (2 * step)
    assert slope == pytest.approx(-float((toward * here.use).sum()), rel=1e-6)
    bend = -float((toward * (ahead.use - behind.use)).sum()) / (2 * step)
    c = here.curvature
    x, y, z = toward
    expected = (
        np.einsum("gab,ga,gb", c[0], x, x)
        + 2 * np.einsum("gab,ga,gb", c[1], x, y)
        + np.einsum("gab,ga,gb", c[2], y, y)
        + 2 * np.einsum("gab,ga,gb", c[3], x, z)
        + 2 * np.einsum("gab,ga,gb", c[4], y, z)
        + np.einsum("gab,ga,gb", c[5], z, z)
    )
    assert bend == pytest.approx(float(expected), rel=1e-5)
    assert bend >= 0


@pytest.mark.parametrize("seed", range(4))
def test_softened_shares_stay_inside_most_and_groups_and_cool_to_the_exact_answer(seed):
    problem, _ = crowd(seed, 60, most=1 + seed)
    taste, shelf = Taste.of(problem), Shelf.of(problem)
    charges = np.full((3, 3, 6), 1.0) * np.array([4.0, 1.0, 0.1])[:, None, None]
    for heat in (30.0, 1.0, 1e-3):
        plan = SeveralCrowd(shelf, taste, heat, 3).plan(charges)
        assert (plan >= 0).all()
        assert (plan[~problem.eligible] == 0).all()
        assert plan.sum(1).max() <= problem.most + 1e-9
        for group in np.unique(taste.group):
            assert plan[:, taste.group == group].sum(1).max() <= 1 + 1e-9
    choice, lead = SeveralCrowd(shelf, taste, 0.0, 3).stand(charges)
    clear = lead > 0.05
    cold = np.zeros_like(plan)
    i, j = np.nonzero(choice >= 0)
    cold[i, choice[i, j]] = 1.0
    assert clear.sum() > 40
    np.testing.assert_allclose(plan[clear], cold[clear], atol=1e-9)


def test_one_offer_at_most_is_the_softened_choice_of_one():
    problem, _ = crowd(3, 50, most=1)
    charges = np.random.default_rng(0).normal(3, 2, (3, 3, 6)) * np.array([1.0, 0.3, 0.1])[:, None, None]
    shelf, heat = Shelf.of(problem), 2.0
    several = SeveralCrowd(shelf, Taste.of(problem), heat, 3)
    paid = charges[0][problem.cell] + charges[1][problem.cell] * problem.cost + charges[2][problem.cell] * problem.value
    net = np.where(problem.eligible, problem.value - paid, -np.inf)
    odds = np.exp(np.column_stack((net, np.zeros(50))) / heat)
    answer = several.answer(charges, curvature=False)
    assert answer.response.value == pytest.approx(heat * np.log(odds.sum(1)).sum())
    assert answer.exact == pytest.approx(np.maximum(net.max(1), 0.0).sum())
    np.testing.assert_allclose(several.plan(charges), (odds / odds.sum(1, keepdims=True))[:, :6], rtol=1e-9, atol=1e-16)


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("chunk", [20_000, 37])
def test_whole_bundles_use_what_the_shares_used_and_are_worth_no_less(style, chunk, monkeypatch):
    monkeypatch.setattr(portfolio.several.bundles, "_CHUNK", chunk)
    instance = crowd(9, 500, most=3, style=style)
    problem = limited(instance, 9)
    rows = compile_rows(problem.limits, problem.n_cells, 6)
    shelf, taste = Shelf.of(problem), Taste.of(problem)
    plan = SeveralCrowd(shelf, taste, 5.0, 3).plan(np.full((3, problem.n_cells, 6), 0.5))
    shares = plan.copy()
    choice, split = to_bundles(shelf, taste, rows, plan, np.zeros(len(rows.names)))  # nothing has room
    assert_may_have(problem, choice)
    assert len(split) <= len(rows.names)
    whole = np.setdiff1d(np.arange(500), split)
    count, value, paid = np.zeros(6), 0.0, 0.0
    for i in whole:
        for a in choice[i][choice[i] >= 0]:
            count[a] += 1
            value += problem.value[i, a]
            paid += problem.cost[i, a]
    count += plan[split].sum(0)
    value += float((plan[split] * problem.value[split]).sum())
    paid += float((plan[split] * problem.cost[split]).sum())
    assert paid == pytest.approx(float((shares * problem.cost).sum()), rel=1e-9)  # the budget
    assert count[[0, 2]] == pytest.approx(shares.sum(0)[[0, 2]], rel=1e-9)  # the cap and the floor
    assert value >= float((shares * problem.value).sum()) - 1e-6


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("most", [2, 4])
def test_thousands_of_customers_get_several_offers_within_a_tight_certified_gap(style, most):
    problem = limited(crowd(21 + most, 3_000, most=most, style=style), 5)
    rows = whole_counts(compile_rows(problem.limits, problem.n_cells, 6))
    found = by_duality(problem, gap=3e-5)
    assert_may_have(problem, found.choice)
    value, kept = recount(problem, rows, found.choice)
    assert kept
    assert value == pytest.approx(found.value)
    dearest = float(np.sort(problem.value, 1)[:, -most:].sum(1).max())
    assert found.bound - found.value <= max(1e-4 * found.bound, dearest)


def test_the_same_problem_has_the_same_plan_to_the_bit():
    problem = limited(crowd(31, 1_500, most=3), 1)
    one, other = by_duality(problem, gap=1e-4), by_duality(problem, gap=1e-4)
    assert (one.choice == other.choice).all()
    assert (one.value, one.bound, one.prices) == (other.value, other.bound, other.prices)


def test_limits_that_no_number_of_offers_can_keep_are_named():
    problem, _ = crowd(4, 800, most=2)
    reach = float(problem.eligible[:, 1].sum())
    limits = (Limit("budget", "cost", maximum=1e5), Limit("wish", "count", minimum=reach + 10, offers=(1,)))
    found = by_duality(replace(problem, limits=limits))
    assert (found.status, found.conflict) == ("infeasible", ("wish",))
    assert found.choice.shape == (800, 2)
    assert (found.choice == -1).all()


def test_more_offers_per_customer_are_never_worth_less():
    base, _ = crowd(8, 600, most=1)
    base = replace(base, groups=None, limits=(Limit("budget", "cost", maximum=900.0), _mix()))
    value = [by_duality(replace(base, most=most), gap=1e-5) for most in (1, 2, 3, 6)]
    for fewer, more in pairwise(value):
        assert more.bound >= fewer.value
        assert more.value >= fewer.value * (1 - 1e-3)
    assert value[-1].value > 1.05 * value[0].value
    assert use_of(base, value[-1].choice)[1].sum() <= 900.0


def _mix():
    return Share("mix", "count", Selection(offers=(0,)), Selection(), maximum=0.3)
