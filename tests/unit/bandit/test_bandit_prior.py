"""The prior: same bits from the same log, cold arms from the warm offers, a constant where trees would mislead."""

from dataclasses import replace

import numpy as np
import pytest

from allot import DataError, ShapeError
from bandit import prior as prior_module
from bandit import prior_fit, prior_trees
from bandit.calibration import log_loss, sigmoid
from bandit.columns import Columns
from bandit.folds import holdout
from bandit.kinds import SUCCESSES
from bandit.prior import Log, Prior
from bandit.prior_fit import FittedPrior, fit_prior

OFFERS = 5  # arms 0..3 are warm, 4 has few rows, 5 is no offer
COLUMNS = Columns(("segment", "age", "spend"), ("offer", "size"), (0, 3))
TABLE = np.column_stack([np.arange(OFFERS + 1.0), [0.1, 0.4, 0.2, 0.9, 0.5, np.nan]])


def log_of(seed: int, rows: int = 3000, strength: float = 1.0) -> Log:
    r = np.random.default_rng(seed)
    customers = np.column_stack([r.integers(0, 4, rows), r.normal(size=rows), r.exponential(size=rows)])
    customers[r.random(rows) < 0.1, 2] = np.nan
    arm = r.choice(OFFERS + 1, rows, p=[0.22, 0.22, 0.22, 0.22, 0.02, 0.1])
    z = -1.0 + strength * (customers[:, 1] * (arm - 1.5) / 2 + 0.7 * (customers[:, 0] == arm))
    outcome = (r.random(rows) < sigmoid(z)).astype(float)
    keys = r.integers(0, 2**63, rows).astype(np.uint64)
    return Log(customers, arm, outcome, np.arange(rows) / 100.0, keys)


@pytest.fixture(scope="module")
def log() -> Log:
    return log_of(1)


@pytest.fixture(scope="module")
def fitted(log: Log) -> FittedPrior:
    return fit_prior(log, TABLE, COLUMNS, seed=3, threads=1)


def test_same_log_and_seed_give_the_same_bits_on_any_number_of_threads(log, fitted, monkeypatch):
    monkeypatch.setattr(prior_trees, "_ROWS_PER_THREAD", 100)
    again = fit_prior(log, TABLE, COLUMNS, seed=3, threads=2)
    assert again.prior.to_files() == fitted.prior.to_files()
    assert again.shown.tobytes() == fitted.shown.tobytes()
    assert again.as_cold.tobytes() == fitted.as_cold.tobytes()
    assert again.report == fitted.report


def test_another_seed_gives_other_trees(log, fitted):
    assert fit_prior(log, TABLE, COLUMNS, seed=4, threads=1).prior.text != fitted.prior.text


def test_a_logit_is_the_calibrated_score_of_its_pair(log, fitted):
    prior = fitted.prior
    customers = log.customers[:7]
    logits = prior.logits(customers, threads=1)
    for i in range(7):
        for arm in (0, 1, 2, 3, OFFERS):
            pair = np.concatenate([customers[i], TABLE[arm]])[None]
            raw = prior.booster().predict(pair, raw_score=True)[0]
            assert abs(logits[i, arm] - (prior.intercept + prior.slope * raw)) < 1e-6


def test_a_cold_arm_gets_the_mean_of_the_warm_offers_and_not_of_no_offer(log, fitted):
    logits = fitted.prior.logits(log.customers[:200])
    assert fitted.prior.warm.tolist() == [True] * 4 + [False, True]
    np.testing.assert_allclose(logits[:, 4], logits[:, :4].mean(1), atol=1e-6)
    assert np.abs(logits[:, 4] - logits[:, [0, 1, 2, 3, 5]].mean(1)).max() > 1e-3


def test_no_offer_has_a_model_of_its_own_beside_the_offers():
    """Control customers respond to what offers do not touch, and at another level; the trees keep both apart."""
    r = np.random.default_rng(12)
    rows = 8000
    customers = np.column_stack([r.integers(0, 4, rows), r.normal(size=rows), r.normal(size=rows)])
    arm = r.choice(OFFERS + 1, rows, p=[0.2, 0.2, 0.2, 0.2, 0.0, 0.2])

    def truth(who: np.ndarray) -> np.ndarray:
        return np.column_stack([np.tile(0.9 * who[:, 1:2], (1, OFFERS)), 1.2 * who[:, 2:3] - 2.0])

    z = truth(customers)[np.arange(rows), arm]
    keys = np.arange(rows, dtype=np.uint64)
    log = Log(customers, arm, (r.random(rows) < sigmoid(z)).astype(float), np.arange(rows) / 100.0, keys)
    logits = fit_prior(log, TABLE, COLUMNS, seed=3, threads=1).prior.logits(customers)
    control = arm == OFFERS
    expected = sigmoid(logits[control, OFFERS]).sum()
    assert abs(expected - log.outcome[control].sum()) < 4 * np.sqrt(expected)
    assert np.corrcoef(logits[:, OFFERS], customers[:, 2])[0, 1] > 0.8
    assert np.corrcoef(logits[:, 0], customers[:, 1])[0, 1] > 0.9
    assert abs(np.corrcoef(logits[:, OFFERS], customers[:, 1])[0, 1]) < 0.4


