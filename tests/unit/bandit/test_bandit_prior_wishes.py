"""What a user may ask of the prior: directions that are kept, and a logging policy that is not learnt."""

import numpy as np
import pytest

from allot import ShapeError
from bandit.calibration import sigmoid
from bandit.columns import Columns
from bandit.grid import compile_grid
from bandit.prior import Log
from bandit.prior_fit import fit_prior
from bandit.propensity import effective, propensity_weights

COLUMNS = Columns(("income", "age"), ("offer", "price"), (2,))
ARMS = 4
OFFERS = np.column_stack([np.arange(float(ARMS)), [1.0, 4.0, 2.0, np.nan]])


def log_of(seed: int, rows: int = 5000) -> Log:
    """Success rises with income up to a point, and then falls; and falls with the offer's price."""
    r = np.random.default_rng(seed)
    customers = r.normal(size=(rows, 2))
    arm = r.integers(0, ARMS, rows)
    z = -1.0 - (customers[:, 0] - 0.6) ** 2 + 0.5 * customers[:, 1] - 0.2 * np.nan_to_num(OFFERS[arm, 1])
    return Log(customers, arm, (r.random(rows) < sigmoid(z)).astype(float), np.arange(rows) / 50.0, keys(rows))


def keys(rows: int) -> np.ndarray:
    return np.arange(rows, dtype=np.uint64)


def steps(monotone: dict[str, int] | None) -> np.ndarray:
    """How the logits of every arm change as nothing but income grows."""
    made = fit_prior(log_of(1), OFFERS, COLUMNS, seed=3, threads=1, monotone=monotone)
    assert made.report.constant == ""
    income, age = np.meshgrid(np.linspace(-3, 3, 61), np.linspace(-2, 2, 9), indexing="ij")
    customers = np.column_stack([income.ravel(), age.ravel()])
    logits = made.prior.logits(customers).reshape(61, 9, ARMS)
    native = made.prior.booster().predict(np.column_stack([customers, np.tile(OFFERS[1], (549, 1))]), raw_score=True)
    grid = compile_grid(made.prior.text, OFFERS[1:2], 2).logits(customers)[:, 0]
    np.testing.assert_allclose(grid, native, atol=1e-6)
    return np.diff(logits, axis=0)


def test_a_column_that_may_only_raise_the_logit_never_lowers_it():
    assert steps({"income": 1}).min() >= -1e-6
    assert steps({"income": 1}).max() > 0.1


def test_nor_does_one_that_may_only_lower_it_raise_it():
    assert steps({"income": -1, "price": -1}).max() <= 1e-6


def test_without_the_wish_both_happen():
    free = steps(None)
    assert free.min() < -0.1 and free.max() > 0.1


@pytest.mark.parametrize("wish", [{"offer": 1}, {"wealth": 1}, {"income": 2}])
def test_only_number_columns_have_a_direction(wish):
    with pytest.raises(ShapeError, match="cannot be held"):
        fit_prior(log_of(1), OFFERS, COLUMNS, seed=3, monotone=wish)


def preferring(seed: int, rows: int = 40_000) -> tuple[Log, np.ndarray, np.ndarray]:
    """A logger that shows offer 0 to those whom it knows to be keen, which no column says; and who is keen."""
    r = np.random.default_rng(seed)
    customers, keen = r.normal(size=(rows, 2)), r.random(rows) < 0.5
    chance = np.where(keen[:, None], [0.7, 0.1, 0.1, 0.1], [0.1, 0.3, 0.3, 0.3])
    arm = (r.random(rows)[:, None] > chance.cumsum(1)).sum(1)
    z = -2.0 + 1.5 * keen + 0.3 * customers[:, 1] + 0.4 * (arm == 1)
    outcome = (r.random(rows) < sigmoid(z)).astype(float)
    log = Log(customers, arm, outcome, np.arange(rows) / 400.0, keys(rows))
    return log, chance[np.arange(rows), arm], keen


def test_weights_take_the_loggers_preference_out_of_the_customers_of_every_arm():
    log, propensity, keen = preferring(2)
    weight = propensity_weights(log.arm, propensity, arms=ARMS)
    for arm in range(ARMS):
        shown = log.arm == arm
        assert weight[shown].mean() == pytest.approx(1.0)
        error = 0.5 * np.sqrt((weight[shown] ** 2).sum()) / shown.sum()
        assert abs(np.average(keen[shown], weights=weight[shown]) - 0.5) < 4 * error
        assert abs(keen[shown].mean() - 0.5) > 10 * error


def test_what_the_logger_preferred_is_not_learnt_as_customer_behaviour():
    """Everybody's chance with each offer, which a model of the unweighted log misses by a quarter."""
    log, propensity, _ = preferring(3)
    weight = propensity_weights(log.arm, propensity, arms=ARMS)
    weighted = Log(log.customers, log.arm, log.outcome, log.decided_at, log.customer_key, weight)
    misses = {}
    for name, one in (("weighted", weighted), ("as logged", log)):
        chance = sigmoid(fit_prior(one, OFFERS, COLUMNS, seed=3, threads=1).prior.logits(log.customers)).mean(0)
        keen = np.array([0.0, 1.0])[:, None]
        z = -2.0 + 1.5 * keen + 0.3 * log.customers[:4000, 1] + 0.4 * (np.arange(ARMS) == 1)[:, None, None]
        misses[name] = np.abs(chance / sigmoid(z).mean((1, 2)) - 1)
    assert misses["weighted"].max() < 0.06
    assert misses["as logged"].max() > 0.2


def test_an_unknown_propensity_counts_one_and_a_tiny_one_is_cut():
    arm = np.repeat([0, 1], 100)
    propensity = np.where(np.arange(200) % 2, np.nan, 0.5)
    assert propensity_weights(arm, np.full(200, np.nan), arms=3).tolist() == [1.0] * 200
    assert propensity_weights(arm, propensity, arms=3) == pytest.approx(np.ones(200))
    propensity[0] = 1e-9
    weight = propensity_weights(arm, propensity, arms=3)
    assert weight[0] == pytest.approx(20 / (69 / 50)) and weight[2] == pytest.approx(1 / (69 / 50))
    with pytest.raises(ShapeError, match=r"\(0, 1\]"):
        propensity_weights(arm, np.zeros(200), arms=3)
    with pytest.raises(ShapeError, match="one row each"):
        propensity_weights(arm, np.ones(3), arms=3)


def test_uneven_weights_are_worth_fewer_rows():
    """The variance of a weighted mean of (Σw)²/Σw² rows is that of the weighted rows."""
    arm = np.array([0, 0, 0, 2, 2, 2, 2])
    weight = np.array([1.0, 1.0, 1.0, 4.0, 1.0, 1.0, 0.5])
    found = effective(weight, arm)
    assert found[:3].tolist() == [1.0, 1.0, 1.0]
    share = found[3:] / found[3:].sum()
    assert (share**2).sum() == pytest.approx(1 / found[3:].sum())
    np.testing.assert_allclose(share, weight[3:] / 6.5)
