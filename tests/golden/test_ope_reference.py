"""Every estimator against values that an outside implementation computed."""

import json
import os
from pathlib import Path

import numpy as np
import pytest

import offline_eval as oe

DATA = Path(os.environ.get("ALLOT_DATA", Path(__file__).parents[3] / "shared" / "data"))
REFERENCE = DATA.parent / "reference" / "ope"
CASES = ("case1_tiny", "case2_synthetic", "case3_obd_men_random_to_bts", "case4_obd_men_bts_to_uniform")

pytestmark = pytest.mark.skipif(
    not REFERENCE.is_dir(),
    reason=f"the reference values are not at {REFERENCE}; set ALLOT_DATA to the data beside them",
)


def load(case):
    return np.load(REFERENCE / f"{case}.npz"), json.loads((REFERENCE / f"{case}.json").read_text())


def all_estimators(log, target, q_hat):
    return {
        "ipw": oe.ips(log, target),
        "ipw_clip_10": oe.clipped_ips(log, target, 10.0),
        "ipw_clip_100": oe.clipped_ips(log, target, 100.0),
        "snipw": oe.snips(log, target),
        "dm": oe.dm(log, target, q_hat),
        "dr": oe.dr(log, target, q_hat),
        "sndr": oe.sndr(log, target, q_hat),
        "switch_dr_5": oe.switch_dr(log, target, q_hat, 5.0),
        "switch_dr_20": oe.switch_dr(log, target, q_hat, 20.0),
        "dros_1": oe.dr_os(log, target, q_hat, 1.0),
        "dros_10": oe.dr_os(log, target, q_hat, 10.0),
        "dros_100": oe.dr_os(log, target, q_hat, 100.0),
        "sg_ipw_0.1": oe.subgaussian_ips(log, target, 0.1),
        "sg_dr_0.1": oe.subgaussian_dr(log, target, q_hat, 0.1),
    }


@pytest.mark.parametrize("case", CASES)
def test_fourteen_estimators_equal_the_reference_in_value_and_row_by_row(case):
    arrays, expected = load(case)
    log = oe.Log(arrays["reward"], arrays["action"], arrays["propensity"])
    got = all_estimators(log, arrays["target"], arrays["q_hat"])
    assert got.keys() == expected["estimators"].keys()
    for name, want in expected["estimators"].items():
        rows = got[name].contributions
        assert got[name].value == pytest.approx(want["value"], rel=0, abs=1e-9), name
        found = {
            "row_mean": rows.mean(),
            "row_std_ddof0": rows.std(),
            "row_std_ddof1": rows.std(ddof=1),
            "row_min": rows.min(),
            "row_max": rows.max(),
        }
        for statistic, value in found.items():
            scale = max(1.0, abs(want[statistic]))
            assert value == pytest.approx(want[statistic], rel=0, abs=1e-9 * scale), (name, statistic)
        np.testing.assert_allclose(rows[:5], want["rows_first5"], rtol=1e-9, atol=1e-9, err_msg=name)


@pytest.mark.parametrize("case", CASES)
def test_weights_and_logged_mean_equal_the_reference(case):
    arrays, expected = load(case)
    log = oe.Log(arrays["reward"], arrays["action"], arrays["propensity"])
    report = oe.evaluate(log, arrays["target"], arrays["q_hat"])
    w = oe.weights(log, arrays["target"])
    assert report.mean_weight == pytest.approx(expected["weights"]["mean"], abs=1e-9)
    assert report.largest_weight == pytest.approx(expected["weights"]["max"], abs=1e-9)
    assert report.ess == pytest.approx(expected["weights"]["ess"], rel=1e-9)
    assert report.clipped_share == expected["weights"]["n_above_10"] / len(w)
    assert report.logged.value == pytest.approx(expected["mean_reward_logged"], abs=1e-12)


def replicate(tables, r):
    """A log of 2,000 rows from the finite population of contexts, as the reference draws it."""
    rng = np.random.default_rng([20240501, r])
    x, u, v = rng.integers(0, 400, size=2000), rng.random(2000), rng.random(2000)
    action = np.minimum((tables["cumulative"][x] <= u[:, None]).sum(axis=1), 9)
    reward = (v < tables["q_true"][x, action]).astype(float)
    return x, oe.Log(reward, action, tables["pi_b"][x, action])


def population():
    arrays, expected = load("ci_truth_mild")
    tables = {name: arrays[name] for name in ("pi_b", "pi_e", "q_true", "q_hat", "q_bad")}
    return {**tables, "cumulative": np.cumsum(tables["pi_b"], axis=1)}, expected


def test_five_replicates_of_the_interval_truth_equal_the_reference():
    tables, expected = population()
    for want in expected["replicates"]:
        x, log = replicate(tables, want["replicate"])
        assert (x.sum(), log.action.sum(), log.reward.sum()) == (want["sum_x"], want["sum_a"], want["sum_reward"])
        got = all_estimators(log, tables["pi_e"][x], tables["q_hat"][x])
        for name, value in want["obp"].items():
            assert got[name].value == pytest.approx(value, abs=1e-9), name
        for name, value in want["obp_with_q_bad"].items():
            assert all_estimators(log, tables["pi_e"][x], tables["q_bad"][x])[name].value == pytest.approx(
                value, abs=1e-9
            )


def intervals(tables, r):
    x, log = replicate(tables, r)
    target = tables["pi_e"][x]
    return {
        "ipw": oe.ips(log, target),
        "snipw_delta": oe.snips(log, target),
        "dr_q_hat": oe.dr(log, target, tables["q_hat"][x]),
        "dr_q_bad": oe.dr(log, target, tables["q_bad"][x]),
    }


def test_standard_errors_are_the_exact_ones_of_the_finite_population():
    tables, expected = population()
    drawn = [intervals(tables, r) for r in range(200)]
    exact = expected["exact_standard_error_at_n"]
    for name in drawn[0]:
        errors = np.array([d[name].std_error for d in drawn])
        # The delta method is short of the truth by O(1/n), far below four standard errors of this mean plus 1 %.
        assert abs(errors.mean() / exact[name] - 1) < 0.01 + 4 * errors.std() / np.sqrt(200) / exact[name], name


@pytest.mark.soak
def test_coverage_counts_over_2000_replicates_are_the_reference_ones():
    tables, expected = population()
    truth = expected["true_policy_value"]
    drawn = [intervals(tables, r) for r in range(2000)]
    for name, want in expected["reference_coverage_95"].items():
        if not isinstance(want, dict):
            continue
        above = sum(d[name].low > truth for d in drawn)
        below = sum(d[name].high < truth for d in drawn)
        assert above == round(2000 * want["miss_interval_above_truth"]), name
        assert below == round(2000 * want["miss_interval_below_truth"]), name
        width = np.mean([d[name].high - d[name].low for d in drawn])
        assert width == pytest.approx(want["mean_width"], rel=1e-6), name
