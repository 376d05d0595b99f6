"""Logs that lie: each lie is caught, and the report names it."""

import numpy as np
import pytest

import offline_eval as oe
from allot import ShapeError

N, K = 8_000, 4


def honest(n=N, seed=0, rate=0.2):
    """Chances that differ by offer and customer, the last action being no offer; a target that leans to the second."""
    r = np.random.default_rng(seed)
    x = r.normal(size=n)
    logits = np.column_stack([x, np.zeros(n), -x, np.full(n, 0.7)])
    chances = 0.8 * np.exp(logits) / np.exp(logits).sum(1, keepdims=True) + 0.2 / K
    action = (chances.cumsum(1) < r.random(n)[:, None]).sum(1).clip(0, K - 1)
    reward = (r.random(n) < rate * (1 + action / K)).astype(float)
    target = 0.7 * chances + 0.3 * np.eye(K)[1]
    return oe.Log(reward, action, chances[np.arange(n), action]), target, chances, (x > 0).astype(int)


def changed(log, **columns):
    return oe.Log(**{"reward": log.reward, "action": log.action, "propensity": log.propensity, **columns})


def test_an_honest_log_raises_no_alarm():
    """Of 60 honest logs, checked without and with whole rows and by segment, none is blamed."""
    for seed in range(20):
        log, target, chances, segment = honest(seed=seed)
        for known in ({}, {"chances": chances}, {"chances": chances, "segment": segment}):
            report = oe.evaluate(log, target, **known)
            assert report.verdict == "supported", report.reasons
            assert not report.calibration.alarms.any()
            assert report.copies == 0


def test_propensities_swapped_between_rows_are_caught():
    log, target, chances, _ = honest()
    swapped = changed(log, propensity=np.random.default_rng(1).permutation(log.propensity))
    blind = oe.evaluate(swapped, target)
    assert blind.verdict == "invalid"
    assert any("times as often as its propensities say" in r for r in blind.reasons)
    seen = oe.evaluate(swapped, target, chances=chances)
    assert seen.verdict == "invalid"
    assert any("is not the logged chance of their action" in r for r in seen.reasons)


def test_two_swapped_propensities_are_named_with_their_row_where_whole_rows_are_known():
    log, target, chances, _ = honest()
    p = log.propensity.copy()
    p[[70, 71]] = p[[71, 70]]
    report = oe.evaluate(changed(log, propensity=p), target, chances=chances)
    assert report.verdict == "invalid"
    assert "2 rows is not the logged chance" in report.reasons[0]
    assert "row 70" in report.reasons[0]


@pytest.mark.parametrize("known", [False, True])
def test_a_stale_table_of_propensities_is_caught_by_the_offer_it_is_wrong_about(known):
    """Yesterday the second offer was chosen twice as often; the log still carries yesterday's table."""
    log, target, chances, _ = honest()
    stale = chances.copy()
    stale[:, 1] *= 2
    stale /= stale.sum(1, keepdims=True)
    old = changed(log, propensity=stale[np.arange(N), log.action])
    report = oe.evaluate(old, target, chances=stale if known else None)
    assert report.verdict == "invalid"
    named = next(r for r in report.reasons if "as often as its propensities say" in r)
    assert known == named.startswith("Action 1")  # without whole rows only the offers that occur too often show
    assert np.nanargmax(np.abs(report.calibration.z)) == 1


def test_propensities_that_are_wrong_in_one_segment_are_caught_there():
    """Right on the whole: what one segment has too much the other has too little."""
    log, target, chances, segment = honest(n=40_000)
    tilt = np.where(segment == 1, 1.1, 1 / 1.1)[:, None] ** np.array([1, 0, -1, 0])
    wrong = chances * tilt
    wrong /= wrong.sum(1, keepdims=True)
    log = changed(log, propensity=wrong[np.arange(40_000), log.action])
    report = oe.evaluate(log, target, chances=wrong, segment=segment)
    assert report.verdict == "invalid"
    assert any("in segment" in r for r in report.reasons)
    assert report.calibration.segments.tolist() == [0, 1]
    assert report.calibration.z.shape == (2, K)


def test_an_offer_without_support_is_counted():
    log, target, _, _ = honest()
    kept = log.action != 1
    without = oe.Log(log.reward[kept], log.action[kept], log.propensity[kept])
    report = oe.evaluate(without, target[kept])
    assert report.verdict != "supported"
    assert any("actions that the log cannot speak about" in r for r in report.reasons)


