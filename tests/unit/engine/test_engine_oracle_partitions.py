"""The expected oracle in partitions: equal to the last bit to the oracle on everybody, whatever the order."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from bandit import Extent, Outside, Scores, Use, expected_consumption, extent_of, priced_probabilities, tallied
from bandit.tally import scale_of
from engine.oracle import ExpectedOracle, Latest, PartitionedOracle
from engine.sampling import stratified
from portfolio import Limit, Selection, Share, compile_rows, solve_prices

N, K, CELLS = 17_000, 4, 5  # three blocks
CUTS = (0, 3, 11_111, N)
LIMITS = (
    Limit("budget", "cost", maximum=3_000.0),
    Limit("cap", "count", maximum=700.0, offers=(1,)),
    Limit("floor", "count", minimum=4_000.0, offers=(3,), cells=(0, 1)),
    Limit("worth", "value", minimum=2_500.0, offers=(2,)),
    Share("mix", "count", Selection((0,)), Selection(), maximum=0.3),
)


def everybody(outside=0.2, seed=0, certain=0.1):
    """Customers in cells of very different sizes, some of them certain about an offer."""
    r = np.random.default_rng(seed)
    shape = (N, K)
    mean, sd = r.normal(-1, 0.7, shape), r.lognormal(-1, 0.7, shape)
    sd[: int(certain * N), 0] = 0.0
    if outside == "beliefs":
        outside = Outside(r.normal(-2, 0.3, N), np.full(N, 0.4), 3.0)
    scores = Scores(mean, sd, r.lognormal(1, 0.3, K), r.uniform(0, 0.3, shape), r.random(shape) < 0.9, outside)
    cell = r.choice(CELLS, N, p=[0.6, 0.3, 0.08, 0.0199, 0.0001])
    use = Use(r.lognormal(-1, 1.0, shape), r.uniform(0.1, 2, shape), cell, CELLS)
    return ExpectedOracle(scores, use)


def chosen(oracle, rows, weight=None):
    """The oracle of some rows, in this order."""
    return oracle.sample(rows, np.ones(len(rows)) if weight is None else weight)


def in_parts(oracle, order=None):
    order = np.arange(N) if order is None else order
    return PartitionedOracle(tuple(chosen(oracle, order[a:b]) for a, b in pairwise(CUTS)))


def charges(seed=1):
    return np.random.default_rng(seed).normal(0, 0.2, (3, CELLS, K))


def same(one, other):
    assert one.value == other.value
    assert np.array_equal(one.use, other.use)
    if one.curvature is None:
        assert other.curvature is None
    else:
        assert np.array_equal(one.curvature, other.curvature)


@pytest.mark.parametrize("outside", [0.2, "beliefs"])
@pytest.mark.parametrize("curvature", [False, True])
def test_partitions_add_up_to_the_last_bit(outside, curvature):
    oracle = everybody(outside)
    whole = oracle(charges(), curvature=curvature)
    same(in_parts(oracle)(charges(), curvature=curvature), whole)


def test_the_order_of_customers_changes_no_bit_of_the_tables():
    oracle = everybody()
    whole = oracle(charges(), curvature=True)
    for seed in range(2):
        order = np.random.default_rng(seed).permutation(N)
        same(chosen(oracle, order)(charges(), curvature=True), whole)
        same(in_parts(oracle, order)(charges(), curvature=True), whole)


def test_partitions_of_partitions_add_up_too():
    oracle = everybody()
    inner = PartitionedOracle((chosen(oracle, np.arange(50, 60)), chosen(oracle, np.arange(50))))
    nested = PartitionedOracle((chosen(oracle, np.arange(60, N)), inner))
    same(nested(charges(), curvature=True), oracle(charges(), curvature=True))


def test_threads_change_no_bit_of_the_curvature():
    oracle = everybody()
    one, three = (
        expected_consumption(oracle.scores, oracle.use, charges(), curvature=True, threads=threads)
        for threads in (1, 3)
    )
    same(one, three)


def test_prices_on_partitions_are_the_prices_on_everybody():
    """With a sample before, and with weights: three uneven parts, each with its rows of the same sample."""
    oracle = everybody(certain=0.0)
    rows = compile_rows(LIMITS, CELLS, K)
    picked, weight = stratified(oracle.use.cell, 2_000)
    parts = []
    for a, b in pairwise(CUTS):
        inside = (picked >= a) & (picked < b)
        parts.append(chosen(oracle, picked[inside], weight[inside]))
    sample, sampled = chosen(oracle, picked, weight), PartitionedOracle(tuple(parts))
    assert sample.extent == sampled.extent
    alone = solve_prices(oracle, rows, samples=[lambda _: sample], scale=1.0)
    apart = solve_prices(in_parts(oracle), rows, samples=[lambda _: sampled], scale=1.0)
    assert alone.status == apart.status == "converged"
    assert np.count_nonzero(alone.price) >= 4
    assert np.array_equal(alone.price, apart.price)
    assert (alone.bound, alone.passes, alone.violation) == (apart.bound, apart.passes, apart.violation)
    assert np.array_equal(alone.use, apart.use)


def test_a_customers_answer_does_not_depend_on_its_neighbours():
    oracle = everybody()
    whole = priced_probabilities(oracle.scores, oracle.use, charges()).probability
    r = np.random.default_rng(3)
    for size in (1, 7, 900):
        some = r.choice(N, size, replace=False)
        part = chosen(oracle, some)
        assert np.array_equal(priced_probabilities(part.scores, part.use, charges()).probability, whole[some])


def test_the_table_of_the_latest_pass_is_the_policy_at_its_charges():
    oracle = everybody()
    kept = replace(oracle, latest=Latest(np.full((N, K + 1), np.nan, np.float32)))
    kept(charges(1), curvature=True)
    table, residual = kept.policy(charges(1))
    assert table is kept.latest.table
    assert np.array_equal(table, oracle.policy(charges(1))[0])
    assert 0 <= residual <= 1e-7
    other, _ = kept.policy(charges(2))
    assert np.array_equal(other, oracle.policy(charges(2))[0]) and not np.array_equal(other, table)


def test_what_is_rounded_away_is_nothing():
    """Against sums in float64 of each customer's own answer."""
    oracle = everybody()
    some = np.arange(300)
    found = chosen(oracle, some)(charges(), curvature=True)
    single = [chosen(oracle, some[i : i + 1])(charges(), curvature=True) for i in some]
    assert found.value == pytest.approx(sum(x.value for x in single), rel=1e-12)
    np.testing.assert_allclose(found.use, sum(x.use for x in single), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(found.curvature, sum(x.curvature for x in single), rtol=1e-11, atol=1e-11)


def test_sums_stay_in_range_at_the_end_of_the_prices_box():
    """Ten million customers, steep reactions, charges far above every score."""
    extent = Extent(score=200.0, margin=200.0, cost=1e4, worth=200.0, weight=10_000_000 * 1024)
    scale = scale_of(extent, np.full((3, 1, 20), 1e6))
    assert scale.steepest == 2.0**24 / 200
    for power, bound in zip(scale.use, (1e7, 1e11, 2e9), strict=True):
        assert 2.0**59 < power * bound < 2.0**62
    assert 1e7 * (200 + 1e6 * (1 + 1e4 + 200)) * scale.value < 2.0**62
    steep = np.array([1, 1e4, 1e8, 200, 2e6, 4e4]) * 1e7 * scale.steepest
    assert (20 * steep * scale.curvature < 2.0**62).all() and (20 * steep * scale.curvature > 2.0**59).all()


def test_extents_of_partitions_join_to_the_extent_of_all():
    oracle = everybody("beliefs")
    parts = in_parts(oracle)
    weighted = chosen(oracle, np.arange(N), np.full(N, 1.0))
    assert parts.extent == weighted.extent == oracle.extent
    assert oracle.extent.weight == N * 1024
    s, u = oracle.scores, oracle.use
    third = extent_of(s, u.cost, u.worth, np.full(N, 1 / 3))
    assert N / 3 * 1024 <= third.weight <= N * 342


def test_what_is_not_eligible_widens_no_extent():
    oracle = everybody()
    eligible = oracle.scores.eligible
    wild = np.where(eligible, oracle.use.cost, 1e9)
    assert extent_of(oracle.scores, wild, oracle.use.worth, None) == oracle.extent


def test_nobody_is_a_partition_too():
    oracle = everybody()
    nobody = chosen(oracle, np.arange(0))
    tally = tallied(nobody.scores, nobody.use, charges(), nobody.extent, curvature=True)
    assert tally.value == 0 and not tally.use.any() and not tally.curvature.any()
    same(
        PartitionedOracle((nobody, chosen(oracle, np.arange(N))))(charges(), curvature=True),
        oracle(charges(), curvature=True),
    )
