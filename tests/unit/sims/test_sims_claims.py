"""Claims against the truth are what one counts by hand."""

import numpy as np
import pytest
from scipy.special import logit

from bandit import Beliefs
from sims.claims import BELIEF_EDGES, CHANCE_EDGES, claims_of

CERTAIN = np.float32(1e-6)


def beliefs(chance, sd):
    """About two offers and no offer, whose chance nobody asks for."""
    mean = np.column_stack([logit(np.asarray(chance)), np.zeros(len(chance))])
    return Beliefs(mean.astype(np.float32), np.column_stack([sd, np.ones(len(chance))]).astype(np.float32))


def test_chosen_offers_are_counted_by_their_predicted_chance():
    said = beliefs([[0.06, 0.5], [0.5, 0.07], [0.12, 0.5]], np.full((3, 2), CERTAIN))
    truth = np.array([[0.04, 0.9], [0.9, 0.08], [0.2, 0.9]])
    found = claims_of(said, truth, np.ones((3, 2), np.bool_), np.array([0, 1, -1]), None)
    at = int(np.searchsorted(BELIEF_EDGES, 0.065)) - 1
    assert found.beliefs[at] == pytest.approx([2, 0.13, 0.12], abs=1e-6)
    assert found.beliefs.sum(0) == pytest.approx(found.beliefs[at])
    assert not found.chances.any()


def test_an_interval_holds_the_truth_up_to_its_end_and_no_offer_is_no_claim():
    """Of four pairs one may not be made; the truth is 1.6 and 1.7 sd away from what is believed."""
    said = beliefs(np.full((2, 2), 0.1), np.full((2, 2), 0.5))
    near, far = (1 / (1 + np.exp(-(logit(0.1) + 0.5 * z))) for z in (1.6, 1.7))
    truth = np.array([[near, far], [far, near]])
    eligible = np.array([[True, True], [True, False]])
    found = claims_of(said, truth, eligible, np.array([0, -1]), None)
    assert found.inside.tolist() == [[1, 1], [3, 1]]


def test_options_are_counted_by_their_stated_chance_no_offer_among_them():
    """An edge belongs to the bin above it, 1 to the last."""
    probability = np.array([[0.5, 0.0, 0.5], [0.0, 1.0, 0.0]], np.float32)
    found = claims_of(beliefs(np.full((2, 2), 0.1), np.ones((2, 2))), np.full((2, 2), 0.1), np.ones((2, 2), np.bool_),
                      np.array([-1, 1]), probability)  # fmt: skip
    rows = {float(CHANCE_EDGES[b]): row.tolist() for b, row in enumerate(found.chances) if row.any()}
    assert rows == {0.5: [2, 1, 1, 0.5], 0.95: [1, 1, 1, 0]}
