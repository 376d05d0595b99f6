"""The affordable policy: a table of probabilities that keeps every limit in expectation, headroom included."""

import numpy as np
import pytest
from engine_problems import K, N, limits, population, seeds, under
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from allot import ConvergenceError, LimitError, ShapeError
from bandit import Beliefs
from engine.exploration import even_policy
from engine.plan import Draws, best_plan, check_feasible, drawn_plan
from engine.policy import PRICED_WITHIN, Setting, affordable_policy
from engine.stages import Stages
from portfolio import (
    Limit,
    Problem,
    Selection,
    Share,
    compile_rows,
    diagnose,
    expected_use,
    initial_headroom,
    reach,
    solve,
    too_narrow,
    use_of,
)

shares = st.sampled_from([0.0, 0.01, 0.5])
tightness = st.lists(st.floats(0.3, 1.2), min_size=6, max_size=6)
objectives = st.sampled_from(["profit", "value", "conversions", "incremental"])


def play(worth, problem, setting):
    s = worth.scores
    return affordable_policy(Beliefs(s.mean, s.sd), s.value, problem, fee=s.fee, outside=s.outside, setting=setting)


def tight(worth, problem, parts):
    """Limits of every kind at a part of what nobody's limits would use."""
    count, cost, _ = play(worth, problem, Setting(0.0)).use
    some = (
        Limit("budget", "cost", maximum=parts[0] * cost.sum()),
        Limit("cap", "count", maximum=8 + parts[1] * count[:, 1].sum(), offers=(1,)),
        Limit("channel", "count", maximum=8 + parts[2] * count[:, 2:].sum(), offers=(2, 3)),
        Limit("segment", "cost", maximum=8 + parts[3] * cost[1].sum(), cells=(1,)),
        Limit("minimum", "count", minimum=5 + 0.1 * parts[4] * count[:, 0].sum(), offers=(0,)),
        Share("share", "count", Selection((2,)), Selection(), maximum=0.1 + 0.5 * parts[5]),
    )
    return under(problem, some)


@settings(max_examples=25, deadline=None, derandomize=True)
@given(seeds, tightness, shares, objectives)
def test_it_is_a_policy_whose_expected_use_keeps_every_limit_and_its_headroom(seed, parts, share, objective):
    worth, problem = population(seed, objective=objective)
    problem = tight(worth, problem, parts)
    rows = compile_rows(problem.limits, problem.n_cells, K)
    headroom = initial_headroom(rows, problem)
    assume(not too_narrow(rows, headroom, reach(rows, problem)) and diagnose(problem) is None)
    try:
        policy = play(worth, problem, Setting(share, headroom))
    except LimitError:
        assume(False)
    table = policy.probability
    assert table.dtype == np.float32
    assert (table >= 0).all() and (table[:, :K][~problem.eligible] == 0).all()
    assert np.abs(table.sum(1, dtype=np.float64) - 1).max() < 1e-6
    assert np.array_equal(policy.use, expected_use(problem, table))
    level = rows.consumption(policy.use)
    size = np.maximum(np.abs(np.where(np.isfinite(rows.upper), rows.upper, rows.lower)), 0.1 * policy.use[0].sum())
    assert (level <= rows.upper - headroom + 2 * PRICED_WITHIN * size).all()
    assert (level >= rows.lower + headroom - 2 * PRICED_WITHIN * size).all()
    if share:
        even, _ = even_policy(problem, rows, share)
        assert (table >= share * even - 1e-6).all()


@settings(max_examples=10, deadline=None, derandomize=True)
@given(seeds, tightness, shares, st.sampled_from([0.5, 0.01]), st.sampled_from(["profit", "incremental"]))
def test_no_plan_within_the_limits_is_worth_more_than_its_bound(seed, parts, share, uncertainty, objective):
    """However much headroom and exploration take away from the policy itself."""
    worth, problem = population(seed, uncertainty=uncertainty, objective=objective)
    problem = tight(worth, problem, parts)
    rows = compile_rows(problem.limits, problem.n_cells, K)
    best = solve(problem, gap=1e-3)  # its plan is whole and inside the limits, that is enough here
    assume(best.status != "infeasible")
    try:
        policy = play(worth, problem, Setting(share, initial_headroom(rows, problem)))
    except LimitError:
        assume(False)
    # values are float32, and the quadrature is certified within 1e-7 of a score
    assert policy.bound >= best.value * (1 - 1e-5)
    assert policy.bound >= policy.use[2].sum() * (1 - 1e-5)


