"""Limits that count the same: what they charge together is shared out among them as cheaply as it can be.

A maximum and a minimum of one sum may hold prices that cancel each other. No charge and no curvature tells, so Newton's
method is slow to notice, and yet every unit of them costs the distance between the two bounds.
"""

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from portfolio.dual import Domain, Floats
from portfolio.limits import Rows

Parallel: TypeAlias = tuple[tuple[NDArray[np.intp], Floats], ...]
"""Groups of rows, and for each row of a group its multiple of what all of them count."""

_EQUAL = 1e-12  # sums in another order may differ by so much and still be of the same numbers


def parallel_rows(rows: Rows) -> Parallel:
    """Which rows are positive multiples of each other, but where one's minimum is above another's maximum: one of them
    has to give, and their prices pull against each other until it does.
    """
    flat = rows.coefficient.reshape(len(rows.names), int(np.prod(rows.coefficient.shape[1:])))
    size = np.abs(flat).max(1, initial=0.0)
    there = np.nonzero(size > 0)[0]
    odd = np.modf((1.0 + np.arange(flat.shape[1])) * 0.5 * (np.sqrt(5.0) - 1.0))[0]  # no two tables add up to the same
    sums = flat[there] @ odd / size[there]
    order = there[np.argsort(sums, kind="stable")]
    sums = np.sort(sums)
    near = np.nonzero(np.diff(sums) > _EQUAL * max(float(np.abs(sums).max(initial=0.0)), 1.0))[0] + 1
    out = []
    for some in np.split(order, near):
        alike = [r for r in some if np.allclose(flat[r] / size[r], flat[some[0]] / size[some[0]], rtol=_EQUAL, atol=0)]
        own = np.sort(np.array(alike, np.intp))
        if len(own) > 1 and (rows.lower[own] / size[own]).max() <= (rows.upper[own] / size[own]).min():
            out.append((own, size[own]))
    return tuple(out)


def cheapest(parallel: Parallel, domain: Domain, price: Floats) -> Floats:
    """Prices (m,) with the same charges and, sign by sign, the lowest cost of the bounds that the domain allows.

    Args:
        parallel: of the rows.
        domain: their bounds, and where prices may lie.
        price: (m,) inside the domain.
    """
    low, high = domain.ends()
    out = price.copy()
    for own, size in parallel:
        share = np.clip(0.0, low[own], high[own])
        left = float((price[own] - share) @ size)
        sign, bound, end = (1.0, domain.upper, high) if left > 0 else (-1.0, domain.lower, low)
        for j in np.argsort(sign * bound[own] / size, kind="stable"):
            taken = sign * min(abs(left), abs(end[own[j]] - share[j]) * size[j])
            share[j] += taken / size[j]
            left -= taken
        out[own] = share
    return out
