"""Several offers per customer: who takes what at given charges, exactly or softened by a temperature.

A customer takes at most one offer of each group and at most `most` in all. Exactly: the best offer of each group, of
these the `most` best that are worth their charge. Softened: in each group a soft maximum with no offer as the way out;
all groups of a customer share one threshold that makes the expected number of offers at most `most`.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from portfolio.dual import Floats
from portfolio.limits import Problem
from portfolio.prices import Response
from portfolio.several.argmax import Shelf, SoftAnswer

_FADED = 40.0  # exp(-40) < 1e-17: what is this many temperatures away counts for nothing
_WHOLE = 1e-15  # a share that misses 1 by less has no curvature


@njit(cache=True, nogil=True)
def _net(i: Any, shelf: Any, charges: Any, net: Any) -> None:
    """Scores net of charges (k,), minus infinity where not eligible."""
    value, worth, cost, eligible, cell, _ = shelf
    g = cell[i]
    for a in range(len(net)):
        net[a] = -np.inf
        if eligible[i, a]:
            net[a] = value[i, a] - charges[0, g, a] - charges[1, g, a] * cost[i, a] - charges[2, g, a] * worth[i, a]


@njit(cache=True, nogil=True)
def _take(net: Any, group: Any, most: Any, top: Any, who: Any, picks: Any) -> Any:
    """The exact answer: `picks` (most,) best first, -1 where nothing; the sum of their scores, and the lead.

    `top` and `who` (number of groups,) are left with each group's best score and offer.
    """
    top[:] = -np.inf
    who[:] = -1
    second = np.inf  # how little separates the best offers of one group
    for a in range(len(net)):
        if net[a] > top[group[a]]:
            top[group[a]] = net[a]
            who[group[a]] = a
    picks[:] = -1
    total = 0.0
    last = 0.0
    count = 0
    while count <= most:
        best = -1
        for j in range(len(top)):
            if who[j] >= 0 and top[j] > -np.inf and (best < 0 or top[j] > top[best]):
                best = j
        if best < 0:
            break
        score = top[best]
        if count == most or score <= 0.0:  # the first that is left out
            lead = (last - max(score, 0.0)) if count == most else min(last, -score) if count else -score
            return total, min(lead, second)
        picks[count] = who[best]
        total += score
        last = score
        count += 1
        top[best] = -np.inf
        for a in range(len(net)):
            if group[a] == best and a != who[best]:
                second = min(second, score - net[a])
    return total, min(last if count else np.inf, second)


@njit(cache=True, nogil=True)
def _threshold(soft: Any, most: Any, tau: Any, work: Any) -> Any:
    """The least threshold >= 0 at which the shares of the groups add up to at most `most`: Newton inside a bracket."""
    total = 0.0
    for j in range(len(soft)):
        work[j] = soft[j]
        total += 1.0 / (1.0 + np.exp(-soft[j] / tau)) if soft[j] > -_FADED * tau else 0.0
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
            if x > -_FADED:
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


@njit(cache=True, nogil=True)
def _shares(net: Any, group: Any, most: Any, tau: Any, soft: Any, mass: Any, work: Any, share: Any) -> Any:
    """The softened answer: `share` (k,) and `mass` (groups,) of each group; the threshold and the softened value."""
    soft[:] = -np.inf
    mass[:] = 0.0
    for a in range(len(net)):
        soft[group[a]] = max(soft[group[a]], net[a])
    for a in range(len(net)):
        j = group[a]
        share[a] = 0.0
        if net[a] == soft[j]:
            share[a] = 1.0 if net[a] > -np.inf else 0.0
        elif soft[j] - net[a] < _FADED * tau:
            share[a] = np.exp((net[a] - soft[j]) / tau)
        mass[j] += share[a]
    for j in range(len(soft)):
        if mass[j] > 1.0:
            soft[j] += tau * np.log(mass[j])
    theta = _threshold(soft, most, tau, work)
    value = theta * most
    for j in range(len(soft)):
        x = (soft[j] - theta) / tau
        work[j] = 0.0
        if x > -_FADED:
            work[j] = 1.0 / (1.0 + np.exp(-x))
            value += max(soft[j] - theta, 0.0) + tau * np.log1p(np.exp(-abs(x)))
    for a in range(len(net)):
        if share[a] > 0.0:
            share[a] *= work[group[a]] / mass[group[a]]
    for j in range(len(soft)):
        mass[j] = work[j]
    return theta, value


@njit(cache=True, nogil=True)
def _bend(i: Any, shelf: Any, group: Any, live: Any, share: Any, mass: Any, bound: Any, tau: Any, tables: Any) -> None:
    """Adds customer i's curvature to tables (1, 3 or 6, g, k, k): softmax in groups, less the shared threshold's."""
    _, worth, cost, _, cell, weight = shelf
    g = cell[i]
    spread = 0.0
    for a in live:
        spread += share[a] * (1.0 - mass[group[a]])
    for a in live:
        for b in live:
            x = -share[a] * share[b] if group[a] == group[b] else 0.0
            if a == b:
                x += share[a]
            if bound and spread > 0.0:
                x -= share[a] * (1.0 - mass[group[a]]) * share[b] * (1.0 - mass[group[b]]) / spread
            x *= weight[i] / tau
            tables[0, g, a, b] += x
            if len(tables) > 1:
                tables[1, g, a, b] += x * cost[i, b]
                tables[2, g, a, b] += x * cost[i, a] * cost[i, b]
            if len(tables) > 3:
                tables[3, g, a, b] += x * worth[i, b]
                tables[4, g, a, b] += x * cost[i, a] * worth[i, b]
                tables[5, g, a, b] += x * worth[i, a] * worth[i, b]


@njit(cache=True, nogil=True)
def _soft_pass(shelf: Any, charges: Any, taste: Any, tau: Any, use: Any, tables: Any, totals: Any, plan: Any) -> None:
    """Adds use (3, g, k), tables, totals (softened value, exact value, value reached); fills plan (n or 0, k)."""
    value, worth, cost, _, cell, weight = shelf
    group, groups, most = taste
    n, k = value.shape
    net, share = np.empty(k), np.empty(k)
    soft, mass, work = np.empty(groups), np.empty(groups), np.empty(groups)
    who = np.empty(groups, np.int64)
    picks = np.empty(most, np.int64)
    live = np.empty(k, np.int64)
    for i in range(n):
        _net(i, shelf, charges, net)
        exact, _ = _take(net, group, most, work, who, picks)
        theta, softened = _shares(net, group, most, tau, soft, mass, work, share)
        totals[0] += weight[i] * softened
        totals[1] += weight[i] * exact
        count = 0
        for a in range(k):
            x = weight[i] * share[a]
            if x > 0.0:
                totals[2] += x * value[i, a]
                use[0, cell[i], a] += x
                use[1, cell[i], a] += x * cost[i, a]
                use[2, cell[i], a] += x * worth[i, a]
                if share[a] < 1.0 - _WHOLE:
                    live[count] = a
                    count += 1
        if len(tables):
            _bend(i, shelf, group, live[:count], share, mass, theta > 0.0, tau, tables)
        for a in range(k if len(plan) else 0):
            plan[i, a] = share[a]


@njit(cache=True, nogil=True)
def _respond(shelf: Any, charges: Any, taste: Any, choice: Any, lead: Any) -> Any:
    """Each customer's exact answer: choice (n, most), lead (n,); their sum, unweighted."""
    group, groups, most = taste
    n, k = shelf[0].shape
    net, top = np.empty(k), np.empty(groups)
    who = np.empty(groups, np.int64)
    total = 0.0
    for i in range(n):
        _net(i, shelf, charges, net)
        best, lead[i] = _take(net, group, most, top, who, choice[i])
        total += best
    return total


