"""Every customer's own probabilities are hit, whatever the limits."""

import numpy as np
import pytest
from numpy.typing import NDArray
from portfolio_instances import Instance, families, placed, policy

from portfolio import balance

FOUR = 4.0  # standard errors


def counts(instance: Instance, seeds: range) -> tuple[NDArray[np.float64], float]:
    """(n, k + 1) how often each option was drawn, and the mean rejection rate."""
    probability, problem = instance
    n, k1 = probability.shape
    out = np.zeros((n, k1))
    rejected = 0.0
    for seed in seeds:
        draw = balance(probability, problem, seed=seed)
        assert draw.status == "released"
        out[np.arange(n), np.where(draw.choice < 0, k1 - 1, draw.choice)] += 1
        rejected += draw.rejection_rate / len(seeds)
    return out, rejected


def chi_square(probability: NDArray[np.float64], seen: NDArray[np.float64]) -> tuple[float, int]:
    """Multinomial per customer, options with fewer than 5 expected draws put together with the likeliest."""
    draws = seen.sum(1)[0]
    top = (np.arange(len(seen)), probability.argmax(1))
    often = probability * draws >= 5
    often[top] = True
    expected, found = np.where(often, probability * draws, 0.0), np.where(often, seen, 0.0)
    expected[top] += np.where(often, 0.0, probability * draws).sum(1)
    found[top] += np.where(often, 0.0, seen).sum(1)
    total = float(((found - expected)[often] ** 2 / expected[often]).sum())
    freedom = int((often.sum(1) - 1).sum())
    return total, freedom


def check(instance: Instance, draws: int) -> None:
    probability = instance[0].astype(np.float64)
    probability /= probability.sum(1, keepdims=True)
    seen, rejected = counts(instance, range(draws))
    assert rejected < 0.03
    assert (seen[probability == 0] == 0).all() and (seen[probability == 1] == draws).all()
    total, freedom = chi_square(probability, seen)
    assert freedom > 100
    assert abs(total - freedom) < FOUR * np.sqrt(2 * freedom)
    spread = np.sqrt((probability * (1 - probability) * draws).sum(0))  # limits only make it smaller
    assert (np.abs((seen - probability * draws).sum(0)) < FOUR * spread).all()
    quarter = np.array_split(np.argsort(probability[:, -1]), 4)
    for who in quarter:
        gap = (seen[who] - probability[who] * draws).sum(0)
        scale = np.sqrt((probability[who] * (1 - probability[who]) * draws).sum(0))
        assert (np.abs(gap) < FOUR * scale + 1e-9).all()


@pytest.mark.parametrize(
    ("n", "k", "cells", "m", "draws"),
    [
        (200, 5, 2, 8, 200),
        (200, 5, 2, 12, 200),
        (300, 6, 3, 18, 150),
        (120, 4, 2, 0, 200),
        pytest.param(200, 5, 2, 8, 5_000, marks=pytest.mark.soak),
        pytest.param(200, 5, 2, 12, 5_000, marks=pytest.mark.soak),
        pytest.param(300, 6, 3, 18, 3_000, marks=pytest.mark.soak),
    ],
)
def test_every_customer_is_drawn_by_its_own_probabilities(n: int, k: int, cells: int, m: int, draws: int) -> None:
    check(placed(policy(n, k, cells, 11), families(k, cells, 11)[:m]), draws)


@pytest.mark.parametrize("draws", [250, pytest.param(5_000, marks=pytest.mark.soak)])
def test_customers_left_for_the_landing_are_no_exception(draws: int) -> None:
    """More limits than the customers can satisfy in flight: most of them are decided by the landing."""
    check(placed(policy(60, 4, 2, 5, sure=0.0), families(4, 2, 5)[:30], headroom=1.6), draws)


@pytest.mark.soak
def test_probabilities_at_two_hundred_limits() -> None:
    check(placed(policy(1500, 20, 8, 1), families(20, 8, 1)[:200]), 300)
