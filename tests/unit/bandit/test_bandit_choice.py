"""Choice probabilities on small cases whose answer is known, and against a dense integration."""

import numpy as np
import pytest
from scipy.special import expit, logit, ndtr

from allot import ConvergenceError, ShapeError
from bandit import Outside, choice, choice_probabilities, mean_success
from bandit.choice import no_draws, solve_arms
from bandit.quadrature_math import (
    cdf_and_hazard,
    exponential,
    lobatto,
    logarithm,
    normal_cdf,
    sigmoid,
)
from bandit.scores import Scores, block_arms

NODES, WEIGHTS = np.polynomial.legendre.leggauss(20)
QUANTILES = np.arange(-8.0, 8.01, 0.5)
QUANTILES_CLOSE = np.linspace(-8.5, 8.5, 5001)


def hazard(x):
    return np.exp(-x * x / 2) / np.sqrt(2 * np.pi) / ndtr(x)


def dense(mean, sd, value, shift):
    """∫ φ(z) Π F_b(score_a(z)) dz for each arm, panels cut at every arm's quantiles; value > 0; the last arm certain.

    Another form than the product's (no densities, one variable per arm), 20 nodes on each of hundreds of panels.
    """
    floor, live = shift[-1], range(len(mean) - 1)
    probability, expected = np.zeros(len(mean)), 0.0

    def cdf(b, won):
        share = np.clip(won / value[b], 1e-300, 1.0)
        with np.errstate(divide="ignore"):
            return np.where(won <= 0, 0.0, ndtr((logit(share) - mean[b]) / sd[b]))

    for a in live:
        share = (floor - shift[a]) / value[a]
        start = -8.0 if share <= 0 else np.inf if share >= 1 else (logit(share) - mean[a]) / sd[a]
        if start >= 8:
            continue
        edges = [QUANTILES, [start]]
        for b in live:
            with np.errstate(invalid="ignore", divide="ignore"):
                share = (value[b] * expit(mean[b] + sd[b] * QUANTILES) + shift[b] - shift[a]) / value[a]
                edges.append((logit(share) - mean[a]) / sd[a])
        edge = np.concatenate(edges)
        edge = np.unique(np.clip(edge[np.isfinite(edge)], max(start, -8), 8))
        half = np.diff(edge)[:, None] / 2
        z = (edge[:-1, None] + half * (1 + NODES)).ravel()
        mass = (half * WEIGHTS).ravel() * np.exp(-z * z / 2) / np.sqrt(2 * np.pi)
        score = shift[a] + value[a] * expit(mean[a] + sd[a] * z)
        for b in live:
            if b != a:
                mass = mass * cdf(b, score - shift[b])
        probability[a] = mass.sum()
        expected += (mass * score).sum()
    probability[-1] = np.prod([cdf(b, np.array(floor - shift[b])) for b in live])
    return probability, expected + probability[-1] * floor


def one_row(mean, sd, value, price, **options):
    shape = (1, len(mean))
    eligible = options.pop("eligible", [True] * len(mean))
    rows = [np.asarray(x, float).reshape(shape) for x in (mean, sd, value, price)]
    return choice_probabilities(*rows, np.array([eligible]), **options)[0]


@pytest.mark.parametrize(("function", "exact", "points", "error"), [
    (exponential, np.exp, np.linspace(-690, 690, 5001), 1e-14),
    (lambda x: cdf_and_hazard(x)[0], ndtr, QUANTILES_CLOSE, 2e-10),
    (lambda x: cdf_and_hazard(x)[1], hazard, QUANTILES_CLOSE, 2e-10),
    (sigmoid, expit, np.linspace(-250, 60, 5001), 1e-14),
])  # fmt: skip
def test_vector_functions_have_the_relative_accuracy_they_state(function, exact, points, error):
    assert max(abs(function(x) / y - 1) for x, y in zip(points, exact(points), strict=True)) < error


def test_logarithm_and_normal_cdf_have_the_absolute_accuracy_they_state():
    points = np.concatenate([np.logspace(-140, 140, 2001), np.linspace(0.5, 2, 2001)])
    assert max(abs(logarithm(x) - np.log(x)) / max(1, abs(np.log(x))) for x in points) < 1e-15
    assert max(abs(normal_cdf(x) - ndtr(x)) for x in np.linspace(-8, 8, 1001)) < 4e-11


