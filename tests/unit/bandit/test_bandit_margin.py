"""What a success brings: learnt where it differs between customers, the arm's mean where it does not."""

import numpy as np
import pytest

from allot import ShapeError
from bandit.columns import Columns
from bandit.margin import Margins, fit_margins
from bandit.prior import Log
from bandit.reward_model import cross_fitted_rewards

COLUMNS = Columns(("wealth", "noise"), ("offer",), (2,))
ARMS = 3
OFFERS = np.arange(float(ARMS))[:, None]
BASE = np.array([10.0, 40.0, 25.0])


def world(seed: int, rows: int = 12_000, *, spread: float = 0.6) -> tuple[Log, np.ndarray, np.ndarray]:
    """A log, its amounts, and what a success of every row and arm brings on average."""
    r = np.random.default_rng(seed)
    customers, arm = r.normal(size=(rows, 2)), r.integers(0, ARMS, rows)
    outcome = (r.random(rows) < 0.3).astype(float)
    truth = BASE * (1 + spread * np.tanh(2 * customers[:, :1]))
    amount = outcome * truth[np.arange(rows), arm] * r.gamma(4.0, 0.25, rows)
    log = Log(customers, arm, outcome, np.arange(rows) / 200, np.arange(rows, dtype=np.uint64))
    return log, amount, truth


def test_amounts_follow_the_customer_and_the_arm():
    log, amount, _ = world(1)
    found = fit_margins(log, OFFERS, COLUMNS, amount, seed=1, threads=1)
    fresh, _, truth = world(2)
    said = found.amounts(fresh.customers, threads=1)
    assert found.reason == "" and 0.5 < found.slope <= 1.0
    for arm in range(ARMS):
        assert np.mean((said[:, arm] - truth[:, arm]) ** 2) < 0.1 * truth[:, arm].var()
        error = 0.6 * BASE[arm] / np.sqrt(0.3 * 12_000 / ARMS)
        assert abs(said[:, arm].mean() - truth[:, arm].mean()) < 4 * error


def test_where_amounts_are_chance_every_customer_has_the_mean():
    """Forty worlds of pure noise: trees may be believed in one of twenty."""
    believed = [
        fit_margins(log, OFFERS, COLUMNS, amount, seed=1, threads=1).slope > 0
        for log, amount, _ in (world(seed, 2000, spread=0.0) for seed in range(100, 140))
    ]
    assert np.mean(believed) < 0.05 + 4 * np.sqrt(0.05 * 0.95 / 40)


def test_amounts_that_never_differ_are_the_arms_own():
    log, _, _ = world(3, 3000)
    found = fit_margins(log, OFFERS, COLUMNS, BASE[log.arm], seed=1)
    assert "the same" in found.reason
    assert found.relative(log.customers[:5]).tolist() == [[1.0] * ARMS] * 5
    assert np.abs(found.level / BASE - 1).max() < 0.1


@pytest.mark.parametrize(("rows", "sign", "why"), [(300, 1, "fewer than 200"), (3000, -1, "bring nothing")])
def test_without_trees_it_says_why(rows, sign, why):
    log, amount, _ = world(4, rows)
    assert why in fit_margins(log, OFFERS, COLUMNS, sign * amount, seed=1).reason


def test_no_bit_depends_on_threads_and_amounts_of_failures_are_not_read():
    log, amount, _ = world(5, 4000)
    spoilt = np.where(log.outcome > 0, amount, np.nan)
    one, two = (fit_margins(log, OFFERS, COLUMNS, a, seed=1, threads=t) for a, t in ((amount, 1), (spoilt, 2)))
    assert (one.text, one.slope) == (two.text, two.slope)
    assert one.amounts(log.customers).tobytes() == two.amounts(log.customers).tobytes()
    with pytest.raises(ShapeError, match="finite"):
        fit_margins(log, OFFERS, COLUMNS, np.full(4000, np.nan), seed=1)


def test_one_customers_many_rows_do_not_make_trees_believable():
    """Two columns tell customers apart, whose amounts are chance: what trees gain on few customers is few facts."""

    def believed(seed: int) -> bool:
        r = np.random.default_rng(seed)
        who = r.integers(0, 30, 3000)
        nature, luck = r.normal(size=(30, 2)), r.gamma(1.0, 1.0, 30)
        log = Log(nature[who], r.integers(0, ARMS, 3000), np.ones(3000), np.zeros(3000), who.astype(np.uint64))
        return fit_margins(log, OFFERS, COLUMNS, 10.0 * luck[who], seed=1, threads=1).slope > 0

    assert sum(believed(seed) for seed in range(200, 240)) <= 2 + 4 * np.sqrt(40 * 0.05 * 0.95)


def test_no_success_is_expected_to_bring_less_than_a_twentieth():
    log, amount, _ = world(6, 4000)
    grown = fit_margins(log, OFFERS, COLUMNS, amount, seed=1)
    steep = Margins(grown.level, 50.0, grown.text, grown.offers, COLUMNS)
    assert (steep.relative(np.array([[-9.0, 0.0], [9.0, 0.0]])).min(1) == [0.05, 0.05]).tolist() == [True, False]


def test_the_reward_model_knows_who_brings_more():
    log, amount, truth = world(7, 9000)
    said = cross_fitted_rewards(log, OFFERS, COLUMNS, amount, seed=1, threads=1)
    for arm in range(ARMS):
        assert np.corrcoef(said[:, arm], 0.3 * truth[:, arm])[0, 1] > 0.9
