"""From beliefs to money: what one contact with each offer is worth to the campaign's objective, and what it costs."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

from allot import CampaignError
from bandit import AMOUNTS, SUCCESSES, Kind
from engine.campaign import Campaign, Objective

if TYPE_CHECKING:
    from bandit import Beliefs, Scores

Floats: TypeAlias = NDArray[np.float64]
Singles: TypeAlias = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Terms:
    """The offers' money, currency units, (k,) each. `outside_margin` is what a success without offer earns.

    `relative` (n, k + 1): what a customer's success brings over these margins, no offer last; None = 1 everywhere.
    `kind` of outcome that earns them: amounts are money themselves, each unit of which earns 1.
    """

    margin: Floats
    contact_cost: Floats
    redemption_cost: Floats
    outside_margin: float | None = None
    relative: Floats | None = None
    kind: Kind = SUCCESSES

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
        scores: what the draw sees: what beliefs, drawn with the temperature's doubt, are worth, less the fee.
        expected: (n, k) expected outcome: posterior mean chance of success, or mean amount.
        value: (n, k) worth to the objective in posterior means, over no offer.
        cost: (n, k) expected cost in posterior means, paid on contact and on redemption.
    """

    scores: "Scores"
    expected: Singles
    value: Singles
    cost: Singles


def worth_of(
    objective: Objective, beliefs: "Beliefs", eligible: NDArray[np.bool_], terms: Terms, played: Floats
) -> Worth:
    """Price beliefs for an objective.

    Args:
        objective: "profit" = value - expected cost, "value", "conversions", or "incremental" = profit against what the
            customer would do with no offer.
        beliefs: mean and sd of the logit, or of the mean amount, (n, k + 1); the last column is no offer.
        eligible: (n, k) bool.
        terms: margins and costs of the offers.
        played: (k + 1,) the temperature with which each arm is played; it multiplies the sd that the draw sees.

    Raises:
        CampaignError: `incremental` without a margin for successes that come by themselves.
    """
    from bandit import Beliefs

    k = eligible.shape[1]
    expected = terms.kind.expected(beliefs.mean, beliefs.sd)
    cost = terms.contact_cost + terms.redemption_cost * expected[:, :k]
    factor, fee = rate_of(objective, terms)
    value = factor * expected[:, :k] - fee
    outside = terms.earned_outside if objective == "incremental" else None
    if outside is not None:
        value = value - np.reshape(outside, (-1, 1)) * expected[:, k:]
    drawn = Beliefs(beliefs.mean, beliefs.sd * played.astype(np.float32))
    scores = terms.kind.scores(drawn, factor, fee, eligible, outside)
    return Worth(scores, expected[:, :k], value.astype(np.float32), cost.astype(np.float32))


def check_objective(campaign: Campaign, kind: Kind) -> None:
    """Refuse what a campaign says of successes where the model learns amounts.

    Raises:
        CampaignError: the objective counts successes, or `outside_margin` says what one earns.
    """
    if kind != AMOUNTS:
        return
    if campaign.objective == "conversions":
        raise CampaignError(
            "objective 'conversions' counts successes, and the model learns amounts.",
            where=campaign.name,
            remedy="Use 'profit', 'value' or 'incremental', or train with --outcome success.",
        )
    if campaign.outside_margin is not None:
        raise CampaignError(
            "outside_margin says what a success without an offer earns, and the model learns amounts, which are money.",
            where=campaign.name,
            remedy="Leave it out, or train with --outcome success.",
        )


def rate_of(objective: Objective, terms: Terms) -> tuple[Floats, Floats]:
    """What one success, or unit of an amount, with each offer is worth to the objective, and what one contact takes.

    Both are (k,); what a success is worth is (n, k) where it differs between customers.
    """
    if objective in ("profit", "incremental"):
        return terms.earned - terms.redemption_cost, terms.contact_cost
    nothing = np.zeros(len(terms.margin))
    return (nothing + 1.0 if objective == "conversions" else terms.earned), nothing


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