@pytest.mark.parametrize("count", [16, 32, 48, 64])
def test_lobatto_rules_are_exact_for_polynomials(count):
    nodes, weights = lobatto(count)
    for degree in (0, 2, 8, 2 * count - 4):
        assert weights @ nodes**degree == pytest.approx(2 / (degree + 1), rel=1e-12)


@pytest.mark.parametrize("spread", [0.05, 0.3, 3.0])
@pytest.mark.parametrize("offers", [1, 3, 12])
def test_probabilities_agree_with_dense_integration(spread, offers):
    rng = np.random.default_rng(offers)
    rows = 12
    mean, sd = rng.normal(-2.5, 0.8, (rows, offers)), spread * rng.lognormal(0, 0.5, (rows, offers))
    value, price = rng.lognormal(3, 0.5, (rows, offers)), rng.normal(0.5, 1, (rows, offers))
    scores = Scores(mean, sd, value, price, np.ones((rows, offers), bool), 0.3)
    solved = solve_arms(block_arms(scores, slice(0, rows)), no_draws(), 1e-6, 0)
    for i in range(rows):
        arms = (np.append(mean[i], 0), np.append(sd[i], 0), np.append(value[i], 0), np.append(-price[i], 0.3))
        probability, expected = dense(*arms)
        np.testing.assert_allclose(solved.probability[i], probability, rtol=1e-3, atol=1e-9)
        assert np.abs(solved.probability[i] - probability).max() < 5e-7
        assert solved.expected_maximum[i] == pytest.approx(expected, abs=1e-7 * value[i].max())


def test_a_crowd_of_arms_agrees_with_dense_integration():
    """Where sixteen arms together say where the range starts, small probabilities are right too."""
    rng = np.random.default_rng(8)
    offers = 26
    mean, sd = rng.normal(-2.5, 0.5, offers), rng.lognormal(-1.3, 0.3, offers)
    price = rng.uniform(0, 0.05, offers)
    probability, _ = dense(np.append(mean, 0), np.append(sd, 0), np.ones(offers + 1), np.append(-price, -9.0))
    assert ((probability > 1e-6) & (probability < 1e-4)).any()
    found = one_row(mean, sd, np.ones(offers), price, outside=-9.0)
    np.testing.assert_allclose(found, probability, rtol=1e-3, atol=1e-9)


def test_sharp_arms_among_wide_ones_are_not_overlooked():
    """Arms far narrower than any first grid's steps, where sums to one alone would not notice."""
    rng = np.random.default_rng(4)
    for sharp in (1e-2, 1e-4, 1e-6):
        mean, sd = rng.normal(-1, 0.3, 6), np.array([0.5, sharp, 0.4, sharp, 1.0, sharp])
        price = rng.normal(0, 0.02, 6)
        probability, _ = dense(np.append(mean, 0), np.append(sd, 0), np.ones(7), np.append(-price, 0.2))
        np.testing.assert_allclose(one_row(mean, sd, np.ones(6), price, outside=0.2), probability, atol=5e-7)


def test_one_arm_against_none_is_a_normal_cdf():
    chance = one_row([-1.0], [0.7], [10.0], [2.0])
    none = ndtr((logit(0.2) + 1.0) / 0.7)
    np.testing.assert_allclose(chance, [1 - none, none], atol=1e-9)


@pytest.mark.parametrize("tolerance", [1e-6, 1e-5])
@pytest.mark.parametrize("sd", [0.05, 0.5, 0.9, 2.0])
@pytest.mark.parametrize("mean", [3.0, 6.0, 8.3, 12.0])
def test_arms_that_nearly_always_succeed_share_as_dense_integration_says(mean, sd, tolerance):
    """Where all scores come near the most that they can be, the range must not start above all of them."""
    means = mean + np.array([0.0, 0.01, -0.01])
    for price in (0.1, 18.0, 19.0 * expit(mean)):
        found = one_row(means, [sd] * 3, [19.0] * 3, [price] * 3, tolerance=tolerance)
        expected, _ = dense([*means, 0.0], [sd] * 3 + [0.0], [19.0] * 3 + [0.0], [-price] * 3 + [0.0])
        np.testing.assert_allclose(found, expected, atol=tolerance)


def test_identical_uncertain_arms_share_alike():
    for sd in (1e-8, 1e-3, 1.0, 10.0):
        chance = one_row([-1.0] * 5, [sd] * 5, [2.0] * 5, [0.1] * 5)
        np.testing.assert_allclose(chance[:5], (1 - chance[5]) / 5, atol=5e-7)


