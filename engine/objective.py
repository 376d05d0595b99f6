"""From beliefs to money: what one contact with each offer is worth to the campaign's objective, and what it costs."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

from allot import CampaignError
from engine.campaign import Objective

if TYPE_CHECKING:
    from bandit import Beliefs, Scores

Floats: TypeAlias = NDArray[np.float64]
Singles: TypeAlias = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Terms:
    """The offers' money, currency units, (k,) each. `outside_margin` is what a success without offer earns.

    `relative` (n, k + 1): what a customer's success brings over these margins, no offer last; None = 1 everywhere.
    """

    margin: Floats
    contact_cost: Floats
    redemption_cost: Floats
    outside_margin: float | None = None
    relative: Floats | None = None

    @property
    def earned(self) -> Floats:
        """What a success with an offer brings: (k,), or (n, k) where it differs between customers."""
        return self.margin if self.relative is None else self.margin * self.relative[:, :-1]

    @property
    def earned_outside(self) -> float | Floats:
        """What a success without any offer brings: one number, or (n,)."""
        return _outside_margin(self) if self.relative is None else _outside_margin(self) * self.relative[:, -1]


@dataclass(frozen=True, slots=True)
class Worth:
    """What the portfolio sees of n customers and k offers.

    Args:
        scores: what the draw sees: value * sigmoid(mean + temperature * sd * z) - fee, against the outside option.
        success: (n, k) posterior mean chance of success.
        value: (n, k) worth to the objective in posterior means, over no offer.
        cost: (n, k) expected cost in posterior means, paid on contact and on redemption.
    """

    scores: "Scores"
    success: Singles
    value: Singles
    cost: Singles


def worth_of(
    objective: Objective, beliefs: "Beliefs", eligible: NDArray[np.bool_], terms: Terms, played: Floats
) -> Worth:
    """Price beliefs for an objective.

    Args:
        objective: "profit" = value - expected cost, "value", "conversions", or "incremental" = profit against what the
            customer would do with no offer.
        beliefs: mean and sd of the logit, (n, k + 1); the last column is no offer.
        eligible: (n, k) bool.
        terms: margins and costs of the offers.
        played: (k + 1,) the temperature with which each arm is played; it multiplies the sd that the draw sees.

    Raises:
        CampaignError: `incremental` without a margin for successes that come by themselves.
    """
    from bandit import Outside, Scores, mean_success

    k = eligible.shape[1]
    success = mean_success(beliefs.mean, beliefs.sd)
    cost = terms.contact_cost + terms.redemption_cost * success[:, :k]
    factor, fee = rate_of(objective, terms)
    value = factor * success[:, :k] - fee
    outside: float | Outside = 0.0
    if objective == "incremental":
        margin = terms.earned_outside
        value = value - np.reshape(margin, (-1, 1)) * success[:, k:]
        outside = Outside(beliefs.mean[:, k], np.float32(played[k]) * beliefs.sd[:, k], margin)
    sd = beliefs.sd[:, :k] * played[:k].astype(np.float32)
    scores = Scores(np.ascontiguousarray(beliefs.mean[:, :k]), sd, factor, fee, eligible, outside)
    return Worth(scores, success[:, :k], value.astype(np.float32), cost.astype(np.float32))


def rate_of(objective: Objective, terms: Terms) -> tuple[Floats, Floats]:
    """What one success with each offer is worth to the objective, and what one contact takes from it; (k,) each.

    What a success is worth is (n, k) where it differs between customers.
    """
    one = np.ones(len(terms.margin))
    return {
        "conversions": (one, 0.0 * one),
        "value": (terms.earned, 0.0 * one),
        "profit": (terms.earned - terms.redemption_cost, terms.contact_cost),
        "incremental": (terms.earned - terms.redemption_cost, terms.contact_cost),
    }[objective]


def _outside_margin(terms: Terms) -> float:
    if terms.outside_margin is not None:
        return terms.outside_margin
    if np.ptp(terms.margin) > 0:
        raise CampaignError(
            "objective 'incremental' needs outside_margin, because the offers' margins differ "
            f"({terms.margin.min():g} to {terms.margin.max():g}).",
            remedy="Add `outside_margin = ...`: what one success without any offer earns.",
        )
    return float(terms.margin[0])
