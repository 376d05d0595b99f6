"""Headroom: how much, for whom, when it is too much, and whether a rehearsal finds it sufficient."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from portfolio_instances import families, placed, policy

from portfolio import (
    Limit,
    Problem,
    Selection,
    Share,
    balance,
    compile_rows,
    initial_headroom,
    reach,
    rehearse,
    too_narrow,
)
from portfolio.draw import headroom as headroom_module
from portfolio.limits import Rows, use_of


def plain(*limits: Limit | Share, n: int = 200, k: int = 4) -> tuple[Problem, Rows]:
    cost = np.tile(np.array([1.0, 2.0, 3.0, 4.0])[:k], (n, 1))
    problem = Problem(cost * 10, cost, cost > 0, np.arange(n) % 2, limits)
    return problem, compile_rows(limits, problem.n_cells, k)


def test_two_contacts_and_one_largest_cost_at_few_limits() -> None:
    problem, rows = plain(
        Limit("contacts", "count", maximum=50),
        Limit("offer 1", "count", minimum=20, offers=(1,)),
        Limit("budget", "cost", maximum=300.0),
        Limit("cheap", "cost", maximum=30.0, offers=(0, 1)),
        Limit("worth", "value", minimum=900.0),
        Share("part", "count", Selection((0,)), Selection(), minimum=0.25),
    )
    assert initial_headroom(rows, problem).tolist() == [2.0, 2.0, 4.0, 2.0, 40.0, 2 * 0.75]


def test_headroom_grows_with_the_number_of_limits() -> None:
    limits = [Limit(f"cap {i}", "count", maximum=50) for i in range(100)]
    limits += [Limit(f"budget {i}", "cost", maximum=50.0) for i in range(100)]
    problem, rows = plain(*limits)
    width = initial_headroom(rows, problem)
    assert width[0] == 3.0 and width[-1] == 1.5 * 4


def test_a_bound_that_is_not_whole_gives_its_fraction_away() -> None:
    problem, rows = plain(Limit("cap", "count", maximum=50.75), Limit("floor", "count", minimum=20.25))
    assert initial_headroom(rows, problem).tolist() == [2.75, 2.75]


def test_no_headroom_where_nothing_can_break() -> None:
    problem, rows = plain(
        Limit("never reached", "count", maximum=200),
        Limit("elastic", "count", maximum=5, penalty=1.0),
        Limit("nothing", "cost", maximum=0.0, offers=(2,)),
        Limit("nobody", "count", minimum=0.0),
    )
    assert initial_headroom(rows, problem).tolist() == [0.0] * 4
    assert too_narrow(rows, initial_headroom(rows, problem), reach(rows, problem)) == ()


def test_narrow_limits_are_named_with_the_width_they_need() -> None:
    problem, rows = plain(
        Limit("equality", "count", 40, 40),
        Limit("band of 4", "count", 40, 44, offers=(0,)),
        Limit("band of 5", "count", 40, 45, offers=(1,)),
        Limit("cap of 1", "count", maximum=1, offers=(2,)),
        Limit("cap of 3", "count", maximum=3, offers=(3,)),
        Limit("small budget", "cost", maximum=3.0, offers=(3,)),
        Limit("nearly all", "count", minimum=199),
    )
    narrow = dict(too_narrow(rows, initial_headroom(rows, problem), reach(rows, problem)))
    assert narrow == {"equality": 4.0, "band of 4": 4.0, "cap of 1": 2.0, "small budget": 4.0, "nearly all": 2.0}


def test_no_plan_leaves_its_reach() -> None:
    r = np.random.default_rng(0)
    for seed in range(5):
        _, problem = placed(policy(80, 5, 3, seed), families(5, 3, seed)[:20])
        rows = compile_rows(problem.limits, problem.n_cells, 5)
        span = reach(rows, problem)
        for _ in range(50):
            choice = np.where(r.random(80) < 0.9, r.integers(0, 5, 80), -1)
            choice = np.where(problem.eligible[np.arange(80), choice] & (choice >= 0), choice, -1)
            level = rows.consumption(use_of(problem, choice))
            assert (level >= span.least - 1e-9).all() and (level <= span.most + 1e-9).all()


@pytest.mark.parametrize(("n", "k", "cells", "m"), [(60, 3, 2, 6), (200, 4, 2, 8), (400, 6, 3, 15), (1000, 8, 4, 30)])
def test_initial_headroom_passes_its_rehearsal(n: int, k: int, cells: int, m: int) -> None:
    for seed in range(4):
        probability, problem = placed(policy(n, k, cells, seed), families(k, cells, seed)[:m])
        rows = compile_rows(problem.limits, problem.n_cells, k)
        keys = np.arange(n, dtype=np.uint64)
        rehearsal = rehearse(probability, problem, rows, seed=seed, keys=keys)
        assert rehearsal.acceptance >= 0.97
        assert 0 < rehearsal.fractional <= len(rows.names)


def test_a_failed_rehearsal_says_which_row_needs_how_much() -> None:
    """Raising the failing rows' headroom as suggested mends them."""
    r = np.random.default_rng(3)
    cost = r.uniform(0.5, 2, (60, 2))
    base = Problem(cost, cost, cost > 0, np.zeros(60, np.int64))
    probability = r.dirichlet(np.ones(3), 60).astype(np.float32)
    wide = Limit("wide", "count", maximum=60.0)
    keys = np.arange(60, dtype=np.uint64)
    spent = (probability[:, :2] * cost).sum()

    def rehearsal(headroom: float) -> tuple[float, np.ndarray, np.ndarray]:
        limits = (wide, Limit("budget", "cost", maximum=float(spent) + headroom))
        problem = replace(base, limits=limits)
        rows = compile_rows(limits, 1, 2)
        out = rehearse(probability, problem, rows, seed=0, keys=keys)
        assert np.isclose(out.acceptance, 1 - out.failures.max(), atol=1e-12)
        return out.acceptance, out.failures, out.suggested

    acceptance, failures, suggested = rehearsal(0.01)
    assert acceptance < 0.7 and failures[0] == 0 and suggested[0] == 0
    assert 0.01 < suggested[1] < 2 * cost.max()
    assert rehearsal(suggested[1])[0] >= 0.97


