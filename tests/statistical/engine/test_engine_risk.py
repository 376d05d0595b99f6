"""The stated risk of a plan is the spread of its value over the posterior, as far as a straight line goes."""

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import norm

from allot import ShapeError
from bandit import Beliefs, Posterior
from bandit.relatives import no_relatives
from engine.risk import mean_slope, risk_of, some_risk

N, ARMS, D, DRAWS = 150, 4, 4, 20_000
PLAYED = np.array([3, 0, 2])  # the arms of three offers, in an order of their own
EARNED = np.array([30.0, 50.0, 20.0])


@pytest.fixture(scope="module")
def case():
    """A posterior that is fairly sure, customers, and a plan."""
    rng = np.random.default_rng(3)
    root = rng.standard_normal((ARMS, D, 2 * D))
    group = np.zeros((2, D)), np.ones((2, D))
    posterior = Posterior(
        precision=100.0 * np.einsum("aij,alj->ail", root, root) / D,
        shift=50.0 * rng.standard_normal((ARMS, D)),
        cold=np.array([False, True, False, False]),
        mean=group[0],
        variance=group[1],
        anchor_mean=group[0],
        anchor_variance=group[1],
        block=np.array([0, 2, 2, 3]),
        centre=-2.0,
        count=np.full(ARMS, 300.0),
        discount=0.95,
        window=None,
        lift=np.zeros((ARMS, D)),
        width=np.ones((ARMS, D)),
        relatives=no_relatives(group[1][1]),
    )
    basis = np.column_stack([np.ones(N), rng.standard_normal((N, D - 2))]).astype(np.float32)
    logit = rng.normal(-2.0, 0.7, (N, ARMS)).astype(np.float32)
    every = posterior.beliefs(basis, logit)
    beliefs = Beliefs(every.mean[:, PLAYED], every.sd[:, PLAYED])
    return posterior, basis, logit, beliefs, rng.integers(-1, 3, N)


def spread(case):
    """Standard deviation of the plan's total over drawn weights, with the whole logistic curve."""
    posterior, basis, logit, _, plan = case
    weights, covariance = posterior.weights()
    rng = np.random.default_rng(8)
    total = np.zeros(DRAWS)
    for a, arm in enumerate(PLAYED):
        who = np.flatnonzero(plan == a)
        w = rng.multivariate_normal(weights[arm], covariance[arm], DRAWS)
        psi = np.column_stack([basis[who], logit[who, arm] - posterior.centre])
        total += EARNED[a] / (1.0 + np.exp(-(logit[who, arm] + w @ psi.T))) @ np.ones(len(who))
    return total.std(ddof=1)


def test_stated_sd_is_the_spread_of_the_value_over_the_posterior(case):
    posterior, basis, logit, beliefs, plan = case
    risk = risk_of(posterior, PLAYED, (basis, logit), beliefs, EARNED, price=0.0)
    stated = risk.deviation(risk.exposures(plan))
    assert abs(spread(case) / stated - 1) < 4 / np.sqrt(2 * DRAWS)


def test_slope_is_the_mean_derivative_of_the_chance():
    for mean, sd in ((-3.0, 0.0), (-2.0, 0.4), (0.5, 1.5)):
        at = np.array([[mean]])
        found = mean_slope(at, np.array([[sd]]))[0, 0]
        chance = 1.0 / (1.0 + np.exp(-mean))
        exact = chance * (1 - chance)
        if sd > 0:
            slope = lambda z, m=mean, s=sd: np.exp(-(m + s * z)) / (1 + np.exp(-(m + s * z))) ** 2 * norm.pdf(z)  # noqa: E731
            exact = quad(slope, -9, 9)[0]
        assert found == pytest.approx(exact, rel=1e-4)


def test_some_customers_carry_their_own_part_of_the_exposure(case):
    posterior, basis, logit, beliefs, plan = case
    risk = risk_of(posterior, PLAYED, (basis, logit), beliefs, EARNED, maximum_sd=2.0)
    first = np.arange(N) < 60
    parts = [some_risk(risk, rows).exposures(plan[rows]) for rows in (first, ~first)]
    assert sum(parts) == pytest.approx(risk.exposures(plan), rel=1e-9)
    assert some_risk(risk, first).maximum_sd == 2.0


def test_rows_that_do_not_fit_are_refused(case):
    posterior, basis, logit, beliefs, _ = case
    with pytest.raises(ShapeError):
        risk_of(posterior, PLAYED, (basis[:10], logit), beliefs, EARNED, price=0.0)
