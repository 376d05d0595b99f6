"""What a report is made from: plain values, as the allocation's JSON has them."""

from dataclasses import dataclass
from typing import Any, Final, NotRequired, TypeAlias, TypedDict

import numpy as np
from numpy.typing import NDArray

from allot import ShapeError

Array: TypeAlias = NDArray[np.floating[Any]] | NDArray[np.integer[Any]]


BEST: Final = "best fixed plan"
THIS: Final = "this plan"


class CampaignLine(TypedDict):
    """Which campaign; `as_of` is ISO 8601."""

    name: str
    as_of: str
    objective: str


class LimitLine(TypedDict):
    """One limit, recounted. With `share` true, used and bounds are shares of a whole. `slack` None = no bound."""

    name: str
    measure: str
    used: float
    minimum: float | None
    maximum: float | None
    slack: float | None
    price: float
    share: NotRequired[bool]


class Exploration(TypedDict):
    """How much was tried for the sake of learning."""

    temperature: float
    share: float
    holdout: float


class Summary(TypedDict):
    """The allocation as the command line prints it; money in currency units, planned figures in posterior means."""

    allocation_id: str
    campaign: CampaignLine
    status: str
    planned_value: float
    planned_cost: float
    expected_value: NotRequired[float | None]
    audience: int
    chosen: int
    no_offer: int
    no_eligible: int
    held_out: int
    rejection_rate: float
    attempts: int
    mechanism: str
    offer_ids: list[str]
    offer_names: list[str]
    limits: list[LimitLine]
    bound: float | None
    deterministic_value: float | None
    best_is_sampled: NotRequired[bool]
    versions: dict[str, str]
    exploration: Exploration


class FunnelLine(TypedDict):
    """One rule: pairs that it was the first to exclude, and all pairs that it excludes."""

    rule: str
    reason: str
    first_hit: int
    all_hits: int


class FrontierPoint(TypedDict):
    """A plan's planned value when the main limit's maximum is `maximum`, and what one more unit would add to it.

    `kind` is `THIS` for the allocation itself; all others are points of the curve.
    """

    maximum: float
    value: float
    kind: str
    price: NotRequired[float]


class OfferLine(TypedDict):
    """One offer; `uncertainty` is the mean posterior sd of the logit, `temperature` what the draw multiplied it by."""

    offer_id: str
    name: str
    chosen: int
    eligible: int
    planned_value: float
    planned_cost: float
    mean_probability: float
    uncertainty: NotRequired[float | None]
    temperature: NotRequired[float | None]


@dataclass(frozen=True, slots=True)
class Heat:
    """Where the offers went: `counts` and planned `value`, (segments, k) each."""

    segment_names: tuple[str, ...]
    offer_names: tuple[str, ...]
    counts: Array
    value: Array

    def __post_init__(self) -> None:
        shape = (len(self.segment_names), len(self.offer_names))
        if self.counts.shape != shape or self.value.shape != shape:
            raise ShapeError(f"counts {self.counts.shape} and value {self.value.shape} must be {shape}.", where="heat")


@dataclass(frozen=True, slots=True)
class ReportEvidence:
    """Everything that a report shows.

    Args:
        summary: the allocation.
        funnel: one line for each rule, in the order in which rules are asked.
        pairs: customers times offers that were looked at.
        eligible_not_chosen: pairs that passed every rule and were not chosen.
        heat: offers by segment, None without segments.
        chosen_probability: (chosen,) logged probability of each choice of an offer.
        option_probability: logged probabilities above 0 of all customers' options, any shape.
        frontier: planned value against the maximum of the limit named `frontier_limit`; may be empty.
        price_holds: an estimate of the maxima between which that limit's price stays within a tenth.
        offers: one line for each offer.
        evaluation: what an evaluation answered, finite JSON; None where nothing was evaluated yet.
    """

    summary: Summary
    funnel: tuple[FunnelLine, ...]
    pairs: int
    eligible_not_chosen: int
    heat: Heat | None
    chosen_probability: NDArray[np.floating[Any]]
    option_probability: NDArray[np.floating[Any]]
    frontier: tuple[FrontierPoint, ...]
    frontier_limit: str
    offers: tuple[OfferLine, ...]
    evaluation: dict[str, Any] | None = None
    price_holds: tuple[float, float] | None = None
