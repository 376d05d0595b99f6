"""What each limit must cost so that a random policy keeps all of them in expectation.

The dual of the expected problem is smooth because the policy is random, and its gradient is the policy's expected
consumption. It is minimised against an oracle that speaks of customers and offers only through (cell, offer) tables:
Newton on samples, then full gradient passes, each followed by Newton on the sample whose limits are shifted by what the
sample counts wrongly.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, Protocol, TypeAlias

import numpy as np

from allot import ShapeError
from portfolio.dual import Domain, Evaluate, Floats, descend, domain_of
from portfolio.limits import Rows

Progress: TypeAlias = Callable[[int, float], None]
"""Called after each full pass with the passes so far and the worst relative violation."""

_PAIRS = ((0, 0), (0, 1), (1, 1), (0, 2), (1, 2), (2, 2))
_SLOW = 0.4  # a round that leaves more of the violation is not worth a full pass
_FIRST_STEPS, _FULL_STEPS, _CORRECTION_STEPS = 60, 80, 8


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


class Oracle(Protocol):
    """The population (or a weighted sample that speaks for it), asked at charges (3, g, k)."""

    def __call__(self, charges: Floats, *, curvature: bool) -> Response:
        """Answer the charges; with curvature only when asked for."""


@dataclass(frozen=True, slots=True)
class Prices:
    """Prices of the rows and what they lead to.

    Args:
        price: (m,) non-negative for an upper bound, non-positive for a lower one.
        bound: dual value, an upper bound on the expected drawn value of every policy inside the limits.
        use: (3, g, k) expected use at these prices.
        violation: worst breach of a hard limit, or lack of complementary slackness, relative to the limit's size.
        passes: full passes over the population.
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

    def evaluate(price: Floats) -> tuple[float, Floats, Floats]:
        answer = oracle(rows.charges(price), curvature=True)
        if answer.curvature is None:
            raise ShapeError("the oracle was asked for its curvature and gave none.")
        return answer.value, rows.consumption(answer.use), hessian_of(rows, answer.curvature)

    return evaluate


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
    samples: Sequence[Oracle] = (),
    scale: float,
    tolerance: float = 1e-4,
    start: Floats | None = None,
    passes: int = 12,
    progress: Progress | None = None,
) -> Prices:
    """Prices at which the policy keeps every limit in expectation.

    Args:
        full: the population.
        rows: the limits, m rows; no row works.
        samples: oracles on growing samples of the population, weighted so that they speak for it.
        scale: a typical score, currency units; prices are measured against it.
        tolerance: accuracy of every limit relative to its size (its bound; for shares what flows through them).
        start: (m,) prices to begin with.
        passes: full passes at most, when there are samples.
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
    domain = _domain(samples[0] if samples else full, rows, scale)
    price = np.zeros(m) if start is None else domain.clip(start)
    for i, sample in enumerate(samples):
        rough = max(tolerance, 0.01 * 0.1**i)
        price = descend(evaluator(sample, rows), domain, price, steps=_FIRST_STEPS, tolerance=rough).price
    search = _Search(full, rows, domain, tolerance, progress)
    if samples:
        found = _corrected(search, samples[-1], price, passes)
        if found.status != "stalled":
            return found
        return _on_everybody(search, found.price, found.passes)
    return _on_everybody(search, price, 2)


@dataclass(frozen=True, slots=True)
class _Search:
    """What stays the same while prices move."""

    full: Oracle
    rows: Rows
    domain: Domain
    tolerance: float
    progress: Progress | None

    def judge(self, price: Floats, passes: int) -> Prices:
        """One full pass at these prices, and what it says about them."""
        rows, domain = self.rows, self.domain
        answer = self.full(rows.charges(price), curvature=False)
        consumption = rows.consumption(answer.use)
        breach = np.where(np.isinf(rows.penalty), domain.breach(consumption), 0.0)
        impossible = domain.at_box(price) & (breach > self.tolerance)
        violation = domain.violation(price, consumption)
        status: Literal["converged", "stalled", "infeasible"] = "converged"
        if violation > self.tolerance:
            status = "stalled"
        elif impossible.any():
            status = "infeasible"
        if self.progress is not None:
            self.progress(passes + 1, violation)
        names = tuple(dict.fromkeys(rows.names[r] for r in np.nonzero(impossible)[0]))
        worst = max(violation, float(breach.max(initial=0.0)))
        bound = answer.value + domain.support(price)
        return Prices(price, bound, answer.use, worst, passes + 1, status, names)


def _on_everybody(search: _Search, price: Floats, passes: int) -> Prices:
    """Newton on the population itself."""
    evaluate = evaluator(search.full, search.rows)
    found = descend(evaluate, search.domain, price, steps=_FULL_STEPS, tolerance=0.3 * search.tolerance)
    last = search.judge(found.price, passes + found.evaluations)
    return replace(last, status="infeasible") if last.infeasible else last


def _corrected(search: _Search, sample: Oracle, price: Floats, passes: int) -> Prices:
    """Full gradient passes; between them the sample finds the prices for limits shifted by its own error."""
    best = search.judge(price, 0)
    latest = best
    while latest.status == "stalled" and latest.passes < passes:
        counted = search.rows.consumption(latest.use)
        sampled = search.rows.consumption(sample(search.rows.charges(latest.price), curvature=False).use)
        shifted = search.domain.shifted(sampled - counted)
        found = descend(
            evaluator(sample, search.rows),
            shifted,
            latest.price,
            steps=_CORRECTION_STEPS,
            tolerance=0.1 * search.tolerance,
        )
        latest = search.judge(found.price, latest.passes)
        slow = latest.passes > 3 and latest.violation > _SLOW * best.violation
        if latest.status != "stalled" or latest.violation < best.violation:
            best = latest
        if slow:
            break  # the sample is too small to lead any further
    return replace(best, passes=latest.passes)