def test_one_weight_of_a_hundred_thousand_is_named_with_its_row():
    log, target, _, _ = honest()
    p = log.propensity.copy()
    p[123] = target[123, log.action[123]] / 1e5
    report = oe.evaluate(changed(log, propensity=p), target)
    assert report.verdict == "insufficient"
    assert report.heaviest_row == 123
    assert report.largest_weight == pytest.approx(1e5)
    assert report.heaviest_share > 0.9
    assert any(r.startswith("Row 123 alone carries 93% of all weight") for r in report.reasons)


def test_duplicated_decisions_are_named_with_their_row():
    log, target, _, _ = honest()
    rows = np.concatenate([np.arange(N), np.arange(500)])
    doubled = oe.Log(log.reward[rows], log.action[rows], log.propensity[rows])
    report = oe.evaluate(doubled, target[rows], decision=rows + 10**12)
    assert report.verdict == "insufficient"
    assert report.reasons == ("500 rows are copies of other rows' decisions, row 8000 the first: drop them.",)
    assert oe.evaluate(doubled, target[rows]).copies == 500  # counted, not blamed: decisions may be alike
    assert oe.evaluate(log, target, decision=np.arange(N)).verdict == "supported"


@pytest.mark.parametrize("times", [2, 3])
def test_a_log_that_was_loaded_more_than_once_is_found_without_decision_numbers(times):
    log, target, _, _ = honest()
    rows = np.tile(np.arange(N), times)
    report = oe.evaluate(oe.Log(log.reward[rows], log.action[rows], log.propensity[rows]), target[rows])
    assert report.verdict == "insufficient"
    assert report.reasons == (
        f"Every row is in the log {times} times, or a multiple of that: drop the copies, or name the customers.",
    )
    named = oe.Log(log.reward[rows], log.action[rows], log.propensity[rows], rows)
    assert oe.evaluate(named, target[rows]).verdict == "supported"  # their interval is that of the log loaded once


def test_rows_of_a_log_whose_rows_are_all_alike_are_no_copies():
    r = np.random.default_rng(0)
    log = oe.Log((r.random(N) < 0.2).astype(float), r.integers(0, K, N), np.full(N, 1 / K))
    assert oe.evaluate(log, np.full((N, K), 1 / K)).verdict == "supported"


def test_a_log_whose_rows_differ_in_a_few_ways_only_is_not_blamed_for_it():
    """Of 100 right logs of two offers by a coin, the counts of four kinds of rows share a divisor in some."""
    for seed in range(100):
        r = np.random.default_rng(seed)
        log = oe.Log((r.random(3000) < 0.1).astype(float), r.integers(0, 2, 3000), np.full(3000, 0.5))
        report = oe.evaluate(log, np.tile([0.6, 0.4], (3000, 1)))
        assert report.verdict == "supported", report.reasons


def test_copies_differ_from_their_first_row_in_nothing():
    same = oe.Log(
        np.zeros(6), np.array([0, 0, 1, 0, 0, 0]), np.array([0.5, 0.5, 0.5, 0.4, 0.5, 0.5]), [1, 1, 1, 1, 2, 1]
    )
    assert oe.copies(same).tolist() == [False, True, False, False, False, True]
    extra = np.array([[1.0], [0.0], [0], [0], [0], [-0.0]])
    assert oe.copies(same, extra).tolist() == [False, False, False, False, False, True]
    with pytest.raises(ShapeError):
        oe.copies(same, extra[:3])


def test_calibration_is_the_sum_of_inverse_propensities_against_the_rows():
    log, _, chances, segment = honest()
    found = oe.calibration(log, actions=K, segment=segment)
    rows = (segment == 1) & (log.action == 2)
    assert found.found[1, 2] == pytest.approx((1 / log.propensity[rows]).sum())
    assert found.expected[1, 2] == (segment == 1).sum()
    support = np.ones((N, K), bool)
    support[:100, 0] = log.action[:100] == 0
    assert oe.calibration(log, actions=K, support=support).expected[0, 0] == support[:, 0].sum()
    whole = oe.calibration(log, actions=K, chances=chances)
    assert whole.expected[0] == pytest.approx(chances.sum(0))
    assert whole.found[0].tolist() == np.bincount(log.action, minlength=K).tolist()
    one = np.zeros(N, int)
    z = oe.calibration(changed(log, cluster=one), actions=K, chances=chances).z
    assert np.isnan(z).all()  # one customer proves nothing


def test_the_bound_of_clipping_holds():
    log, target, _, _ = honest()
    p = np.maximum(log.propensity * np.where(np.arange(N) % 100 == 0, 0.02, 1.0), 1e-3)
    thin = changed(log, propensity=p)
    report = oe.evaluate(thin, target)
    moved = oe.ips(thin, target).value - oe.clipped_ips(thin, target, 10.0).value
    assert 0 < moved <= report.clip_bias_bound
