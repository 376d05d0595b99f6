"""The training report: rivals that are what they are called, and comparisons that know what chance explains."""

from dataclasses import replace

import numpy as np
import pytest

from bandit.calibration import log_loss, sigmoid
from bandit.columns import Columns
from bandit.comparison import Comparison, compare
from bandit.folds import holdout, time_folds
from bandit.logistic import fit_logistic
from bandit.prior import Log
from bandit.prior_fit import FittedPrior, fit_prior

COLUMNS = Columns(("segment", "x", "z"), ("offer",), (0, 3))
ARMS = 4
OFFERS = np.arange(float(ARMS))[:, None]


def log_of(seed: int, rows: int = 4000, *, linear: bool = False, rate: float = -1.0) -> Log:
    r = np.random.default_rng(seed)
    customers = np.column_stack([r.integers(0, 3, rows), r.normal(size=(rows, 2))])
    arm = r.integers(0, ARMS, rows)
    level = np.array([-0.5, 0.0, 0.7])[customers[:, 0].astype(int)] + 0.3 * arm + rate
    z = level + (0.8 * customers[:, 1] if linear else 1.5 * customers[:, 1] * (arm - 1.5))
    outcome = (r.random(rows) < sigmoid(z)).astype(float)
    keys = r.integers(0, rows // 3, rows).astype(np.uint64)
    return Log(customers, arm, outcome, np.arange(rows) / 100.0, keys)


@pytest.fixture(scope="module")
def fitted() -> FittedPrior:
    return fit_prior(log_of(1), OFFERS, COLUMNS, seed=3, threads=1)


def test_the_rivals_are_the_base_rate_and_a_logistic_regression(fitted):
    log, report = log_of(1), fitted.report
    late = holdout(log.decided_at, log.customer_key)
    seen = log.outcome[~late]
    rate = (seen.sum() + 1) / (len(seen) + 2)
    base = log_loss(np.full(late.sum(), np.log(rate / (1 - rate))), log.outcome[late])
    assert report.base_log_loss == pytest.approx(base, abs=1e-12)
    assert report.log_loss == report.tree_log_loss < report.logistic_log_loss - 0.05  # it has no interactions
    assert report.logistic_log_loss < base - 0.005


def test_no_rival_and_no_ranking_knows_the_held_out_rows(fitted):
    """Calibration aside, which is a line for each half, they come from models of the other rows."""
    log, held = log_of(1), fitted.held
    train = np.setdiff1d(np.arange(len(log.arm)), held.rows)
    linear = fit_logistic(log, train, COLUMNS, ARMS).logits(log.customers[held.rows], log.arm[held.rows])
    half = time_folds(np.zeros(len(held.rows)), log.customer_key[held.rows], folds=2)
    won = (log.outcome[held.rows] > 0) & (log.arm[held.rows] < ARMS - 1)
    ranked_by = held.scores[np.arange(won.sum()), log.arm[held.rows][won]]
    for side in (half == 0, half == 1):
        assert np.corrcoef(linear[side], held.logistic[side])[0, 1] > 1 - 1e-9
        assert np.corrcoef(ranked_by[side[won]], held.logit[won & side])[0, 1] > 1 - 1e-6


def test_where_the_truth_is_a_line_the_logistic_regression_finds_it():
    log, fresh = log_of(2, 20_000, linear=True), log_of(3, 20_000, linear=True)
    found = fit_logistic(log, np.arange(20_000), COLUMNS, ARMS).logits(fresh.customers, fresh.arm)
    level = np.array([-0.5, 0.0, 0.7])[fresh.customers[:, 0].astype(int)] + 0.3 * fresh.arm - 1.0
    assert np.abs(found - level - 0.8 * fresh.customers[:, 1]).mean() < 0.08


def test_arms_and_bins_hold_every_row_once(fitted):
    report = fitted.report
    log = log_of(1)
    late = holdout(log.decided_at, log.customer_key)
    assert [a.holdout_rows for a in report.arms] == np.bincount(log.arm[late], minlength=ARMS).tolist()
    assert sum(a.observed * a.holdout_rows for a in report.arms) == pytest.approx(log.outcome[late].sum())
    chance = sigmoid(fitted.held.logit)
    for a, arm in enumerate(report.arms):
        assert arm.predicted == pytest.approx(chance[log.arm[late] == a].mean())
        assert abs(arm.observed - arm.predicted) < 4 * np.sqrt(0.25 / arm.holdout_rows)


def test_the_ranking_is_of_models_that_did_not_see_the_rows(fitted):
    """Memorised rows would rank their own offers first; here trees rank better than rates and worse than memory."""
    at = {k.k: (k, plain) for k, plain in zip(fitted.report.ranking, fitted.report.rate_ranking, strict=True)}
    assert set(at) == {1}
    (mine, plain) = at[1]
    assert plain.recall + 0.1 < mine.recall < 0.8
    assert mine.ndcg == pytest.approx(mine.recall)  # at depth 1 they are one
    constant = fit_prior(replace(log_of(1), outcome=np.zeros(4000)), OFFERS, COLUMNS, seed=3, threads=1)
    assert constant.report.ranking == ()


def test_repeating_every_row_makes_a_comparison_no_surer():
    r = np.random.default_rng(5)
    z, other = r.normal(size=400), r.normal(size=400)
    y = (r.random(400) < sigmoid(z)).astype(float)
    who, one = np.arange(400), np.ones(400)
    once = compare(z, other, y, who, one)
    thrice = compare(*(np.tile(x, 3) for x in (z, other, y, who, one)))
    assert thrice.std_error == pytest.approx(once.std_error)
    assert thrice.difference == pytest.approx(once.difference) == pytest.approx(log_loss(z, y) - log_loss(other, y))
    heavier = compare(z, other, y, who, 7 * one)
    assert (heavier.difference, heavier.std_error) == pytest.approx((once.difference, once.std_error))


def test_equal_models_are_called_worse_no_more_often_than_promised():
    """Two models equally far from the truth: one in twenty comparisons may say worse."""
    r = np.random.default_rng(6)
    worse = []
    for _ in range(2000):
        z = r.normal(size=200)
        y = (r.random(200) < sigmoid(z)).astype(float)
        worse.append(compare(z + 0.4, z - 0.4, y, np.arange(200), np.ones(200)).worse)
    expected = log_loss(np.array([0.4]), np.array([0.5])) - log_loss(np.array([-0.4]), np.array([0.5]))
    assert expected == pytest.approx(0.0, abs=1e-12)
    assert abs(np.mean(worse) - 0.05) < 4 * np.sqrt(0.05 * 0.95 / 2000) + 0.01


def test_a_difference_too_small_to_matter_is_not_held_against_a_model():
    """However sure it is: the same tenth of a thousandth on each of many rows."""
    y = np.tile([0.0, 1.0], 5000)
    z = np.where(y > 0, 1.0, -1.0)

    def judged(by: float) -> Comparison:
        return compare(z * (1 - by), z, y, np.arange(10_000), np.ones(10_000))

    small, large = judged(1e-4), judged(1e-2)
    assert small.difference > 1.645 * small.std_error and not small.worse
    assert large.worse


def test_a_worse_model_is_found_out_and_fifty_rows_are_needed_to_say_so():
    r = np.random.default_rng(7)
    z = r.normal(size=4000)
    y = (r.random(4000) < sigmoid(z)).astype(float)

    def judged(rows: int):
        return compare(-z[:rows], z[:rows], y[:rows], np.arange(rows), np.ones(rows))

    assert judged(4000).worse and not compare(z, -z, y, np.arange(4000), np.ones(4000)).worse
    assert not judged(49).worse and not judged(49).says_enough
    assert judged(0).rows == 0


def test_rare_successes_are_predicted_as_rare_as_they_are():
    log, fresh = log_of(8, 20_000, rate=-6.5), log_of(9, 40_000, rate=-6.5)
    made = fit_prior(log, OFFERS, COLUMNS, seed=3, threads=1)
    assert made.report.constant == ""
    assert 0.003 < made.report.rate < 0.02
    chance = sigmoid(made.prior.logits(fresh.customers)[np.arange(40_000), fresh.arm])
    # what the log can say of the rate, and what the fresh rows can
    error = np.sqrt(chance.sum() * (1 + 40_000 / 20_000))
    assert abs(chance.sum() - fresh.outcome.sum()) < 4 * error
    top = np.argsort(-chance)[:4000]
    assert fresh.outcome[top].mean() > 4 * fresh.outcome.mean()


def test_trees_that_lose_to_the_base_rate_are_used_only_when_forced():
    noise = replace(log_of(10), outcome=(np.random.default_rng(11).random(4000) < 0.3).astype(float))
    kept, forced = (fit_prior(noise, OFFERS, COLUMNS, seed=3, threads=1, force=force) for force in (False, True))
    assert kept.prior.constant and not forced.prior.constant
    assert kept.report.constant == forced.report.forced == "trees do not beat the rate of successes on held-out rows"
    assert kept.report.log_loss == kept.report.base_log_loss
    assert forced.report.log_loss == forced.report.tree_log_loss == kept.report.tree_log_loss
    assert forced.report.log_loss >= forced.report.base_log_loss
