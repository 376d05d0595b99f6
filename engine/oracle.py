"""The expected dual that portfolio prices against, made out of bandit's kernels."""

from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from bandit import Outside, Scores, Use, expected_consumption
from portfolio import Response

Floats: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class ExpectedOracle:
    """Answers prices with the policy's expected value and consumption (the dual's value and gradient).

    `weight` (n,) is how many customers of the population each row stands for; None = 1.
    """

    scores: Scores
    use: Use
    weight: Floats | None = None
    tolerance: float = 1e-7

    def __call__(self, charges: Floats, *, curvature: bool) -> Response:
        """See `portfolio.Oracle`."""
        got = expected_consumption(
            self.scores, self.use, charges, weight=self.weight, curvature=curvature, tolerance=self.tolerance
        )
        return Response(got.value, got.use, got.curvature)

    def sample(self, rows: NDArray[np.intp], weight: Floats) -> "ExpectedOracle":
        """The same oracle seen through some rows, each with its weight."""
        u = self.use
        use = Use(u.cost[rows], u.worth[rows], u.cell[rows], u.n_cells)
        return replace(self, scores=some_scores(self.scores, rows), use=use, weight=weight)


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


def stratified(cell: NDArray[np.integer], size: int) -> tuple[NDArray[np.intp], Floats]:
    """A systematic sample of each cell, in the order of the rows.

    Args:
        cell: (n,) the stratum of each row; rows come in an order that is as good as random.
        size: about how many rows are wanted; every cell gives at least one (at most all it has).

    Returns:
        row numbers and how many rows of the population each stands for.
    """
    n = len(cell)
    order = np.argsort(cell, kind="stable")
    picked, weights = [], []
    for members in np.split(order, np.cumsum(np.bincount(cell))[:-1]):
        if len(members) == 0:
            continue
        want = min(len(members), max(1, round(size * len(members) / n), min(len(members), 50)))
        at = ((np.arange(want) + 0.5) * len(members) / want).astype(np.intp)
        picked.append(members[at])
        weights.append(np.full(want, len(members) / want))
    return np.concatenate(picked), np.concatenate(weights)
