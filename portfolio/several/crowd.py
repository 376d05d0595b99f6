"""Several offers per customer: who takes what at given charges, exactly or softened by a temperature.

A customer takes at most one offer of each group and at most `most` in all; one offer at most is the case of one group.
Exactly: the best offer of each group, of these the `most` best that are worth their charge. Softened: in each group a
soft maximum with no offer as the way out; all groups of a customer share one threshold that makes the expected number
of offers at most `most`. Who has a clear lead answers softly as exactly, and costs no exponential.
"""

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numba import njit
from numpy.typing import NDArray

from allot import ShapeError
from portfolio.curvature import Touch
from portfolio.dual import Floats
from portfolio.limits import Problem, Rows
from portfolio.prices import Response
from portfolio.several.answer import FADED, shares, single, take
from portfolio.several.shelf import Shelf

Picks: TypeAlias = NDArray[np.int64]

_CLEAR = 2.0 * FADED  # a threshold lies anywhere between the last offer taken and the first that is not
_PAIRS = ((0, 0), (0, 1), (1, 1), (0, 2), (1, 2), (2, 2))  # the measures that each curvature table speaks of
_WHOLE = 1e-15  # a share that misses 1 by less has no curvature


@njit(cache=True, nogil=True, error_model="numpy", inline="always")
def _bend(i: Any, shelf: Any, softened: Any, live: Any, bound: Any, pull: Any, out: Any) -> None:
    """Adds customer i's curvature to tables (1, 3 or 6, g, k, k): softmax in groups, less the shared threshold's.

    Of the symmetric tables 0, 2 and 5 only the lower triangle. `softened` are the customer's open offers, their groups
    and shares, and the groups' mass; `live` the places of the offers that react, `pull` is weight over temperature.
    """
    value, cost, _, cell, _, _, _, _ = shelf
    offer, of, share, mass = softened
    g = cell[i]
    spread = 0.0
    for c in live if bound else live[:0]:
        spread += share[c] * (1.0 - mass[of[c]])
    shared = 1.0 / spread if spread > 0.0 else 0.0
    for c in live:
        a = offer[c]
        own = pull * share[c]
        more = own * (1.0 - mass[of[c]]) * shared
        for d in live:
            if d > c:
                break
            b = offer[d]
            x = own if c == d else 0.0
            if of[c] == of[d]:
                x -= own * share[d]
            if bound:
                x -= more * share[d] * (1.0 - mass[of[d]])
            out[0, g, a, b] += x
            if len(out) > 1:
                out[1, g, a, b] += x * cost[i, b]
                out[2, g, a, b] += x * cost[i, a] * cost[i, b]
                if c != d:
                    out[1, g, b, a] += x * cost[i, a]
            if len(out) > 3:
                out[3, g, a, b] += x * value[i, b]
                out[4, g, a, b] += x * cost[i, a] * value[i, b]
                out[5, g, a, b] += x * value[i, a] * value[i, b]
                if c != d:
                    out[3, g, b, a] += x * value[i, a]
                    out[4, g, b, a] += x * cost[i, b] * value[i, a]


@njit(cache=True, nogil=True, error_model="numpy")
def _pass(
    shelf: Any, taste: Any, tau: Any, use: Any, tables: Any, totals: Any, plan: Any, choice: Any, ahead: Any
) -> None:
    """Adds use (3, g, k), tables, totals (softened value, exact value); fills plan (n or 0, k), which is 0 before, and
    the exact choice (n or 0, most) and lead (n or 0,). At temperature 0 all answer exactly."""
    value, cost, eligible, cell, weight, keep, contact, per_cost = shelf
    group, groups, most = taste
    n, k = value.shape
    net, share = np.empty(k), np.empty(k)
    soft, mass, work, best = np.empty(groups), np.empty(groups), np.empty(groups), np.empty((groups, 2))
    offer, of, live = np.empty(k + 1, np.int64), np.empty(k, np.int64), np.empty(k, np.int64)
    who, picks = np.empty(groups, np.int64), np.empty(most, np.int64)
    answer = offer, of, share, mass
    for i in range(n):
        g = cell[i]
        many = 0
        for a in range(k):
            offer[many] = a
            many += eligible[i, a]
        for c in range(many):
            a = offer[c]
            net[c] = value[i, a] * keep[g, a] - contact[g, a] - per_cost[g, a] * cost[i, a]
            of[c] = group[a]
        exact, lead = take(net, of, many, best, who, picks)
        if len(choice):
            ahead[i] = lead
            for c in range(most):
                choice[i, c] = offer[picks[c]] if picks[c] >= 0 else -1
        theta, softened = 0.0, exact
        if tau == 0.0 or lead > _CLEAR * tau:
            share[:many] = 0.0
            for c in picks:
                if c >= 0:
                    share[c] = 1.0
        elif groups == 1:
            softened = single(net, many, tau, mass, share)
        else:
            theta, softened = shares(net, of, many, most, tau, soft, mass, work, share)
        totals[0] += weight[i] * softened
        totals[1] += weight[i] * exact
        reacting = 0
        for c in range(many):
            if share[c] > 0.0:
                a = offer[c]
                x = weight[i] * share[c]
                use[0, g, a] += x
                use[1, g, a] += x * cost[i, a]
                use[2, g, a] += x * value[i, a]
                if len(plan):
                    plan[i, a] = share[c]
                if share[c] < 1.0 - _WHOLE:
                    live[reacting] = c
                    reacting += 1
        if len(tables) and reacting:
            _bend(i, shelf, answer, live[:reacting], theta > 0.0, weight[i] / tau, tables)


