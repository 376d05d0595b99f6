"""The expected dual that portfolio prices against, made out of bandit's kernels; whole, or in partitions.

Tables are exact sums of integers. So it makes no difference to any bit how customers are ordered, blocked or
partitioned, and a partition needs to exchange nothing but its extent, once, and one small tally per pass.
"""

from dataclasses import InitVar, dataclass, field, replace
from functools import reduce
from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from bandit import Extent, Outside, PricedPolicy, Scores, Tally, Use, extent_of, priced_probabilities, settled, tallied
from portfolio import Response

Floats: TypeAlias = NDArray[np.float64]


class Part(Protocol):
    """Some of the customers: in memory here, or wherever somebody else keeps them."""

    @property
    def extent(self) -> Extent:
        """How large the contributions of these customers can be."""

    def tally(self, charges: Floats, *, curvature: bool, extent: Extent) -> Tally:
        """Exact sums over these customers, in the units that the extent of everybody gives."""


def _response(tally: Tally) -> Response:
    got = settled(tally)
    return Response(got.value, got.use, got.curvature)


@dataclass(slots=True)
class Latest:
    """The table of probabilities (n, k + 1) float32 that the latest pass left behind, and at what charges."""

    table: NDArray[np.float32]
    charges: Floats | None = None
    residual: float = 0.0


@dataclass(frozen=True, slots=True)
class ExpectedOracle:
    """Answers prices with the policy's expected value and consumption (the dual's value and gradient).

    `weight` (n,) is how many customers of the population each row stands for; None = 1. `latest`, where given, keeps
    the probabilities of the latest pass, so that the policy at the prices that were found costs no pass of its own.
    `known` spares looking for the extent.
    """

    scores: Scores
    use: Use
    weight: Floats | None = None
    tolerance: float = 1e-7
    latest: Latest | None = None
    known: InitVar[Extent | None] = None
    extent: Extent = field(init=False)

    def __post_init__(self, known: Extent | None) -> None:
        extent = known or extent_of(self.scores, self.use.cost, self.use.worth, self.weight)
        object.__setattr__(self, "extent", extent)

    def __call__(self, charges: Floats, *, curvature: bool) -> Response:
        """See `portfolio.Oracle`."""
        return _response(self.tally(charges, curvature=curvature, extent=self.extent))

    def roughly(self, tolerance: float) -> "ExpectedOracle":
        """The same oracle, which answers within this; it keeps no table."""
        return replace(self, tolerance=tolerance, latest=None, known=self.extent)

    def tally(self, charges: Floats, *, curvature: bool, extent: Extent) -> Tally:
        """See `Part`."""
        out = tallied(
            self.scores,
            self.use,
            charges,
            extent,
            weight=self.weight,
            curvature=curvature,
            tolerance=self.tolerance,
            table=None if self.latest is None else self.latest.table,
        )
        if self.latest is not None:
            self.latest.charges, self.latest.residual = charges, out.residual
        return out

    def policy(self, charges: Floats) -> tuple[NDArray[np.float32], float]:
        """Probabilities (n, k + 1) at these charges and the largest error that their certificates leave."""
        kept = self.latest
        if kept is not None and kept.charges is not None and np.array_equal(kept.charges, charges):
            return kept.table, kept.residual
        found: PricedPolicy = priced_probabilities(self.scores, self.use, charges, tolerance=self.tolerance)
        return found.probability, found.residual

    def sample(self, rows: NDArray[np.intp], weight: Floats) -> "ExpectedOracle":
        """The same oracle seen through some rows, each with its weight."""
        u = self.use
        use = replace(u, cost=u.cost[rows], worth=u.worth[rows], cell=u.cell[rows])
        return replace(self, scores=some_scores(self.scores, rows), use=use, weight=weight, latest=None, known=None)


@dataclass(frozen=True, slots=True)
class PartitionedOracle:
    """Everybody, as the sum of parts: equal to the bit to one oracle on all of them together."""

    parts: tuple[Part, ...]
    extent: Extent = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "extent", Extent.joined([part.extent for part in self.parts]))

    def __call__(self, charges: Floats, *, curvature: bool) -> Response:
        """See `portfolio.Oracle`."""
        return _response(self.tally(charges, curvature=curvature, extent=self.extent))

    def tally(self, charges: Floats, *, curvature: bool, extent: Extent) -> Tally:
        """See `Part`: partitions may have partitions."""
        return reduce(Tally.plus, (part.tally(charges, curvature=curvature, extent=extent) for part in self.parts))


def some_scores(scores: Scores, rows: NDArray[np.intp] | NDArray[np.bool_]) -> Scores:
    """The scores of some customers."""
    outside = scores.outside
    if isinstance(outside, Outside):
        worth = outside.value if np.ndim(outside.value) == 0 else np.asarray(outside.value)[rows]
        outside = Outside(outside.mean[rows], outside.sd[rows], worth)
    elif np.ndim(outside) == 1:
        outside = np.asarray(outside)[rows]
    return replace(
        scores,
        mean=scores.mean[rows],
        sd=scores.sd[rows],
        value=scores.value if scores.value.ndim == 1 else scores.value[rows],
        fee=scores.fee if scores.fee.ndim == 1 else scores.fee[rows],
        eligible=scores.eligible[rows],
        outside=outside,
    )
