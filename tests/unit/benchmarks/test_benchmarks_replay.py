"""The replay benchmark: halves of real randomised logs, chance as stated, and few successes say nothing."""

import os
from pathlib import Path

import numpy as np
import pytest

from benchmarks.replay import BEST, played, verdict
from benchmarks.replay_logs import LOGS
from sims.replay import Replayed

DATA = Path(os.environ.get("ALLOT_DATA", Path(__file__).parents[4] / "shared" / "data"))
needs_data = pytest.mark.skipif(
    not (DATA / "hillstrom.parquet").is_file(), reason=f"no real logs in {DATA}; point ALLOT_DATA at their folder"
)


@needs_data
@pytest.mark.parametrize(
    ("name", "rows", "arms"), [("Hillstrom", 64_000, 3), ("Starbucks", 76_277, 10), ("Open Bandit", 10_000, 34)]
)
def test_the_two_halves_are_the_whole_log_with_equal_chances(name, rows, arms):
    known, coming = LOGS[name](DATA)
    assert len(known.arm) + len(coming.arm) == rows
    assert 0.45 < len(known.arm) / rows < 0.55
    for half in (known, coming):
        assert len(half.arms) == arms
        shown = np.bincount(half.arm, minlength=arms)
        expected = len(half.arm) / arms
        assert ((shown - expected) ** 2 / expected).sum() < arms - 1 + 5 * np.sqrt(2 * (arms - 1)), "χ² of the draw"


@needs_data
def test_hillstroms_arms_do_in_replay_what_was_published():
    known, coming = LOGS["Hillstrom"](DATA)
    for arm, visits in zip(("Mens E-Mail", "No E-Mail", "Womens E-Mail"), (0.1828, 0.1062, 0.1514), strict=True):
        a = known.arms.index(arm)
        both = np.concatenate([half.outcome[half.arm == a] for half in (known, coming)])
        assert both.mean() == pytest.approx(visits, abs=5e-5)


@needs_data
def test_ours_is_not_significantly_below_the_best_arm_in_hindsight():
    known, coming = LOGS["Hillstrom"](DATA)
    found = played(known, coming, 1000)
    assert verdict(found).startswith("kept")
    gain, error = found["allot"].minus(found["uniform"])
    assert gain > 4 * error


def test_a_loss_is_called_broken_and_few_successes_say_nothing():
    r = np.random.default_rng(1)
    first = r.random(4000) < 0.5
    outcome = (r.random(4000) < np.where(first, 0.2, 0.5)).astype(float)
    worse, better = Replayed(first, outcome), Replayed(~first, outcome)
    assert verdict({"allot": worse, BEST: better}).startswith("BROKEN")
    assert verdict({"allot": better, BEST: worse}).startswith("kept")
    few = Replayed(first, outcome * (np.arange(4000) < 100))
    assert verdict({"allot": few, BEST: better}).startswith("cannot tell")
