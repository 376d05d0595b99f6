"""What a policy consumes in expectation at given prices, and how that moves with them.

All limits' prices collapse into three charges per cell and offer, on each contact, on its cost and on its worth. The
expected maximum is convex in the charges; minus its gradient is the expected use; minus the use's derivative is the
curvature.
"""

from dataclasses import dataclass
from functools import reduce
from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from allot import ShapeError
from bandit.choice import no_draws, solve_arms
from bandit.quadrature import Draws
from bandit.scores import Floats, Scores, block_arms, in_blocks, in_lanes
from bandit.tally import FINER, PAIRS, Extent, Tally, extent_of, scale_of


@dataclass(frozen=True, slots=True)
class Use:
    """What one contact consumes: 1 contact, its cost and its worth in posterior means, in its customer's cell.

    Attributes:
        cost: (n, k) expected cost, currency units.
        worth: (n, k) expected value, currency units.
        cell: (n,) integer in 0 … n_cells − 1.
        n_cells: g.
        measures: limits speak of the first so many of contacts, cost and worth; of others there is no curvature.

    Raises:
        ShapeError: the arrays disagree, or a cell is not among the cells.
    """

    cost: Floats
    worth: Floats
    cell: NDArray[np.integer[Any]]
    n_cells: int
    measures: int = 3

    def __post_init__(self) -> None:
        if self.cost.ndim != 2 or self.worth.shape != self.cost.shape or self.cell.shape != self.cost.shape[:1]:
            raise ShapeError(
                f"cost has shape {self.cost.shape}, worth {self.worth.shape}, cell {self.cell.shape}.",
                where="use",
                remedy="They must be (customers, offers) twice and (customers,).",
            )
        if not np.issubdtype(self.cell.dtype, np.integer):
            raise ShapeError(f"cell holds {self.cell.dtype}, not integers.", where="use")
        if len(self.cell) and (self.cell.min() < 0 or self.cell.max() >= self.n_cells):
            raise ShapeError(
                f"cells run from {self.cell.min()} to {self.cell.max()}; there are {self.n_cells}.", where="use"
            )


@dataclass(frozen=True, slots=True)
class PricedPolicy:
    """A policy at given charges.

    Attributes:
        probability: (n, k + 1) float32; the last column is no offer.
        expected_maximum: (n,) E max over all offers and no offer, net of fees and charges, currency units.
        residual: the largest error that a customer's certificate leaves.
    """

    probability: NDArray[np.float32]
    expected_maximum: NDArray[np.float64]
    residual: float


@dataclass(frozen=True, slots=True)
class Consumption:
    """Expected consumption at given charges, summed over customers by cell.

    With P the probabilities, `q = (1, cost, worth)` and w the weights:

    Attributes:
        value: Σ w E max, currency units.
        use: (3, g, k) Σ w P(i,a) q_m(i,a); it is −d value / d charges.
        curvature: (6, g, k, k) or None. Entry [p, g, a, b] is Σ w q_m(i,a) q_l(i,b) L_ab(i), where
            L_ab = −dP_a / d charge_b, and p counts the pairs (m, l) = (0,0), (0,1), (1,1), (0,2), (1,2), (2,2).
            Hence −d use[m,g,a] / d charges[l,g,b] is entry [p, g, a, b] of (m, l) for m ≤ l and, L being symmetric,
            entry [p, g, b, a] of (l, m) for m > l.
        residual: the largest error that a customer's certificate leaves.
    """

    value: float
    use: NDArray[np.float64]
    curvature: NDArray[np.float64] | None
    residual: float


@njit(cache=True, nogil=True)
def _add_use(probability: Any, expected: Any, draws: Any, scale: Any, use: Any) -> Any:
    """Add a block's use, in units of 1 / scale[m]; return its value in units of 1 / scale[3]."""
    value = np.int64(0)
    for i in range(len(draws.cell)):
        g, weight = draws.cell[i], draws.weight[i]
        value += np.int64(np.rint(weight * expected[i] * scale[3]))
        for a in range(draws.cost.shape[1]):
            if probability[i, a] != 0.0:
                share = weight * probability[i, a]
                use[0, g, a] += np.int64(np.rint(share * scale[0]))
                use[1, g, a] += np.int64(np.rint(share * draws.cost[i, a] * scale[1]))
                use[2, g, a] += np.int64(np.rint(share * draws.worth[i, a] * scale[2]))
    return value


