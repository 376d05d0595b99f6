"""The balanced draw: what it keeps, what it refuses, and what it depends on."""

from dataclasses import replace

import numpy as np
import pytest
from portfolio_instances import Instance, families, placed, policy

from allot import LimitError, ShapeError
from allot.uniforms import stream
from portfolio import Limit, Problem, balance, compile_rows, rehearse, usage
from portfolio.draw import flight as flight_module
from portfolio.draw.basis import invert
from portfolio.draw.flight import Flight, take_off
from portfolio.draw.landing import broken, land
from portfolio.limits import Rows, expected_use, use_of


def small(seed: int = 0, m: int = 18, n: int = 300) -> Instance:
    return placed(policy(n, 6, 3, seed), families(6, 3, seed)[:m])


def flown(instance: Instance, seed: int = 0) -> tuple[Flight, Rows]:
    probability, problem = instance
    rows = compile_rows(problem.limits, problem.n_cells, problem.value.shape[1])
    keys = np.arange(len(probability), dtype=np.uint64)
    return take_off(probability, problem, rows, seed=seed, keys=keys, purpose="test"), rows


def everybody(n: int, k: int, chance: float, *limits: Limit) -> Instance:
    """All customers alike: each offer with one chance, the rest no offer."""
    row = np.r_[np.full(k, chance), 1 - k * chance]
    one = np.ones((n, k))
    return np.tile(row, (n, 1)).astype(np.float32), Problem(one, one, one > 0, np.zeros(n, np.int64), limits)


def test_a_released_plan_keeps_every_limit() -> None:
    for seed in range(5):
        probability, problem = small(seed)
        draw = balance(probability, problem, seed=seed)
        assert draw.status == "released" and draw.breached == ()
        assert draw.choice.dtype == np.int64 and draw.choice.shape == (300,)
        rows = compile_rows(problem.limits, problem.n_cells, 6)
        assert not broken(rows, use_of(problem, draw.choice)).any()
        assert all(
            u.slack >= -1e-9 * max(1.0, abs(u.used)) for u in usage(problem.limits, use_of(problem, draw.choice))
        )


def test_only_what_is_possible_is_chosen_and_what_is_certain_is_kept() -> None:
    probability, problem = small()
    for seed in range(20):
        choice = balance(probability, problem, seed=seed).choice
        column = np.where(choice < 0, 6, choice)
        assert (probability[np.arange(300), column] > 0).all()
        sure, offer = np.nonzero(probability == 1)
        assert len(sure) > 10 and (column[sure] == offer).all()


def test_shuffled_customers_get_the_same_choices() -> None:
    probability, problem = small(3)
    keys = np.random.default_rng(1).integers(0, 2**63, 300).astype(np.uint64)
    first = balance(probability, problem, seed=5, keys=keys)
    for seed in range(5):
        p = np.random.default_rng(seed).permutation(300)
        moved = replace(
            problem, value=problem.value[p], cost=problem.cost[p], eligible=problem.eligible[p], cell=problem.cell[p]
        )
        again = balance(probability[p], moved, seed=5, keys=keys[p])
        assert np.array_equal(again.choice, first.choice[p])


def test_the_order_of_limits_and_the_size_of_blocks_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    probability, problem = small(4)
    first = balance(probability, problem, seed=5)
    reordered = balance(probability, replace(problem, limits=problem.limits[::-1]), seed=5)
    monkeypatch.setattr(flight_module, "_BLOCK", 17)
    in_blocks = balance(probability, problem, seed=5)
    assert np.array_equal(reordered.choice, first.choice)
    assert np.array_equal(in_blocks.choice, first.choice)


def test_stored_precision_is_the_policy() -> None:
    probability, problem = small(4)
    wide = probability.astype(np.float64) * (1 + 1e-9)
    assert np.array_equal(balance(wide, problem, seed=5).choice, balance(probability, problem, seed=5).choice)


def test_another_seed_is_another_plan() -> None:
    probability, problem = small()
    assert not np.array_equal(
        balance(probability, problem, seed=1).choice, balance(probability, problem, seed=2).choice
    )


def test_a_flight_moves_no_row() -> None:
    for seed in range(5):
        flight, rows = flown(small(seed, m=30, n=2000), seed)
        assert len(flight.left.customer) <= len(rows.names)
        assert np.abs((flight.standing - rows.consumption(flight.expected)) / flight.unit).max() < 1e-7


