"""Customers take their seats one by one, and whoever is decided stands up: the flight over one set of rows."""

from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from allot.uniform_kernels import mix, uniform
from portfolio.draw.basis import (
    CELL,
    CHANCE,
    COLUMNS,
    COST,
    CUSTOMER,
    FREE,
    FREE_SEATS,
    REFERENCE,
    VALUE,
    Floats,
    Integers,
    enter,
)
from portfolio.draw.basis_step import stand_up, step


class Arrivals(NamedTuple):
    """Customers in the order in which they are seated: b of them, k offers.

    Args:
        customer: (b,) row numbers in the problem.
        key: (b,) uint64 of their random numbers.
        cell: (b,) cell in the coefficients at hand.
        chance: (b, k + 1); need not sum to 1.
        cost, value: (b, k) currency units, 0 where the chance is 0.
    """

    customer: Integers
    key: NDArray[np.uint64]
    cell: Integers
    chance: Floats
    cost: Floats
    value: Floats


@njit(cache=True, nogil=True)
def scatter(keys: Any, of: Any, out: Any) -> None:
    """A hash of each key: the order in which customers are seated. Different keys have different hashes."""
    for i in range(len(keys)):
        out[i] = mix(mix(keys[i] + np.uint64(0x9E3779B97F4A7C15)) ^ of)


@njit(cache=True, nogil=True)
def _sit_down(st: Any, arrivals: Any, i: int) -> int:
    """Seat customer i, with the likeliest option as reference."""
    st.tally[FREE_SEATS] -= 1
    seat = int(st.scratch[FREE, st.tally[FREE_SEATS]])
    k = arrivals.cost.shape[1]
    total = 0.0
    likeliest = 0
    for a in range(k + 1):
        total += arrivals.chance[i, a]
        if arrivals.chance[i, a] > arrivals.chance[i, likeliest]:
            likeliest = a
    for a in range(k + 1):
        st.seated[CHANCE, seat, a] = arrivals.chance[i, a] / total
    for a in range(k):
        st.seated[COST, seat, a] = arrivals.cost[i, a]
        st.seated[VALUE, seat, a] = arrivals.value[i, a]
    st.who[REFERENCE, seat] = likeliest
    st.who[COLUMNS, seat] = 0
    st.who[CUSTOMER, seat] = arrivals.customer[i]
    st.who[CELL, seat] = arrivals.cell[i]
    return seat


@njit(cache=True, nogil=True)
def fly(st: Any, co: Any, arrivals: Any, of: Any, choice: Any) -> None:
    """Seat the customers one by one; whoever is decided gets a choice."""
    for i in range(len(arrivals.customer)):
        seat = _sit_down(st, arrivals, i)
        for a in range(st.seated.shape[2]):
            if a == st.who[REFERENCE, seat] or st.seated[CHANCE, seat, a] <= 0.0:
                continue
            if not enter(st, co, seat, a):
                step(st, uniform(of, arrivals.key[i], np.uint64(a)), seat, a, choice)
        if st.who[COLUMNS, seat] == 0:
            stand_up(st, seat, choice)