@dataclass(frozen=True, slots=True)
class Taste:
    """How many offers a customer may have: `most` in all, one of each group; group (k,) numbers without holes."""

    most: int
    group: NDArray[np.int64]

    @classmethod
    def of(cls, problem: Problem) -> "Taste":
        """Without groups every offer is its own; one offer at most makes all offers one group."""
        k = problem.value.shape[1]
        if problem.most == 1:
            return cls(1, np.zeros(k, np.int64))
        if problem.groups is None:
            return cls(problem.most, np.arange(k))
        _, group = np.unique(problem.groups, return_inverse=True)
        return cls(problem.most, group.reshape(-1).astype(np.int64))

    def arrays(self) -> tuple[NDArray[np.int64], int, int]:
        """For kernels: group (k,), the number of groups, `most`."""
        return self.group, int(self.group.max(initial=-1)) + 1, self.most


@dataclass(frozen=True, slots=True)
class SeveralCrowd:
    """An oracle: every customer takes a softened best set of offers, at a temperature (currency units)."""

    shelf: Shelf
    taste: Taste
    temperature: float
    measures: int

    def _pass(self, charges: Floats, curvature: bool, plan: Floats) -> SoftAnswer:
        s, taste = self.shelf, self.taste
        k = s.value.shape[1]
        use = np.zeros((3, s.n_cells, k))
        tables = np.zeros(((0, 1, 3, 6)[self.measures if curvature else 0], s.n_cells, k, k))
        totals = np.zeros(3)
        arrays = (s.value, s.worth, s.cost, s.eligible, s.cell, s.weight)
        _soft_pass(arrays, charges, taste.arrays(), self.temperature, use, tables, totals, plan)
        full = np.zeros((6, s.n_cells, k, k)) if curvature else None
        if full is not None:
            full[: len(tables)] = tables
        return SoftAnswer(Response(float(totals[0]), use, full), float(totals[1]), float(totals[2]))

    def answer(self, charges: Floats, *, curvature: bool) -> SoftAnswer:
        """One pass at charges (3, g, k)."""
        return self._pass(charges, curvature, np.zeros((0, 0)))

    def __call__(self, charges: Floats, *, curvature: bool) -> Response:
        """See `portfolio.prices.Oracle`."""
        return self.answer(charges, curvature=curvature).response

    def plan(self, charges: Floats) -> Floats:
        """The softened plan (n, k): each offer's share of each customer."""
        out = np.zeros(self.shelf.value.shape)
        self._pass(charges, False, out)
        return out


def respond(shelf: Shelf, taste: Taste, charges: Floats) -> tuple[NDArray[np.int64], Floats, float]:
    """The exact answer at charges (3, g, k).

    Returns:
        Choice (n, most), best first and -1 where nothing more; lead (n,): the least change of one score that changes
        the choice, currency units; and the sum of the chosen net scores.
    """
    choice = np.empty((len(shelf.value), taste.most), np.int64)
    lead = np.empty(len(shelf.value))
    arrays = (shelf.value, shelf.worth, shelf.cost, shelf.eligible, shelf.cell, shelf.weight)
    total = _respond(arrays, charges, taste.arrays(), choice, lead)
    return choice, lead, float(total)
