"""Scores that are amounts themselves, `mean + sd·z` currency units, in the form that choices are computed from."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from bandit.beliefs import Beliefs
from bandit.scores import Floats, Outside, Scores

_NARROW: Final = 2.0**-10  # of a logit; it bends z by less than 1e-7 z³, and amounts are multiplied by a power of two


def amount_scores(
    beliefs: Beliefs, fee: Floats, eligible: NDArray[np.bool_], *, outside: float | Floats | Beliefs = 0.0
) -> Scores:
    """Scores `mean + sd·z − fee`, z ~ N(0, 1) independent, compared with no offer.

    A logistic curve is straight where it is looked at closely: with V = 4·sd/ε, V·σ(ε·z) − V/2 = sd·(z − ε²z³/12 + …).
    So each pair is a success of the value V and the logit N(0, ε²), at a fee that takes V/2 away and gives the mean; a
    certain amount is a success of no value.

    Args:
        beliefs: (n, k) of the mean amounts, sd already multiplied by the temperature; sd 0 is certain.
        fee: (n, k) or (k,) what playing the offer costs, currency units.
        eligible: (n, k) bool.
        outside: worth of no offer, currency units: one number, (n,), or beliefs (n, 1) of its own. These move all
            scores of a customer by the same: no choice depends on it, but what is said of the best score does.

    Raises:
        ShapeError: the arrays' shapes disagree.
    """
    mean, sd = beliefs.mean.astype(np.float64), beliefs.sd.astype(np.float64)
    value = 4.0 / _NARROW * sd
    shifted = fee + 0.5 * value - mean
    no_offer: float | Floats | Outside
    if isinstance(outside, Beliefs):
        own = 4.0 / _NARROW * outside.sd[:, 0].astype(np.float64)
        shifted += (outside.mean[:, 0] - 0.5 * own)[:, None]
        no_offer = Outside(np.zeros(len(own)), np.full(len(own), _NARROW), own)
    else:
        no_offer = outside
    logit = np.zeros(mean.shape, np.float32)
    return Scores(logit, np.full_like(logit, _NARROW), value, shifted, eligible, no_offer)
