"""No legal row is refused: beliefs from sharp to hopelessly wide beside one another, margins over five decades."""

import numpy as np
import pytest
from scipy.special import expit, ndtr

from bandit import Outside, choice_probabilities
from bandit.choice import no_draws, solve_arms
from bandit.consumption import Use, expected_consumption
from bandit.scores import Scores, block_arms

NODES, WEIGHTS = np.polynomial.legendre.leggauss(24)
QUANTILES = np.arange(-8.5, 8.51, 0.25)
LOGITS = np.linspace(-45, 45, 61)


def hostile(rng):
    """One customer: half of the rows have one wide belief beside sharp ones, two fifths an outside with beliefs."""
    k = rng.integers(1, 9)

    def spread(low, high, size):
        return np.exp(rng.uniform(np.log(low), np.log(high), size))

    mean, sd = rng.uniform(-20, 20, (1, k)), spread(1e-3, 30, (1, k))
    if rng.random() < 0.5:
        sd[0, 1:], mean[0, 1:] = spread(1e-3, 1, k - 1), rng.normal(-2, 1.5, k - 1)
    value = spread(1e-2, 1e3, (1, k))
    price = value * rng.choice([0, 0.01, 0.3, 1], (1, k)) * rng.uniform(-0.2, 1, (1, k))
    eligible = rng.random((1, k)) < 0.85
    outside = 0.0
    if rng.random() < 0.4:
        outside = Outside(rng.uniform(-20, 20, 1), spread(1e-3, 30, 1), float(spread(1e-2, 1e3, 1)[0]))
    return Scores(mean, sd, value, price, eligible, outside)


def logit_of(arm, score_arm, x):
    """The logit at which one arm scores what another one scores at logits x; no digit is lost at either end."""
    (_, _, value, shift), (_, _, other, at) = arm, score_arm
    won, lost = other * expit(x) + (at - shift), other * expit(-x) + ((shift + value) - (at + other))
    inside = (won > 0) & (lost > 0)
    logit = np.log(np.where(inside, won, 1.0)) - np.log(np.where(inside, lost, 1.0))
    return np.where(inside, logit, np.where(won > 0, np.inf, -np.inf))


def referee(arms):
    """∫ φ(z) Π F_b(score_a(z)) dz for each arm, and the expected best score: in panels cut at every arm's quantiles.

    No densities, no coordinate.
    """
    row = list(zip(*(table[0] for table in arms), strict=True))
    last, floor, owner = len(row) - 1, -np.inf, -1
    for a in (last, *range(last)):
        mean, sd, value, shift = row[a]
        if sd == 0 and shift + value * expit(mean) > floor:
            floor, owner = shift + value * expit(mean), a
    live = [a for a in range(last + 1) if row[a][1] > 0]
    exact, best = np.zeros(last + 1), 0.0

    def quantile(b, logit):
        return (logit - row[b][0]) / row[b][1]

    floors = {b: quantile(b, logit_of(row[b], (0, 0, 0.0, floor), np.zeros(1)))[0] for b in live}
    for a in live:
        mean, sd = row[a][:2]
        cuts = [QUANTILES, quantile(a, LOGITS), [floors[a]]]
        cuts += [quantile(a, logit_of(row[a], row[b], row[b][0] + row[b][1] * QUANTILES)) for b in live if b != a]
        edges = np.unique(np.clip(np.concatenate(cuts), max(floors[a], -8.5), 8.5))
        half = np.diff(edges)[:, None] / 2
        z = (edges[:-1, None] + half * (1 + NODES)).ravel()
        mass = (half * WEIGHTS).ravel() * np.exp(-z * z / 2) / np.sqrt(2 * np.pi)
        for b in live:
            if b != a:
                mass = mass * ndtr(quantile(b, logit_of(row[b], row[a], mean + sd * z)))
        if floors[a] < 8.5:
            exact[a] = mass.sum()
            best += (mass * (row[a][3] + row[a][2] * expit(mean + sd * z))).sum()
    if owner >= 0:
        exact[owner] = np.prod([ndtr(floors[b]) for b in live])
        best += exact[owner] * floor
    return exact, best


def cold(rng):
    """One customer of a campaign that nobody knows yet: many wide beliefs, each ends at a worth of its own."""
    k = 20
    mean, sd = rng.normal(-3, 1.2, (1, k)), rng.lognormal(rng.uniform(-0.5, 1.5), 0.5, (1, k)).clip(0, 24)
    value = rng.uniform(20, 200, (1, k))
    return Scores(mean, sd, value, rng.uniform(0.3, 8, (1, k)), rng.random((1, k)) < 0.75)


