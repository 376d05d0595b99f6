"""Laws of choice probabilities on beliefs from certain to hopelessly wide, at prices of both signs."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from bandit import choice_probabilities

SDS = st.sampled_from([0.0, 1e-8, 1e-3, 0.3, 3.0, 10.0])


@st.composite
def rows(draw):
    offers = draw(st.integers(1, 6))

    def table(element):
        return np.array([draw(st.lists(element, min_size=offers, max_size=offers))])

    mean, sd = table(st.floats(-15, 15)), table(SDS)
    value = table(st.floats(-5, 50))
    price = table(st.floats(-3, 3)) * draw(st.sampled_from([0.0, 1e-3, 1.0, 10.0]))
    eligible = table(st.booleans())
    return mean, sd, value, price, eligible, draw(st.floats(-2, 2))


@settings(max_examples=50, deadline=None, derandomize=True)
@given(rows())
def test_rows_are_probabilities_and_nothing_ineligible_is_played(case):
    *arrays, outside = case
    chance = choice_probabilities(*arrays, outside=outside)
    assert chance.shape == (1, arrays[0].shape[1] + 1)
    assert (chance >= 0).all()
    assert abs(chance.sum() - 1) < 1e-12
    assert (chance[:, :-1][~arrays[-1]] == 0).all()


@settings(max_examples=40, deadline=None, derandomize=True)
@given(rows(), st.integers(0, 5), st.floats(0.01, 3))
def test_a_dearer_offer_is_played_less_and_every_other_more(case, which, step):
    mean, sd, value, price, eligible, outside = case
    which %= mean.shape[1]
    before = choice_probabilities(mean, sd, value, price, eligible, outside=outside)[0]
    dearer = price.copy()
    dearer[0, which] += step
    after = choice_probabilities(mean, sd, value, dearer, eligible, outside=outside)[0]
    change = after - before
    assert change[which] <= 1e-6
    assert (np.delete(change, which) >= -1e-6).all()


@settings(max_examples=30, deadline=None, derandomize=True)
@given(rows(), st.floats(-100, 100))
def test_only_differences_of_money_count(case, gift):
    """What everybody gets for any choice, no offer included, changes nothing beyond rounding."""
    mean, sd, value, price, eligible, outside = case
    sd = np.where(sd < 0.1, 0.3, np.minimum(sd, 3.0))
    mean = np.clip(mean, -5, 5)
    value = np.abs(value) + 0.5
    before = choice_probabilities(mean, sd, value, price, eligible, outside=outside)
    after = choice_probabilities(mean, sd, value, price - gift, eligible, outside=outside + gift)
    np.testing.assert_allclose(after, before, atol=1e-6)