@pytest.mark.parametrize("m", [12, 31, 100, 200])
def test_few_rows_or_many_stand_still_in_flight_and_hold_in_the_plan(m: int) -> None:
    """Limits of every kind, one row each."""
    instance = placed(policy(2000, 20, 8, m), families(20, 8, 1)[:m])
    flight, rows = flown(instance, m)
    assert len(rows.names) == m and len(flight.left.customer) <= m
    assert np.abs((flight.standing - rows.consumption(flight.expected)) / flight.unit).max() < 1e-7
    draw = balance(*instance, seed=m)
    assert draw.status == "released" and draw.rejection_rate < 0.05
    assert not broken(rows, use_of(instance[1], draw.choice)).any()


def sharp(n: int, k: int, cells: int, seed: int) -> Instance:
    """A policy that is nearly sure of everybody: most chances are far smaller than rounding, down to 1e-30."""
    r = np.random.default_rng((seed, 1))
    _, problem = policy(n, k, cells, seed)
    score = np.c_[np.where(problem.eligible, r.normal(0, 12, (n, k)), -np.inf), r.normal(0, 12, n)]
    mass = np.exp(score - score.max(1, keepdims=True))
    return (mass / mass.sum(1, keepdims=True)).astype(np.float32), problem


def drift(instance: Instance, seed: int) -> float:
    """How far a flight moves any row, in largest coefficients."""
    flight, rows = flown(instance, seed)
    return float(np.abs((flight.standing - rows.consumption(flight.expected)) / flight.unit).max())


@pytest.mark.parametrize(("n", "k", "cells", "m"), [(300, 6, 3, 18), (2000, 8, 8, 60)])
def test_chances_smaller_than_rounding_move_no_row(n: int, k: int, cells: int, m: int) -> None:
    """Dependent limits meet chances that the rounding of a direction would use up."""
    for seed in range(10):
        instance = placed(sharp(n, k, cells, seed), families(k, cells, seed)[:m])
        assert drift(instance, seed) < 1e-7
        assert balance(*instance, seed=seed).status == "released"


@pytest.mark.parametrize("spread", [0.0, 1e-10, 1e-8, 1e-6])
def test_limits_that_nearly_depend_on_each_other_stand_still(spread: float) -> None:
    """Costs that hardly differ between customers: what is spent on an offer is nearly a multiple of its contacts."""
    for seed in range(8):
        probability, base = sharp(600, 6, 3, seed)
        noise = np.random.default_rng(seed).standard_normal((600, 6))
        base = replace(base, cost=np.array([1.0, 2.0, 3.0, 1.0, 5.0, 2.0]) * (1 + spread * noise))
        assert drift(placed((probability, base), families(6, 3, seed)[:30]), seed) < 1e-6


def test_the_updated_inverse_is_the_inverse() -> None:
    flight, _ = flown(small(1, m=30, n=2000))
    updated = flight.state.inverse.copy()
    assert invert(flight.state, flight.coefficients)
    assert np.allclose(updated, flight.state.inverse, rtol=1e-6, atol=1e-6)


def test_attempts_use_other_random_numbers_and_leave_the_flight_alone() -> None:
    instance = small(2)
    flight, rows = flown(instance)
    before = flight.state.copied()
    landings = [land(flight, instance[1], rows, of=stream(1, "x"), attempt=a) for a in range(20)]
    assert len({landing.choice.tobytes() for landing in landings}) > 10
    again = land(flight, instance[1], rows, of=stream(1, "x"), attempt=7)
    assert np.array_equal(again.choice, landings[7].choice)
    assert all(np.array_equal(a, b) for a, b in zip(before, flight.state, strict=True))


def test_a_landing_that_breaks_a_limit_is_never_released() -> None:
    """With a third of the headroom some landings fail: whatever is released keeps every limit all the same."""
    rejected = 0.0
    for seed in range(20):
        probability, problem = placed(policy(200, 6, 3, seed), families(6, 3, seed)[:18], headroom=0.35)
        draw = balance(probability, problem, seed=seed)
        rejected += draw.rejection_rate
        if draw.status == "released":
            rows = compile_rows(problem.limits, problem.n_cells, 6)
            assert not broken(rows, use_of(problem, draw.choice)).any()
        else:
            names = {limit.name for limit in problem.limits}
            assert (draw.choice == -1).all() and draw.breached and set(draw.breached) <= names
            assert draw.rejection_rate > 0.3
    assert rejected > 0.5


