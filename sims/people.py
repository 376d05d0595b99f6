"""The people of a world: a segment and some numbers each.

In the world `nbo` these are six segments and twelve numbers, of which the first two are raw, the others standard scores
shifted by segment.
"""

from dataclasses import dataclass, replace
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float64]
Ints: TypeAlias = NDArray[np.int64]

SEGMENTS: Final = ("starter", "family", "urban", "senior", "business", "premium")
SEGMENT_SHARE: Final = (0.30, 0.22, 0.18, 0.14, 0.10, 0.06)
SPEND, VISITS, TENURE = 0, 1, 2
NUMBERS: Final = (
    "monthly_spend",
    "visits_90d",
    "tenure_score",
    "data_use_score",
    "call_use_score",
    "price_sensitivity",
    "digital_affinity",
    "device_age_score",
    "service_contact_score",
    "travel_score",
    "household_score",
    "payment_score",
)


@dataclass(frozen=True, slots=True)
class Customers:
    """Customers of a world: `segment` (n,) codes into `segments`, `numeric` (n, d) in the order of `names`."""

    segment: Ints
    numeric: Floats
    segments: tuple[str, ...] = SEGMENTS
    names: tuple[str, ...] = NUMBERS

    def __len__(self) -> int:
        """How many."""
        return len(self.segment)

    @property
    def matrix(self) -> Floats:
        """(n, 1 + d) the segment's code, then the numbers."""
        return np.column_stack([self.segment, self.numeric])

    @property
    def standardised(self) -> Floats:
        """(n, d) numbers with mean 0 and sd 1 over these customers; 0 where all are alike."""
        sd = self.numeric.std(0)
        z: Floats = (self.numeric - self.numeric.mean(0)) / np.where(sd > 0.0, sd, 1.0)
        return z

    def taken(self, rows: Ints) -> "Customers":
        """Some of these customers, in that order."""
        return replace(self, segment=self.segment[rows], numeric=self.numeric[rows])

    def joined(self, others: "Customers") -> "Customers":
        """These customers, then the others."""
        segment, numeric = ([getattr(x, name) for x in (self, others)] for name in ("segment", "numeric"))
        return replace(self, segment=np.concatenate(segment), numeric=np.concatenate(numeric))


def draw_segments(r: np.random.Generator, n: int) -> Ints:
    """(n,) segment codes."""
    return r.choice(len(SEGMENTS), n, p=SEGMENT_SHARE)


def draw_centre(r: np.random.Generator) -> Floats:
    """(segments, d) where the numbers of each segment lie."""
    return r.normal(size=(len(SEGMENTS), len(NUMBERS))) * 0.5


def draw_customers(r: np.random.Generator, centre: Floats, segment: Ints) -> Customers:
    """Customers of given segments: spend is log-normal, visits a count, the rest normal."""
    x: Floats = r.normal(size=(len(segment), len(NUMBERS))) + centre[segment]
    x[:, SPEND] = np.exp(0.5 * x[:, SPEND])
    x[:, VISITS] = np.floor(np.abs(x[:, VISITS]) * 3)
    return Customers(segment, x)


def margin_factors(r: np.random.Generator, customers: Customers, spread: float) -> Floats:
    """(n,) what multiplies every margin of a customer: log-normal, 1 on average, higher where more is spent.

    Args:
        spread: sd of the logarithm, of which spending explains 36 % of the variance; 0 = all are 1.
    """
    spending = np.log(customers.numeric[:, SPEND])
    own = r.normal(size=len(customers))
    score = 0.6 * (spending - spending.mean()) / (spending.std() or 1.0) + 0.8 * own
    out: Floats = np.exp(spread * score - spread**2 / 2)
    return out
