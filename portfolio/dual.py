"""Prices as minimisers: proximal Newton with a trust region on a smooth convex dual.

The dual of a plan under limits is `g(price) = value(price) + support(price)`: `value` is convex and smooth, and its
gradient is minus the consumption of the limits; `support` is price * upper for positive prices and price * lower for
negative ones. A step minimises the quadratic model of `value` plus `support` by coordinate descent, inside a box and a
trust region. Without either, prices diverge where few customers react (measured).
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
from numba import njit
from numpy.typing import NDArray

from portfolio.limits import Rows

Floats: TypeAlias = NDArray[np.float64]
Evaluate: TypeAlias = Callable[[Floats], tuple[float, Floats, Floats]]
"""price (m,) -> value, consumption (m,), Hessian of value (m, m)."""

HARD_BOX = 1000.0  # a hard limit's price ends here, in units of a typical score per typical coefficient; or, if that
# is more, at so many times what the dearest penalty is in its own units, so that no breach of others is worth its own
_AT_BOX = 1.0 - 1e-6
_GROW, _SHRINK, _WIDEST = 2.5, 0.3, 400.0  # trust region, in the same units
_OF_BOX = 0.04  # where penalties make boxes wide, the trust region may grow to such a share of the widest
_NOISE = 1e-12  # below this share of the dual value, differences of sums are rounding: judge steps by the violation


@dataclass(frozen=True, slots=True)
class Domain:
    """Where prices may lie, and how a breach is measured.

    Args:
        lower, upper: (m,) bounds of the limits, infinite where there is none.
        unit: (m,) a price that matters: a typical score per typical coefficient of the row.
        box: (m,) the largest absolute price: the penalty of an elastic row; for a hard one more than any penalty.
        size: (m,) what a breach is relative to.
        near: prices (m,) and distances (m,) from them that are not to be left; None = no such restriction.
    """

    lower: Floats
    upper: Floats
    unit: Floats
    box: Floats
    size: Floats
    near: tuple[Floats, Floats] | None = None

    def shifted(self, by: Floats) -> "Domain":
        """The same limits moved by (m,)."""
        return replace(self, lower=self.lower + by, upper=self.upper + by)

    def around(self, price: Floats, distance: Floats) -> "Domain":
        """The same limits, prices (m,) kept within a distance (m,) of some."""
        return replace(self, near=(self.clip(price), distance))

    def ends(self) -> tuple[Floats, Floats]:
        """The lowest and the highest prices (m,): signs, box and distance."""
        low = np.where(np.isfinite(self.lower), -self.box, 0.0)
        high = np.where(np.isfinite(self.upper), self.box, 0.0)
        if self.near is not None:
            low, high = np.maximum(low, self.near[0] - self.near[1]), np.minimum(high, self.near[0] + self.near[1])
        return low, high

    def support(self, price: Floats) -> float:
        """Largest cost of the bounds at these prices: sum of price * upper or price * lower."""
        upper = np.where(price > 0, self.upper, 0.0)
        lower = np.where(price < 0, self.lower, 0.0)
        return float(np.sum(price * (upper + lower)))

    def clip(self, price: Floats) -> Floats:
        """Nearest prices inside the ends."""
        return np.clip(price, *self.ends())

    def at_box(self, price: Floats) -> NDArray[np.bool_]:
        """(m,) rows whose price has reached the end of its box."""
        return np.abs(price) >= self.box * _AT_BOX

    def breach(self, consumption: Floats) -> Floats:
        """(m,) distance outside the bounds, relative to `size`."""
        return np.maximum(np.maximum(consumption - self.upper, self.lower - consumption), 0.0) / self.size

    def violation(self, price: Floats, consumption: Floats) -> float:
        """Worst relative breach or lack of complementary slackness; a row at its box may be broken."""
        if not len(price):
            return 0.0
        over = np.where(price > 0, consumption - self.upper, np.where(price < 0, self.lower - consumption, 0.0))
        over = np.where(np.isfinite(over), over, 0.0)
        slackness = np.where(self.at_box(price), np.maximum(-over, 0.0), np.abs(over)) / self.size
        breach = np.where(self.at_box(price), 0.0, self.breach(consumption))
        return float(np.max(np.maximum(breach, slackness)))


@dataclass(frozen=True, slots=True)
class Descent:
    """Where a descent ended: price (m,), dual value, consumption (m,), Hessian (m, m), evaluations used."""

    price: Floats
    dual: float
    consumption: Floats
    hessian: Floats
    evaluations: int


def row_sizes(rows: Rows, use: Floats) -> Floats:
    """What a breach of each row is relative to: its bound, or a share of what it would count without prices.

    Args:
        rows: the limits.
        use: (3, g, k) at zero prices.

    Returns:
        (m,) positive.
    """
    gross = np.einsum("rtga,tga->r", np.abs(rows.coefficient), np.abs(use))
    bound = np.maximum(
        np.where(np.isfinite(rows.upper), np.abs(rows.upper), 0.0),
        np.where(np.isfinite(rows.lower), np.abs(rows.lower), 0.0),
    )
    signs = (rows.coefficient > 0).any((1, 2, 3)) & (rows.coefficient < 0).any((1, 2, 3))
    floor = np.where(signs, 0.1, 0.001) * gross  # a share's bound is 0: measure it against what flows through it
    size = np.maximum(bound, floor)
    return np.where(size > 0, size, 1.0)


def domain_of(rows: Rows, scale: float, per_contact: Floats, use: Floats) -> Domain:
    """The domain of these limits' prices.

    Args:
        rows: the limits.
        scale: a typical score, currency units.
        per_contact: (3,) what a typical contact counts in each measure: 1, cost, value.
        use: (3, g, k) at zero prices.
    """
    largest = np.abs(rows.coefficient).max((2, 3)) if rows.coefficient.size else np.zeros((len(rows.names), 3))
    typical = (largest * per_contact).max(1) if len(largest) else np.zeros(0)
    unit = scale / np.where(typical > 0, typical, 1.0)
    elastic = np.isfinite(rows.penalty)
    dearest = float(np.max(rows.penalty[elastic] / unit[elastic], initial=1.0))
    box = np.where(elastic, rows.penalty, HARD_BOX * dearest * unit)
    return Domain(rows.lower, rows.upper, unit, box, row_sizes(rows, use))


@njit(cache=True, nogil=True)
def _model_minimum(h: Any, slope: Any, start: Any, lower: Any, upper: Any, low: Any, high: Any, sweeps: int) -> Any:
    """Coordinate descent on slope'd + d'hd/2 + support(start + d) with low <= start + d <= high."""
    m = len(start)
    x = start.copy()
    q = slope.copy()
    first = 0.0
    for sweep in range(sweeps):
        largest = 0.0
        for j in range(m):
            curve = h[j, j]
            free = x[j] - q[j] / curve
            new = 0.0
            if upper[j] < np.inf and free - upper[j] / curve > 0:
                new = free - upper[j] / curve
            elif lower[j] > -np.inf and free - lower[j] / curve < 0:
                new = free - lower[j] / curve
            new = min(max(new, low[j]), high[j])
            move = new - x[j]
            if move != 0.0:
                x[j] = new
                for i in range(m):
                    q[i] += h[j, i] * move  # symmetric: along a row of memory
                largest = max(largest, abs(move) * np.sqrt(curve))
        if sweep == 0:
            first = largest
        if largest <= 1e-10 * first:
            break
    return x


def propose(domain: Domain, hessian: Floats, consumption: Floats, price: Floats, radius: float) -> Floats:
    """Minimiser (m,) of the quadratic model around `price`, at most `radius` units away and inside the box."""
    unit = domain.unit
    h = hessian * unit[:, None] * unit[None, :]
    diagonal = np.diag(h)
    ridge = 1e-8 * diagonal + 1e-10 * diagonal.max(initial=0.0) + 1e-200
    h = h + np.diag(ridge)
    at = price / unit
    least, most = domain.ends()
    low, high = np.maximum(at - radius, least / unit), np.minimum(at + radius, most / unit)
    return np.asarray(
        _model_minimum(h, -consumption * unit, at, domain.lower * unit, domain.upper * unit, low, high, 500) * unit
    )


def descend(
    evaluate: Evaluate,
    domain: Domain,
    start: Floats,
    *,
    steps: int,
    tolerance: float,
    noise: float = _NOISE,
    first: tuple[float, Floats, Floats] | None = None,
) -> Descent:
    """Trust-region proximal Newton on the dual.

    Args:
        evaluate: value, consumption and Hessian at a price.
        domain: bounds, box and units.
        start: (m,) prices to begin with.
        steps: evaluations at most.
        tolerance: stop when no limit is violated by more, relative to its size.
        noise: differences of the dual value below this share of it are rounding of its sums.
        first: the evaluation at `start` where it is known and `start` lies inside the domain.

    Returns:
        The best prices found. The dual value never rises by more than rounding.
    """
    price = domain.clip(start)
    value, consumption, hessian = first if first is not None else evaluate(price)
    dual = value + domain.support(price)
    violation = domain.violation(price, consumption)
    radius, used = 1.0, 1
    widest = max(_WIDEST, _OF_BOX * float(np.max(domain.box / domain.unit, initial=0.0)))
    while used < steps and violation > tolerance:
        trial = propose(domain, hessian, consumption, price, radius)
        move = trial - price
        model = value + float(0.5 * move @ hessian @ move - consumption @ move) + domain.support(trial)
        promised = dual - model
        if promised <= 0 or not np.any(move):
            break
        trial_value, trial_consumption, trial_hessian = evaluate(trial)
        used += 1
        trial_dual = trial_value + domain.support(trial)
        trial_violation = domain.violation(trial, trial_consumption)
        if promised > noise * abs(dual):
            agreement = (dual - trial_dual) / promised
        elif trial_violation < violation:
            agreement = 1.0
        else:
            break
        if agreement > 0.75:
            radius = min(radius * _GROW, widest)
        elif agreement < 0.25:
            radius = _SHRINK * min(radius, float(np.abs(move / domain.unit).max()))
        if agreement > 1e-3:
            price, dual, value = trial, trial_dual, trial_value
            consumption, hessian, violation = trial_consumption, trial_hessian, trial_violation
    return Descent(price, dual, consumption, hessian, used)
