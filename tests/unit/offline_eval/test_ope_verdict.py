"""When an estimate may be believed, and what the report says when not."""

import numpy as np
import pytest

import offline_eval as oe
from allot import DataError, ShapeError

K = 3


def history(n=6000, rate=0.3, seed=5, cluster=None):
    """A uniform log over three actions, and a target that leans to the first."""
    rng = np.random.default_rng(seed)
    log = oe.Log((rng.random(n) < rate).astype(float), rng.integers(0, K, n), np.full(n, 1 / K), cluster)
    return log, np.tile([0.6, 0.3, 0.1], (n, 1))


def test_a_wide_log_supports_the_target():
    log, target = history()
    report = oe.evaluate(log, target, planned=0.5)
    assert report.verdict == "supported"
    assert report.reasons == ()
    assert report.estimate.value == report.estimates[1].value
    assert [e.estimator for e in report.estimates] == ["ips", "snips"]
    assert report.chosen_because.startswith("snips")
    assert report.planned_minus_realised == 0.5 - report.estimate.value
    assert report.logged.value == log.reward.mean()
    assert report.logged.std_error == pytest.approx(log.reward.std(ddof=1) / np.sqrt(6000), rel=1e-12)
    assert report.rows == 6000
    assert report.unsupported_mass == 0
    w = oe.weights(log, target)
    own, of_all = (w @ log.reward) ** 2 / (w**2 @ log.reward), w @ log.reward / w.sum() * report.ess
    assert report.weighted_successes == pytest.approx(min(own, of_all))


def test_dr_is_chosen_when_the_model_helps_and_snips_when_it_does_not():
    log, target = history()
    helpful = np.full((6000, K), 0.3)
    report = oe.evaluate(log, target, helpful)
    assert report.estimate.estimator == "dr"
    assert [e.estimator for e in report.estimates] == ["ips", "snips", "dr", "sndr"]
    harmful = np.tile([9.0, -9.0, 0.0], (6000, 1))
    report = oe.evaluate(log, target, harmful)
    assert report.estimate.estimator == "snips"
    assert "times as wide" in report.chosen_because


def test_the_direct_method_is_never_among_the_estimates():
    log, target = history()
    assert "dm" not in {e.estimator for e in oe.evaluate(log, target, np.full((6000, K), 0.3)).estimates}


def test_a_reason_of_the_caller_makes_it_invalid_and_hides_the_estimate():
    log, target = history()
    report = oe.evaluate(log, target, planned=0.3, reasons=("The policy has learnt from 12 of these rows.",))
    assert report.verdict == "invalid"
    assert report.reasons == ("The policy has learnt from 12 of these rows.",)
    assert report.estimate is None
    assert report.planned_minus_realised is None


def test_a_reason_of_the_caller_counts_on_a_thin_log_too():
    log, target = history(n=100)
    report = oe.evaluate(log, target, reasons=("The model was trained on these outcomes.",))
    assert report.verdict == "invalid"
    assert report.estimate is None
    assert report.reasons[0] == "The model was trained on these outcomes."
    assert any("effective sample size" in r for r in report.reasons)


@pytest.mark.parametrize("factor", [0.5, 1.3])
def test_propensities_that_do_not_match_the_log_make_it_invalid(factor):
    log, target = history()
    report = oe.evaluate(oe.Log(log.reward, log.action, log.propensity * factor), target)
    assert report.verdict == "invalid"
    assert report.estimate is None
    sentence = report.reasons[0]
    assert sentence.startswith(
        f"Weights average {report.mean_weight:.3g} (should be 1): the logged propensities do not"
    )
    assert report.mean_weight == pytest.approx(1 / factor, rel=0.03)


@pytest.mark.parametrize("n", [6000, 200])
def test_a_log_that_left_nothing_to_chance_says_nothing_about_another_policy(n):
    log, target = history(n)
    certain = oe.Log(log.reward, log.action, np.ones(n))
    report = oe.evaluate(certain, target)
    assert report.verdict == "invalid"
    assert report.estimate is None
    assert any(r.startswith("Every propensity is 1: such a log was written by a policy") for r in report.reasons)
    same = np.eye(K)[log.action]
    assert not any("Every propensity" in r for r in oe.evaluate(certain, same).reasons)


@pytest.mark.parametrize("model", [None, 0.0, 1e-4])
def test_a_log_without_a_success_bounds_the_value_from_above_and_supports_nothing(model):
    """The exact bound of no success: -log(.025) of what one would bring; a model knows no better."""
    log, target = history(rate=0.0)
    report = oe.evaluate(log, target, None if model is None else np.full((6000, K), model))
    assert report.verdict == "insufficient"
    assert report.weighted_successes == 0
    assert any("weighted successes" in r for r in report.reasons)
    w = oe.weights(log, target)
    bound = -np.log(0.025) * (w**3).sum() / (w**2).sum() / w.sum()
    assert (report.estimate.low, report.estimate.high) == (0.0, pytest.approx(bound))
    assert report.logged.high == pytest.approx(-np.log(0.025) / 6000)
    for e in report.estimates:
        assert e.low <= e.value <= e.high
        assert e.high >= bound * 0.9
    gap, why = oe.compare(report.estimate, report.logged, log)
    assert gap.low < 0 < gap.high
    assert why.startswith("the interval for few successes")


def test_propensities_stored_with_three_digits_are_not_blamed():
    log, _ = history()
    rounded = oe.Log(log.reward, log.action, np.full(6000, 0.3333))
    assert oe.evaluate(rounded, np.full((6000, K), 1 / K)).verdict == "supported"