def test_no_offer_without_rows_is_cold_like_an_offer(log):
    kept = log.arm < OFFERS
    part = log.some(kept)
    prior = fit_prior(part, TABLE, COLUMNS, seed=3, threads=1).prior
    logits = prior.logits(log.customers[:50])
    assert not prior.warm[OFFERS]
    np.testing.assert_allclose(logits[:, OFFERS], logits[:, :4].mean(1), atol=1e-6)


def test_pieces_and_threads_change_no_bit(log, fitted, monkeypatch):
    whole = fitted.prior.logits(log.customers, threads=1)
    monkeypatch.setattr(prior_module, "_PAIRS_AT_ONCE", 700)
    assert fitted.prior.logits(log.customers, threads=2).tobytes() == whole.tobytes()


def test_scores_from_elsewhere_are_calibrated_alike(log, fitted):
    customers = log.customers[:50]
    raw = prior_module.pair_scores(fitted.prior.booster(), customers, TABLE, COLUMNS, threads=1)
    assert fitted.prior.calibrated(raw).tobytes() == fitted.prior.logits(customers).tobytes()


def test_files_bring_back_the_same_bits(log, fitted):
    files = fitted.prior.to_files()
    again = Prior.from_files(files)
    assert again.to_files() == files
    assert again.logits(log.customers[:100]).tobytes() == fitted.prior.logits(log.customers[:100]).tobytes()
    assert np.isnan(again.offers[OFFERS, 1])
    assert again.mean_logit == fitted.prior.mean_logit


def test_damaged_files_are_refused(fitted):
    files = fitted.prior.to_files()
    with pytest.raises(DataError, match=r"model\.txt"):
        Prior.from_files({"prior.json": files["prior.json"]})
    with pytest.raises(DataError, match="Format"):
        Prior.from_files({**files, "prior.json": files["prior.json"].replace(b'"format": 1', b'"format": 9')})


def test_the_log_is_served_as_a_customer_would_be(log, fitted):
    """Shown and as-cold logits come from the same map as `Prior.logits`; only the trees differ."""
    prior, rows = fitted.prior, np.arange(400)
    data = prior_trees.training_data(log, TABLE, COLUMNS, seed=3, threads=1)
    shown, as_cold = prior_fit._as_served(data, prior, prior.booster(), rows)
    logits = prior.logits(log.customers[rows])
    arm = log.arm[rows]
    np.testing.assert_allclose(shown, logits[rows, arm], atol=1e-5)
    for i in rows:
        others = [b for b in range(4) if b != arm[i]]
        assert abs(as_cold[i] - logits[i, others].mean()) < 1e-5


def test_cross_fitted_logits_are_as_good_as_on_new_customers_and_no_better():
    log, fresh = log_of(5, strength=0.7), log_of(6, rows=20_000, strength=0.7)
    fitted = fit_prior(log, TABLE, COLUMNS, seed=3, threads=1)
    served = fitted.prior.logits(log.customers)[np.arange(len(log.arm)), log.arm]
    unseen = fitted.prior.logits(fresh.customers)[np.arange(len(fresh.arm)), fresh.arm]
    seen_loss, new_loss = log_loss(served, log.outcome), log_loss(unseen, fresh.outcome)
    crossed = log_loss(fitted.shown, log.outcome)
    assert fitted.report.constant == ""
    assert new_loss - seen_loss > 0.015
    assert abs(crossed - new_loss) < 0.35 * (new_loss - seen_loss) + 0.01
    assert fitted.prior.mean_logit == pytest.approx(fitted.shown.mean(), abs=1e-12)


def test_the_report_counts_and_beats_the_base_rate(log, fitted):
    report = fitted.report
    assert report.rows == len(log.arm) == sum(report.support)
    assert report.holdout_rows == sum(b.rows for b in report.calibration) == 600
    assert report.log_loss < report.base_log_loss - 0.02
    assert report.rate == log.outcome.mean()
    assert len(report.calibration) == 10
    assert np.all(np.diff([b.predicted for b in report.calibration]) > 0)
    assert report.gain["age"] > 2 * report.gain["spend"] > 0
    assert set(report.gain) == set(COLUMNS.names)


