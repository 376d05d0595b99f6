"""The interval that `evaluate` chooses holds the truth where its verdict is `supported`, in 96 cells of worlds.

What a log of 100,000 rows says depends on counts only, so a cell of 5,000 logs takes seconds.
"""

import zlib
from itertools import product

import numpy as np
import pytest
from coverage_worlds import judge, play, rows, world

import offline_eval as oe

CELLS = list(
    product((0.004, 0.02, 0.1, 0.5), ("wide", "mild", "narrow"), ((5, 500), (5, 2_000), (20, 20_000), (50, 100_000)))
)
MODELS = ("good", "bad")
PROMISE = 0.94
ENOUGH = 200  # supported logs of a cell, from which their coverage is told without allowance


@pytest.mark.parametrize(
    ("rate", "overlap", "actions", "n", "model"),
    [(0.3, "mild", 5, 2_000, "good"), (0.02, "narrow", 5, 500, "bad"), (0.05, "mild", 20, 4_000, "bad"),
     (0.004, "wide", 5, 3_000, "good"), (0.1, "narrow", 5, 6_000, "bad"), (0.001, "wide", 5, 500, "good")],
)  # fmt: skip
def test_the_arithmetic_on_counts_is_that_of_evaluate(rate, overlap, actions, n, model):
    of = world(rate, overlap, actions, model)
    counts = of.draw(n, 8, 1)
    found = judge(of, counts)
    for i, one in enumerate(counts):
        context, action, reward = rows(one)
        log = oe.Log(reward, action, of.logging[context, action])
        report = oe.evaluate(log, of.target[context], of.q_hat[context])
        assert (report.verdict == "supported") == found["supported"][i]
        assert report.ess == pytest.approx(found["ess"][i], rel=1e-9)
        assert report.weighted_successes == pytest.approx(found["successes"][i], rel=1e-9)
        chosen = report.estimate
        expected = [found[name][i] for name in ("value", "low", "high")]
        assert (chosen.value, chosen.low, chosen.high) == pytest.approx(expected, rel=1e-6, abs=1e-12)


def coverage(rate, overlap, actions, n, model, logs):
    """Share supported, coverage of all and of the supported, median effective sizes of weights and successes."""
    of = world(rate, overlap, actions, model)
    found = play(of, n, logs, zlib.crc32(f"{rate} {overlap} {actions} {n} {model}".encode()))
    holds = (found["low"] <= of.truth) & (of.truth <= found["high"])
    supported = found["supported"]
    return {
        "supported": supported.mean(),
        "all": holds.mean(),
        "of supported": holds[supported].mean() if supported.any() else np.nan,
        "ess": np.median(found["ess"]),
        "successes": np.median(found["successes"]),
    }


def test_one_cell_covers():
    """1,000 logs of 2,000 rows: the count's own error is .007."""
    found = coverage(0.1, "mild", 5, 2_000, "good", 1_000)
    assert found["supported"] > 0.99
    assert found["of supported"] > 0.95 - 4 * 0.007


@pytest.mark.parametrize(("overlap", "actions", "n"), [("wide", 5, 3_100), ("narrow", 20, 12_000)])
def test_logs_that_pass_the_floor_by_luck_are_covered_too(overlap, actions, n):
    """About a fifth of 2,000 logs has 50 weighted successes where 45 are expected; the error of their share is .01."""
    found = coverage(0.02, overlap, actions, n, "good", 2_000)
    assert 0.05 < found["supported"] < 0.4
    assert found["of supported"] > PROMISE


@pytest.mark.soak
@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize(("rate", "overlap", "size"), CELLS)
def test_supported_intervals_cover(rate, overlap, size, model, record_property):
    """5,000 logs: the count's own error is .0031. All are covered, and those that pass the floors are by themselves."""
    found = coverage(rate, overlap, *size, model, 5_000)
    record_property(
        "coverage",
        f"coverage at success rate {rate:g}, {overlap} overlap, {size[0]} actions, n = {size[1]:,}, {model} model: "
        f"{found['supported']:.1%} supported, of which {found['of supported']:.2%} hold the truth; "
        f"{found['all']:.2%} of all",
    )
    assert found["all"] >= PROMISE
    passed = 5_000 * found["supported"]
    if passed:
        allowance = 0 if passed >= ENOUGH else 4 * np.sqrt(PROMISE * (1 - PROMISE) / passed)
        assert found["of supported"] >= PROMISE - allowance
