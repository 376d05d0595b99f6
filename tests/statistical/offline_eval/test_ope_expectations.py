"""Expectations, by counting every possible log or by drawing many."""

from itertools import product

import numpy as np
import pytest

import offline_eval as oe

LOGGING = np.array([[0.5, 0.3, 0.2], [0.1, 0.1, 0.8]])
TARGET = np.array([[0.2, 0.2, 0.6], [0.7, 0.3, 0.0]])
CHANCE = np.array([[0.9, 0.4, 0.2], [0.3, 0.6, 0.1]])
MODEL = np.array([[0.5, 0.5, -1.0], [2.0, 0.0, 0.25]])
TRUTH = float((TARGET * CHANCE).sum(axis=1).mean())


def every_log():
    """All logs of two rows over two equally likely contexts, three actions and two outcomes, with their chances."""
    cells = list(product(range(2), range(3), (0, 1)))
    for rows in product(cells, repeat=2):
        chance = 1.0
        for x, a, r in rows:
            chance *= 0.5 * LOGGING[x, a] * (CHANCE[x, a] if r else 1 - CHANCE[x, a])
        x, a, r = (np.array(column) for column in zip(*rows, strict=True))
        yield chance, x, oe.Log(r.astype(float), a, LOGGING[x, a])


@pytest.mark.parametrize(
    "estimator",
    [lambda log, t, q: oe.ips(log, t), oe.dr, lambda log, t, q: oe.switch_dr(log, t, q, 100.0)],
    ids=["ips", "dr", "switch_dr above every weight"],
)
def test_value_is_unbiased_and_squared_error_too_over_every_possible_log(estimator):
    found = [(p, estimator(log, TARGET[x], MODEL[x])) for p, x, log in every_log()]
    assert sum(p for p, _ in found) == pytest.approx(1, abs=1e-12)
    mean = sum(p * e.value for p, e in found)
    variance = sum(p * (e.value - TRUTH) ** 2 for p, e in found)
    assert mean == pytest.approx(TRUTH, abs=1e-12)
    assert sum(p * e.std_error**2 for p, e in found) == pytest.approx(variance, rel=1e-11)


def test_the_direct_method_is_unbiased_for_the_model_only():
    mean = sum(p * oe.dm(log, TARGET[x], MODEL[x]).value for p, x, log in every_log())
    assert mean == pytest.approx(float((TARGET * MODEL).sum(axis=1).mean()), abs=1e-12)


def draws(n, seed, rows_each=1):
    """A log of n rows; each customer has `rows_each` rows of one context and one lasting taste."""
    rng = np.random.default_rng(seed)
    customer = np.repeat(np.arange(n // rows_each), rows_each)
    x = rng.integers(0, 2, n // rows_each)[customer]
    action = np.minimum((LOGGING.cumsum(axis=1)[x] <= rng.random(n)[:, None]).sum(axis=1), 2)
    taste = rng.random(n // rows_each)[customer]
    reward = (taste < CHANCE[x, action]).astype(float)
    return x, oe.Log(reward, action, LOGGING[x, action], customer)


def test_dr_with_the_true_model_varies_less():
    found = [
        (oe.ips(log, TARGET[x]), oe.dr(log, TARGET[x], CHANCE[x])) for x, log in (draws(1000, s) for s in range(60))
    ]
    variance = np.array([[e.std_error**2 for e in pair] for pair in found]).mean(axis=0)
    assert variance[1] < 0.75 * variance[0]
    values = np.array([pair[1].value for pair in found])
    assert abs(values.mean() - TRUTH) < 4 * values.std(ddof=1) / np.sqrt(60)


@pytest.mark.parametrize("name", ["ips", "snips", "dr", "sndr"])
def test_intervals_by_customer_cover_where_intervals_by_row_do_not(name):
    """Five dependent rows per customer: 400 logs of 300 customers each; the count's own error is .011."""
    by_customer = by_row = 0
    for seed in range(400):
        x, log = draws(1500, 1000 + seed, rows_each=5)
        arguments = (TARGET[x], CHANCE[x]) if "d" in name else (TARGET[x],)
        for clustered, e in (
            (True, getattr(oe, name)(log, *arguments)),
            (False, getattr(oe, name)(oe.Log(log.reward, log.action, log.propensity), *arguments)),
        ):
            hit = e.low <= TRUTH <= e.high
            by_customer += hit and clustered
            by_row += hit and not clustered
    assert abs(by_customer / 400 - 0.945) < 4 * 0.011
    assert by_row < by_customer - 20


def test_weights_average_one_with_right_propensities_and_the_check_rarely_cries_wolf():
    verdicts = [oe.evaluate(log, TARGET[x]).verdict for x, log in (draws(4000, 9000 + s) for s in range(100))]
    assert verdicts.count("supported") == 100
