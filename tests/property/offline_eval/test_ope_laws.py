"""Laws of the estimators, on any log."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import offline_eval as oe

ALL = {
    "ips": lambda log, t, q: oe.ips(log, t),
    "clipped_ips": lambda log, t, q: oe.clipped_ips(log, t, 1.5),
    "snips": lambda log, t, q: oe.snips(log, t),
    "dm": oe.dm,
    "dr": oe.dr,
    "sndr": oe.sndr,
    "switch_dr": lambda log, t, q: oe.switch_dr(log, t, q, 1.5),
    "dr_os": lambda log, t, q: oe.dr_os(log, t, q, 2.0),
    "subgaussian_ips": lambda log, t, q: oe.subgaussian_ips(log, t, 0.2),
    "subgaussian_dr": lambda log, t, q: oe.subgaussian_dr(log, t, q, 0.2),
}
laws = settings(max_examples=25, deadline=None)


@st.composite
def problems(draw):
    """A log, the logging policy, a target and a model; customers have one to a few rows."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n, k = draw(st.integers(2, 60)), draw(st.integers(2, 6))
    policy, target = rng.dirichlet(np.ones(k), n), rng.dirichlet(np.full(k, 0.7), n)
    policy = 0.8 * policy + 0.2 / k
    action = np.array([rng.choice(k, p=p / p.sum()) for p in policy])
    cluster = np.concatenate([[10**6, -4], rng.integers(0, n, n - 2)])
    log = oe.Log(rng.normal(size=n), action, policy[np.arange(n), action], cluster)
    return log, policy, target, rng.normal(size=(n, k))


def without_customers(log):
    return oe.Log(log.reward, log.action, log.propensity)


def close(a, b, scale=1.0):
    """Values, errors and intervals agree to rounding."""
    for x, y in ((a.value, b.value), (a.std_error, b.std_error), (a.low, b.low), (a.high, b.high)):
        assert x == pytest.approx(y, rel=1e-10, abs=1e-11 * scale)


@laws
@given(problems())
def test_dr_with_zero_model_is_ips(problem):
    log, _, target, q = problem
    close(oe.dr(log, target, 0 * q), oe.ips(log, target))
    close(oe.sndr(log, target, 0 * q), oe.snips(log, target))
    close(oe.subgaussian_dr(log, target, 0 * q, 0.3), oe.subgaussian_ips(log, target, 0.3))


@laws
@given(problems())
def test_limits_of_the_hyperparameters_are_the_plain_estimators(problem):
    log, _, target, q = problem
    close(oe.clipped_ips(log, target, np.inf), oe.ips(log, target))
    close(oe.switch_dr(log, target, q, np.inf), oe.dr(log, target, q))
    close(oe.dr_os(log, target, q, np.inf), oe.dr(log, target, q))
    close(oe.dr_os(log, target, q, 0.0), oe.dm(log, target, q))
    close(oe.subgaussian_ips(log, target, 0.0), oe.ips(log, target))
    close(oe.subgaussian_dr(log, target, q, 0.0), oe.dr(log, target, q))


def test_where_a_weight_is_zero_the_shrunk_weight_is_zero_at_every_hyperparameter():
    log = oe.Log(np.array([1.0, 1.0]), np.array([0, 1]), np.array([0.5, 0.5]))
    target = np.array([[0.0, 1.0], [0.0, 1.0]])
    assert oe.subgaussian_ips(log, target, 1.0).contributions.tolist() == [0.0, 1.0]
    assert oe.subgaussian_dr(log, target, np.zeros((2, 2)), 1.0).contributions.tolist() == [0.0, 1.0]
    assert oe.dr_os(log, target, np.zeros((2, 2)), 0.0).contributions.tolist() == [0.0, 0.0]


@laws
@given(problems())
def test_the_logging_policy_itself_is_worth_the_mean_reward(problem):
    log, policy, _, _ = problem
    for estimate in (oe.ips(log, policy), oe.snips(log, policy)):
        close(estimate, oe.logged(log))
    np.testing.assert_allclose(oe.weights(log, policy), 1.0, rtol=1e-12)
    customers = len(np.unique(log.cluster))
    sizes = np.bincount(log.cluster)
    assert oe.ips(log, policy).ess == pytest.approx(len(log.reward) ** 2 / np.square(sizes).sum())
    assert oe.ips(log, policy).ess <= customers + 1e-9


@pytest.mark.parametrize("name", ALL)
@laws
@given(problem=problems(), factor=st.sampled_from([0.01, 7.0, 1e6]))
def test_scaling_rewards_scales_values_and_intervals(name, problem, factor):
    log, _, target, q = problem
    scaled = oe.Log(factor * log.reward, log.action, log.propensity, log.cluster)
    got, base = ALL[name](scaled, target, factor * q), ALL[name](log, target, q)
    for x, y in ((got.value, base.value), (got.std_error, base.std_error), (got.low, base.low), (got.high, base.high)):
        assert x == pytest.approx(factor * y, rel=1e-9, abs=1e-11 * factor)
    assert got.ess == base.ess


