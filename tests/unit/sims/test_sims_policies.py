import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from allot import ShapeError
from sims import policies


def case(seed, n=30, k=4):
    r = np.random.default_rng(seed)
    return r.normal(size=(n, k)), r.random((n, k)) < 0.6


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.floats(0, 1))
def test_every_policy_is_a_distribution_over_what_is_eligible(seed, share):
    value, eligible = case(seed)
    tables = [
        policies.uniform(eligible),
        policies.greedy(value, eligible),
        policies.best_static(value, eligible),
        policies.prior_greedy(value, np.ones(4), np.full(4, 0.5), eligible),
        policies.epsilon_greedy(policies.greedy(value, eligible), eligible, share),
    ]
    for table in tables:
        assert table.min() >= 0
        assert np.allclose(table.sum(1), 1.0)
        assert not table[:, :-1][~eligible].any()


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000))
def test_no_policy_beats_greedy_on_the_values_it_knows(seed):
    value, eligible = case(seed)
    best = policies.policy_value(policies.greedy(value, eligible), value)
    static = policies.policy_value(policies.best_static(value, eligible), value)
    assert best >= static >= 0
    assert best >= policies.policy_value(policies.uniform(eligible), value)
    assert best == pytest.approx(np.where(eligible, np.maximum(value, 0), 0).max(1).sum())


def test_best_static_gives_nobody_an_offer_that_loses_money():
    table = policies.best_static(np.full((3, 2), -1.0), np.ones((3, 2), bool))
    assert (table[:, 2] == 1).all()


def test_best_static_is_the_offer_of_largest_total():
    value = np.array([[3.0, 2.0], [-4.0, 2.0], [3.0, 2.0]])
    table = policies.best_static(value, np.ones((3, 2), bool))
    assert table[:, 1].tolist() == [1, 1, 1]


def test_epsilon_greedy_mixes_in_the_share():
    value, eligible = case(1)
    greedy = policies.greedy(value, eligible)
    mixed = policies.epsilon_greedy(greedy, eligible, 0.25)
    assert np.allclose(mixed, 0.75 * greedy + 0.25 * policies.uniform(eligible))


def test_prior_greedy_pays_for_contact():
    logit, eligible = np.array([[0.0, 2.0]]), np.ones((1, 2), bool)
    assert policies.prior_greedy(logit, np.array([10.0, 10.0]), np.zeros(2), eligible).argmax() == 1
    assert policies.prior_greedy(logit, np.array([10.0, 10.0]), np.array([0.0, 4.0]), eligible).argmax() == 0
    assert policies.prior_greedy(logit, np.array([10.0, 10.0]), np.array([9.0, 9.0]), eligible).argmax() == 2


def test_wrong_shapes_and_shares_are_refused():
    value, eligible = case(2)
    with pytest.raises(ShapeError):
        policies.greedy(value[:, :2], eligible)
    with pytest.raises(ShapeError):
        policies.epsilon_greedy(policies.uniform(eligible), eligible, 1.5)
    with pytest.raises(ShapeError):
        policies.policy_value(policies.uniform(eligible)[:, :-1], value)
