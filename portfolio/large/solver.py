"""The best whole plan for many customers: prices from samples, a few passes over everybody, then only the undecided.

    sample -> correct -> settle -> vertex -> whole -> certify

Prices come from samples and are corrected by passes over everybody. Whoever has a clear lead keeps the best offer; the
undecided settle the exact prices, are pushed to a vertex, and the last of them get whole numbers by exchange. When the
proof shows that too many were held to be decided, more of them are asked.
"""

from dataclasses import dataclass, replace

import numpy as np

from portfolio.certificate import bound_of, least_forbidding
from portfolio.conflicts.diagnose import diagnose
from portfolio.dual import Floats
from portfolio.large.passes import ArgmaxOracle
from portfolio.large.population import Population
from portfolio.large.settle import (
    Estimate,
    Market,
    Settled,
    corrected_price,
    sampled_price,
    samples_of,
    settle,
    thorough_price,
)
from portfolio.large.softened import SoftSample
from portfolio.large.vertex import to_vertex
from portfolio.large.whole import Whole, whole_plan
from portfolio.limits import Problem, Rows
from portfolio.solution import Solution, Watch, assemble, infeasible

_WANTED = 3_000  # undecided customers at first
_ROUNDS, _MORE = 4, 4  # how often more are asked, and how many times more
_POOR = 1e-3  # a gap that calls for another search
_EASIER = (1e-4, 1e-3)  # shares of the bound that a plan may lose where none was found that keeps the limits
_CLOSED = 1e-9  # the undecided's dual value and the bound over everybody agree to rounding


@dataclass(frozen=True, slots=True)
class Laid:
    """A population with its samples, to be planned under any limits."""

    population: Population
    samples: tuple[SoftSample, ...]

    @classmethod
    def of(cls, problem: Problem) -> "Laid":
        """Survey everybody and draw the samples.

        Raises:
            ShapeError: an eligible value or cost is not finite.
        """
        population = Population.of(problem)
        return cls(population, samples_of(population))

    def over(self, n_cells: int) -> "Laid":
        """The same where limits speak of more cells than there were."""
        if n_cells == self.population.n_cells:
            return self
        samples = tuple(sample.over(n_cells) for sample in self.samples)
        return Laid(self.population.over(n_cells), samples)


@dataclass(frozen=True, slots=True)
class _Best:
    """The best plan, the lowest bound and its prices so far."""

    whole: Whole
    bound: float
    price: Floats

    def with_plan(self, found: Whole) -> "_Best":
        old = self.whole
        better = (found.kept, found.value) > (old.kept, old.value)
        return replace(self, whole=found) if better else self

    def gap(self) -> float:
        if not self.whole.kept:
            return np.inf
        return (self.bound - self.whole.value) / max(abs(self.bound), 1e-300)


def plan_many(problem: Problem, laid: Laid, rows: Rows, start: Floats | None, gap: float, watch: Watch) -> Solution:
    """A whole plan with its proof; at most one offer per customer.

    Args:
        problem: the customers and limits.
        laid: the same customers.
        rows: the limits, counts rounded inwards.
        start: (m,) prices to begin with, or None.
        gap: relative distance to the bound that is good enough.
        watch: stages are timed, and the search ends with the best plan so far when its time is over.
    """
    market = Market.of(laid.population, laid.samples, rows)
    oracle = ArgmaxOracle((laid.population,))
    price = sampled_price(market, start, watch.over)
    watch.stage("samples")
    at = Estimate(price, np.zeros(len(price)))
    if market.samples[-1].size < laid.population.size:
        at = corrected_price(market, oracle, price, watch.over)
        watch.stage("passes")
    misled = market.cornered(at.price)
    if misled:
        at = thorough_price(market, at.price, watch.over)
        watch.stage("everybody")
    nothing = Whole(np.full(len(problem.value), -1, np.int64), -np.inf, False)
    best, passes, wanted = _Best(nothing, np.inf, price), at.passes, _WANTED
    for turn in range(_ROUNDS):
        settled = settle(market, oracle, at, wanted, gap, watch.over)
        watch.stage("undecided")
        if settled.stuck and (conflict := diagnose(problem)):
            watch.stage("diagnosis")
            return infeasible(problem, rows, watch, conflict.limits)
        bound = bound_of(problem, rows, settled.price)
        passes += 2
        if bound < best.bound:
            best = replace(best, bound=bound, price=settled.price)
        watch.stage("certificate")
        goal = 0.9 * gap * abs(bound)
        settled = replace(settled, share=to_vertex(settled.few, rows, settled.share, _room(rows, settled)))
        best = best.with_plan(whole_plan(market, settled, goal))
        watch.stage("whole numbers")
        closed = bound - settled.dual <= max(_CLOSED, 0.05 * gap) * abs(bound)
        everybody = len(settled.few.customer) == laid.population.size
        if best.gap() <= gap or watch.over() or everybody or (closed and best.gap() < _POOR):
            break
        at = Estimate(settled.price, np.maximum(at.width, np.abs(settled.price - at.price)))
        if best.gap() > _POOR and not misled and (turn or closed or bound - settled.dual > _POOR * abs(bound)):
            misled, at = True, thorough_price(market, best.price, watch.over)
            watch.stage("everybody")
        wanted *= _MORE
    best = _rescued(market, settled, best, watch)
    return _judged(problem, rows, best, gap, watch, passes)


def _rescued(market: Market, settled: Settled, best: _Best, watch: Watch) -> _Best:
    """A plan inside the limits, if a coarser search finds one: it ends elsewhere, before value is won by breaches."""
    for share in _EASIER:
        if best.whole.kept or watch.over():
            break
        best = best.with_plan(whole_plan(market, settled, share * abs(best.bound)))
    return best


def _room(rows: Rows, settled: Settled) -> Floats:
    """(m,) how far the softened plan is from the nearest bound of each row."""
    consumption = rows.consumption(settled.fixed + settled.few.use_of(settled.share))
    return np.asarray(np.minimum(rows.upper - consumption, consumption - rows.lower))


def _judged(problem: Problem, rows: Rows, best: _Best, gap: float, watch: Watch, passes: int) -> Solution:
    """The solution, or the admission that none was found."""
    if not best.whole.kept and (conflict := diagnose(problem)):
        watch.stage("diagnosis")
        return infeasible(problem, rows, watch, conflict.limits)
    price = least_forbidding(problem, rows, best.price)
    found = assemble(problem, rows, best.whole.choice, best.bound, price, gap, watch)
    late = found.status == "feasible" and watch.over()
    return replace(found, passes=passes, status="time_limit" if late else found.status)