class _Some(NamedTuple):
    """The use of some customers, in arrays that kernels are compiled for: cell (rows,), cost and worth (rows, k)."""

    cell: NDArray[np.int64]
    cost: NDArray[np.float64]
    worth: NDArray[np.float64]

    @classmethod
    def of(cls, use: Use, block: slice) -> "_Some":
        cost, worth = (np.ascontiguousarray(table[block], np.float64) for table in (use.cost, use.worth))
        return cls(np.ascontiguousarray(use.cell[block], np.int64), cost, worth)

    def charge(self, charges: NDArray[np.float64]) -> NDArray[np.float64]:
        """(rows, k): what the limits charge for each pair."""
        out = np.empty(self.cost.shape)
        _charge(self.cell, self.cost, self.worth, charges, out)
        return out


@njit(cache=True, nogil=True)
def _charge(cell: Any, cost: Any, worth: Any, charges: Any, out: Any) -> None:
    for i in range(len(cell)):
        g = cell[i]
        for a in range(cost.shape[1]):
            out[i, a] = charges[1, g, a] * cost[i, a] + charges[2, g, a] * worth[i, a] + charges[0, g, a]


def _check(scores: Scores, use: Use, charges: NDArray[np.float64]) -> None:
    rows, offers = scores.mean.shape
    if use.cost.shape != (rows, offers):
        raise ShapeError(f"cost has shape {use.cost.shape}, the scores {(rows, offers)}.", where="use")
    if charges.shape != (3, use.n_cells, offers):
        raise ShapeError(
            f"charges have shape {charges.shape}.", where="charges", remedy=f"It must be {(3, use.n_cells, offers)}."
        )


def priced_probabilities(
    scores: Scores, use: Use, charges: NDArray[np.float64], *, tolerance: float = 1e-6, threads: int = 2
) -> PricedPolicy:
    """The policy that plays whatever scores highest after charges.

    Args:
        scores: (n, k).
        use: (n, k) what a contact consumes.
        charges: (3, g, k); a pair's charge is charges[0] + charges[1]·cost + charges[2]·worth of its cell and offer.
        tolerance: each row's probabilities are certified within this, before they are made to sum to 1.
        threads: how many threads may work; the result does not depend on it.

    Raises:
        ShapeError: arrays disagree, or hold NaN, or numbers out of range.
        ConvergenceError: a row did not reach the tolerance at the finest grid.
    """
    _check(scores, use, charges)
    rows, offers = scores.mean.shape
    charges = np.ascontiguousarray(charges, np.float64)
    probability = np.empty((rows, offers + 1), np.float32)
    expected = np.empty(rows)

    def work(block: slice) -> float:
        arms = block_arms(scores, block, _Some.of(use, block).charge(charges))
        solved = solve_arms(arms, no_draws(), tolerance, block.start)
        probability[block] = solved.probability
        expected[block] = solved.expected_maximum
        return solved.residual

    residual = max(in_blocks(rows, work, threads), default=0.0)
    return PricedPolicy(probability, expected, residual)


def settled(tally: Tally) -> Consumption:
    """Exact sums as numbers."""
    use = tally.use / tally.scale.use[:, None, None]
    curved = None
    if tally.curvature is not None:
        coarse, fine = tally.curvature.reshape(2, 6, *tally.curvature.shape[1:])
        curved = (coarse + fine / FINER) / tally.scale.curvature[:, None, None, None]
    return Consumption(tally.value / tally.scale.value, use, curved, tally.residual)


