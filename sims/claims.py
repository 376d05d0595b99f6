"""What a policy says of its decisions, and what is true: chances of success, their intervals, chances of options."""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import logit as logit_of
from scipy.special import ndtri

from bandit import Beliefs, mean_success
from sims.people import Floats, Ints

BELIEF_EDGES: Final = np.array([0.0, 0.01, 0.02, 0.035, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 1.0])
"""Predicted chances of success are told apart by these."""

CHANCE_EDGES: Final = np.array([0.0, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.65, 0.8, 0.9, 0.95, 1.0])
"""Stated chances of options are told apart by these."""

INTERVAL: Final = 0.90
"""How surely the interval of a belief should hold the truth."""

_HALF: Final = float(ndtri(0.5 + INTERVAL / 2))


@dataclass(frozen=True, slots=True)
class Claims:
    """Sums over some decisions; they add up over days.

    Args:
        beliefs: (bins of `BELIEF_EDGES`, 3) chosen offers by their predicted chance: how many, the sum of the predicted
            chances, the sum of the true ones.
        inside: (2, 2) chosen offers, then all eligible pairs: how many, and of how many the belief's interval holds
            the true chance.
        chances: (bins of `CHANCE_EDGES`, 4) options, no offer among them, by their stated chance p: how many, the sum
            of p, how often they were drawn, the sum of p (1 - p); all 0 where nothing is drawn.
    """

    beliefs: Floats
    inside: Ints
    chances: Floats


def claims_of(
    beliefs: Beliefs,
    truth: Floats,
    eligible: NDArray[np.bool_],
    choice: Ints,
    probability: NDArray[np.float32] | None,
) -> Claims:
    """Hold some decisions against the truth.

    Args:
        beliefs: about the logits (n, k + 1), as they were before the decision.
        truth: (n, k) true chances of success.
        eligible: (n, k).
        choice: (n,) offers, -1 = no offer.
        probability: (n, k + 1) with which was drawn, or None.
    """
    chosen = np.flatnonzero(choice >= 0)
    taken = choice[chosen]
    mean, sd = (x[:, :-1].astype(np.float64) for x in (beliefs.mean, beliefs.sd))
    inside = np.abs(logit_of(truth) - mean) <= _HALF * sd
    stated = mean_success(mean[chosen, taken][:, None], sd[chosen, taken][:, None])[:, 0].astype(np.float64)
    return Claims(
        beliefs=_binned(stated, BELIEF_EDGES, np.ones(len(stated)), stated, truth[chosen, taken]),
        inside=np.array([_counted(inside[chosen, taken]), _counted(inside[eligible])]),
        chances=_drawn(probability, choice),
    )


def _drawn(probability: NDArray[np.float32] | None, choice: Ints) -> Floats:
    if probability is None:
        return np.zeros((len(CHANCE_EDGES) - 1, 4))
    drawn = np.zeros(probability.shape)
    drawn[np.arange(len(choice)), choice] = 1.0  # -1, no offer, is the last column
    possible = probability > 0
    p = probability[possible].astype(np.float64)
    return _binned(p, CHANCE_EDGES, np.ones(len(p)), p, drawn[possible], p * (1.0 - p))


def _counted(inside: NDArray[np.bool_]) -> tuple[int, int]:
    return inside.size, int(inside.sum())


def _binned(by: Floats, edges: Floats, *columns: NDArray[Any]) -> Floats:
    """(bins, columns) sums of columns (r,) by the bin of `by` (r,); the highest edge belongs to the last bin."""
    bins = len(edges) - 1
    at = np.clip(np.searchsorted(edges, by, side="right") - 1, 0, bins - 1)
    return np.column_stack([np.bincount(at, column, bins) for column in columns])
