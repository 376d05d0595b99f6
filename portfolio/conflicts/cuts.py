"""The lowest point of a dual with corners, closed in on by its own tangents: cutting planes inside a trust region.

Where few prices are left and choices change all at once, as among few or equal customers, a temperature stops short of
the corner that is the answer. Each exact pass is a tangent of the dual; a linear program finds the lowest point of all
tangents, and says how much lower the dual can still be. (Kelley 1960, "The cutting-plane method for solving convex
programs".)
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from portfolio.dual import Domain, Floats

Tangent: TypeAlias = Callable[[Floats], tuple[float, Floats]]
"""price (m,) -> the exact dual value without its support, and the consumption (m,) there."""

_AROUND, _LEAST = 0.5, 0.05  # the first trust region: a share of each price, and at least so much, in units
_WIDER = 3.0


@dataclass(frozen=True, slots=True)
class _Cut:
    price: Floats
    value: float
    consumption: Floats


def lowest(
    tangent: Tangent, domain: Domain, starts: list[Floats], *, steps: int, tolerance: float
) -> tuple[Floats, float]:
    """Prices (m,) near the lowest dual value, and that value.

    Args:
        tangent: an exact pass over everybody.
        domain: bounds, box and units.
        starts: prices (m,) to begin with, at least one.
        steps: passes at most, besides those at `starts`.
        tolerance: stop when tangents leave no more than this share of the value to gain.
    """
    cuts = [_Cut(price, *tangent(price)) for price in starts]
    duals = [cut.value + domain.support(cut.price) for cut in cuts]
    best = int(np.argmin(duals))
    reach = np.maximum(_AROUND * np.abs(cuts[best].price), _LEAST * domain.unit)
    for _ in range(steps):
        price, promised = _bottom(domain, cuts, cuts[best].price, reach)
        if duals[best] - promised <= tolerance * abs(duals[best]):
            break
        cuts.append(_Cut(price, *tangent(price)))
        duals.append(cuts[-1].value + domain.support(price))
        if duals[-1] < duals[best]:
            reach = reach * (_WIDER if duals[best] - duals[-1] > 0.5 * (duals[best] - promised) else 1.0)
            best = len(cuts) - 1
    return cuts[best].price, duals[best]


def _bottom(domain: Domain, cuts: list[_Cut], center: Floats, reach: Floats) -> tuple[Floats, float]:
    """The lowest point (m,) of all tangents within reach of the center, and the value there."""
    from scipy.optimize import linprog

    m, unit = len(center), domain.unit
    low, high = domain.ends()
    low, high = np.maximum(low, center - reach) / unit, np.minimum(high, center + reach) / unit
    slope = np.stack([cut.consumption for cut in cuts]) * unit
    flat = np.array([cut.value + cut.consumption @ cut.price for cut in cuts])
    upper = np.where(np.isfinite(domain.upper), domain.upper, 0.0) * unit
    lower = np.where(np.isfinite(domain.lower), domain.lower, 0.0) * unit
    # prices are up - down; the dual value less its support is the last variable
    objective = np.concatenate((upper, -lower, [1.0]))
    tangents = np.hstack((-slope, slope, -np.ones((len(cuts), 1))))
    ends = np.hstack((np.eye(m), -np.eye(m), np.zeros((m, 1))))
    left, right = np.vstack((tangents, ends, -ends)), np.concatenate((-flat, high, -low))
    bounds = [*((0.0, max(x, 0.0)) for x in high), *((0.0, max(-x, 0.0)) for x in low), (None, None)]
    found = linprog(objective, left, right, bounds=bounds, method="highs")
    if found.status != 0:
        return center, np.inf
    x = (found.x[:m] - found.x[m : 2 * m]) * unit
    return domain.clip(x), float(found.fun)
