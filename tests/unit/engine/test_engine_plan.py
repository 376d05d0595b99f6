"""From a policy to one plan: headroom, rehearsal, refusals."""

import re
from dataclasses import replace

import numpy as np
import pytest

import engine.plan
from allot import LimitError
from bandit import Beliefs
from engine.objective import Terms, worth_of
from engine.plan import REFUSED_BELOW, WANTED, Draws, best_plan, check_feasible, drawn_plan
from engine.stages import Stages
from portfolio import Limit, Problem, Selection, Share, compile_rows, initial_headroom, usage, use_of

N, K = 300, 3
KEYS = np.arange(N, dtype=np.uint64)
DRAWS = Draws(1, "spring", "2026-03-01", KEYS)
BUDGET = Limit("budget", "cost", maximum=120.0)
CAP = Limit("cap", "count", maximum=30, offers=(2,))


def people(*limits, sd=0.6, seed=0):
    r = np.random.default_rng(seed)
    beliefs = Beliefs(r.normal(-1.5, 0.7, (N, K + 1)).astype(np.float32), np.full((N, K + 1), sd, np.float32))
    terms = Terms(np.array([30.0, 50.0, 20.0]), np.array([1.0, 2.0, 0.5]), np.array([0.0, 3.0, 0.0]))
    worth = worth_of("profit", beliefs, r.random((N, K)) < 0.8, terms, np.ones(K + 1))
    return worth, Problem(worth.value, worth.cost, worth.scores.eligible, np.zeros(N, np.int32), limits)


def draw(worth, problem, *, share=0.02, draws=DRAWS):
    return drawn_plan(worth, problem, share, draws, Stages())


def test_a_plan_says_what_it_uses_and_keeps():
    worth, problem = people(BUDGET, CAP)
    plan = draw(worth, problem)
    assert (plan.status, plan.mechanism, plan.breached) == ("released", "balanced", ())
    assert [(x.name, x.used) for x in plan.usage] == [
        (x.name, x.used) for x in usage(problem.limits, use_of(problem, plan.choice))
    ]
    assert all(x.slack >= 0 and x.price > 0 for x in plan.usage)
    assert plan.acceptance >= WANTED
    assert plan.residual < 1e-5
    assert np.array_equal(plan.headroom, initial_headroom(compile_rows(problem.limits, 1, K), problem))


def test_customers_in_another_order_are_decided_alike():
    worth, problem = people(BUDGET, CAP)
    order = np.random.default_rng(3).permutation(N)
    s = worth.scores
    scores = replace(s, mean=s.mean[order], sd=s.sd[order], eligible=s.eligible[order])
    other = replace(
        worth, scores=scores, expected=worth.expected[order], value=worth.value[order], cost=worth.cost[order]
    )
    again = Problem(other.value, other.cost, scores.eligible, problem.cell, problem.limits)
    plan = draw(worth, problem)
    turned = draw(other, again, draws=replace(DRAWS, keys=KEYS[order]))
    assert np.allclose(turned.probability, plan.probability[order], atol=1e-6)
    assert (turned.choice == plan.choice[order]).mean() > 0.99  # sums in another order differ in their last digits


def test_the_seed_changes_the_plan_and_not_the_policy():
    worth, problem = people(BUDGET, CAP)
    one, other = draw(worth, problem), draw(worth, problem, draws=replace(DRAWS, seed=2))
    assert np.array_equal(one.probability, other.probability)
    assert (one.choice != other.choice).any()
    assert np.array_equal(draw(worth, problem).choice, one.choice)


def test_a_maximum_of_nothing_is_a_rule_and_leaves_no_chance():
    worth, problem = people(BUDGET, replace(CAP, maximum=0.0))
    plan = draw(worth, problem, share=0.5)
    assert (plan.probability[:, 2] == 0).all()
    assert (plan.probability[:, [0, 1]] > 0).any(0).all()


def test_a_limit_too_narrow_for_a_draw_is_refused_with_the_width_it_needs():
    worth, problem = people(BUDGET, replace(CAP, minimum=29))
    with pytest.raises(LimitError, match=r"too narrow for a random draw: 'cap' needs room for 4"):
        draw(worth, problem)
    check_feasible(problem)  # which temperature 0 would take


def test_conflicting_limits_are_named_with_their_cures():
    _, problem = people(CAP, Limit("floor", "count", minimum=90, offers=(2,)), Limit("other", "count", maximum=200))
    with pytest.raises(LimitError) as error:
        check_feasible(problem)
    assert set(re.findall(r"'(\w+)'", error.value.what)) == {"cap", "floor"}
    advice = error.value.remedy.lower()
    assert "raise 'cap' by 60 contacts to 90" in advice and "lower 'floor' by 60 contacts to 30" in advice
    with pytest.raises(LimitError, match="no plan can keep"):
        best_plan(problem)
    check_feasible(people(CAP)[1])


