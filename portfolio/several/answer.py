"""What one customer takes: exactly, and softened by a temperature.

Kernels over the customer's open offers: `net` and `of` are the scores net of charges and the groups of `many` of them.
"""

from typing import Any

import numpy as np
from numba import njit

FADED = 40.0  # exp(-40) < 1e-17: what is this many temperatures away counts for nothing


@njit(cache=True, nogil=True, error_model="numpy")
def _take_one(net: Any, many: Any, picks: Any) -> Any:
    """As `take` where all offers are one group: no table, no order."""
    top = second = -np.inf
    at = -1
    for c in range(many):
        if net[c] > top:
            second = top
            top = net[c]
            at = c
        elif net[c] > second:
            second = net[c]
    if top <= 0.0:
        return 0.0, -top
    picks[0] = at
    return top, top - max(second, 0.0)


@njit(cache=True, nogil=True, error_model="numpy")
def take(net: Any, of: Any, many: Any, best: Any, who: Any, picks: Any) -> Any:
    """The exact answer: `picks` (most,) best first, -1 where nothing; the sum of their scores, and the lead.

    `net` and `of` are scores and groups of `many` open offers, picks their places. `best` (groups, 2) and `who`
    (groups,) are room to work in: the best and second best score of each group, and the place of the best.
    """
    most = len(picks)
    picks[:] = -1
    if len(best) == 1:
        return _take_one(net, many, picks)
    best[:] = -np.inf
    for c in range(many):
        j = of[c]
        if net[c] > best[j, 0]:
            best[j, 1] = best[j, 0]
            best[j, 0] = net[c]
            who[j] = c
        elif net[c] > best[j, 1]:
            best[j, 1] = net[c]
    count = 0
    outside = -np.inf  # the best score of a group that is left out
    for j in range(len(best)):
        score = best[j, 0]
        if score <= 0.0 or (count == most and score <= best[picks[count - 1], 0]):
            outside = max(outside, score)
            continue
        if count == most:
            outside = max(outside, best[picks[count - 1], 0])
        else:
            count += 1
        at = count - 1
        while at > 0 and best[picks[at - 1], 0] < score:
            picks[at] = picks[at - 1]
            at -= 1
        picks[at] = j
    total = 0.0
    lead = np.inf if count == most else -outside
    floor = max(outside, 0.0) if count == most else 0.0
    for c in range(count):
        j = picks[c]
        total += best[j, 0]
        lead = min(lead, best[j, 0] - max(best[j, 1], floor))
        picks[c] = who[j]
    return total, lead


@njit(cache=True, nogil=True, error_model="numpy")
def _threshold(soft: Any, most: Any, tau: Any, work: Any) -> Any:
    """The least threshold >= 0 at which the shares of the groups add up to at most `most`: Newton inside a bracket."""
    total = 0.0
    for j in range(len(soft)):
        work[j] = soft[j]
        total += 1.0 / (1.0 + np.exp(-soft[j] / tau)) if soft[j] > -FADED * tau else 0.0
    if total <= most:
        return 0.0
    first = above = below = 0.0
    for rank in range(most + 1):
        at = 0
        for j in range(len(soft)):
            if work[j] > work[at]:
                at = j
        above, below = below, max(work[at], 0.0)
        first = below if rank == 0 else first
        work[at] = -np.inf
    low = 0.0
    high = first + tau * np.log(len(soft) / most)
    theta = min(max(0.5 * (above + below), low), high)
    for _ in range(200):
        excess = -float(most)
        slope = 0.0
        for j in range(len(soft)):
            x = (soft[j] - theta) / tau
            if x > -FADED:
                share = 1.0 / (1.0 + np.exp(-x))
                excess += share
                slope += share * (1.0 - share) / tau
        if abs(excess) <= 1e-14 * len(soft) or high - low <= 1e-16 * high:
            break
        if excess > 0:
            low = theta
        else:
            high = theta
        theta = theta + excess / slope if slope > 0 else high + 1.0
        if not low < theta < high:
            theta = 0.5 * (low + high)
    return theta


@njit(cache=True, nogil=True, error_model="numpy")
def shares(net: Any, of: Any, many: Any, most: Any, tau: Any, soft: Any, mass: Any, work: Any, share: Any) -> Any:
    """The softened answer: `share` of open offers and `mass` (groups,); the threshold and the softened value."""
    soft[:] = -np.inf
    mass[:] = 0.0
    for c in range(many):
        soft[of[c]] = max(soft[of[c]], net[c])
    for c in range(many):
        j = of[c]
        share[c] = 0.0
        if net[c] == soft[j]:
            share[c] = 1.0
        elif soft[j] - net[c] < FADED * tau:
            share[c] = np.exp((net[c] - soft[j]) / tau)
        mass[j] += share[c]
    for j in range(len(soft)):
        if mass[j] > 1.0:
            soft[j] += tau * np.log(mass[j])
    theta = _threshold(soft, most, tau, work)
    value = theta * most
    for j in range(len(soft)):
        x = (soft[j] - theta) / tau
        work[j] = 0.0
        if x > -FADED:
            work[j] = 1.0 / (1.0 + np.exp(-x))
            value += max(soft[j] - theta, 0.0) + tau * np.log1p(np.exp(-abs(x)))
    for c in range(many):
        if share[c] > 0.0:
            share[c] *= work[of[c]] / mass[of[c]]
    mass[:] = work
    return theta, value


@njit(cache=True, nogil=True, error_model="numpy")
def single(net: Any, many: Any, tau: Any, mass: Any, share: Any) -> Any:
    """The softened answer where all offers are one group: fewer exponentials; the softened value."""
    top = 0.0
    for a in range(many):
        top = max(top, net[a])
    total = np.exp(-top / tau) if top < FADED * tau else 0.0
    for a in range(many):
        share[a] = np.exp((net[a] - top) / tau) if top - net[a] < FADED * tau else 0.0
        total += share[a]
    mass[0] = 0.0
    for a in range(many):
        share[a] /= total
        mass[0] += share[a]
    return top + tau * np.log(total)