def test_few_effective_rows_are_insufficient_and_the_estimate_stays_visible():
    log, target = history(n=300)
    report = oe.evaluate(log, target)
    assert report.verdict == "insufficient"
    assert any("effective sample size" in r and "500" in r for r in report.reasons)
    assert report.estimate is not None


def test_few_successes_are_insufficient_whatever_the_rows():
    log, target = history(n=20_000, rate=0.001)
    report = oe.evaluate(log, target)
    assert report.ess > 10_000
    assert report.verdict == "insufficient"
    assert len(report.reasons) == 1
    assert "weighted successes" in report.reasons[0]


def test_an_action_that_never_occurs_is_unsupported():
    log, _ = history()
    wider = np.tile([0.5, 0.2, 0.1, 0.2], (6000, 1))
    report = oe.evaluate(log, wider)
    assert report.unsupported_mass == pytest.approx(0.2)
    assert report.mean_weight == pytest.approx(0.8, abs=0.05)
    assert report.verdict == "insufficient"
    assert any("20.0%" in r for r in report.reasons)


def test_support_by_row_counts_what_had_no_chance_in_that_row():
    log, target = history()
    support = np.ones((6000, K), bool)
    support[:3000, 0] = log.action[:3000] == 0
    report = oe.evaluate(log, target, support=support)
    assert report.unsupported_mass == pytest.approx(0.6 * np.mean(~support[:, 0]))
    assert report.verdict != "supported"


def test_a_logged_action_without_support_is_refused_with_its_row():
    log, target = history()
    support = np.ones((6000, K), bool)
    support[17, log.action[17]] = False
    with pytest.raises(DataError, match="row 17"):
        oe.evaluate(log, target, support=support)
    with pytest.raises(ShapeError):
        oe.evaluate(log, target, support=support[:, :2])


def test_a_target_that_never_meets_the_log_is_insufficient_without_a_number():
    log, _ = history()
    only_new = np.tile([0.0, 0.0, 0.0, 1.0], (6000, 1))
    report = oe.evaluate(log, only_new, planned=1.0)
    assert report.verdict == "insufficient"
    assert (report.ess, report.largest_weight, report.unsupported_mass) == (0.0, 0.0, 1.0)
    assert np.isnan(report.estimate.value)
    assert (report.estimate.low, report.estimate.high) == (-np.inf, np.inf)
    assert report.planned_minus_realised is None
    assert report.spread == np.inf


def test_a_thousand_rows_of_one_customer_are_one_customer():
    log, target = history(cluster=np.zeros(6000, int))
    report = oe.evaluate(log, target)
    assert report.verdict == "insufficient"
    assert report.ess == pytest.approx(1.0)
    assert (report.estimate.low, report.estimate.high) == (-np.inf, np.inf)


def test_clipped_share_is_the_share_of_rows_above_ten():
    log = oe.Log(np.ones(4), np.zeros(4, int), np.array([1.0, 0.5, 0.1, 0.05]))
    assert oe.evaluate(log, np.ones((4, 1))).clipped_share == 0.25


def test_spread_is_in_standard_errors_of_the_chosen_estimate():
    log, target = history(n=500)
    report = oe.evaluate(log, target, np.tile([0.2, 0.3, 0.4], (500, 1)))
    values = [e.value for e in report.estimates]
    assert report.spread == pytest.approx((max(values) - min(values)) / report.estimate.std_error)
    assert report.spread > 0


def test_known_chances_tell_rare_large_weights_from_wrong_propensities() -> None:
    """For a tenth of the rows the target wants what has a chance of 1 in 2,000, and did not occur there."""
    n, rare = 4_000, 400
    r = np.random.default_rng(0)
    chances = np.tile([0.5, 0.5], (n, 1))
    chances[:rare] = 0.9995, 0.0005
    target = chances.copy()
    target[:rare] = 0.8, 0.2
    action = (r.random(n) < 0.5).astype(int)
    action[:rare] = 0
    log = oe.Log((r.random(n) < 0.3).astype(float), action, chances[np.arange(n), action])
    blind = oe.evaluate(log, target)
    seen = oe.evaluate(log, target, chances=chances)
    assert (blind.verdict, seen.verdict) == ("invalid", "insufficient")
    assert seen.ess == pytest.approx(n / (0.9 + 0.1 * (0.8**2 / 0.9995 + 0.2**2 / 0.0005)))
    wrong = oe.Log(log.reward, (r.random(n) < 0.5).astype(int), np.full(n, 0.4))
    even = np.tile([0.5, 0.5], (n, 1))
    assert oe.evaluate(wrong, even, chances=np.tile([0.4, 0.6], (n, 1))).verdict == "invalid"


def test_successes_are_worth_no_more_than_the_weights_of_all_rows_say():
    """Heavy rows that all fail make the successes' own weights look even; they still count."""
    n = 2_000
    action, heavy = np.zeros(n, int), np.arange(n) < 100
    reward = np.where(~heavy & (np.arange(n) % 4 == 0), 1.0, 0.0)
    log = oe.Log(reward, action, np.where(heavy, 0.02, 1.0))
    report = oe.evaluate(log, np.tile([1.0, 0.0], (n, 1)))
    w = np.where(heavy, 50.0, 1.0)
    assert report.weighted_successes == pytest.approx(reward.sum() / w.sum() * w.sum() ** 2 / (w**2).sum())
    assert report.weighted_successes < 0.1 * reward.sum()