def unlucky(acceptance, *, after=0):
    """Rehearsals that see so many landings keep the cap, from the attempt `after` on all of them."""
    rehearse, seen = engine.plan.rehearse, []

    def fake(probability, problem, rows, **options):
        found = rehearse(probability, problem, rows, **options)
        seen.append(found)
        if after and len(seen) > after:
            return found
        failures = np.array([0.0, 1.0 - acceptance])
        return replace(found, acceptance=acceptance, failures=failures, suggested=np.array([0.0, 4.0 + len(seen)]))

    return fake


def test_headroom_is_raised_where_rehearsals_fail_and_prices_found_anew(monkeypatch):
    worth, problem = people(BUDGET, CAP)
    plain = draw(worth, problem)
    monkeypatch.setattr(engine.plan, "rehearse", unlucky(0.9, after=2))
    plan = draw(worth, problem)
    assert plan.status == "released" and plan.acceptance == plain.acceptance
    assert plan.headroom.tolist() == [plain.headroom[0], 6.0]
    assert plan.probability[:, 2].sum() == pytest.approx(30 - 6, abs=0.01)


def test_raised_headroom_starts_from_the_prices_that_were_found(monkeypatch):
    worth, problem = people(BUDGET, CAP)
    price, asked = engine.plan.policy_of, []

    def recorded(scores, problem, setting):
        found = price(scores, problem, setting)
        asked.append((setting.start, found.price))
        return found

    monkeypatch.setattr(engine.plan, "policy_of", recorded)
    monkeypatch.setattr(engine.plan, "rehearse", unlucky(0.9, after=2))
    draw(worth, problem)
    assert len(asked) == 3 and asked[0][0] is None
    assert all(np.array_equal(start, before) for (start, _), (_, before) in zip(asked[1:], asked[:-1], strict=True))


def test_headroom_is_raised_a_few_times_and_then_the_plan_is_refused_by_name(monkeypatch):
    """Rehearsals that never succeed end all the same, each with a wider headroom than the one before."""
    seen = []
    fake = unlucky(0.0)

    def counted(*arguments, **options):
        seen.append(fake(*arguments, **options))
        return seen[-1]

    monkeypatch.setattr(engine.plan, "rehearse", counted)
    plan = draw(*people(BUDGET, CAP))
    assert len(seen) == 5
    assert (plan.status, plan.breached, plan.acceptance) == ("headroom_too_small", ("cap",), 0.0)
    assert (plan.choice == -1).all()


def test_below_the_wanted_acceptance_a_plan_is_tolerated_and_says_so(monkeypatch):
    monkeypatch.setattr(engine.plan, "rehearse", unlucky(0.9))
    plan = draw(*people(BUDGET, CAP))
    assert plan.status == "released"
    assert plan.rejection_rate == pytest.approx(0.1)


def test_below_the_tolerated_acceptance_a_plan_is_refused_and_nobody_gets_anything(monkeypatch):
    monkeypatch.setattr(engine.plan, "rehearse", unlucky(REFUSED_BELOW - 0.01))
    worth, problem = people(BUDGET, CAP)
    plan = draw(worth, problem)
    assert (plan.status, plan.breached) == ("headroom_too_small", ("cap",))
    assert (plan.choice == -1).all()
    assert all(x.used == 0 for x in plan.usage)


def test_a_deterministic_plan_charges_by_the_prices_of_the_side_that_binds():
    """A share with two bounds has two rows and one price: the maximum's, if it is positive."""
    share = Share("share", "count", Selection((2,)), Selection(), 0.05, 0.5)
    _, problem = people(BUDGET, share)
    plan = best_plan(problem)
    prices = {x.name: x.price for x in plan.usage}
    assert prices["budget"] > 0 and prices["share"] > 0
    count, cost, value = plan.charges
    assert count[0] == pytest.approx(prices["share"] * np.array([-0.5, -0.5, 0.5]))
    assert cost[0] == pytest.approx(np.full(K, prices["budget"]))
    assert (value == 0).all()


def test_a_fixed_plan_that_would_break_a_limit_is_refused_with_its_name():
    """Whole customers of 2 each cannot spend between 2.1 and 2.2."""
    n = 2001
    limits = (Limit("floor", "cost", minimum=2.1), Limit("budget", "cost", maximum=2.2))
    value, cost = np.full((n, 1), -10.0), np.full((n, 1), 2.0)
    with pytest.raises(LimitError, match="floor"):
        best_plan(Problem(value, cost, np.ones((n, 1), bool), np.zeros(n, int), limits))
