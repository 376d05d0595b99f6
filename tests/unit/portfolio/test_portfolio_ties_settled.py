"""What makes plans of tied customers close: cheap prices of equal limits, sampled reactions, exact bounds of counts."""

from dataclasses import replace

import numpy as np
import pytest

from portfolio.dual import domain_of
from portfolio.large import undecided
from portfolio.large.counted import solve_counted
from portfolio.large.linear import kinds_of
from portfolio.large.parallel import cheapest, parallel_rows
from portfolio.large.population import Population
from portfolio.large.undecided import Undecided
from portfolio.limits import Limit, Problem, Rows, Selection, Share, compile_rows

G, K = 2, 4
FREE = np.zeros((3, G, K))


def crowd(n: int, limits: tuple[Limit | Share, ...], seed: int = 0) -> tuple[Problem, Undecided]:
    """Few scores and everybody undecided."""
    r = np.random.default_rng(seed)
    value, cost = r.choice([5.0, 10.0], (n, K)), np.broadcast_to([1.0, 2.0, 1.0, 3.0], (n, K)).copy()
    problem = Problem(value, cost, r.random((n, K)) < 0.9, r.integers(0, G, n), limits, n_cells=G)
    return problem, Undecided.of(Population.of(problem), FREE, FREE, np.arange(n), np.inf)


def rows_of(*limits: Limit | Share) -> Rows:
    return compile_rows(limits, G, K)


LIMITS = (
    Limit("most", "count", maximum=90.0),
    Limit("one", "count", maximum=30.0, offers=(1,)),
    Limit("least", "count", minimum=60.0),
    Limit("money", "cost", maximum=100.0),
    Limit("elastic", "count", maximum=80.0, penalty=2.0),
    Share("share", "count", Selection((0,)), Selection(), maximum=0.3),
    Limit("both", "count", 10.0, 40.0, offers=(1,)),
)


def test_limits_that_count_the_same_are_found() -> None:
    rows = rows_of(*LIMITS)
    groups = sorted(tuple(own.tolist()) for own, _ in parallel_rows(rows))
    assert groups == [(0, 2, 4), (1, 6)]
    twice = np.where(np.arange(len(rows.names)) == 0, 2.0, 1.0)
    doubled = replace(rows, coefficient=twice[:, None, None, None] * rows.coefficient, upper=twice * rows.upper)
    own, size = next(x for x in parallel_rows(doubled) if len(x[0]) == 3)
    assert own.tolist() == [0, 2, 4]
    assert size.tolist() == [2.0, 1.0, 1.0]
    assert parallel_rows(rows_of()) == ()


def test_limits_that_contradict_each_other_are_left_alone() -> None:
    assert (
        parallel_rows(rows_of(Limit("a", "count", minimum=50.0), Limit("b", "count", maximum=40.0, penalty=1.0))) == ()
    )


@pytest.mark.parametrize("near", [False, True])
@pytest.mark.parametrize("seed", range(8))
def test_shared_out_prices_charge_the_same_for_no_more(seed: int, near: bool) -> None:
    r = np.random.default_rng(seed)
    rows = rows_of(*LIMITS)
    domain = domain_of(rows, 7.0, np.array([1.0, 2.0, 7.0]), np.full((3, G, K), 50.0))
    low, high = domain.ends()
    price = np.clip(r.normal(0, 2, len(low)), low, high)
    if near:
        domain = domain.around(price, np.full(len(price), 0.5))
        price = domain.clip(price + r.uniform(-0.5, 0.5, len(price)))
    out = cheapest(parallel_rows(rows), domain, price)
    assert rows.charges(out) == pytest.approx(rows.charges(price), abs=1e-12)
    assert domain.support(out) <= domain.support(price) + 1e-9
    assert (out == domain.clip(out)).all()


def test_a_maximum_and_a_minimum_do_not_pay_for_each_other() -> None:
    rows = rows_of(Limit("most", "count", maximum=90.0), Limit("least", "count", minimum=60.0))
    domain = domain_of(rows, 7.0, np.array([1.0, 2.0, 7.0]), np.full((3, G, K), 50.0))
    assert cheapest(parallel_rows(rows), domain, np.array([3.0, -2.0])).tolist() == [1.0, 0.0]
    assert cheapest(parallel_rows(rows), domain, np.array([2.0, -3.0])).tolist() == [0.0, -1.0]


def test_some_of_the_tied_react_for_all_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    _, few = crowd(20_000, ())
    charges = np.full((3, G, K), 0.1)
    whole, reaction = few.soften(charges, 2.0, 3)
    monkeypatch.setattr(undecided, "_PAIRS", 40_000)
    some, sampled = few.soften(charges, 2.0, 3)
    assert (some.share == whole.share).all()
    assert (some.soft, some.exact, some.reached) == (whole.soft, whole.exact, whole.reached)
    assert np.abs(sampled - reaction).max() < 0.1 * np.abs(reaction).max()
    assert np.trace(sampled.sum(0)) == pytest.approx(np.trace(reaction.sum(0)), rel=0.03)


@pytest.mark.parametrize("many", [61, 4_001])
def test_counting_fills_whole_limits_to_the_last_customer(many: int) -> None:
    cap = many // 3
    _, few = crowd(many, ())
    rows = rows_of(Limit("cap", "count", maximum=float(cap)), Limit("money", "cost", maximum=2.0 * many))
    at = solve_counted(few, kinds_of(few), rows, FREE, 1e-6, 30)
    assert at is not None
    taken = few.offer[at] < K
    assert int(taken.sum()) == cap
    assert few.value[at].sum() == 10.0 * cap