def twins(rng):
    """One customer: offers that are the same in every number, or in all but their means, saturated ones among them."""
    k = int(rng.integers(2, 10))
    mean = np.full((1, k), rng.normal(-2, 4)) + rng.choice([0, 1]) * rng.choice([-15, 0, 15], (1, k))
    sd = np.full((1, k), np.exp(rng.uniform(-3, np.log(24))))
    return Scores(mean, sd, np.full(k, 50.0), np.full(k, rng.choice([0.0, 5.0])), np.ones((1, k), bool))


def check(seed, rows, kind=hostile):
    rng = np.random.default_rng(seed)
    for i in range(rows):
        scores = kind(rng)
        arms = block_arms(scores, slice(0, 1))
        exact, best = referee(arms)
        assert abs(exact.sum() - 1) < 1e-7, f"the referee of row {i}"
        solved = solve_arms(arms, no_draws(), 1e-6, 0)
        found = solved.probability[0]
        # the error is relative to the largest worth in the row, and no offer can be worth more than any offer
        scale = max(arms.value.max(), np.abs(scores.value).max())
        assert abs(solved.expected_maximum[0] - best) < 1e-5 * scale, f"the best score of row {i}"
        np.testing.assert_allclose(found, exact, rtol=0, atol=1e-6, err_msg=f"row {i}")
        counted = exact >= 1e-6
        np.testing.assert_allclose(found[counted], exact[counted], rtol=1e-3, err_msg=f"row {i}")


def test_hostile_rows_are_right():
    check(1, 200)


@pytest.mark.parametrize(("kind", "rows"), [(cold, 10), (twins, 40)])
def test_wide_and_equal_beliefs_are_right(kind, rows):
    check(3, rows, kind)


@pytest.mark.soak
@pytest.mark.parametrize("kind", [cold, twins])
def test_a_thousand_wide_and_equal_beliefs_are_right(kind):
    check(13, 1000, kind)


@pytest.mark.soak
@pytest.mark.parametrize("seed", [11, 12])
def test_six_thousand_hostile_rows_are_right(seed):
    check(seed, 6000)


def test_no_hostile_row_is_refused():
    rng = np.random.default_rng(2)
    for _ in range(3000):
        solve_arms(block_arms(hostile(rng), slice(0, 1)), no_draws(), 1e-6, 0)


@pytest.mark.parametrize("gift", [0.0, 1.0, -7.3])
@pytest.mark.parametrize("mean", [-95.0, -40.0, 40.0, 95.0])
def test_beliefs_that_float64_scores_cannot_tell_apart_are_told_apart_by_their_logits(mean, gift):
    """Between value·σ(37) and value lies no score; which of two alike arms is ahead there is still a question of z."""
    eligible = np.ones((1, 3), bool)
    centre = np.array([[mean, mean, mean - 2.0]])
    found = choice_probabilities(centre, np.full((1, 3), 0.5), np.ones(3), np.full((1, 3), -gift), eligible, outside=-9)
    further = ndtr(-2.0 / np.hypot(0.5, 0.5))
    np.testing.assert_allclose(found[0, 0], found[0, 1], atol=1e-6)
    assert found[0, 2] < further
    assert found[0].sum() == pytest.approx(1)
    assert found[0, 0] == pytest.approx(0.5, abs=further)


def test_an_atom_beside_a_certain_no_offer_counts_with_all_its_mass():
    """Half of a wide belief's mass is worth less than float64 sees beside the price; none of it may be lost."""
    mean, sd, value, price = [[-60.0, -2.0]], [[30.0, 0.3]], np.array([1.0, 5.0]), [[0.0, 4.0]]
    found = choice_probabilities(*(np.array(x) for x in (mean, sd)), value, np.array(price), np.ones((1, 2), bool))
    np.testing.assert_allclose(found[0], [1.0, 0.0, 0.0], atol=1e-6)


def test_curvature_of_rows_in_pieces_is_the_derivative_of_their_use():
    mean, sd = np.array([[-3.0, 6.0, -1.0]]), np.array([[4.0, 9.0, 0.3]])
    value, fee = np.array([[3.0, 0.6, 2.0]]), np.array([[0.1, 0.02, 0.05]])
    scores = Scores(mean, sd, value, fee, np.ones((1, 3), bool), Outside(np.array([-2.0]), np.array([5.0]), 1.0))
    use = Use(np.ones((1, 3)), np.ones((1, 3)), np.zeros(1, np.int64), 1)
    step, zero = 1e-4, np.zeros((3, 1, 3))
    curvature = expected_consumption(scores, use, zero, curvature=True, tolerance=1e-8).curvature
    for offer in range(3):
        charges = zero.copy()
        charges[0, 0, offer] = step
        more = expected_consumption(scores, use, charges, tolerance=1e-8).use[0, 0]
        less = expected_consumption(scores, use, -charges, tolerance=1e-8).use[0, 0]
        np.testing.assert_allclose((less - more) / (2 * step), curvature[0, 0, :, offer], rtol=2e-3, atol=2e-4)