def test_boosting_stops_where_later_rows_gain_no_more(log, fitted):
    data = prior_trees.training_data(log, TABLE, COLUMNS, seed=3, threads=1)
    late = holdout(log.decided_at, log.customer_key)
    assert log.decided_at[~late].max() <= log.decided_at[late].min()
    on = data.train(np.flatnonzero(~late), prior_trees.MOST_TREES)

    def lost(trees: int) -> float:
        raw = on.predict(data.matrix[late], num_iteration=trees, raw_score=True)
        return log_loss(np.asarray(raw), log.outcome[late])

    trees = fitted.report.trees
    assert fitted.prior.booster().num_trees() == trees < prior_trees.MOST_TREES / 2
    assert lost(trees) == min(lost(t) for t in range(1, trees + 30)) < lost(prior_trees.MOST_TREES) - 0.01


def test_the_held_out_loss_is_of_rows_that_calibration_did_not_see(log):
    half = np.arange(40) % 2
    raw, outcome = np.linspace(-1, 1, 40), np.arange(40) % 3 == 0
    before = prior_fit._half_calibrated(raw, outcome.astype(float), np.ones(40), half, SUCCESSES)
    flipped = outcome.copy()
    flipped[half == 0] ^= True
    after = prior_fit._half_calibrated(raw, flipped.astype(float), np.ones(40), half, SUCCESSES)
    assert np.array_equal(before[half == 0], after[half == 0])
    assert not np.allclose(before[half == 1], after[half == 1])


@pytest.mark.parametrize(
    ("rows", "outcome", "why"), [(0, None, "50"), (30, None, "50"), (400, 0.0, "one kind"), (400, 1.0, "one kind")]
)
def test_a_log_too_small_or_of_one_class_gives_the_smoothed_rate(rows, outcome, why):
    log = log_of(2, rows=max(rows, 1))
    log = log.some(np.arange(rows))
    if outcome is not None:
        log = replace(log, outcome=np.full(rows, outcome))
    fitted = fit_prior(log, TABLE, COLUMNS, seed=3)
    rate = (log.outcome.sum() + 1) / (rows + 2)
    logits = fitted.prior.logits(log_of(3, rows=20).customers)
    assert why in fitted.report.constant
    np.testing.assert_allclose(sigmoid(logits), rate, rtol=1e-6)
    assert fitted.shown.shape == fitted.as_cold.shape == (rows,)
    assert Prior.from_files(fitted.prior.to_files()).constant


def test_noise_gives_the_rate_and_not_trees():
    log = log_of(7)
    noise = replace(log, outcome=(np.random.default_rng(8).random(len(log.arm)) < 0.3).astype(float))
    fitted = fit_prior(noise, TABLE, COLUMNS, seed=3, threads=1)
    assert "do not beat" in fitted.report.constant
    assert fitted.report.log_loss == fitted.report.base_log_loss
    assert np.ptp(fitted.prior.logits(log.customers)) == 0


def test_where_no_offer_is_warm_every_offer_gets_their_mean():
    log = log_of(9, rows=600)
    fitted = fit_prior(log, TABLE, COLUMNS, seed=3, threads=1)
    logits = fitted.prior.logits(log.customers[:50])
    assert not fitted.prior.warm.any()
    assert np.ptp(logits, axis=1).max() == 0
    assert np.isfinite(logits).all()


def test_progress_runs_from_nought_to_one(log):
    seen: list[tuple[str, float]] = []
    fit_prior(log_of(1, rows=300), TABLE, COLUMNS, seed=1, progress=lambda *step: seen.append(step))
    shares = [share for _, share in seen]
    assert shares[0] == 0 and shares[-1] == 1 and shares == sorted(shares)


def test_shapes_that_do_not_fit_are_refused(log, fitted):
    with pytest.raises(ShapeError, match="columns"):
        fitted.prior.logits(log.customers[:, :2])
    with pytest.raises(ShapeError, match="Offers"):
        fit_prior(log, TABLE[:, :1], COLUMNS, seed=1)
    with pytest.raises(ShapeError, match="arm"):
        fit_prior(log, TABLE[:3], COLUMNS, seed=1)
    with pytest.raises(ShapeError, match="one row each"):
        replace(log, outcome=log.outcome[:-1])
    with pytest.raises(ShapeError, match="neither 0 nor 1"):
        replace(log, outcome=log.outcome + 0.5)
    with pytest.raises(ShapeError, match="one name"):
        Columns(("a",), ("a",), ())
