"""Successes and amounts: one prior, of which only what an outcome is differs."""

from dataclasses import replace

import numpy as np
import pytest

from allot import ShapeError
from bandit import AMOUNTS, SUCCESSES, Beliefs, Columns, Kind, Log, Prior, choice_probabilities, fit_prior, kind_named
from bandit.calibration import fit_calibration
from bandit.choice import mean_success
from bandit.comparison import compare

ROWS, OFFERS, NOISE = 4_000, 4, 8.0
COLUMNS = Columns(("segment", "age"), ("offer", "size"), (0, 2))
TABLE = np.column_stack([np.arange(OFFERS + 1.0), [0.1, 0.4, 0.2, 0.9, np.nan]])


def spent(customers: np.ndarray, arm: np.ndarray) -> np.ndarray:
    """True mean amounts."""
    return 30.0 + 6.0 * np.sin(customers[:, 1]) * (arm % 2) + 3.0 * arm - 2.0 * customers[:, 0]


def log_of(seed: int, unit: float = 1.0, noise: float = NOISE, rows: int = ROWS) -> Log:
    """Amounts of a known mean; the last offer is new."""
    r = np.random.default_rng(seed)
    customers = np.column_stack([r.integers(0, 4, rows), r.normal(size=rows)]).astype(float)
    arm = r.choice([0, 1, 2, OFFERS], rows)
    amount = unit * (spent(customers, arm) + noise * r.normal(size=rows))
    keys = r.integers(0, rows // 3, rows).astype(np.uint64)
    return Log(customers, arm, amount, np.sort(r.uniform(0, 60, rows)), keys, kind=AMOUNTS)


@pytest.fixture(scope="module")
def fitted():
    return fit_prior(log_of(1), TABLE, COLUMNS, seed=1)


def test_expected_amounts_are_near_the_truth_and_the_report_is_of_squared_errors(fitted):
    log, report = log_of(2), fitted.report
    said = fitted.prior.logits(log.customers)
    truth = spent(log.customers, log.arm)
    error = np.sqrt(np.mean((said[np.arange(ROWS), log.arm] - truth) ** 2))
    assert error < 0.35 * np.std(truth)
    assert NOISE**2 * 0.85 < report.log_loss < min(report.base_log_loss, report.logistic_log_loss)
    assert report.base_log_loss == pytest.approx(NOISE**2 + np.var(truth), rel=0.15)
    assert report.brier is None and report.ranking == () and not report.constant
    assert report.rate == pytest.approx(log_of(1).outcome.mean())
    for line in report.calibration:
        assert line.predicted == pytest.approx(line.observed, abs=4 * 1.1 * NOISE / np.sqrt(line.rows))


def test_a_new_offer_is_expected_to_bring_what_the_known_ones_do_on_average(fitted):
    said = fitted.prior.logits(log_of(3).customers[:50])
    assert said[:, 3] == pytest.approx(said[:, :3].mean(1), rel=1e-5)


def test_in_another_unit_everything_comes_out_the_same_in_that_unit(fitted):
    other = fit_prior(log_of(1, unit=64.0), TABLE, COLUMNS, seed=1)
    customers = log_of(3).customers[:200]
    assert other.prior.logits(customers) == pytest.approx(64.0 * fitted.prior.logits(customers), rel=1e-3)
    assert other.shown == pytest.approx(64.0 * fitted.shown, rel=1e-3)
    assert other.report.logistic_log_loss == pytest.approx(64.0**2 * fitted.report.logistic_log_loss, rel=1e-3)


def test_a_prior_of_amounts_stays_one_through_its_files(fitted):
    again = Prior.from_files(fitted.prior.to_files())
    customers = log_of(4).customers
    assert again.kind == AMOUNTS and np.array_equal(again.logits(customers), fitted.prior.logits(customers))
    plain = replace(fitted.prior, kind=SUCCESSES).to_files()
    assert b'"outcome"' not in plain["prior.json"] and Prior.from_files(plain).kind == SUCCESSES


def test_amounts_that_nothing_foretells_are_their_mean_for_everybody():
    r = np.random.default_rng(5)
    log = log_of(5, rows=600)
    found = fit_prior(replace(log, outcome=r.normal(50.0, 9.0, 600)), TABLE, COLUMNS, seed=1)
    assert "mean amount" in found.report.constant and found.prior.constant
    assert found.prior.intercept == pytest.approx(50.0, abs=4 * 9.0 / np.sqrt(600))


def test_the_line_that_mends_amounts_does_not_depend_on_unit_or_origin():
    r = np.random.default_rng(6)
    raw = r.normal(size=400)
    outcome, weight = 0.5 + 0.6 * raw + r.normal(size=400), r.uniform(0.5, 2.0, 400)
    line = AMOUNTS.calibration(raw, outcome, weight)
    moved = AMOUNTS.calibration(10.0 * raw + 500.0, 10.0 * outcome + 500.0, weight)
    assert moved(10.0 * raw + 500.0) == pytest.approx(10.0 * line(raw) + 500.0)
    assert 0.55 < line.slope < 0.75 and 0.35 < line.intercept < 0.6
    few = AMOUNTS.calibration(raw[:4], outcome[:4] + 3.0, weight[:4])
    assert abs(few.slope - 1.0) < 0.4


def test_successes_are_calibrated_as_ever():
    r = np.random.default_rng(7)
    raw = r.normal(size=300)
    won = (r.random(300) < 0.4).astype(float)
    assert SUCCESSES.calibration(raw, won, np.ones(300)) == fit_calibration(raw, won)


@pytest.mark.parametrize(("kind", "wrong"), [(SUCCESSES, 0.5), (AMOUNTS, np.nan), (AMOUNTS, np.inf)])
def test_outcomes_of_another_kind_are_refused(kind, wrong):
    log = log_of(8, rows=50)
    with pytest.raises(ShapeError):
        replace(log, kind=kind, outcome=np.r_[np.zeros(49), wrong])


def test_what_beliefs_are_worth_is_the_mean_chance_or_the_mean_amount():
    mean, sd = np.array([[0.3, -1.0]]), np.array([[0.5, 2.0]])
    assert np.array_equal(SUCCESSES.expected(mean, sd), mean_success(mean, sd))
    assert np.array_equal(AMOUNTS.expected(mean, sd), mean)


@pytest.mark.parametrize("kind", [SUCCESSES, AMOUNTS])
@pytest.mark.parametrize("outside", [None, 20.0])
def test_choices_are_those_of_drawn_worths(kind: Kind, outside: float | None):
    r = np.random.default_rng(9)
    beliefs = Beliefs(r.normal(0.5, 0.4, (3, 4)).astype(np.float32), r.uniform(0.2, 0.8, (3, 4)).astype(np.float32))
    worth, fee = np.array([20.0, 22.0, 18.0]), np.array([1.0, 2.0, 0.5])
    scores = kind.scores(beliefs, worth, fee, np.ones((3, 3), bool), outside)
    found = choice_probabilities(
        scores.mean, scores.sd, scores.value, scores.fee, scores.eligible, outside=scores.outside
    )
    drawn = kind.mean(beliefs.mean + beliefs.sd * r.normal(size=(40_000, 3, 4)))
    each = np.concatenate([worth * drawn[..., :3] - fee, (outside or 0.0) * drawn[..., 3:]], axis=2)
    share = (each.argmax(2)[..., None] == np.arange(4)).mean(0)
    assert np.abs(found - share).max() < 4 * 0.5 / np.sqrt(40_000)


def test_models_of_amounts_are_compared_by_their_squared_errors():
    truth = np.arange(100.0)
    found = compare(truth + 1.0, truth + 2.0, truth, np.arange(100), np.ones(100), kind=AMOUNTS)
    assert (found.log_loss, found.other_log_loss, found.difference) == (1.0, 4.0, -3.0)


def test_kinds_are_found_by_name():
    assert (kind_named("success"), kind_named("amount")) == (SUCCESSES, AMOUNTS)
    with pytest.raises(ShapeError, match="success or amount"):
        kind_named("rank")


@pytest.mark.parametrize("kind", [SUCCESSES, AMOUNTS])
def test_a_log_of_one_customer_gives_a_prior(kind):
    """Its held-out rows cannot be halved by customer: each half is calibrated on nothing."""
    log = log_of(4, rows=200)
    outcome = (log.outcome > np.median(log.outcome)).astype(float) if kind == SUCCESSES else log.outcome
    log = replace(log, outcome=outcome, customer_key=np.zeros(200, np.uint64), kind=kind)
    fitted = fit_prior(log, TABLE, COLUMNS, seed=1)
    assert np.isfinite(fitted.prior.logits(log.customers)).all() and np.isfinite(fitted.report.log_loss)


def test_the_losses_of_amounts_are_told_to_six_digits_in_any_unit():
    told = [AMOUNTS.loss_in_words(37.35091 * unit**2) for unit in (1.0, 100.0, 1e9, 1e-6)]
    assert told == ["37.3509", "373,509", "3.73509e+19", "3.73509e-11"]
    assert SUCCESSES.loss_in_words(0.354512) == "0.3545"
