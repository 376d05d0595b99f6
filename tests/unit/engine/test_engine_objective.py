"""What a contact is worth and what it costs, by hand on two customers and two offers."""

import numpy as np
import pytest

from allot import CampaignError
from bandit import Beliefs, choice_probabilities
from engine.objective import Terms, worth_of

CHANCE = np.array([[0.5, 0.2, 0.1], [0.25, 0.8, 0.5]])
MEAN = np.log(CHANCE / (1 - CHANCE))
ELIGIBLE = np.ones((2, 2), bool)
TERMS = Terms(
    margin=np.array([10.0, 40.0]),
    contact_cost=np.array([1.0, 2.0]),
    redemption_cost=np.array([0.0, 5.0]),
    outside_margin=20.0,
)
COST = [[1.0, 2.0 + 5.0 * 0.2], [1.0, 2.0 + 5.0 * 0.8]]


def certain(objective, terms=TERMS, played=1.0):
    beliefs = Beliefs(MEAN, np.zeros_like(MEAN))
    return worth_of(objective, beliefs, ELIGIBLE, terms, np.full(3, played))


@pytest.mark.parametrize(
    ("objective", "value"),
    [
        ("value", [[10 * 0.5, 40 * 0.2], [10 * 0.25, 40 * 0.8]]),
        ("conversions", [[0.5, 0.2], [0.25, 0.8]]),
        ("profit", [[10 * 0.5 - 1, 35 * 0.2 - 2], [10 * 0.25 - 1, 35 * 0.8 - 2]]),
        ("incremental", [[5 - 1 - 2, 7 - 2 - 2], [2.5 - 1 - 10, 28 - 2 - 10]]),
    ],
)
def test_worth_by_hand(objective, value):
    """Costs are the same under every objective: paid on contact, and on redemption if there is one."""
    worth = certain(objective)
    assert worth.value == pytest.approx(np.array(value), rel=1e-6)
    assert worth.cost == pytest.approx(np.array(COST), rel=1e-6)
    assert worth.expected == pytest.approx(CHANCE[:, :2], rel=1e-6)


@pytest.mark.parametrize("objective", ["value", "conversions", "profit", "incremental"])
def test_what_the_draw_sees_is_what_the_plan_counts(objective):
    """Where beliefs are certain, the score of each pair over no offer is its value."""
    worth, s = certain(objective), certain(objective).scores
    score = s.value / (1 + np.exp(-s.mean)) - s.fee
    outside = s.outside if isinstance(s.outside, float) else s.outside.value / (1 + np.exp(-s.outside.mean))
    assert score - np.reshape(outside, (-1, 1) if np.ndim(outside) else ()) == pytest.approx(worth.value, rel=1e-6)


def test_uncertainty_counts_in_the_mean_and_temperature_in_the_draw_only():
    """E sigmoid(mean + sd z) in value and cost, whatever temperature is played; temperature times sd in the scores."""
    sd = np.array([[1.0, 2.0, 0.5], [0.0, 0.3, 1.5]])
    beliefs = Beliefs(MEAN.astype(np.float32), sd.astype(np.float32))
    played = np.array([0.5, 2.0, 3.0])
    worth = worth_of("incremental", beliefs, ELIGIBLE, TERMS, played)
    z = np.random.default_rng(0).normal(size=(400_000, 1, 1))
    draws = 1 / (1 + np.exp(-(MEAN + sd * z)))
    error = draws.std(0)[:, :2] / np.sqrt(len(z))
    assert (np.abs(worth.expected - draws.mean(0)[:, :2]) < 4 * error + 1e-6).all()
    assert worth.cost == pytest.approx(TERMS.contact_cost + TERMS.redemption_cost * worth.expected, rel=1e-6)
    assert worth.scores.sd == pytest.approx(sd[:, :2] * played[:2])
    assert worth.scores.outside.sd == pytest.approx(sd[:, 2] * played[2])


def test_certain_and_equal_beliefs_of_offer_and_no_offer_are_a_tie_that_nobody_wins():
    """Objective `incremental`, free contacts, one margin: no offer wins the tie."""
    same = np.repeat(MEAN[:, :1], 3, 1)
    terms = Terms(np.array([20.0, 20.0]), np.zeros(2), np.zeros(2))
    worth = worth_of("incremental", Beliefs(same, np.zeros_like(same)), ELIGIBLE, terms, np.ones(3))
    s = worth.scores
    chance = choice_probabilities(s.mean, s.sd, s.value, np.broadcast_to(s.fee, (2, 2)), ELIGIBLE, outside=s.outside)
    assert (chance == [0.0, 0.0, 1.0]).all()
    assert (worth.value == 0).all()


def test_incremental_asks_for_the_margin_of_no_offer_where_margins_differ():
    unknown = Terms(TERMS.margin, TERMS.contact_cost, TERMS.redemption_cost)
    with pytest.raises(CampaignError, match="outside_margin"):
        certain("incremental", unknown)
    for objective in ("profit", "value", "conversions"):
        certain(objective, unknown)
