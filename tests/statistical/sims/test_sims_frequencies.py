import numpy as np

from sims import nbo


def z_score(happened, expected, variance):
    return abs(happened - expected) / np.sqrt(variance)


def test_outcomes_happen_as_often_as_the_truth_says():
    world = nbo(1001, customers=40_000, history=1000)
    rows = np.arange(40_000)
    for offer in (-1, 0, 4, 8, 11):
        for day in (0, 24, 25, 49):
            chance = world.success(rows, offer, day)
            outcome, _ = world.outcomes(rows, offer, day)
            for part in (rows >= 0, chance > np.median(chance), world.customers.segment == 2):
                p = chance[part]
                assert z_score(outcome[part].sum(), p.sum(), (p * (1 - p)).sum()) < 4


def test_outcomes_under_two_offers_are_independent():
    world = nbo(1001, customers=40_000, history=1000)
    rows = np.arange(40_000)
    first, second = (world.outcomes(rows, a, 0)[0] - world.success(rows, a, 0) for a in (1, 2))
    product = first * second
    assert abs(product.sum()) / np.sqrt((product**2).sum()) < 4


def test_the_logger_shows_offers_as_often_as_it_says():
    log = nbo(1002, customers=10, history=20_000).history
    for part in [np.ones(len(log.offer), bool), *(log.customers.segment == s for s in range(6))]:
        for offer in range(-1, 8):
            p = log.probability[part, offer]
            assert z_score((log.offer[part] == offer).sum(), p.sum(), (p * (1 - p)).sum()) < 4


def test_the_logger_is_biased_by_segment():
    log = nbo(1002, customers=10, history=20_000).history
    shares = np.stack([log.probability[log.customers.segment == s, :8].mean(0) for s in range(6)])
    assert np.ptp(shares, axis=0).max() > 0.1
