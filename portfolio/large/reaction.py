"""How much everybody would react to other charges, if the best offer were taken softly: counted to the bit."""

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from portfolio.large.population import Population

_FADED = 40.0  # exp(-40) < 1e-17: options this many temperatures below the best count for nothing
_SUM_BITS = 61  # sums of fixed-point numbers stay inside 64 bits


@njit(cache=True, nogil=True)
def react(crowd: Any, charges: Any, scale: Any, temperature: float) -> Any:
    """Tables (6, g, k, k) int64: sums over customers of dP_a / d(-charge_b), weighted as `Response.curvature` is.

    P is the soft maximum at a temperature of value * keep - contact - per_cost * cost, no offer being 0. Terms become
    whole numbers by `scale` (6,), so that no order of customers changes a bit.
    """
    value, cost, eligible, cell = crowd
    keep, contact, per_cost = charges
    n, k = value.shape
    out = np.zeros((6, len(keep), k, k), np.int64)
    chance = np.empty(k)
    live = np.empty(k, np.int64)
    for i in range(n):
        g = cell[i]
        top = 0.0
        for a in range(k):
            chance[a] = -np.inf
            if eligible[i, a]:
                paid = np.float64(contact[g, a]) + np.float64(per_cost[g, a]) * cost[i, a]
                chance[a] = np.float64(value[i, a]) * keep[g, a] - paid
                top = max(top, chance[a])
        mass = np.exp(-top / temperature)
        count = 0
        for a in range(k):
            if top - chance[a] < _FADED * temperature:
                chance[a] = np.exp((chance[a] - top) / temperature)
                mass += chance[a]
                live[count] = a
                count += 1
        for j in range(count):
            a = live[j]
            ca, va = np.float64(cost[i, a]), np.float64(value[i, a])
            for h in range(count):
                b = live[h]
                cb, vb = np.float64(cost[i, b]), np.float64(value[i, b])
                pull = chance[a] / mass * ((1.0 if a == b else 0.0) - chance[b] / mass) / temperature
                out[0, g, a, b] += np.int64(pull * scale[0])
                out[1, g, a, b] += np.int64(pull * cb * scale[1])
                out[2, g, a, b] += np.int64(pull * ca * cb * scale[2])
                out[3, g, a, b] += np.int64(pull * vb * scale[3])
                out[4, g, a, b] += np.int64(pull * ca * vb * scale[4])
                out[5, g, a, b] += np.int64(pull * va * vb * scale[5])
    return out


def reaction_scales(population: Population, temperature: float) -> NDArray[np.float64]:
    """(6,) powers of two that make the terms of `react` whole numbers whose sums fit into 64 bits.

    They depend on the whole population alone: a term is at most a quarter of its weights' largest product, divided by
    the temperature.
    """
    value, cost = population.largest
    most = 0.25 / temperature * np.array([1.0, cost, cost * cost, value, cost * value, value * value])
    bits = _SUM_BITS - np.ceil(np.log2(max(population.size, 1)))
    return np.asarray(2.0 ** (bits - np.ceil(np.log2(np.where(most > 0, most, 1.0)))))
