"""What is said of a process's memory: flat or not, and how fast it rises."""

import numpy as np
import pytest

from benchmarks.service_half_load import memory_line, slope

SECONDS = np.arange(600.0)


def test_a_rise_is_told_with_an_error_that_covers_it() -> None:
    noise = np.random.default_rng(1).normal(0.0, 5.0, len(SECONDS))
    rise, error = slope(list(SECONDS), list(300.0 + 60.0 * SECONDS / 3_600 + noise))
    assert abs(rise - 60.0) < 4 * error
    assert 0 < error < 20


def test_a_rise_without_noise_is_told_exactly() -> None:
    rise, error = slope(list(SECONDS), list(300.0 + 60.0 * SECONDS / 3_600))
    assert rise == pytest.approx(60.0)
    assert error == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize(("grown", "told"), [(0.0, "flat"), (0.04, "flat"), (0.06, "NOT flat"), (-0.06, "NOT flat")])
def test_flat_is_a_last_third_within_a_twentieth_of_the_middle_one(grown: float, told: str) -> None:
    """However much the first third grows: a process warms up."""
    megabytes = np.repeat([100.0, 300.0, 300.0 * (1 + grown)], 200)
    line = memory_line("web", list(SECONDS), list(megabytes))
    assert line.startswith("web: 300 MB in the middle third")
    assert line.endswith(f"MB/h, {told}")