def test_a_rehearsal_is_repeatable_and_spends_none_of_the_draws_numbers() -> None:
    probability, problem = placed(policy(200, 4, 2, 0), families(4, 2, 0)[:8])
    rows = compile_rows(problem.limits, problem.n_cells, 4)
    keys = np.arange(200, dtype=np.uint64)
    before = balance(probability, problem, seed=1)
    one, two = (rehearse(probability, problem, rows, seed=1, keys=keys, landings=20) for _ in range(2))
    assert one.acceptance == two.acceptance and np.array_equal(one.failures, two.failures)
    assert np.array_equal(balance(probability, problem, seed=1).choice, before.choice)


@pytest.mark.parametrize(("headroom", "expected"), [(2.0, 100), (0.1, 200)])
def test_a_hundred_landings_without_a_failure_settle_a_rehearsal(
    monkeypatch: pytest.MonkeyPatch, headroom: float, expected: int
) -> None:
    """At an acceptance of 97 % one rehearsal in twenty would see as many; a single failure, and all are tried."""
    land, attempts = headroom_module.land, []

    def counted(*arguments: Any, **named: Any) -> Any:
        attempts.append(named["attempt"])
        return land(*arguments, **named)

    monkeypatch.setattr(headroom_module, "land", counted)
    probability, problem = placed(policy(200, 4, 2, 0), families(4, 2, 0)[:8], headroom=headroom)
    rows = compile_rows(problem.limits, problem.n_cells, 4)
    found = rehearse(probability, problem, rows, seed=1, keys=np.arange(200, dtype=np.uint64))
    assert attempts == list(range(expected))
    assert (found.acceptance == 1.0) == (expected == 100)
    assert found.failures.max() <= 1.0 - found.acceptance + 1e-12
