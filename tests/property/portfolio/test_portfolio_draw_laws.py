"""Laws of the balanced draw over random policies and limits of every kind."""

from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from portfolio_instances import families, placed, policy

from portfolio import balance, compile_rows, reach, too_narrow
from portfolio.draw.headroom import initial_headroom

SEEDS = st.integers(0, 2**32 - 1)


@settings(max_examples=50, deadline=None)
@given(
    seed=SEEDS,
    n=st.integers(1, 150),
    k=st.integers(1, 6),
    cells=st.integers(1, 5),
    m=st.integers(0, 40),
    headroom=st.sampled_from([0.3, 0.7, 1.0]),
)
def test_a_released_plan_keeps_every_limit_exactly(
    seed: int, n: int, k: int, cells: int, m: int, headroom: float
) -> None:
    """Counted here from the choices alone, limit by limit, with no code of the draw."""
    probability, problem = placed(policy(n, k, cells, seed), families(k, cells, seed)[:m], headroom=headroom)
    draw = balance(probability, problem, seed=seed)
    assert ((draw.choice >= -1) & (draw.choice < k)).all()
    if draw.status != "released":
        assert draw.breached and (draw.choice == -1).all()
        return
    rows = compile_rows(problem.limits, problem.n_cells, k)
    who = np.flatnonzero(draw.choice >= 0)
    offer = draw.choice[who]
    assert (probability[who, offer] > 0).all()
    for r, name in enumerate(rows.names):
        factor = rows.coefficient[r, :, problem.cell[who], offer]
        terms = factor[:, 0] + factor[:, 1] * problem.cost[who, offer] + factor[:, 2] * problem.value[who, offer]
        sums = np.abs(factor * np.c_[np.ones(len(who)), problem.cost[who, offer], problem.value[who, offer]]).sum()
        level = float(terms.sum())
        exact = not factor[:, 1:].any() and (factor[:, 0] == np.round(factor[:, 0])).all()
        slack = 0.0 if exact else 2e-9 * sums
        assert rows.lower[r] - slack <= level <= rows.upper[r] + slack, name


@settings(max_examples=20, deadline=None)
@given(seed=SEEDS, n=st.integers(2, 120), m=st.integers(0, 25))
def test_same_keys_same_choices_in_any_order(seed: int, n: int, m: int) -> None:
    probability, problem = placed(policy(n, 5, 3, seed), families(5, 3, seed)[:m])
    keys = np.random.default_rng(seed).choice(10**12, n, replace=False).astype(np.uint64)
    p = np.random.default_rng(seed + 1).permutation(n)
    moved = replace(
        problem, value=problem.value[p], cost=problem.cost[p], eligible=problem.eligible[p], cell=problem.cell[p]
    )
    one = balance(probability, problem, seed=seed, keys=keys)
    two = balance(probability[p], moved, seed=seed, keys=keys[p])
    assert (one.status, one.attempts, one.rejection_rate) == (two.status, two.attempts, two.rejection_rate)
    assert np.array_equal(two.choice, one.choice[p])


@settings(max_examples=30, deadline=None)
@given(seed=SEEDS, n=st.integers(30, 300), m=st.integers(1, 25))
def test_limits_that_are_wide_enough_are_released(seed: int, n: int, m: int) -> None:
    probability, problem = placed(policy(n, 5, 3, seed), families(5, 3, seed)[:m])
    rows = compile_rows(problem.limits, problem.n_cells, 5)
    if not too_narrow(rows, initial_headroom(rows, problem), reach(rows, problem)):
        draw = balance(probability, problem, seed=seed)
        assert draw.status == "released" and draw.rejection_rate <= 0.15


@settings(max_examples=20, deadline=None)
@given(seed=SEEDS, scale=st.sampled_from([1e-6, 1e-2, 1e5]))
def test_the_currency_does_not_matter(seed: int, scale: float) -> None:
    """Cents or millions: limits hold and as few landings fail."""
    probability, problem = policy(150, 4, 2, seed)
    priced = replace(problem, cost=problem.cost * scale, value=problem.value * scale)
    draw = balance(*placed((probability, priced), families(4, 2, seed)[:12]), seed=seed)
    assert draw.status == "released" and draw.rejection_rate <= 0.15
