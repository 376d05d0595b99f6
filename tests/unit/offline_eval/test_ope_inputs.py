"""What is no log, and what is no policy for it: each is refused with the row and a remedy."""

import numpy as np
import pytest

import offline_eval as oe
from allot import DataError, ShapeError


def columns(**changed):
    return {
        "reward": np.array([1.0, 0.0, 1.0]),
        "action": np.array([0, 1, 2]),
        "propensity": np.array([0.5, 0.25, 1.0]),
        **changed,
    }


def uniform(n=3, k=3):
    return np.full((n, k), 1 / k)


@pytest.mark.parametrize("bad", [0.0, -0.1, 1.0000001, 2.0, np.nan, np.inf, 1e-200])
def test_a_propensity_outside_zero_to_one_is_refused_with_its_row(bad):
    with pytest.raises(DataError, match=r"row 1: propensity .*not in \(0, 1\]") as error:
        oe.Log(**columns(propensity=np.array([0.5, bad, 1.0])))
    assert error.value.remedy


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_reward_that_is_no_finite_number_is_refused_with_its_row(bad):
    with pytest.raises(DataError, match="row 2: reward"):
        oe.Log(**columns(reward=np.array([1.0, 0.0, bad])))


def test_action_minus_one_is_refused_and_the_remedy_says_how_no_offer_is_written():
    with pytest.raises(DataError, match=r"row 1: action -1 does not exist \(and 1 more rows\).*no offer is k"):
        oe.Log(**columns(action=np.array([0, -1, -1])))


def test_an_action_without_a_column_in_the_target_is_refused_with_its_row():
    log = oe.Log(**columns(action=np.array([0, 1, 3])))
    with pytest.raises(DataError, match="row 2: action 3 has no column in the target, which has 3"):
        oe.ips(log, uniform())


@pytest.mark.parametrize(
    "action", [np.array([0.0, 1.0, 2.0]), np.array([True, False, True]), np.array(["a", "b", "c"])]
)
def test_actions_that_are_not_integers_are_refused(action):
    with pytest.raises(ShapeError, match="not integer"):
        oe.Log(**columns(action=action))


@pytest.mark.parametrize("name", ["action", "propensity", "cluster"])
def test_columns_of_different_length_are_refused(name):
    with pytest.raises(ShapeError, match=f"{name} has shape"):
        oe.Log(**columns(**{name: np.ones(4, int)}))


def test_a_log_without_rows_is_refused():
    with pytest.raises(DataError, match="no rows"):
        oe.Log(np.zeros(0), np.zeros(0, int), np.zeros(0))


def test_text_rewards_are_refused():
    with pytest.raises(ShapeError, match="not a number"):
        oe.Log(**columns(reward=np.array(["1", "0", "1"])))


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ([0.5, 0.25, 0.2], "row 1: the probabilities sum to 0.95"),
        ([0.5, 0.5, 2e-6], "row 1: the probabilities sum to 1.00000"),
        ([1.5, -0.5, 0.0], "row 1: a probability is negative"),
        ([np.nan, 0.5, 0.5], "row 1: a probability is negative or not a number"),
        ([np.inf, 0.0, 0.0], "row 1: a probability is negative or not a number"),
    ],
)
def test_a_target_row_that_is_no_distribution_is_refused_with_its_row(row, message):
    target = uniform()
    target[1] = row
    with pytest.raises(DataError, match=message):
        oe.ips(oe.Log(**columns()), target)


def test_a_target_of_another_length_is_refused():
    with pytest.raises(ShapeError, match=r"target has shape \(4, 3\)"):
        oe.snips(oe.Log(**columns()), uniform(4))


def test_float32_targets_are_taken_as_they_are_stored():
    target = np.array([[1 / 3, 1 / 3, 1 / 3]] * 3, np.float32)
    assert oe.ips(oe.Log(**columns()), target).value == pytest.approx((2 / 3 + 1 / 3) / 3, abs=1e-7)


@pytest.mark.parametrize("estimator", [oe.dm, oe.dr, oe.sndr])
def test_a_model_with_a_hole_or_of_another_shape_is_refused(estimator):
    log, q_hat = oe.Log(**columns()), np.zeros((3, 3))
    q_hat[2, 1] = np.nan
    with pytest.raises(DataError, match="row 2"):
        estimator(log, uniform(), q_hat)
    with pytest.raises(ShapeError, match="q_hat has shape"):
        estimator(log, uniform(), np.zeros((3, 4)))


@pytest.mark.parametrize(
    "call",
    [
        lambda log, t, q: oe.clipped_ips(log, t, 0.0),
        lambda log, t, q: oe.switch_dr(log, t, q, -1.0),
        lambda log, t, q: oe.dr_os(log, t, q, -1.0),
        lambda log, t, q: oe.subgaussian_ips(log, t, 1.1),
        lambda log, t, q: oe.subgaussian_dr(log, t, q, np.nan),
        lambda log, t, q: oe.ips(log, t).at(1.0),
        lambda log, t, q: oe.part(oe.ips(log, t), np.zeros(3, bool)),
        lambda log, t, q: oe.part(oe.difference(oe.ips(log, t), oe.dm(log, t, q)), np.ones(3, bool)),
    ],
)
def test_options_outside_their_range_are_refused(call):
    with pytest.raises(ShapeError):
        call(oe.Log(**columns()), uniform(), np.zeros((3, 3)))


def test_estimates_of_different_logs_cannot_be_subtracted():
    log = oe.Log(**columns())
    of_customers = oe.Log(**columns(cluster=np.array([0, 0, 1])))
    with pytest.raises(ShapeError, match="one log"):
        oe.difference(oe.ips(log, uniform()), oe.ips(of_customers, uniform()))