@settings(max_examples=25, deadline=None, derandomize=True)
@given(seeds, limits(), shares)
def test_a_plan_is_drawn_within_all_its_limits_or_refused_in_words(seed, some, share):
    """Whatever limits are thrown at it: released and inside, or an error that names a limit."""
    worth, problem = population(seed)
    problem = under(problem, some)
    draws = Draws(1, "campaign", "2026-03-01", np.arange(N, dtype=np.uint64))
    try:
        check_feasible(problem)
        plan = drawn_plan(worth, problem, share, draws, Stages())
    except (LimitError, ConvergenceError) as error:
        assert any(repr(x.name) in str(error) for x in some)
        return
    assert (plan.choice < K).all()
    if plan.status != "released":
        assert plan.breached
        assert (plan.choice == -1).all()
        return
    picked = np.flatnonzero(plan.choice >= 0)
    assert problem.eligible[picked, plan.choice[picked]].all()
    assert (plan.probability[np.arange(N), plan.choice] > 0).all()
    rows, use = compile_rows(problem.limits, problem.n_cells, K), use_of(problem, plan.choice)
    level, rounding = rows.consumption(use), 1e-9 * np.abs(use).sum()
    soft = np.isfinite(rows.penalty)
    assert (soft | ((level <= rows.upper + rounding) & (level >= rows.lower - rounding))).all()


@settings(max_examples=3, deadline=None, derandomize=True)
@given(seeds, tightness)
def test_temperature_zero_is_the_solvers_optimum_with_probability_one(seed, parts):
    worth, problem = population(seed)
    problem = tight(worth, problem, parts)
    best = solve(problem)
    assume(best.status != "infeasible")
    plan = best_plan(problem)
    assert np.array_equal(plan.choice, best.choice)
    assert (plan.mechanism, plan.status, plan.bound) == ("deterministic", "released", best.bound)
    assert np.array_equal(plan.probability, np.eye(K + 1, dtype=np.float32)[plan.choice])
    assert plan.usage == best.usage


@pytest.mark.parametrize("share", [0.0, 0.5])
def test_the_share_of_exploration_is_played_to_the_last_digit(share):
    """Nobody explored at 0; at .5, without limits, half of the even policy and half of the priced one."""
    worth, problem = population(3)
    rows = compile_rows((), problem.n_cells, K)
    plain = play(worth, problem, Setting(0.0)).probability
    even, _ = even_policy(problem, rows, share)
    found = play(worth, problem, Setting(share)).probability
    assert np.array_equal(found, ((1 - share) * plain + share * even).astype(np.float32) if share else plain)


def test_equal_beliefs_in_offer_and_no_offer_treat_nobody_once_they_are_certain():
    """Objective `incremental`: what would happen anyway is not worth a contact."""
    worth, problem = population(4, objective="incremental", uncertainty=0.0)
    s = worth.scores
    same = np.repeat(s.outside.mean[:, None], K, 1)
    for sd, treated in ((0.0, 0.0), (1e-4, 1e-6), (0.3, None)):
        beliefs = Beliefs(same, np.full(same.shape, sd, np.float32))
        outside = type(s.outside)(s.outside.mean, np.full(N, sd, np.float32), s.outside.value)
        value, fee = np.full(K, s.outside.value), np.full(K, 0.5)
        policy = affordable_policy(beliefs, value, problem, fee=fee, outside=outside, setting=Setting(0.0))
        chance = policy.probability[:, :K].sum()
        assert chance > 1.0 if treated is None else chance <= treated


@pytest.mark.parametrize("objective", ["profit", "value", "conversions", "incremental"])
@pytest.mark.parametrize("share", [0.0, 0.5])
def test_certain_and_without_limits_the_bound_is_what_the_best_offers_are_worth(objective, share):
    """Over no offer: what customers bring by themselves is not counted."""
    worth, problem = population(5, uncertainty=0.0, objective=objective)
    best = np.where(problem.eligible, problem.value, 0.0).max(1).clip(0.0).sum(dtype=np.float64)
    assert play(worth, problem, Setting(share)).bound == pytest.approx(best, rel=1e-5)


@pytest.mark.parametrize("share", [-0.1, 1.0, float("nan")])
def test_an_exploration_share_that_is_none_is_refused(share):
    with pytest.raises(LimitError, match="exploration share"):
        Setting(share)


def test_a_headroom_that_is_none_is_refused():
    for wrong in (-1.0, np.nan):
        with pytest.raises(LimitError, match="headroom"):
            Setting(0.0, np.array([wrong]))
    worth, problem = population(1)
    with pytest.raises(ShapeError, match="headroom"):
        play(worth, under(problem, (Limit("budget", "cost", maximum=30.0),)), Setting(0.0, np.zeros(3)))


def test_prices_that_miss_a_limit_are_not_handed_out():
    """Where everybody is certain no prices need meet a budget: somebody's whole choice turns at each."""
    n, k = 20, 4
    r = np.random.default_rng(3)
    mean = r.normal(-1, 1, (n, k))
    value, cost = 10.0 / (1.0 + np.exp(-mean)), r.uniform(0.5, 2, (n, k))
    budget = (Limit("budget", "cost", maximum=2.0),)
    problem = Problem(value, cost, np.ones((n, k), bool), np.zeros(n, int), budget)
    with pytest.raises(ConvergenceError, match="'budget' only within"):
        affordable_policy(Beliefs(mean, np.zeros((n, k))), np.full(k, 10.0), problem, setting=Setting(0.0))
