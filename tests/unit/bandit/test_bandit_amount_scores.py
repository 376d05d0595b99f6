"""Choices between amounts are those of Gaussian scores, against closed forms and numerical integration."""

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import norm

from allot import ShapeError
from bandit import Scores, Use, amount_scores, choice_probabilities, priced_probabilities
from bandit.beliefs import Beliefs

NEVER = -1e15  # what no offer is worth where one of the offers shall be chosen


def chances(scores: Scores) -> np.ndarray:
    return choice_probabilities(
        scores.mean, scores.sd, scores.value, scores.fee, scores.eligible, outside=scores.outside
    )


def best(scores: Scores) -> np.ndarray:
    """Expected best score of each customer."""
    n, k = scores.mean.shape
    use = Use(np.zeros((n, k)), np.zeros((n, k)), np.zeros(n, np.int64), 1)
    return priced_probabilities(scores, use, np.zeros((3, 1, k))).expected_maximum


def pairs(seed: int, n: int, decades: float) -> tuple[np.ndarray, np.ndarray]:
    """Means and sds (n, 2) over many decades, the means up to a thousand sds from zero and a few from each other."""
    r = np.random.default_rng(seed)
    sd = 10 ** r.uniform(-decades, decades, (n, 2))
    level = r.choice([0.0, 1.0, 1e3], n) * sd.max(1)
    return np.column_stack([level + r.normal(0, 1.5, n) * np.hypot(*sd.T), level]), sd


def believed(mean: np.ndarray, sd: np.ndarray) -> Beliefs:
    return Beliefs(mean, sd)


@pytest.mark.parametrize("decades", [0.0, 1.0, 6.0])
def test_of_two_amounts_each_is_chosen_as_often_as_it_is_the_larger(decades):
    mean, sd = pairs(1, 3000, decades)
    found = chances(amount_scores(believed(mean, sd), np.zeros(2), np.ones((3000, 2), bool), outside=NEVER))
    expected = norm.cdf((mean[:, 0] - mean[:, 1]) / np.hypot(*sd.T))
    np.testing.assert_allclose(found[:, 0], expected, atol=5e-7)
    likely = expected > 1e-6
    np.testing.assert_allclose(found[likely, 0], expected[likely], rtol=1e-3)
    assert (found[:, 2] == 0).all()


def test_no_offer_is_worth_what_it_is_worth_and_fees_are_paid():
    mean, sd = pairs(2, 2000, 1.0)
    fee = np.random.default_rng(3).uniform(0, 1, (2000, 1)) * sd[:, :1]
    scores = amount_scores(believed(mean[:, :1], sd[:, :1]), fee, np.ones((2000, 1), bool), outside=mean[:, 1])
    expected = norm.cdf((mean[:, 0] - fee[:, 0] - mean[:, 1]) / sd[:, 0])
    np.testing.assert_allclose(chances(scores)[:, 0], expected, atol=5e-7)


def test_no_offer_may_have_an_uncertain_amount_of_its_own():
    mean, sd = pairs(4, 2000, 1.0)
    own, outside = (believed(mean[:, j : j + 1], sd[:, j : j + 1]) for j in (0, 1))
    scores = amount_scores(own, np.zeros(1), np.ones((2000, 1), bool), outside=outside)
    expected = norm.cdf((mean[:, 0] - mean[:, 1]) / np.hypot(*sd.T))
    np.testing.assert_allclose(chances(scores)[:, 0], expected, atol=5e-7)
    certain = amount_scores(own, np.zeros(1), np.ones((2000, 1), bool), outside=believed(outside.mean, 0 * outside.sd))
    np.testing.assert_allclose(chances(certain)[:, 0], norm.cdf((mean[:, 0] - mean[:, 1]) / sd[:, 0]), atol=5e-7)


def test_the_best_of_two_is_worth_what_clark_says():
    """Clark 1961, The greatest of a finite set of random variables."""
    mean, sd = pairs(5, 500, 1.0)
    mean -= mean.mean(1, keepdims=True)
    found = best(amount_scores(believed(mean, sd), np.zeros(2), np.ones((500, 2), bool), outside=NEVER))
    spread = np.hypot(*sd.T)
    alpha = (mean[:, 0] - mean[:, 1]) / spread
    expected = mean[:, 0] * norm.cdf(alpha) + mean[:, 1] * norm.cdf(-alpha) + spread * norm.pdf(alpha)
    assert np.abs((found - expected) / spread).max() < 1e-5


def test_many_amounts_agree_with_numerical_integration():
    r = np.random.default_rng(6)
    for _ in range(6):
        mean, sd, fee = r.normal(0, 2, 5), np.exp(r.normal(size=5)), r.uniform(0, 1, 5)
        found = chances(amount_scores(believed(mean[None], sd[None]), fee, np.ones((1, 5), bool), outside=0.3))[0]
        net = mean - fee

        def wins(x, a, net=net, sd=sd):
            others = np.delete(np.arange(5), a)
            return norm.pdf(x, net[a], sd[a]) * norm.cdf((x - net[others]) / sd[others]).prod()

        for a in range(5):
            high = max(0.3, net[a] + 12 * sd[a])
            expected = quad(wins, 0.3, high, args=(a,), epsabs=1e-11, limit=200)[0]
            assert abs(found[a] - expected) < 5e-7
        assert abs(found[-1] - norm.cdf((0.3 - net) / sd).prod()) < 5e-7


def test_certain_amounts_are_taken_at_their_word_and_excluded_offers_never():
    mean, sd = np.array([[2.0, 1.0, 5.0]]), np.array([[0.0, 1.0, 0.0]])
    found = chances(amount_scores(believed(mean, sd), np.zeros(3), np.array([[True, True, False]])))[0]
    np.testing.assert_allclose(found, [norm.cdf(1), norm.cdf(-1), 0.0, 0.0], atol=5e-7)
    sure = chances(amount_scores(believed(mean, 0 * sd), np.zeros(3), np.ones((1, 3), bool)))[0]
    assert sure.tolist() == [0.0, 0.0, 1.0, 0.0]
    nothing = chances(amount_scores(believed(-mean, 0 * sd), np.zeros(3), np.ones((1, 3), bool)))[0]
    assert nothing.tolist() == [0.0, 0.0, 0.0, 1.0]


def test_in_another_currency_the_choices_are_the_same():
    mean, sd = pairs(7, 500, 1.0)
    here, there = (
        chances(amount_scores(believed(rate * mean, rate * sd), np.ones(2) * rate, np.ones((500, 2), bool)))
        for rate in (1.0, 256.0)
    )
    np.testing.assert_allclose(here, there, atol=1e-9)


def test_arrays_that_do_not_fit_are_refused():
    beliefs = believed(np.zeros((3, 2)), np.ones((3, 2)))
    with pytest.raises(ShapeError):
        amount_scores(beliefs, np.zeros(2), np.ones((3, 3), bool))
    with pytest.raises(ShapeError):
        amount_scores(beliefs, np.zeros(2), np.ones((3, 2), bool), outside=np.zeros(2))