@dataclass(frozen=True, slots=True)
class Taste:
    """How many offers a customer may have: `most` in all, one of each group; group (k,) small numbers."""

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

    def offering(self, some: NDArray[np.integer]) -> "Taste":
        """Only some of the offers."""
        return Taste(self.most, np.ascontiguousarray(self.group[some]))

    def arrays(self) -> tuple[NDArray[np.int64], int, int]:
        """For kernels: group (k,), the number of groups, `most`."""
        return self.group, int(self.group.max(initial=-1)) + 1, self.most


@dataclass(frozen=True, slots=True)
class SoftAnswer:
    """What a softened pass finds: `exact` is the true answer net of charges, `reached` the softened plan's value."""

    response: Response
    exact: float
    reached: float

    def read(self, rows: Rows, touch: Touch) -> tuple[float, Floats, Floats]:
        """Softened value, consumption (m,) and Hessian (m, m) of an answer with curvature."""
        tables, t = self.response.curvature, touch.measures
        if tables is None:
            raise ShapeError("the oracle was asked for no curvature.")
        _, g, k, _ = tables.shape
        reaction = np.empty((g, t, k, t, k))
        for table, (x, y) in zip(tables, _PAIRS, strict=True):
            if y < t:
                reaction[:, x, :, y] = table
                reaction[:, y, :, x] = table.transpose(0, 2, 1)
        hessian = touch.hessian(reaction.reshape(g, t * k, t * k))
        return self.response.value, rows.consumption(self.response.use), hessian


@dataclass(frozen=True, slots=True)
class SeveralCrowd:
    """An oracle: every customer takes a softened best set of offers, at a temperature (currency units).

    At temperature 0 the answer is exact; only a positive one has a curvature. `measures` is how many measures the
    limits speak of: 1, 2 or 3.
    """

    shelf: Shelf
    taste: Taste
    temperature: float
    measures: int

    def _ask(self, charges: Floats, curvature: bool, plan: Floats, choice: Picks, lead: Floats) -> SoftAnswer:
        g, k = self.shelf.n_cells, self.shelf.value.shape[1]
        use, totals = np.zeros((3, g, k)), np.zeros(2)
        tables = np.zeros(((0, 1, 3, 6)[self.measures if curvature else 0], g, k, k))
        shelf, taste = self.shelf.arrays(charges), self.taste.arrays()
        _pass(shelf, taste, self.temperature, use, tables, totals, plan, choice, lead)
        for t in (0, 2, 5):
            if t < len(tables):
                tables[t] += np.tril(tables[t], -1).transpose(0, 2, 1)
        full = np.concatenate((tables, np.zeros((6 - len(tables), g, k, k)))) if curvature else None
        return SoftAnswer(Response(float(totals[0]), use, full), float(totals[1]), float(use[2].sum()))

    def answer(self, charges: Floats, *, curvature: bool) -> SoftAnswer:
        """One pass at charges (3, g, k)."""
        return self._ask(charges, curvature, np.zeros((0, 0)), np.zeros((0, 0), np.int64), np.zeros(0))

    def __call__(self, charges: Floats, *, curvature: bool) -> Response:
        """See `portfolio.prices.Oracle`."""
        return self.answer(charges, curvature=curvature).response

    def plan(self, charges: Floats) -> Floats:
        """The softened plan (n, k): each offer's share of each customer."""
        out = np.zeros(self.shelf.value.shape)
        self._ask(charges, False, out, np.zeros((0, 0), np.int64), np.zeros(0))
        return out

    def stand(self, charges: Floats) -> tuple[Picks, Floats]:
        """Exact choices (n, most), best first and -1 where nothing more, and leads (n,), currency units.

        A lead is the least change of one score that changes the choice.
        """
        n = len(self.shelf.value)
        choice, lead = np.empty((n, self.taste.most), np.int64), np.empty(n)
        self._ask(charges, False, np.zeros((0, 0)), choice, lead)
        return choice, lead
