"""Does the right offer stand high? Recall and NDCG of a customer's offers, from what was held out."""

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from allot import ShapeError

Floats: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class RankedAt:
    """How well the first `k` offers of a customer's ranking hold what the customer took; means over customers."""

    k: int
    recall: float
    ndcg: float


def ranked(
    score: NDArray[Any], taken: NDArray[Any], occasion: NDArray[Any], customer: NDArray[Any], depths: tuple[int, ...]
) -> tuple[RankedAt, ...]:
    """Recall@k, and NDCG@k with gain 1 (Järvelin and Kekäläinen 2002), per customer.

    All offers are ranked for every occasion on which a customer took at least one. Recall is the share of the offers
    taken then that are among the first k; NDCG discounts by log2(1 + rank) and is 1 for the best possible order. Equal
    scores count as their mean over all orders (McSherry and Najork 2008), so that a constant score is worth what
    chance is. Occasions are averaged within a customer, then customers.

    Args:
        score: (r, k) scores of all offers, one row for each success.
        taken: (r,) the offer that was taken.
        occasion, customer: (r,) integers; rows of one occasion share their scores and their customer.
        depths: the values of k.

    Returns:
        one entry for each depth; none without successes.

    Raises:
        ShapeError: the arrays do not fit together.
    """
    rows, offers = score.shape
    if any(column.shape != (rows,) for column in (taken, occasion, customer)):
        raise ShapeError(f"Scores of shape {score.shape} and {taken.shape} offers taken are not one row each.")
    if rows == 0:
        return ()
    first_of_each = np.unique(occasion * offers + taken, return_index=True)[1]  # an offer is taken once
    score, taken, occasion, customer = (x[first_of_each] for x in (score, taken, occasion, customer))
    own = score[np.arange(len(taken)), taken][:, None]
    first = (score > own).sum(1)
    tied = (score == own).sum(1)
    _, at, within, count = np.unique(occasion, return_index=True, return_inverse=True, return_counts=True)
    people = np.unique(customer[at], return_inverse=True)[1]

    def per_customer(gain: Floats, best: NDArray[Any]) -> float:
        each = np.bincount(within, gain) / best
        return float((np.bincount(people, each) / np.bincount(people)).mean())

    out = []
    for k in depths:
        place = np.arange(1, offers + 1)
        inside = np.concatenate([[0.0], np.cumsum(place <= k)])
        discounted = np.concatenate([[0.0], np.cumsum(np.where(place <= k, 1.0 / np.log2(1.0 + place), 0.0))])
        recall, ndcg = ((sums[first + tied] - sums[first]) / tied for sums in (inside, discounted))
        out.append(RankedAt(k, per_customer(recall, count), per_customer(ndcg, discounted[np.minimum(count, offers)])))
    return tuple(out)
