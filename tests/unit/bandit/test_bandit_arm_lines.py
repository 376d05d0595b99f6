"""An arm has its own line over the common calibration: found where it is, shrunk where it is chance, never peeking."""

from dataclasses import replace

import numpy as np
import pytest

from bandit import prior_crossed
from bandit.calibration import Calibration, Lines, fit_lines, log_loss, sigmoid
from bandit.columns import Columns
from bandit.prior import Log
from bandit.prior_fit import fit_prior
from bandit.prior_trees import training_data

ARMS = 12
ALL = np.ones(ARMS, np.bool_)


def sample(seed: int, rows: int, spread: float) -> tuple[np.ndarray, np.ndarray, np.ndarray, Lines]:
    """Common logits, outcomes, arms, and the lines that are true."""
    r = np.random.default_rng(seed)
    true = Lines(r.normal(0.2, spread, ARMS), np.exp(r.normal(0.0, spread, ARMS)))
    z, arm = r.normal(-1.0, 1.0, rows), r.integers(0, ARMS, rows)
    return z, (r.random(rows) < sigmoid(true(z, arm))).astype(float), arm, true


def test_levels_and_slopes_are_found():
    z, y, arm, true = sample(1, 120_000, 0.4)
    found = fit_lines(z, y, arm, np.ones(len(z)), ALL)
    error = 4 / np.sqrt(10_000 * 0.15)  # 10,000 rows for each arm, p(1 − p) of .15 at least on average
    assert np.abs(found.slope - true.slope).max() < error
    assert np.abs(found.intercept - true.intercept).max() < 1.5 * error


def test_arms_that_are_alike_are_drawn_together():
    """Where arms differ by chance alone, their lines differ far less than each arm's own best line would."""
    z, y, arm, _ = sample(2, 6000, 0.0)
    found = fit_lines(z, y, arm, np.ones(len(z)), ALL)
    alone = [fit_lines(z[arm == a], y[arm == a], arm[arm == a], np.ones((arm == a).sum()), ALL) for a in range(ARMS)]
    assert found.intercept.std() < 0.75 * np.std([line.intercept[a] for a, line in enumerate(alone)])
    fresh, outcome, who, _ = sample(3, 60_000, 0.0)
    common = fit_lines(z, y, np.zeros(len(z), np.int64), np.ones(len(z)), ALL)
    losses = log_loss(found(fresh, who), outcome), log_loss(common(fresh, np.zeros(len(fresh), np.int64)), outcome)
    assert losses[0] < losses[1] + 0.002


def test_an_arm_without_a_line_of_its_own_keeps_the_common_logit():
    z, y, arm, _ = sample(4, 3000, 0.4)
    found = fit_lines(z, y, arm, np.ones(len(z)), np.arange(ARMS) < ARMS - 1)
    assert (found.intercept[-1], found.slope[-1]) == (0.0, 1.0)
    assert found.slope[:-1].min() > 0.0


def test_weights_count_rows_and_no_rows_leave_everything_as_it_is():
    z, y, arm, _ = sample(5, 4000, 0.4)
    twice = [np.concatenate([a, a]) for a in (z, y, arm)]
    doubled = fit_lines(*twice, np.ones(8000), ALL)
    weighted = fit_lines(z, y, arm, np.full(4000, 2.0), ALL)
    np.testing.assert_allclose(doubled.intercept, weighted.intercept, atol=1e-8)
    np.testing.assert_allclose(doubled.slope, weighted.slope, atol=1e-8)
    none = fit_lines(np.zeros(0), np.zeros(0), np.zeros(0, np.int64), np.zeros(0), ~ALL)
    assert none.intercept.tolist() == [0.0] * ARMS and none.slope.tolist() == [1.0] * ARMS


OFFERS = 40
COLUMNS = Columns(("x", "z"), ("offer",), (2,))
TABLE = np.arange(OFFERS + 1.0)[:, None]


def underfit(seed: int, rows: int) -> tuple[Log, np.ndarray]:
    """Many offers whose levels differ by more than trees make of so few rows each; and the true logits."""
    r = np.random.default_rng(7)
    level, slope = r.normal(-2.2, 1.0, OFFERS + 1), np.exp(r.normal(0.0, 0.4, OFFERS + 1))
    r = np.random.default_rng(seed)
    who, arm = r.normal(size=(rows, 2)), r.integers(0, OFFERS + 1, rows)
    z = level[arm] + slope[arm] * (0.6 * who[:, 0] - 0.4 * who[:, 1])
    y = (r.random(rows) < sigmoid(z)).astype(float)
    return Log(who, arm, y, np.arange(rows) / 500.0, np.arange(rows, dtype=np.uint64)), z


def test_lines_pay_where_trees_underfit_the_offers(monkeypatch):
    log, fresh = underfit(1, 16_000)[0], underfit(2, 30_000)
    rows = np.arange(30_000)

    def excess() -> float:
        logit = fit_prior(log, TABLE, COLUMNS, seed=1, threads=1).prior.logits(fresh[0].customers)[rows, fresh[0].arm]
        p = sigmoid(fresh[1])
        return float(
            (np.logaddexp(0.0, logit) - p * logit).mean() - (np.logaddexp(0.0, fresh[1]) - p * fresh[1]).mean()
        )

    with_lines = excess()
    monkeypatch.setattr(
        prior_crossed, "fit_lines", lambda *given: Lines(np.zeros(len(given[-1])), np.ones(len(given[-1])))
    )
    assert with_lines < 0.95 * excess()


@pytest.mark.parametrize("fold", [0, 3])
def test_no_row_is_served_by_a_line_that_saw_its_fold(fold):
    log, _ = underfit(3, 12_000)
    calibration = Calibration(0.1, 0.9)
    data = training_data(log, TABLE, COLUMNS, seed=1, threads=1)
    crossed = prior_crossed.cross_fit(data, 10, calibration, lambda _stage, _share: None)
    prior = fit_prior(log, TABLE, COLUMNS, seed=1, threads=1).prior
    inside = crossed.fold == fold
    other = replace(data, log=replace(log, outcome=np.where(inside, 1.0 - log.outcome, log.outcome)))
    before, after = (prior_crossed.served(d, prior, calibration, crossed) for d in (data, other))
    for one, two in zip(before, after, strict=True):
        assert np.array_equal(one[inside], two[inside])
        assert not np.allclose(one[~inside], two[~inside])