def expected_consumption(
    scores: Scores,
    use: Use,
    charges: NDArray[np.float64],
    *,
    weight: NDArray[np.float64] | None = None,
    curvature: bool = False,
    tolerance: float = 1e-7,
    threads: int = 2,
) -> Consumption:
    """Expected value and consumption of the policy at these charges, as `tallied`.

    Args:
        scores: (n, k).
        use: (n, k) what a contact consumes.
        charges: (3, g, k), as in `priced_probabilities`.
        weight: (n,) how many customers each row stands for; default 1.
        curvature: whether the second derivatives are wanted too.
        tolerance: each row's probabilities are certified within this.
        threads: how many threads may work; the result does not depend on it.

    Raises:
        ShapeError: arrays disagree, or hold NaN, or numbers out of range.
        ConvergenceError: a row did not reach the tolerance at the finest grid.
    """
    weights = _weights(use, weight)
    extent = extent_of(scores, use.cost, use.worth, weights)
    return settled(
        tallied(scores, use, charges, extent, weight=weights, curvature=curvature, tolerance=tolerance, threads=threads)
    )


def tallied(
    scores: Scores,
    use: Use,
    charges: NDArray[np.float64],
    extent: Extent,
    *,
    weight: NDArray[np.float64] | None = None,
    curvature: bool = False,
    tolerance: float = 1e-7,
    threads: int = 2,
    table: NDArray[np.float32] | None = None,
) -> Tally:
    """Exact sums of what the policy is worth and consumes at these charges.

    Sums over partitions, each tallied with the extent of all of them together, add up to the sum over everybody to the
    last bit, whatever the order of the customers.

    Args:
        scores, use, charges, weight, curvature, tolerance, threads: as in `expected_consumption`.
        extent: bounds of these customers, or of more; see `extent_of`.
        table: (n, k + 1) float32, overwritten with the probabilities.

    Raises:
        ShapeError, ConvergenceError: as `expected_consumption`.
    """
    _check(scores, use, charges)
    rows, offers = scores.mean.shape
    charges = np.ascontiguousarray(charges, np.float64)
    weights = _weights(use, weight)
    scale = scale_of(extent, charges)
    factors = np.append(scale.use, scale.value)
    reactions = np.append(scale.curvature, (FINER, scale.steepest))
    wanted = sum(max(pair) < use.measures for pair in PAIRS)
    size = (use.n_cells, offers, offers, 2 * wanted) if curvature else (0, 0, 0, 2 * wanted)

    def work(blocks: list[slice]) -> Tally:
        used, curved = np.zeros((3, use.n_cells, offers), np.int64), np.zeros(size, np.int64)
        value, residual = 0, 0.0
        for block in blocks:
            some = _Some.of(use, block)
            draws = Draws(some.cost, some.worth, some.cell, weights[block], curved, reactions)
            solved = solve_arms(block_arms(scores, block, some.charge(charges)), draws, tolerance, block.start)
            value += int(_add_use(solved.probability, solved.expected_maximum, draws, factors, used))
            residual = max(residual, solved.residual)
            if table is not None:
                table[block] = solved.probability
        tables = _whole(curved) if curvature else None
        return Tally(value, used, tables, residual, scale)

    return reduce(Tally.plus, in_lanes(rows, work, threads))


def _weights(use: Use, weight: NDArray[np.float64] | None) -> NDArray[np.float64]:
    rows = len(use.cost)
    weights = np.ones(rows) if weight is None else np.asarray(weight, np.float64)
    if weights.shape != (rows,):
        raise ShapeError(f"weight has shape {weights.shape}.", where="weight", remedy=f"It must be {(rows,)}.")
    return weights


def _whole(counted: NDArray[np.int64]) -> NDArray[np.int64]:
    """All tables (12, g, k, k), of those counted (g, k, k, 2t): symmetric ones were, below their diagonals only."""
    tables = np.zeros((2, len(PAIRS), *counted.shape[:3]), np.int64)
    wanted = counted.shape[3] // 2
    tables[:, :wanted] = np.moveaxis(counted.reshape(*counted.shape[:3], 2, wanted), (3, 4), (0, 1))
    for at, (m, other) in enumerate(PAIRS):
        if m == other:
            tables[:, at] += np.tril(tables[:, at], -1).swapaxes(-1, -2)
    return tables.reshape(2 * len(PAIRS), *counted.shape[:3])
