"""What a known chance for every choice costs: beside the best fixed plan, of everybody or of a sample."""

from dataclasses import replace

import numpy as np
import pytest
from test_engine_plan import CAP, draw, people

import engine.chance
from engine.campaign import Exploration
from engine.chance import cost_of_chance, random_share
from portfolio import Limit, solve

CONTACTS = Limit("contacts", "count", maximum=100.0)


def test_a_random_plan_is_compared_with_the_best_fixed_one_and_the_bound():
    worth, problem = people(CONTACTS, CAP)
    plan, best = draw(worth, problem), solve(problem, gap=1e-4)
    cost = cost_of_chance(problem, plan.choice)
    chosen = np.flatnonzero(plan.choice >= 0)
    planned = problem.value[chosen, plan.choice[chosen]].sum(dtype=np.float64)
    assert cost.best_fixed_value == pytest.approx(best.value, rel=2e-4)
    assert cost.given_up == pytest.approx(cost.best_fixed_value - planned)
    assert planned < cost.best_fixed_value <= cost.bound * (1 + 1e-9)
    assert cost.of_bound == pytest.approx(planned / cost.bound)
    assert 0.0 < cost.given_up_share < 0.3


def test_the_best_fixed_plan_itself_gives_up_nothing():
    _, problem = people(CONTACTS, CAP)
    assert cost_of_chance(problem, solve(problem, gap=1e-4).choice).given_up_share == pytest.approx(0.0, abs=2e-4)


def test_penalties_of_elastic_limits_are_taken_off_both_plans():
    """Without a penalty the random plan would seem to earn more than the best fixed one."""
    soft = Limit("soft", "count", maximum=60.0, penalty=8.0)
    _, problem = people(soft)
    everybody = np.where(problem.eligible.any(1), np.argmax(np.where(problem.eligible, problem.value, -1.0), 1), -1)
    cost = cost_of_chance(problem, everybody)
    lost = 8.0 * ((everybody >= 0).sum() - 60.0)
    planned = problem.value[np.flatnonzero(everybody >= 0), everybody[everybody >= 0]].sum(dtype=np.float64) - lost
    assert cost.given_up == pytest.approx(cost.best_fixed_value - planned, rel=1e-6)
    assert cost.given_up > 0


def test_a_sample_says_about_the_same_and_that_it_is_one(monkeypatch):
    worth, problem = people(CONTACTS, CAP)
    plan = draw(worth, problem)
    whole = cost_of_chance(problem, plan.choice)
    monkeypatch.setattr(engine.chance, "_EVERYBODY", len(plan.choice) // 2)
    some = cost_of_chance(problem, plan.choice)
    assert (whole.sampled, some.sampled) == (False, True)
    assert some.best_fixed_value == pytest.approx(whole.best_fixed_value, rel=0.1)
    assert some.bound == pytest.approx(whole.bound, rel=0.1)


def test_what_a_random_plan_would_give_up_is_known_before_it_is_drawn(monkeypatch):
    worth, problem = people(CONTACTS, CAP)
    told = random_share(worth, problem, Exploration(share=0.02))
    assert told == pytest.approx(cost_of_chance(problem, draw(worth, problem).choice).given_up_share, abs=0.03)
    monkeypatch.setattr(engine.chance, "_SOME", 150)
    assert random_share(worth, problem, Exploration(share=0.02)) == pytest.approx(told, abs=0.06)


def test_where_no_random_plan_can_be_nothing_is_said_of_it():
    worth, problem = people()
    most = float(problem.eligible.any(1).sum())
    for impossible in (most + 1.0, most - 1.0):  # for every plan, and for a random one
        limited = replace(problem, limits=(Limit("floor", "count", minimum=impossible),))
        assert random_share(worth, limited, Exploration(share=0.02)) is None
    assert random_share(worth, people(CONTACTS)[1], Exploration(temperature=0.0)) is None