def test_too_little_headroom_is_refused_with_the_limits_name() -> None:
    """A fractional expected use a hair below the maximum of a row with odd coefficients cannot land inside it often."""
    n = 40
    cost = np.random.default_rng(0).uniform(0.5, 2, (n, 1))
    base = Problem(cost, cost, cost > 0, np.zeros(n, np.int64))
    probability = np.tile(np.array([0.5, 0.5], np.float32), (n, 1))
    spent = expected_use(base, probability)[1].sum()
    problem = replace(base, limits=(Limit("budget", "cost", maximum=spent + 1e-3),))
    draws = [balance(probability, problem, seed=seed) for seed in range(10)]
    refused = [draw for draw in draws if draw.status == "headroom_too_small"]
    assert len(refused) >= 8
    assert all(d.breached == ("budget",) and (d.choice == -1).all() and d.attempts == 50 for d in refused)


def test_elastic_limits_reject_nothing_and_report_only_limits_do_not_count() -> None:
    n = 41
    hard = (Limit("a", "count", maximum=30.0, offers=(0,)),)
    soft = Limit("soft", "count", maximum=3.0, penalty=1.0)
    shown = Limit("shown", "count", maximum=0.0, report_only=True)
    draw = balance(*everybody(n, 2, 0.3, *hard, soft, shown), seed=3)
    assert draw.status == "released" and draw.rejection_rate == 0.0
    assert abs((draw.choice >= 0).sum() - 0.6 * n) < 2


def test_dependent_limits_hold_too() -> None:
    """A band of one on every (cell, offer) and on all their sums: rows that depend on others must hold too."""
    g, k, n = 4, 6, 600
    probability, base = policy(n, k, g, 3, sure=0.0)
    use = expected_use(base, probability)[0]
    limits = []
    for cells in (*((c,) for c in range(g)), None):
        for offers in (*((a,) for a in range(k)), None):
            level = use[np.ix_(cells or range(g), offers or range(k))].sum()
            low, high = float(np.floor(level - 1)), float(np.ceil(level + 1))
            limits.append(Limit(f"{cells} {offers}", "count", low, high, offers, cells))
    problem = replace(base, limits=tuple(limits))
    rows = compile_rows(limits, g, k)
    rehearsal = rehearse(probability, problem, rows, seed=1, keys=np.arange(n, dtype=np.uint64), landings=100)
    assert rehearsal.fractional <= g * k
    assert rehearsal.acceptance >= 0.97


@pytest.mark.parametrize("n", [0, 1, 2])
def test_a_few_customers_or_none(n: int) -> None:
    draw = balance(*everybody(n, 3, 0.3, Limit("all", "count", maximum=10.0)), seed=1)
    assert draw.status == "released" and draw.choice.shape == (n,)


def test_without_limits_customers_are_drawn_one_by_one() -> None:
    """No row holds the draws together: the number served varies as for independent draws."""
    probability, problem = everybody(400, 1, 0.5)
    served = [(balance(probability, problem, seed=seed).choice >= 0).sum() for seed in range(60)]
    assert 100 / 2 < np.var(served, ddof=1) < 100 * 2
    assert abs(np.mean(served) - 200) < 4 * 10 / np.sqrt(60)


def test_a_limit_holds_the_draws_together() -> None:
    probability, problem = everybody(400, 1, 0.5, Limit("cap", "count", maximum=210.0))
    served = [(balance(probability, problem, seed=seed).choice >= 0).sum() for seed in range(20)]
    assert set(served) == {200}


def test_a_policy_outside_a_limit_is_refused_by_name_and_distance() -> None:
    instance = everybody(100, 2, 0.25, Limit("cap", "count", maximum=45.0), Limit("loose", "count", maximum=90.0))
    with pytest.raises(LimitError, match=r"'cap'.*misses it by 5 "):
        balance(*instance, seed=1)


def test_wrong_inputs_are_refused() -> None:
    probability, problem = small()
    closed = probability.copy()
    closed[5] = np.eye(7)[int(np.flatnonzero(~problem.eligible[5])[0])] if (~problem.eligible[5]).any() else closed[5]
    negative = probability.copy()
    negative[3, 0] = -0.1
    short = probability.copy()
    short[7] *= 0.5
    for bad in (closed, negative, short, probability[:, :-1], probability[:-1]):
        with pytest.raises(ShapeError):
            balance(bad, problem, seed=1)
    with pytest.raises(ShapeError, match="same key"):
        balance(probability, problem, seed=1, keys=np.zeros(300, np.uint64))
    with pytest.raises(ShapeError, match="uint64"):
        balance(probability, problem, seed=1, keys=np.arange(300))
    with pytest.raises(LimitError, match="per customer"):
        balance(probability, replace(problem, most=2), seed=1)
    broke = replace(problem, cost=np.full_like(problem.cost, np.nan))
    with pytest.raises(ShapeError, match="finite"):
        balance(probability, broke, seed=1)