@laws
@given(problem=problems(), shift=st.floats(-5, 5))
def test_adding_a_constant_to_rewards_moves_self_normalised_values_by_it(problem, shift):
    log, _, target, _ = problem
    moved = oe.Log(log.reward + shift, log.action, log.propensity, log.cluster)
    got, base = oe.snips(moved, target), oe.snips(log, target)
    assert got.value == pytest.approx(base.value + shift, abs=1e-10)
    assert got.std_error == pytest.approx(base.std_error, rel=1e-8, abs=1e-10)


@pytest.mark.parametrize("name", ALL)
@laws
@given(problem=problems(), seed=st.integers(0, 99))
def test_permuting_rows_changes_nothing(name, problem, seed):
    log, _, target, q = problem
    order = np.random.default_rng(seed).permutation(len(log.reward))
    mixed = oe.Log(log.reward[order], log.action[order], log.propensity[order], log.cluster[order])
    base, got = ALL[name](log, target, q), ALL[name](mixed, target[order], q[order])
    scale = 1 + np.abs(base.contributions).max()
    assert got.value == pytest.approx(base.value, rel=0, abs=1e-12 * scale)
    assert got.std_error == pytest.approx(base.std_error, rel=0, abs=1e-12 * scale)
    np.testing.assert_allclose(got.influence, base.influence[order], rtol=0, atol=1e-12 * scale)


@pytest.mark.parametrize("name", ALL)
@laws
@given(problem=problems())
def test_contributions_average_to_the_value_and_influence_to_zero(name, problem):
    log, _, target, q = problem
    e = ALL[name](log, target, q)
    scale = 1 + np.abs(e.contributions).max()
    assert e.contributions.mean() == e.value
    assert abs(e.influence.mean()) < 1e-12 * scale
    assert e.low <= e.value <= e.high


@pytest.mark.parametrize("name", ALL)
@laws
@given(problem=problems())
def test_customers_with_one_row_each_are_rows(name, problem):
    log, _, target, q = problem
    singles = oe.Log(log.reward, log.action, log.propensity, np.arange(len(log.reward))[::-1] * 3)
    close(ALL[name](singles, target, q), ALL[name](without_customers(log), target, q))


@pytest.mark.parametrize("name", ALL)
@laws
@given(problem=problems(), copies=st.integers(2, 4))
def test_copies_of_a_customers_rows_do_not_narrow_the_interval(name, problem, copies):
    log, _, target, q = problem
    rows = np.tile(np.arange(len(log.reward)), copies)
    many = oe.Log(log.reward[rows], log.action[rows], log.propensity[rows], log.cluster[rows])
    got, base = ALL[name](many, target[rows], q[rows]), ALL[name](log, target, q)
    close(got, base)
    assert got.ess == pytest.approx(base.ess)


@laws
@given(problems())
def test_a_difference_is_paired(problem):
    log, policy, target, q = problem
    first, second = oe.dr(log, target, q), oe.dr(log, policy, q)
    gap = oe.difference(first, second)
    assert gap.value == first.value - second.value
    assert oe.difference(first, first).std_error == 0
    assert abs(gap.std_error) <= first.std_error + second.std_error + 1e-12
    by_customer = np.bincount(log.cluster, first.contributions - second.contributions - gap.value)
    m = len(by_customer)
    expected = np.sqrt(m / (m - 1) * np.square(by_customer).sum()) / len(log.reward)
    assert gap.std_error == pytest.approx(expected, rel=1e-9, abs=1e-13)


@pytest.mark.parametrize("name", ALL)
@laws
@given(problem=problems())
def test_a_part_is_the_estimator_on_those_rows(name, problem):
    log, _, target, q = problem
    rows = np.arange(len(log.reward)) % 2 == 0
    cut = oe.Log(log.reward[rows], log.action[rows], log.propensity[rows], log.cluster[rows])
    whole, alone = ALL[name](log, target, q), ALL[name](cut, target[rows], q[rows])
    close(oe.part(whole, rows), alone)
    assert oe.part(whole, rows).ess == pytest.approx(alone.ess)


@laws
@given(problem=problems(), level=st.floats(0.5, 0.999))
def test_another_level_changes_the_interval_only(problem, level):
    log, _, target, _ = problem
    base = oe.ips(log, target)
    other = base.at(level)
    assert (other.value, other.std_error, other.level) == (base.value, base.std_error, level)
    assert (other.high - other.low <= base.high - base.low) == (level <= 0.95)
    close(other.at(0.95), base)
