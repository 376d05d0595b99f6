"""Calibration mends what is wrong, and leaves alone what it cannot know."""

import numpy as np

from bandit.calibration import Calibration, brier, calibration_table, fit_calibration, log_loss, sigmoid


def sample(seed: int, rows: int) -> tuple[np.ndarray, np.ndarray]:
    r = np.random.default_rng(seed)
    z = r.normal(-1.5, 1.0, rows)
    return z, (r.random(rows) < sigmoid(z)).astype(float)


def test_a_stretched_and_shifted_score_is_mended_on_new_rows():
    z, y = sample(1, 20_000)
    found = fit_calibration(2.0 * z + 0.5, y)
    assert abs(found.slope - 0.5) < 0.03
    assert abs(found.intercept + 0.25) < 0.08
    fresh, outcome = sample(2, 20_000)
    assert log_loss(found(2.0 * fresh + 0.5), outcome) < log_loss(2.0 * fresh + 0.5, outcome) - 0.02


def test_a_calibrated_score_stays_as_it_is():
    z, y = sample(3, 20_000)
    found = fit_calibration(z, y)
    assert abs(found.slope - 1) < 0.06 and abs(found.intercept) < 0.1


def test_few_rows_hardly_move_the_line():
    found = fit_calibration(np.array([0.3, -0.2]), np.array([0.0, 1.0]))
    assert abs(found.slope - 1) < 0.05 and abs(found.intercept) < 0.05
    assert fit_calibration(np.zeros(0), np.zeros(0)) == Calibration(0.0, 1.0)


def test_figures_agree_with_their_definitions():
    z, y = sample(4, 500)
    p = 1 / (1 + np.exp(-z))
    assert np.isclose(log_loss(z, y), -np.mean(np.where(y == 1, np.log(p), np.log(1 - p))))
    assert np.isclose(brier(z, y), np.mean((p - y) ** 2))
    assert np.isfinite(log_loss(np.array([900.0, -900.0]), np.array([0.0, 1.0])))
    assert sigmoid(np.array([-900.0, 0.0, 900.0])).tolist() == [0.0, 0.5, 1.0]


def test_the_table_holds_every_row_once_and_follows_the_chance():
    z, y = sample(5, 20_003)
    table = calibration_table(z, y)
    assert sum(b.rows for b in table) == 20_003
    assert np.isclose(sum(b.rows * b.observed for b in table), y.sum())
    for b in table:
        assert abs(b.observed - b.predicted) < 4 * np.sqrt(b.predicted * (1 - b.predicted) / b.rows)
    assert [b.rows for b in calibration_table(z[:3], y[:3])] == [1, 1, 1]
