"""Limits that no whole plan of few pairs can keep, by linear and integer programs.

The linear relaxation comes first, because it takes milliseconds: when it has no plan, the duals of its smallest total
breach single out limits that conflict (Farkas). Whole numbers are then found near a vertex of the relaxation, where
all but a few customers are whole already; a search over everybody follows only where these few do not suffice, and it
ends after a number of nodes. (Chinneck 2008, "Feasibility and Infeasibility in Optimization".)
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from portfolio.limits import Problem, Rows
from portfolio.referee import Answer, Bounds, Effort, Pairs, solve_pairs

_NODES = 50  # of every search in whole numbers
_NEAR = (60, 240)  # customers free to change near a vertex, besides the split ones
_CLOSE = 1e-3  # a smallest breach is sought to this share of itself, and taken at three times this
_FINE = 1e-5  # nor is it sought to less than this share of the limit's bound
_SPLIT = 1e-6
_PRICED = 1e-7  # duals of the total breach, counted in row sizes, below this are rounding


@dataclass(frozen=True, slots=True)
class SmallHall:
    """Few pairs, in a world where nothing is worth anything: `effect` of the pairs is on all of `rows`."""

    problem: Problem
    rows: Rows
    pairs: Pairs

    @classmethod
    def of(cls, problem: Problem, rows: Rows) -> "SmallHall":
        """Lay out a problem whose eligible values and costs are finite."""
        pairs = Pairs.of(problem, rows, np.asarray(problem.eligible))
        return cls(problem, rows, replace(pairs, value=np.zeros(len(pairs.value))))

    def conflict(self, hard: tuple[str, ...]) -> dict[str, float]:
        """Irreducible limits among these and what each would have to give; empty when a plan may keep them all.

        A limit stays in the set where the search ended before it could tell. Relaxations belong to whole plans that
        were found, so they suffice; they are the smallest but for some thousandths, or for what the search left out.
        """
        left = self._priced(hard) if self._impossible(hard) else ()
        if left:
            left = _shrunk(left, self._impossible)
        elif np.isfinite(self.breach(hard, None)):
            return {}
        left = _shrunk(left or hard, lambda names: bool(np.isinf(self.breach(names, None))))
        return {name: self.breach(left, name) for name in left}

    def breach(self, names: tuple[str, ...], elastic: str | None) -> float:
        """A small breach of the elastic limit in a plan under the others; infinite when they cannot be kept."""
        linear = self._answer(names, elastic, Effort(integer=False))
        if linear.status == "infeasible":
            return float("inf")
        least = max(-linear.value, 0.0)
        if not len(linear.share):
            return least
        gap = 0.999 if self._counts(elastic) else max(_CLOSE * least, _FINE * self._bound(elastic))
        enough = float(np.ceil(least - _SPLIT)) + _SPLIT if self._counts(elastic) else least + 3.0 * gap + 1e-9
        best = np.inf
        for many in _NEAR if elastic else _NEAR[:1]:
            free = self._near(linear.share, many)
            found = self._answer(names, elastic, Effort(gap=gap, nodes=_NODES), fixed=linear.share, free=free)
            best = min(best, max(-found.value, 0.0)) if len(found.share) else best
            if best <= enough:
                return best
        if np.isfinite(best):
            return best
        full = self._answer(names, elastic, Effort(gap=gap, nodes=_NODES))
        if full.status == "infeasible":
            return float("inf")
        return max(-full.value, 0.0) if len(full.share) else (1.0 + _CLOSE) * least

    def _counts(self, name: str | None) -> bool:
        """Whether the limit's breach is a whole number."""
        own = [r for r, x in enumerate(self.rows.names) if x == name]
        table = self.rows.coefficient[own]
        return bool(own) and not table[:, 1:].any() and bool((table == np.round(table)).all())

    def _bound(self, name: str | None) -> float:
        """The limit's largest bound, 0 where it has none but 0."""
        own = np.array([x == name for x in self.rows.names], bool)
        both = np.abs(np.concatenate((self.rows.lower[own], self.rows.upper[own])))
        return float(both[np.isfinite(both)].max(initial=0.0))

    def _impossible(self, names: tuple[str, ...]) -> bool:
        return self._answer(names, None, Effort(integer=False)).status == "infeasible"

    def _priced(self, names: tuple[str, ...]) -> tuple[str, ...]:
        """Limits with a price where the total breach, in row sizes, is smallest: they conflict by themselves."""
        keep = self._kept(names)
        effect = self.pairs.effect[keep]
        size = np.abs(effect).max(1, initial=0.0)
        size = np.where(size > 0, size, 1.0)
        bounds = Bounds(self.rows.lower[keep], self.rows.upper[keep], 1.0 / size)
        answer = self._solved(replace(self.pairs, effect=effect), bounds, Effort(integer=False))
        own = np.array(self.rows.names)[keep][np.abs(answer.price) * size > _PRICED]
        few = tuple(dict.fromkeys(str(x) for x in own))
        return few if few and self._impossible(few) else names

    def _near(self, share: NDArray[np.float64], many: int) -> NDArray[np.bool_]:
        """(p,) pairs of the customers whose offers the vertex splits, and of some spread over all others."""
        split = np.abs(share - np.round(share)) > _SPLIT
        customers = np.unique(self.pairs.customer)
        spread = customers[np.unique(np.linspace(0, len(customers) - 1, many).astype(np.int64))]
        return np.isin(self.pairs.customer, np.concatenate((spread, self.pairs.customer[split])))

    def _kept(self, names: tuple[str, ...]) -> NDArray[np.bool_]:
        return np.array([name in names for name in self.rows.names], bool)

    def _answer(
        self,
        names: tuple[str, ...],
        elastic: str | None,
        effort: Effort,
        fixed: NDArray[np.float64] | None = None,
        free: NDArray[np.bool_] | None = None,
    ) -> Answer:
        """The program under some limits, one of them elastic; of all pairs but `free` ones the share may be fixed."""
        keep = self._kept(names)
        soft = np.array([name == elastic for name in self.rows.names], bool)[keep]
        lower, upper, pairs = self.rows.lower[keep], self.rows.upper[keep], self.pairs
        effect = pairs.effect[keep]
        if fixed is not None and free is not None:
            used = effect[:, ~free] @ np.round(fixed[~free])
            lower, upper, effect = lower - used, upper - used, effect[:, free]
            pairs = replace(pairs, customer=pairs.customer[free], offer=pairs.offer[free], value=pairs.value[free])
        bounds = Bounds(lower, upper, np.where(soft, 1.0, np.inf))
        return self._solved(replace(pairs, effect=effect), bounds, effort)

    def _solved(self, pairs: Pairs, bounds: Bounds, effort: Effort) -> Answer:
        return solve_pairs(pairs, bounds, effort, most=self.problem.most, groups=self.problem.groups)


def _shrunk(names: tuple[str, ...], conflicting: Callable[[tuple[str, ...]], bool]) -> tuple[str, ...]:
    """Names left out, first many at a time, then one by one, as long as the rest still conflicts."""
    left, size = names, max(len(names) // 2, 1)
    while len(left) > 1:
        for block in [set(left[at : at + size]) for at in range(0, len(left), size)]:
            fewer = tuple(x for x in left if x not in block)
            if fewer and conflicting(fewer):
                left = fewer
        if size == 1:
            break
        size = max(min(size, len(left)) // 2, 1)
    return left
