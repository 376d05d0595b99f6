"""How likely is each offer, or none, to have the highest price-adjusted score?"""

from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray

from allot import ConvergenceError, ShapeError
from bandit.quadrature import Draws, solve_block
from bandit.quadrature_math import SUMS, normal_cdf, sigmoid
from bandit.quadrature_panel import Grid, make_grid
from bandit.quadrature_pieces import COARSEST
from bandit.quadrature_range import Arms
from bandit.scores import Floats, Outside, Scores, block_arms, in_blocks


class Solved(NamedTuple):
    """What the quadrature found for one block: (rows, k + 1), (rows,) and the largest residual."""

    probability: NDArray[np.float64]
    expected_maximum: NDArray[np.float64]
    residual: float


@cache
def _grid() -> Grid:
    return make_grid()


def no_draws() -> Draws:
    """Consumption is not asked for."""
    none = np.zeros((0, 0))
    return Draws(none, none, np.zeros(0, np.int64), np.zeros(0), np.zeros((0, 0, 0, 12), np.int64), np.zeros(8))


def solve_arms(arms: Arms, draws: Draws, tolerance: float, first_row: int) -> Solved:
    """Certified probabilities of one block; curvature, where asked for, is added to `draws.curvature`.

    Raises:
        ConvergenceError: a row did not reach the tolerance at the finest grid.
    """
    probability = np.empty(arms.mean.shape)
    expected = np.empty(len(probability))
    residual, row = solve_block(arms, draws, _grid(), tolerance, probability, expected)
    if not residual <= max(tolerance, COARSEST):
        raise ConvergenceError(
            f"the probabilities are certain within {residual:.1g} only; {tolerance:g} was asked for.",
            where=f"row {first_row + row}",
            remedy="Look for a standard deviation or a value of another scale in this row, or ask for less.",
        )
    return Solved(probability, expected, residual)


def choice_probabilities(
    mean: ArrayLike,
    sd: ArrayLike,
    value: ArrayLike,
    price: ArrayLike,
    eligible: ArrayLike,
    *,
    outside: float | Floats | Outside = 0.0,
    tolerance: float = 1e-6,
    threads: int = 2,
) -> NDArray[np.float64]:
    """Probability that each offer, or none, has the highest price-adjusted score.

    Scores are independent: `value[i,a]·sigmoid(mean[i,a] + sd[i,a]·z) − price[i,a]`, z ~ N(0, 1). A tie between certain
    scores (sd 0) goes to no offer, then to the lowest index. The method is described in `bandit.quadrature`.

    Args:
        mean, sd: (n, k) beliefs on the logit scale; sd 0 (certain) or at most 30; between 0 and 1e-7 it counts as 1e-7.
        value: (n, k) or (k,) margin on success, currency units, of either sign.
        price: (n, k) what the offer costs and its limits charge, currency units, of either sign.
        eligible: (n, k) bool.
        outside: worth of no offer, currency units: one number, (n,), or beliefs.
        tolerance: each row's probabilities are certified within this, before they are made to sum to 1; from 1e-5 on,
            small chances are not looked at.
        threads: how many threads may work; the result does not depend on it.

    Returns:
        (n, k + 1) float64; the last column is no offer; exactly 0 where not eligible.

    Raises:
        ShapeError: arrays disagree, or hold NaN, or numbers out of range.
        ConvergenceError: a row did not reach the tolerance at the finest grid.
    """
    scores = Scores(
        np.asarray(mean), np.asarray(sd), np.asarray(value), np.asarray(price), np.asarray(eligible), outside
    )
    rows, offers = scores.mean.shape
    probability = np.empty((rows, offers + 1))

    def work(block: slice) -> None:
        solved = solve_arms(block_arms(scores, block), no_draws(), tolerance, block.start)
        probability[block] = solved.probability

    for _ in in_blocks(rows, work, threads):
        pass
    return probability


class _Rule(NamedTuple):
    """Nodes and weights (summing to 1) of a trapezoid rule."""

    nodes: NDArray[np.float64]
    weights: NDArray[np.float64]


@cache
def _rules() -> tuple[_Rule, _Rule, _Rule]:
    """For sd ≤ 1 and sd ≤ 2 over normal z, where σ's poles at ±iπ / sd bound the step; above over logistic u."""
    rules = []
    for step, count in ((0.8, 8), (0.5, 12)):
        z = step * np.arange(-count, count + 1, dtype=np.float64)
        weight = np.exp(-0.5 * z * z)
        rules.append(_Rule(z, weight / weight.sum()))
    u = 0.9 * np.arange(-24, 25, dtype=np.float64)
    weight = 1.0 / (2.0 + np.exp(u) + np.exp(-u))
    return rules[0], rules[1], _Rule(u, weight / weight.sum())


@njit(cache=True, nogil=True, fastmath=SUMS, error_model="numpy")
def _mean_sigmoid(mean: Any, sd: Any, narrow: Any, middle: Any, wide: Any, out: Any) -> None:
    """E σ(mean + sd·z); for sd > 2 as E Φ((mean − u) / sd) over logistic u."""
    for i in range(len(mean)):
        m, s, total = mean[i], sd[i], 0.0
        if s <= 2.0:
            nodes, weights = narrow if s <= 1.0 else middle
            for q in range(len(nodes)):
                total += weights[q] * sigmoid(m + s * nodes[q])
        else:
            nodes, weights = wide
            precision = 1.0 / s
            for q in range(len(nodes)):
                total += weights[q] * normal_cdf((m - nodes[q]) * precision)
        out[i] = total


def mean_success(mean: ArrayLike, sd: ArrayLike, *, threads: int = 2) -> Floats:
    """Posterior mean of the probability of success, E sigmoid(mean + sd·z), z ~ N(0, 1).

    Trapezoid rules, which converge exponentially on these integrands (Trefethen and Weideman 2014): 17 nodes in z for
    sd ≤ 1, 25 for sd ≤ 2, 49 over the logistic variable above. The error is below 1e-7 everywhere.

    Args:
        mean, sd: (n, k) beliefs on the logit scale.
        threads: how many threads may work; the result does not depend on it.

    Returns:
        (n, k), in the precision of `mean`.

    Raises:
        ShapeError: shapes disagree, a number is NaN, or a standard deviation is negative.
    """
    centre, spread = np.asarray(mean), np.asarray(sd)
    if centre.ndim != 2 or centre.shape != spread.shape:
        raise ShapeError(
            f"mean has shape {centre.shape}, sd {spread.shape}.", remedy="Both must be (customers, offers)."
        )
    out = np.empty(centre.shape, centre.dtype if centre.dtype == np.float32 else np.float64)

    def work(block: slice) -> None:
        m, s = centre[block].astype(np.float64), spread[block].astype(np.float64)
        wrong = np.isnan(m) | ~(s >= 0.0)
        if wrong.any():
            row, offer = (int(index[0]) for index in np.nonzero(wrong))
            raise ShapeError(
                f"beliefs are mean {m[row, offer]:g}, sd {s[row, offer]:g}.",
                where=f"row {block.start + row}, offer {offer}",
                remedy="A mean must be a number, a standard deviation a number not below 0.",
            )
        result = np.empty(m.size)
        _mean_sigmoid(m.ravel(), s.ravel(), *_rules(), result)
        out[block] = result.reshape(m.shape)

    for _ in in_blocks(len(centre), work, threads):
        pass
    return out
