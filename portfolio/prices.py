"""What each limit must cost so that a random policy keeps all of them in expectation.

The dual of the expected problem is smooth because the policy is random, and its gradient is the policy's expected
consumption. It is minimised against an oracle that speaks of customers and offers only through (cell, offer) tables:
Newton on growing samples, then on everybody. A Newton step squares its error: one on everybody is worth more than a
gradient pass corrected by a sample, and its curvature costs but a part of a pass (from 7 % off, the first leads to .1
or .2 %, the second to .4 to .8 %: measured). On the way everybody is asked roughly; only what the last step leads to is
asked exactly.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from allot import ShapeError
from portfolio.dual import Domain, Evaluate, Floats, descend, domain_of, propose
from portfolio.limits import Rows

Progress: TypeAlias = Callable[[int, float], None]
"""Called after each full pass with the passes so far and the worst relative violation."""

Sampler: TypeAlias = Callable[[Floats], "Oracle"]
"""charges so far (3, g, k) -> an oracle on some of the customers, weighted so that they speak for everybody."""

_PAIRS = ((0, 0), (0, 1), (1, 1), (0, 2), (1, 2), (2, 2))
_SAMPLE_STEPS = 60
_ROUGH = (0.01, 0.003)  # violations below which a sample has nothing more to say; the last is for all larger samples
_NEAR = 0.05  # a violation below which prices to begin with are better than what a sample would find
_NEARLY = 0.005  # a violation from which a Newton step on everybody comes near 1e-4 (it leaves .1 v² to 4 v², measured)
_TRIES = 3  # so often may exact answers be asked for too early
_ROUGH_NOISE = 1e-7  # differences of rough values below this share say nothing


@dataclass(frozen=True, slots=True)
class Response:
    """How the population answers a table of charges.

    Args:
        value: sum over customers of the expected best score net of charges, currency units.
        use: (3, g, k) float64, expected contacts, cost and worth per (cell, offer).
        curvature: (6, g, k, k) float64 or None: sums of dP_a / d(-charge_b) weighted by (1, 1), (1, cost_b),
            (cost_a, cost_b), (1, worth_b), (cost_a, worth_b) and (worth_a, worth_b).
    """

    value: float
    use: Floats
    curvature: Floats | None = None


@dataclass(frozen=True, slots=True)
class Stand:
    """Where everybody stands at some charges.

    Args:
        choice: (n,) best option, k = no offer.
        lead: (n,) how far it is surely ahead of the next best, currency units; negative when it may not be.
        response: what all of them use.
    """

    choice: NDArray[np.int16]
    lead: NDArray[np.floating]
    response: Response


class Oracle(Protocol):
    """The population (or a weighted sample that speaks for it), asked at charges (3, g, k).

    In memory, in partitions whose tables are summed, or on other machines: nothing else is asked of it for prices.
    """

    def __call__(self, charges: Floats, *, curvature: bool) -> Response:
        """Answer the charges; with curvature only when asked for."""


class SureOracle(Oracle, Protocol):
    """An oracle whose customers each take one option for certain: it can say which, and how far ahead that is.

    A random choice has no such option, and no lead beyond which other charges could not change it. So the oracle of
    expected choice is an `Oracle` only; what it says of single customers is its table of probabilities.
    """

    def stand(self, charges: Floats, width: Floats) -> Stand:
        """Choices and leads as well; charges are sure to within `width` (3, g, k)."""


@dataclass(frozen=True, slots=True)
class Prices:
    """Prices of the rows and what they lead to.

    Args:
        price: (m,) non-negative for an upper bound, non-positive for a lower one.
        bound: dual value, an upper bound on the expected drawn value of every policy inside the limits.
        use: (3, g, k) expected use at these prices.
        violation: worst breach of a hard limit, or lack of complementary slackness, relative to the limit's size.
        passes: full passes over the population, rough ones included.
        status: "converged", "stalled" (violation above the tolerance) or "infeasible".
        infeasible: names of limits that no policy keeps; they are priced at the end of their box.
    """

    price: Floats
    bound: float
    use: Floats
    violation: float
    passes: int
    status: Literal["converged", "stalled", "infeasible"]
    infeasible: tuple[str, ...]


def hessian_of(rows: Rows, curvature: Floats) -> Floats:
    """Second derivatives (m, m) of the dual value by the prices, from curvature tables (6, g, k, k)."""
    m, _, g, k = rows.coefficient.shape
    by_cell = rows.coefficient.transpose(1, 2, 0, 3)  # (3, g, m, k)
    flat = rows.coefficient.transpose(1, 0, 2, 3).reshape(3, m, g * k)
    used = [bool(np.any(flat[t])) for t in range(3)]
    out = np.zeros((m, m))
    for table, (s, t) in zip(curvature, _PAIRS, strict=True):
        if used[s] and used[t]:
            # einsum, not BLAS: the order of its sums, and so the last bits of prices, must not depend on threads
            left = np.einsum("gmk,gkl->mgl", by_cell[s], table).reshape(m, g * k)
            part = np.einsum("mx,nx->mn", left, flat[t])
            out += part if s == t else part + part.T
    return 0.5 * (out + out.T)


def evaluator(oracle: Oracle, rows: Rows) -> Evaluate:
    """Value, consumption (m,) and Hessian (m, m) of an oracle at prices (m,)."""
    return lambda price: _read(oracle(rows.charges(price), curvature=True), rows)


def _read(answer: Response, rows: Rows) -> tuple[float, Floats, Floats]:
    if answer.curvature is None:
        raise ShapeError("the oracle was asked for its curvature and gave none.")
    return answer.value, rows.consumption(answer.use), hessian_of(rows, answer.curvature)


def _domain(oracle: Oracle, rows: Rows, scale: float) -> Domain:
    """Units from what a typical contact costs and is worth when everybody is paid to take one."""
    shape = rows.coefficient.shape[1:]
    charges = np.zeros(shape)
    at_zero = oracle(charges, curvature=False).use
    charges[0] = -10.0 * scale
    paid = oracle(charges, curvature=False).use + at_zero
    contacts = max(float(paid[0].sum()), 1e-12)
    return domain_of(rows, scale, np.abs(paid.sum((1, 2))) / contacts, at_zero)


def solve_prices(
    full: Oracle,
    rows: Rows,
    *,
    rough: Oracle | None = None,
    samples: Sequence[Sampler] = (),
    scale: float,
    tolerance: float = 1e-4,
    start: Floats | None = None,
    passes: int = 80,
    progress: Progress | None = None,
) -> Prices:
    """Prices at which the policy keeps every limit in expectation.

    Args:
        full: the population.
        rows: the limits, m rows; no row works.
        rough: the population, which answers less exactly at less cost: asked until one step from the end.
        samples: growing samples of the population, each made when its turn comes.
        scale: a typical score, currency units; prices are measured against it.
        tolerance: accuracy of every limit relative to its size (its bound; for shares what flows through them).
        start: (m,) prices to begin with; where they nearly keep the limits, the samples are not asked.
        passes: full passes at most.
        progress: told after every full pass.

    Returns:
        Prices, with status "converged", "stalled" or "infeasible".

    Raises:
        ShapeError: `scale` or `start` is not usable.
    """
    m = len(rows.names)
    if not (np.isfinite(scale) and scale > 0):
        raise ShapeError(f"scale is {scale!r}.", remedy="Give a typical score, a positive number.")
    if start is not None and (start.shape != (m,) or not np.isfinite(start).all()):
        raise ShapeError(f"start has shape {start.shape}, not ({m},), or is not finite.")
    if not m:
        answer = full(np.zeros(rows.coefficient.shape[1:]), curvature=False)
        return Prices(np.zeros(0), answer.value, answer.use, 0.0, 1, "converged", ())
    smallest = samples[0](np.zeros(rows.coefficient.shape[1:])) if samples else None
    domain = _domain(smallest or rough or full, rows, scale)
    search = _Search(full, rough, rows, domain, tolerance, progress)
    price = np.zeros(m) if start is None else domain.clip(start)
    if smallest is not None and (start is None or search.distance(price) > _NEAR):
        price = descend(
            evaluator(smallest, rows), domain, price, steps=_SAMPLE_STEPS, tolerance=max(tolerance, _ROUGH[0])
        ).price
        for sampler in samples[1:]:
            sample = evaluator(sampler(rows.charges(price)), rows)
            price = descend(sample, domain, price, steps=_SAMPLE_STEPS, tolerance=max(tolerance, _ROUGH[1])).price
    last = None if rough is None else search.approach(price, passes)
    if last is None or last.status == "stalled":
        start = price if last is None else last.price
        last = search.judge(descend(search.evaluate, domain, start, steps=passes, tolerance=tolerance).price)
    last = replace(last, passes=last.passes + (0 if samples else 2))
    return replace(last, status="infeasible") if last.infeasible else last


@dataclass(frozen=True, slots=True)
class _Search:
    """The population under these limits, and its answers so far, by price; only the latest has its curvature."""

    full: Oracle
    rough: Oracle | None
    rows: Rows
    domain: Domain
    tolerance: float
    progress: Progress | None
    answers: dict[tuple[bool, bytes], Response] = field(default_factory=dict)
    passes: list[float] = field(default_factory=list)  # the violation that each full pass found

    def _ask(self, price: Floats, *, roughly: bool = False, curvature: bool = False) -> Response:
        """A full pass, where nobody was asked before."""
        which = (roughly, price.tobytes())
        known = self.answers.get(which)
        if known is not None and (known.curvature is not None or not curvature):
            return known
        for each, old in self.answers.items():
            self.answers[each] = replace(old, curvature=None)
        oracle = self.rough if roughly and self.rough is not None else self.full
        answer = self.answers[which] = oracle(self.rows.charges(price), curvature=curvature)
        self.passes.append(self.domain.violation(price, self.rows.consumption(answer.use)))
        if self.progress is not None:
            self.progress(len(self.passes), self.passes[-1])
        return answer

    def evaluate(self, price: Floats) -> tuple[float, Floats, Floats]:
        """Value, consumption (m,) and Hessian (m, m) of everybody."""
        return _read(self._ask(price, curvature=True), self.rows)

    def evaluate_roughly(self, price: Floats) -> tuple[float, Floats, Floats]:
        """The same, from rough answers."""
        return _read(self._ask(price, roughly=True, curvature=True), self.rows)

    def distance(self, price: Floats) -> float:
        """How far these prices are from keeping the limits, as rough answers say where there are any."""
        _, consumption, _ = (self.evaluate if self.rough is None else self.evaluate_roughly)(price)
        return self.domain.violation(price, consumption)

    def approach(self, price: Floats, passes: int) -> Prices:
        """Newton on rough answers until one more step should nearly do; from there, steps by exact answers.

        These need no curvature: that of the last rough ones is still right within some percent, so that each step
        leaves some percent of what was missing. Where it leaves more, rough answers, put right, go on.
        """
        domain, goal = self.domain, max(self.tolerance, _NEARLY)
        for _ in range(_TRIES):
            left = max(1, passes - len(self.passes))
            found = descend(self.evaluate_roughly, domain, price, steps=left, tolerance=goal, noise=_ROUGH_NOISE)
            price, missing = found.price, domain.violation(found.price, found.consumption)
            if missing <= goal:
                price = propose(domain, found.hessian, found.consumption, price, 1.0)
            last = self.judge(price)
            while last.status == "stalled" and last.violation < 0.1 * missing and len(self.passes) < passes:
                missing = last.violation
                price = propose(self.domain, found.hessian, self.rows.consumption(last.use), price, 1.0)
                last = self.judge(price)
            if last.status != "stalled" or len(self.passes) >= passes:
                break
            rough = self.evaluate_roughly(price)[1]
            domain, goal = self.domain.shifted(rough - self.rows.consumption(last.use)), 0.1 * goal
        return last

    def judge(self, price: Floats) -> Prices:
        """What everybody's exact answer to these prices says about them."""
        rows, domain = self.rows, self.domain
        answer = self._ask(price)
        consumption = rows.consumption(answer.use)
        breach = np.where(np.isinf(rows.penalty), domain.breach(consumption), 0.0)
        impossible = domain.at_box(price) & (breach > self.tolerance)
        violation = domain.violation(price, consumption)
        status: Literal["converged", "stalled", "infeasible"] = "converged"
        if violation > self.tolerance:
            status = "stalled"
        elif impossible.any():
            status = "infeasible"
        names = tuple(dict.fromkeys(rows.names[r] for r in np.nonzero(impossible)[0]))
        worst = max(violation, float(breach.max(initial=0.0)))
        bound = answer.value + domain.support(price)
        return Prices(price, bound, answer.use, worst, len(self.passes), status, names)
