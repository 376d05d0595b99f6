"""Two populations, one protocol: choices that are certain and choices made by chance answer prices alike."""

from dataclasses import replace

import numpy as np
import pytest

from bandit import Scores, Use
from engine.oracle import ExpectedOracle, PartitionedOracle
from portfolio import Oracle, Problem
from portfolio.large.passes import ArgmaxOracle
from portfolio.large.population import Population

N, K, G = 900, 4, 3
TEMPERATURE = 0.5  # currency units, at which the certain choice is softened for its curvature


def expected(spread=1.0):
    """Customers whose successes are uncertain; by how much, `spread` says."""
    r = np.random.default_rng(4)
    mean, sd = r.normal(-1, 0.8, (N, K)), spread * r.lognormal(-1, 0.5, (N, K))
    scores = Scores(mean, sd, r.lognormal(2, 0.3, K), np.zeros(K), r.random((N, K)) < 0.8, 0.0)
    worth = scores.value / (1 + np.exp(-mean))
    return ExpectedOracle(scores, Use(r.lognormal(0, 0.5, (N, K)), worth, r.integers(0, G, N), G))


def problem():
    """The same customers, of whom only the worth is known."""
    of = expected()
    return Problem(of.use.worth, of.use.cost, of.scores.eligible, of.use.cell)


def certain():
    return ArgmaxOracle((Population.of(problem()),), temperature=TEMPERATURE)


def halves(oracle):
    rows = np.arange(N)
    return PartitionedOracle(tuple(oracle.sample(some, np.ones(len(some))) for some in (rows[:300], rows[300:])))


ORACLES = {"expected": expected, "in parts": lambda: halves(expected()), "certain": certain}


def charges(seed):
    r = np.random.default_rng(seed)
    return np.stack([r.uniform(-1, 2, (G, K)), r.uniform(0, 0.5, (G, K)), r.uniform(-0.2, 0.6, (G, K))])


@pytest.mark.parametrize("make", ORACLES.values(), ids=ORACLES)
def test_use_is_minus_a_slope_of_the_value_which_is_convex(make):
    """At other charges nobody does worse than by choosing as before; near by it makes no difference."""
    oracle: Oracle = make()
    for seed in range(5):
        here, there = charges(seed), charges(seed + 100)
        now = oracle(here, curvature=False)
        for share, least in ((1.0, -1e-9), (1e-5, -1e-12)):
            move = share * (there - here)
            gain = oracle(here + move, curvature=False).value - (now.value - float((now.use * move).sum()))
            assert gain >= least * now.value
        assert gain < 1e-6 * now.value


@pytest.mark.parametrize("make", ORACLES.values(), ids=ORACLES)
def test_curvature_comes_on_request_and_changes_no_bit_of_the_rest(make):
    oracle: Oracle = make()
    plain, curved = (oracle(charges(1), curvature=wanted) for wanted in (False, True))
    assert plain.curvature is None
    assert curved.curvature.shape == (6, G, K, K)
    assert (np.einsum("gaa->ga", curved.curvature[0]) >= 0).all() and curved.curvature[0].any()
    assert plain.value == curved.value and np.array_equal(plain.use, curved.use)


def test_what_certain_choices_use_is_the_table():
    oracle, asked = certain(), problem()
    for seed in range(5):
        stand = oracle.stand(charges(seed), np.zeros((3, G, K)))
        use = np.zeros((3, G, K))
        for i in np.flatnonzero(stand.choice < K):
            a = stand.choice[i]
            use[:, asked.cell[i], a] += (1.0, asked.cost[i, a], asked.value[i, a])
        assert np.array_equal(stand.response.use, oracle(charges(seed), curvature=False).use)
        assert np.array_equal(stand.response.use[0], use[0])
        assert stand.response.use == pytest.approx(use, rel=1e-12)


def test_who_is_ahead_by_more_than_charges_move_chooses_as_before():
    oracle, some = certain(), problem()
    here, width = charges(2), np.zeros((3, G, K))
    stand = oracle.stand(here, width)
    move = 0.3 * (charges(3) - here)
    paid = np.abs(np.einsum("tia,tia->ia", move[:, some.cell], np.stack([np.ones((N, K)), some.cost, some.value])))
    after = oracle.stand(here + move, width).choice
    sure = stand.lead > 2 * paid.max(1)
    assert 0.1 < sure.mean() < 0.95
    assert np.array_equal(after[sure], stand.choice[sure])
    assert not np.array_equal(after, stand.choice)


def test_where_nothing_is_uncertain_chance_chooses_what_is_best():
    sure = expected(spread=0.0)
    for seed in range(5):
        by_chance, best = (oracle(charges(seed), curvature=False) for oracle in (sure, certain()))
        assert by_chance.value == pytest.approx(best.value, rel=1e-9)
        np.testing.assert_allclose(by_chance.use, best.use, rtol=1e-9, atol=1e-9)


def test_what_is_uncertain_is_worth_more():
    """The expected maximum is above the maximum of what is expected."""
    unsure = expected()
    known = replace(unsure, scores=replace(unsure.scores, sd=np.zeros((N, K))))
    assert unsure(charges(0), curvature=False).value > 1.02 * known(charges(0), curvature=False).value