@pytest.mark.parametrize("offers", range(1, 26))
def test_ties_between_certain_arms_go_to_the_lowest_index(offers):
    chance = one_row([-1.0] * offers, [0.0] * offers, [2.0] * offers, [0.1] * offers)
    assert chance.tolist() == [1.0] + [0.0] * offers


def test_a_certain_tie_with_no_offer_goes_to_no_offer():
    belief = Outside(np.array([-1.0]), np.array([0.0]), 2.0)
    assert one_row([-1.0, -1.0], [0.0, 0.0], [2.0, 2.0], [0.0, 0.0], outside=belief).tolist() == [0, 0, 1]
    assert one_row([0.3], [1.0], [0.0], [0.0]).tolist() == [0, 1]


def test_certain_arms_compete_with_uncertain_ones():
    """A certain arm is a floor: the uncertain one wins where it exceeds it."""
    chance = one_row([-1.0, -0.5], [0.0, 1.5], [4.0, 3.0], [0.1, 0.2])
    floor = 4 * expit(-1.0) - 0.1
    wins = 1 - ndtr((logit((floor + 0.2) / 3) + 0.5) / 1.5)
    np.testing.assert_allclose(chance, [1 - wins, wins, 0], atol=1e-9)


def test_arms_that_cannot_beat_no_offer_are_not_played():
    assert one_row([-3.0, -2.0], [0.5, 0.5], [10.0, 10.0], [11.0, 12.0]).tolist() == [0, 0, 1]


def test_rows_without_an_eligible_offer_get_no_offer():
    assert one_row([0.0, 0.0], [1.0, 1.0], [1.0, 1.0], [-9.0, -9.0], eligible=[False, False]).tolist() == [0, 0, 1]


def test_ineligible_offers_have_probability_exactly_zero_and_do_not_matter():
    chance = one_row([0.0, 5.0, -1.0], [1.0, 1.0, 1.0], [1.0, 9.0, 1.0], [0.2] * 3, eligible=[True, False, True])
    alone = one_row([0.0, -1.0], [1.0, 1.0], [1.0, 1.0], [0.2] * 2)
    assert chance[1] == 0.0
    np.testing.assert_allclose(chance[[0, 2, 3]], alone, atol=1e-9)


def test_an_uncertain_outside_is_an_arm_like_the_others():
    mean, sd, value = np.array([-1.0, -0.5, -0.8]), np.array([0.5, 0.9, 0.3]), np.array([3.0, 2.0, 2.5])
    inside = one_row(mean, sd, value, np.zeros(3), outside=-5.0)
    outside = Outside(mean[2:], sd[2:], 2.5)
    np.testing.assert_allclose(
        one_row(mean[:2], sd[:2], value[:2], np.zeros(2), outside=outside), inside[:3], atol=1e-8
    )


def test_a_loss_is_a_gain_of_its_opposite():
    """v·σ(x) with v < 0 is v + |v|·σ(−x)."""
    chance = one_row([1.0, 0.5], [0.8, 0.6], [-3.0, 2.0], [-2.5, 0.1])
    mirrored = one_row([-1.0, 0.5], [0.8, 0.6], [3.0, 2.0], [0.5, 0.1])
    np.testing.assert_allclose(chance, mirrored, atol=1e-9)
    assert chance[0] > 0.05


def test_offers_may_be_renumbered_and_money_rescaled():
    rng = np.random.default_rng(3)
    mean, sd, value, price = rng.normal(-2, 1, (20, 9)), rng.lognormal(-1, 1, (20, 9)), rng.lognormal(size=9), None
    price = 0.1 * rng.normal(size=(20, 9))
    eligible = rng.random((20, 9)) < 0.8
    chance = choice_probabilities(mean, sd, value, price, eligible, outside=0.05)
    order = rng.permutation(9)
    moved = choice_probabilities(mean[:, order], sd[:, order], value[order], price[:, order], eligible[:, order], outside=0.05)  # fmt: skip  # noqa: E501
    np.testing.assert_allclose(moved, chance[:, [*order, 9]], atol=2e-7)
    dear = choice_probabilities(mean, sd, 1000 * value, 1000 * price, eligible, outside=50.0)
    np.testing.assert_allclose(dear, chance, atol=2e-7)


