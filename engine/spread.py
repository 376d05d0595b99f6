"""How far an allocation may come out from its plan: by what is not known, and by chance."""

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

from bandit import Kind, Learnt
from engine.models import Scored

if TYPE_CHECKING:
    from bandit import Beliefs

Floats: TypeAlias = NDArray[np.float64]

_TENTH = 1.2815515655446004
"""The normal distribution's 90th percentile, in standard deviations."""

_STEP = 1e-2
"""Logits, or parts of a unit: over so much the slope of an expected outcome is taken."""


@dataclass(frozen=True, slots=True)
class Shared:
    """What beliefs about n customers have in common: one set of weights behind all of them.

    Args:
        scored: the customers before the posterior has spoken.
        posterior: the weights.
        arms: (k + 1,) the posterior's arm of each column of beliefs, no offer last.
    """

    scored: Scored
    posterior: Learnt
    arms: NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class PlannedRange:
    """Between what an allocation's value may be expected to come out; `p50` is the plan itself.

    Two things are in it: doubt about the weights, which moves all customers with an offer together, and the chance of
    each outcome. That the model's form may be wrong, or the world may change, is not.

    Args:
        p10, p50, p90: quantiles of the realised value, in the objective's units.
        sd_beliefs, sd_outcomes: standard deviations of the two parts.
    """

    p10: float
    p50: float
    p90: float
    sd_beliefs: float
    sd_outcomes: float

    def document(self) -> dict[str, float]:
        """For JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Chosen:
    """A plan's choices and what one unit of each outcome is worth to its objective.

    Args:
        choice: (n,) offer numbers, -1 = no offer.
        rate: (k,) or (n, k) what a success, or a unit of an amount, is worth.
        outside: the same without an offer, where the objective is against that: one number or (n,); else None.
    """

    choice: NDArray[np.int64]
    rate: Floats
    outside: float | Floats | None = None


def planned_range(planned: float, chosen: Chosen, beliefs: "Beliefs", shared: Shared, kind: Kind) -> PlannedRange:
    """The range of a plan's realised value, to first order in the weights and as if normal.

    With g_a the gradient of the value in arm a's weights, and C_a their posterior covariance, doubt contributes
    Σ g_aᵀ C_a g_a (the delta method); outcomes contribute the sum of their variances. What the same customers would
    have done without an offer is part of the doubt, not of the outcomes: it is never seen.

    Args:
        planned: value in posterior means, which is the median here.
        chosen: the choices and their worth.
        beliefs: mean and sd, (n, k + 1), no offer last.
        shared: of the same customers.
        kind: of the outcomes.
    """
    rows = np.flatnonzero(chosen.choice >= 0)
    offer = chosen.choice[rows]
    none = beliefs.mean.shape[1] - 1
    rate = chosen.rate[offer] if chosen.rate.ndim == 1 else chosen.rate[rows, offer]
    expected, slope = _expected(beliefs, kind, rows, offer)
    pulls = [(offer, rate * slope)]
    if chosen.outside is not None:
        outside = np.broadcast_to(np.asarray(chosen.outside, np.float64), chosen.choice.shape)[rows]
        without = np.full(len(rows), none)
        pulls.append((without, -outside * _expected(beliefs, kind, rows, without)[1]))
    doubt = sum(_doubt(shared, rows, column, pull) for column, pull in pulls)
    noise = shared.posterior.noise_variance
    variance = expected * (1.0 - expected) if noise is None else np.full(len(rows), noise)
    chance = float((rate**2 * variance).sum())
    reach = _TENTH * np.sqrt(doubt + chance)
    return PlannedRange(planned - reach, planned, planned + reach, float(np.sqrt(doubt)), float(np.sqrt(chance)))


def _expected(
    beliefs: "Beliefs", kind: Kind, rows: NDArray[np.int64], column: NDArray[np.int64]
) -> tuple[Floats, Floats]:
    """Expected outcomes (r,) of some pairs, and their slopes in the mean logit or amount."""
    mean, sd = (x[rows, column].astype(np.float64)[:, None] for x in (beliefs.mean, beliefs.sd))
    low, here, high = (kind.expected(mean + step, sd)[:, 0] for step in (-_STEP, 0.0, _STEP))
    return np.asarray(here, np.float64), np.asarray((high - low) / (2.0 * _STEP), np.float64)


def _doubt(shared: Shared, rows: NDArray[np.int64], column: NDArray[np.int64], pull: Floats) -> float:
    """Σ over arms of gᵀ C g, where g is the sum of the rows' columns times their pull (r,)."""
    covariance = shared.posterior.weights()[1]
    seen = shared.posterior.seen(shared.scored.basis)
    total = 0.0
    for place in np.unique(column):
        arm, mine = shared.arms[place], column == place
        at = rows[mine]
        own = shared.scored.logits[at, arm].astype(np.float64) - shared.posterior.centre
        gradient = np.append(pull[mine] @ seen[at], pull[mine] @ own)
        total += float(gradient @ covariance[arm] @ gradient)
    return total
