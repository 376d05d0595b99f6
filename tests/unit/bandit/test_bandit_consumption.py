"""Expected consumption is minus the gradient of the expected maximum; its curvature is its own derivative."""

from dataclasses import replace

import numpy as np
import pytest

from allot import ShapeError
from bandit import (
    Outside,
    Scores,
    Use,
    choice_probabilities,
    expected_consumption,
    extent_of,
    priced_probabilities,
)

ROWS, OFFERS, CELLS = 40, 5, 3
PAIRS = ((0, 0), (0, 1), (1, 1), (0, 2), (1, 2), (2, 2))


def instance(outside="constant", seed=0):
    """Customers with wide, sharp and certain beliefs, at charges of both signs."""
    rng = np.random.default_rng(seed)
    shape = (ROWS, OFFERS)
    mean, sd = rng.normal(-1, 0.7, shape), rng.lognormal(-1, 0.7, shape)
    sd[:, 2] *= 0.05
    sd[: ROWS // 2, 4] = 0.0
    belief = Outside(rng.normal(-2, 0.3, ROWS), np.full(ROWS, 0.4), 3.0)
    none = {"constant": 0.2, "belief": belief, "table": rng.normal(0.2, 0.3, ROWS)}[outside]
    eligible = rng.random(shape) < 0.9
    scores = Scores(mean, sd, rng.lognormal(1, 0.3, OFFERS), rng.uniform(0, 0.3, shape), eligible, none)
    use = Use(rng.uniform(0.1, 1, shape), rng.uniform(0.1, 2, shape), rng.integers(0, CELLS, ROWS), CELLS)
    charges = rng.normal(0, 0.15, (3, CELLS, OFFERS))
    return scores, use, charges, rng.uniform(0.5, 4, ROWS)


def differences(function, charges, step):
    """Central differences with respect to each charge, (*charges.shape, …)."""
    out = []
    for index in np.ndindex(*charges.shape):
        high, low = charges.copy(), charges.copy()
        high[index] += step
        low[index] -= step
        out.append((function(high) - function(low)) / (2 * step))
    return np.array(out).reshape(*charges.shape, *np.shape(out[0]))


@pytest.mark.parametrize("outside", ["constant", "belief", "table"])
def test_use_is_minus_the_gradient_of_the_value(outside):
    scores, use, charges, weight = instance(outside)
    found = expected_consumption(scores, use, charges, weight=weight)
    slope = differences(lambda c: expected_consumption(scores, use, c, weight=weight).value, charges, 1e-4)
    np.testing.assert_allclose(-slope, found.use, atol=2e-4 * found.use.max())


@pytest.mark.parametrize("outside", ["constant", "belief"])
def test_curvature_is_minus_the_gradient_of_the_use(outside):
    scores, use, charges, weight = instance(outside)
    certain = scores.sd.copy()
    certain[:, 4] = 0.3  # between certain arms use jumps; see the next test for the floor
    scores = Scores(scores.mean, certain, scores.value, scores.fee, scores.eligible, scores.outside)
    curvature = expected_consumption(scores, use, charges, weight=weight, curvature=True).curvature
    slope = -differences(lambda c: expected_consumption(scores, use, c, weight=weight).use, charges, 2e-4)
    for entry, (m, other) in zip(curvature, PAIRS, strict=True):
        for g in range(CELLS):
            np.testing.assert_allclose(slope[other, g, :, m, g, :].T, entry[g], atol=2e-3 * np.abs(entry[g]).max())
            np.testing.assert_allclose(slope[m, g, :, other, g, :].T, entry[g].T, atol=2e-3 * np.abs(entry[g]).max())


def test_curvature_counts_what_a_certain_floor_gives_and_takes():
    one = np.ones((1, 2))
    scores = Scores(np.array([[0.0, 0.0]]), np.array([[1.0, 0.0]]), np.ones(2), np.zeros(2), one > 0, 0.1)
    use, charges = Use(one, one, np.zeros(1, int), 1), np.zeros((3, 1, 2))
    curvature = expected_consumption(scores, use, charges, curvature=True).curvature[0, 0]
    density = 4 / np.sqrt(2 * np.pi)  # of σ(z) at ½
    np.testing.assert_allclose(curvature, [[density, -density], [-density, density]], rtol=1e-9)


def test_value_and_use_are_those_of_the_probabilities():
    scores, use, charges, weight = instance()
    policy = priced_probabilities(scores, use, charges)
    charge = charges[0][use.cell] + charges[1][use.cell] * use.cost + charges[2][use.cell] * use.worth
    table = choice_probabilities(
        scores.mean, scores.sd, scores.value, scores.fee + charge, scores.eligible, outside=0.2
    )
    assert policy.probability.dtype == np.float32
    np.testing.assert_allclose(policy.probability, table, atol=1e-7)
    found = expected_consumption(scores, use, charges, weight=weight)
    assert found.value == pytest.approx(weight @ policy.expected_maximum, rel=1e-7)
    for m, amount in enumerate((np.ones_like(use.cost), use.cost, use.worth)):
        for g in range(CELLS):
            here = use.cell == g
            expected = (weight[here, None] * table[here, :OFFERS] * amount[here]).sum(0)
            np.testing.assert_allclose(found.use[m, g], expected, atol=1e-5)
    assert 0 <= found.residual <= 1e-6
    assert found.curvature is None


def test_weights_count_copies_and_default_to_one():
    scores, use, charges, _ = instance()
    once = expected_consumption(scores, use, charges, curvature=True)
    twice = expected_consumption(scores, use, charges, weight=np.full(ROWS, 2.0), curvature=True)
    assert twice.value == pytest.approx(2 * once.value, rel=1e-14)
    np.testing.assert_allclose(twice.use, 2 * once.use, rtol=1e-13)
    np.testing.assert_allclose(twice.curvature, 2 * once.curvature, rtol=1e-13)


def test_threads_change_no_bit():
    scores, use, charges, _ = instance()
    copies = 500  # 20,000 customers: three blocks

    def tile(x):
        return np.tile(x, (copies, 1))

    many = Scores(tile(scores.mean), tile(scores.sd), scores.value, tile(scores.fee), tile(scores.eligible), 0.2)
    uses = Use(tile(use.cost), tile(use.worth), np.tile(use.cell, copies), CELLS)
    one, two = (expected_consumption(many, uses, charges, threads=threads) for threads in (1, 2))
    assert one.value == two.value
    assert np.array_equal(one.use, two.use)
    assert one.value == pytest.approx(copies * expected_consumption(scores, use, charges).value, rel=1e-12)


def test_no_customers_consume_nothing():
    none = np.zeros((0, 2))
    scores = Scores(none, none, np.ones(2), np.ones(2), none > 0)
    use = Use(none, none, np.zeros(0, int), 1)
    assert expected_consumption(scores, use, np.zeros((3, 1, 2))).value == 0.0
    assert priced_probabilities(scores, use, np.zeros((3, 1, 2))).probability.shape == (0, 3)


def test_arrays_that_disagree_are_refused():
    scores, use, charges, weight = instance()
    with pytest.raises(ShapeError, match="charges"):
        expected_consumption(scores, use, charges[:2])
    with pytest.raises(ShapeError, match="weight"):
        expected_consumption(scores, use, charges, weight=weight[:-1])
    with pytest.raises(ShapeError, match="cells run"):
        Use(use.cost, use.worth, use.cell, CELLS - 1)
    with pytest.raises(ShapeError, match="cell"):
        Use(use.cost, use.worth, use.cell.astype(float), CELLS)
    charges[0, 0, 0] = np.nan
    with pytest.raises(ShapeError, match="offer 0"):
        priced_probabilities(scores, use, charges)


@pytest.mark.parametrize("measures", [1, 2, 3])
def test_what_limits_do_not_speak_of_has_no_curvature_and_the_rest_is_equal_to_the_bit(measures):
    scores, use, charges, weight = instance()
    few = expected_consumption(scores, replace(use, measures=measures), charges, weight=weight, curvature=True)
    all_three = expected_consumption(scores, use, charges, weight=weight, curvature=True)
    for pair, some, whole in zip(PAIRS, few.curvature, all_three.curvature, strict=True):
        assert np.array_equal(some, whole if max(pair) < measures else np.zeros_like(whole))
        assert whole.any()
        if pair[0] == pair[1]:
            assert np.array_equal(whole, whole.swapaxes(1, 2))
    assert np.array_equal(few.use, all_three.use) and few.value == all_three.value


def test_an_eligible_number_that_is_none_is_seen_in_the_extent_and_others_are_not():
    scores, use, _, _ = instance()
    cost = use.cost.copy()
    i, a = np.argwhere(~scores.eligible)[0]
    cost[i, a] = np.nan
    assert extent_of(scores, cost, use.worth, None).cost == np.abs(use.cost[scores.eligible]).max()
    i, a = np.argwhere(scores.eligible)[3]
    cost[i, a] = np.nan
    assert np.isnan(extent_of(scores, cost, use.worth, None).cost)