def test_threads_layout_and_precision_change_no_bit():
    rng = np.random.default_rng(5)
    rows = 20_000
    mean, sd = rng.normal(-2, 1, (rows, 3)).astype(np.float32), rng.lognormal(-1, 0.5, (rows, 3)).astype(np.float32)
    price, eligible = np.full((rows, 3), 0.1), np.ones((rows, 3), bool)
    one = choice_probabilities(mean, sd, np.ones(3), price, eligible, threads=1)
    two = choice_probabilities(np.asfortranarray(mean, float), sd, np.ones((rows, 3)), price, eligible, threads=2)
    assert np.array_equal(one, two)
    part = choice_probabilities(mean[9000:9007], sd[9000:9007], np.ones(3), price[:7], eligible[:7])
    assert np.array_equal(part, one[9000:9007])


def test_numbers_that_make_no_score_are_named():
    good = np.zeros((3, 2))
    bad = good.copy()
    bad[2, 1] = np.nan
    everyone = np.ones((3, 2), bool)
    for arguments in (
        (bad, good, good, good),
        (good, bad, good, good),
        (good, good, bad, good),
        (good, good, good, bad),
    ):
        with pytest.raises(ShapeError, match="row 2, offer 1"):
            choice_probabilities(*arguments, everyone)
        with pytest.raises(ShapeError, match="row 2, offer 1"):
            choice_probabilities(*arguments, ~everyone)
    with pytest.raises(ShapeError, match="row 2, offer 1"):
        choice_probabilities(good, np.where(np.isnan(bad), -0.1, 0), good, good, everyone)
    with pytest.raises(ShapeError, match="row 1, no offer"):
        choice_probabilities(good, good, good, good, everyone, outside=np.array([0, np.nan, 0]))
    too_wide = np.array([[1.0, 31.0]] * 3)
    with pytest.raises(ShapeError, match=r"row 0, offer 1: .* mean -7, sd 31, value 5, shift -2\.5 "):
        choice_probabilities(good - 7, too_wide, good[0] + 5, good + 2.5, everyone)
    with pytest.raises(ShapeError, match="fee has shape"):
        choice_probabilities(good, good, good, good[:2], everyone)


def test_what_may_not_be_played_need_not_be_a_score():
    mean, sd = np.array([[0.0, np.inf]]), np.array([[1.0, -5.0]])
    eligible = np.array([[True, False]])
    chance = choice_probabilities(mean, sd, np.ones(2), np.full((1, 2), 0.3), eligible)
    np.testing.assert_array_equal(chance[0, [0, 2]], one_row([0.0], [1.0], [1.0], [0.3]))
    with pytest.raises(ShapeError, match="row 0, offer 1"):
        choice_probabilities(mean, sd, np.ones(2), np.full((1, 2), 0.3), ~eligible)


def test_a_row_that_no_grid_certifies_is_refused(monkeypatch):
    """Weights that are wrong by a thousandth stand for whatever keeps a grid from converging."""
    grid = choice._grid()
    monkeypatch.setattr(choice, "_grid", lambda: grid._replace(weights=1.001 * grid.weights))
    scores = Scores(np.zeros((1, 2)), np.ones((1, 2)), np.ones(2), np.zeros(2), np.ones((1, 2), bool))
    with pytest.raises(ConvergenceError, match="row 7"):
        solve_arms(block_arms(scores, slice(0, 1)), no_draws(), 1e-6, 7)


def test_mean_success_agrees_with_dense_integration():
    rng = np.random.default_rng(6)
    mean = rng.uniform(-15, 15, (60, 20))
    sd = np.resize([0, 1e-8, 0.3, 0.99, 1.0, 1.01, 1.5, 2.0, 2.01, 3, 10, 29], mean.shape)
    z = np.linspace(-9, 9, 20_001)
    weight = np.exp(-z * z / 2)
    weight /= weight.sum()
    exact = np.array(
        [[weight @ expit(m + s * z) for m, s in zip(*row, strict=True)] for row in zip(mean, sd, strict=True)]
    )
    assert np.abs(mean_success(mean, sd) - exact).max() < 1e-7
    single = mean_success(mean.astype(np.float32), sd.astype(np.float32))
    assert single.dtype == np.float32
    assert np.abs(single - exact).max() < 1e-6


def test_mean_success_refuses_what_is_no_belief():
    with pytest.raises(ShapeError, match="row 0, offer 1"):
        mean_success(np.array([[0.0, np.nan]]), np.ones((1, 2)))
    with pytest.raises(ShapeError):
        mean_success(np.zeros((2, 2)), np.ones((2, 3)))
