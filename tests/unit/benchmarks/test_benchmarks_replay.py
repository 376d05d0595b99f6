"""The replay benchmark: halves of real logs, chance as stated, few successes say nothing, what is worse is refused."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bandit import Columns
from benchmarks.replay import BEST, candidates, played, refused, verdict
from benchmarks.replay_candidates import CHANCE, judged
from benchmarks.replay_logs import LOGS
from sims.replay import RandomisedLog, Replayed

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


def half(seed: int, rates=(0.3, 0.5, 0.2), n: int = 3000) -> RandomisedLog:
    """Customers who are alike; arm a succeeds with chance rates[a]."""
    r = np.random.default_rng(seed)
    k = len(rates)
    x, arm = r.random((n, 1)), r.integers(0, k, n)
    outcome = (r.random(n) < np.array(rates)[arm]).astype(float)
    names = tuple("abcdefgh"[:k])
    return RandomisedLog("made", x, Columns(("x",), ("arm",), (1,)), {}, names, arm, outcome, np.full(n, 1 / k))


def test_candidates_that_are_worse_are_told_to_be_worse_and_better_ones_better():
    known, coming = half(1), half(2)
    wiser = np.tile([0.0, 0.0, 1.0], (3000, 1))
    lucky = replace(coming, outcome=np.where(coming.arm == 2, 1.0, coming.outcome))
    found = judged(known, lucky, {"wiser": wiser})
    assert next(iter(found)) == "all b", "best in the first half"
    assert {name: one.word for name, one in found.items()} == {
        "all b": "not told apart",
        "wiser": "better",
        CHANCE: "better",
        "all a": "worse",
        "all c": "better",
    }
    assert [name for name, one in found.items() if one.worse] == [CHANCE, "all a", "all c"]
    assert found["wiser"].worse is None, "it has learnt from the first half"
    assert refused(found).startswith("BROKEN, by chance, all c")
    honest = judged(known, coming, {})
    assert refused(honest) == (
        "kept: of 3 candidates that the first half shows to be worse, none is called better "
        "(3 worse, 0 not told apart, 0 withheld, 0 better)"
    )
    assert honest["all a"].gap.value == pytest.approx(
        coming.outcome[coming.arm == 0].mean() - coming.outcome[coming.arm == 1].mean()
    )


def test_a_gain_within_the_noise_is_not_told_apart():
    found = judged(half(1), half(2, (0.51, 0.5, 0.2)), {})["all a"]
    assert found.gap.low < 0 < found.gap.value < found.gap.high
    assert found.word == "not told apart"


def test_a_thin_log_names_no_winner_however_good_a_candidate_looks():
    known, coming = half(3, n=300), half(4, (0.9, 0.1, 0.1), n=300)
    found = judged(known, coming, {"lucky": np.tile([1.0, 0.0, 0.0], (300, 1))})
    assert found["lucky"].gap.low > 0
    assert {one.word for one in found.values()} == {"withheld"}


@needs_data
def test_on_hillstrom_nobody_beats_the_best_arm_and_what_learnt_from_shuffled_outcomes_is_worse():
    found = candidates(*LOGS["Hillstrom"](DATA), 1000)
    assert "better" not in {one.word for one in found.values()}
    assert {name for name, one in found.items() if one.word == "worse"} == {
        "the trees' least liked",
        "trees that learnt shuffled outcomes",
        CHANCE,
        "all No E-Mail",
        "all Womens E-Mail",
    }
    assert found["allot"].gap.low < 0 < found["allot"].gap.high


@needs_data
def test_one_customers_decisions_in_starbucks_are_one_observation():
    _, coming = LOGS["Starbucks"](DATA)
    assert coming.customer is not None
    assert len(np.unique(coming.customer)) == 8_536
    whole = Replayed(np.ones(len(coming.arm), bool), coming.outcome, coming.customer)
    assert whole.std_error > 1.2 * replace(whole, customer=None).std_error
