"""What would another maximum of one limit be worth?"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from allot import LimitError
from portfolio.certificate import recount
from portfolio.limits import Floats, Limit, Problem, Share, compile_rows, usage, use_of
from portfolio.solution import Solution
from portfolio.solver import Prepared

_GAP = 1e-6
_STRETCHES = (1.02, 1.05, 1.1, 1.2, 1.5, 2.0)  # how far a share's maximum is moved to see its price change


def frontier(problem: Problem, name: str, maxima: Sequence[float], *, gap: float = _GAP) -> tuple[Solution, ...]:
    """The best plan at each of several maxima of one limit, everything else as it is.

    The limit's price in a `Solution` is the frontier's slope there: what one more unit of room would be worth. Value
    never falls as the maximum rises, and falls behind a concave curve by no more than the gaps.

    Args:
        problem: the customers and all limits.
        name: of a `Limit` or `Share`; its own maximum, if any, is replaced.
        maxima: in any order; of a `Share`, shares of the whole.
        gap: as for `solve`.

    Returns:
        One Solution per maximum, in the order given; where nothing keeps the limits its status is "infeasible".

    Raises:
        LimitError: there is no such limit, it is report-only, or a maximum is not a number.
    """
    at = _position(problem, name)
    if any(np.isnan(x) for x in maxima):
        raise LimitError("a maximum is not a number.", where=f"frontier of {name!r}", remedy="Give finite numbers.")
    prepared, start = Prepared.of(problem), None
    found: dict[float, Solution] = {}
    for maximum in sorted(set(maxima), reverse=True):
        found[maximum] = _at_maximum(prepared, at, maximum, start, gap)
        if found[maximum].status != "infeasible":
            start = found[maximum].row_prices
    if isinstance(problem.limits[at], Limit):
        _never_falling(problem, at, found)
    return tuple(found[x] for x in maxima)


@dataclass(frozen=True, slots=True)
class PriceRange:
    """Between which maxima a limit's price stays about the same: an estimate, not a proof.

    It assumes that everything but this one maximum stays as it is, and it is read off whole plans at changed prices,
    so it is as coarse as one customer's move and as the gaps of those plans.

    Args:
        price: of the limit's maximum in the plan asked about; 0 when there is room to spare.
        tolerance: by what share the price may change inside the range.
        estimated_low, estimated_high: the maxima where it has risen or fallen by that much; of a `Share`, shares.
            Infinite where no end was found.
    """

    price: float
    tolerance: float
    estimated_low: float
    estimated_high: float


def price_range(
    problem: Problem, name: str, solution: Solution, *, tolerance: float = 0.1, gap: float = 1e-4
) -> PriceRange:
    """Estimate over which maxima of a limit its price holds.

    A limit: the best plans are asked for in which each unit of its measure costs the price times (1 ± tolerance) and
    the limit itself is gone; what they use are the maxima that lead to these prices. A `Share`: its maximum is moved
    step by step, up to a factor of 2, until the price has changed by the tolerance.

    Args:
        problem: the customers and all limits.
        name: of a `Limit` or `Share` with a maximum.
        solution: of this problem; a plan that keeps its limits.
        tolerance: share of the price, above 0 and below 1.
        gap: of the plans that are asked for.

    Raises:
        LimitError: no such limit, or it is report-only or without a maximum; a solution that is no plan, or not of
            these limits; a tolerance that is none.
    """
    at = _position(problem, name)
    limit = problem.limits[at]
    _check_question(problem, solution, tolerance)
    if limit.maximum is None:
        raise LimitError("it has no maximum.", where=f"limit {name!r}", remedy="Ask about a limit with a maximum.")
    price = max(solution.prices.get(name, 0.0), 0.0)
    used = solution.usage[at].used
    if price == 0.0:
        return PriceRange(0.0, tolerance, used, np.inf)
    prepared, start = Prepared.of(problem), solution.row_prices
    ends = (price * (1.0 + tolerance), price * (1.0 - tolerance))
    if isinstance(limit, Limit):
        low, high = (_used_at(prepared, at, limit, end, start, gap) for end in ends)
        return PriceRange(price, tolerance, min(low, limit.maximum), max(high, limit.maximum))
    share = (limit, limit.maximum)
    low, high = (_share_at(prepared, at, share, end, start, gap) for end in ends)
    return PriceRange(price, tolerance, low, high)


def _check_question(problem: Problem, solution: Solution, tolerance: float) -> None:
    if not 0.0 < tolerance < 1.0:
        raise LimitError(
            f"the tolerance {tolerance:g} is none.", where="tolerance", remedy="Give a share, such as 0.1."
        )
    if [x.name for x in solution.usage] != [limit.name for limit in problem.limits]:
        raise LimitError("it is not of these limits.", where="solution", remedy="Solve this very problem first.")
    if solution.status == "infeasible" or solution.broken:
        raise LimitError("it is no plan, and has no prices.", where="solution", remedy="Relax what conflicts first.")


def _position(problem: Problem, name: str) -> int:
    names = [limit.name for limit in problem.limits]
    if name not in names:
        known = ", ".join(names) or "none"
        raise LimitError("there is no such limit.", where=f"limit {name!r}", remedy=f"Use one of: {known}.")
    limit = problem.limits[names.index(name)]
    if isinstance(limit, Limit) and limit.report_only:
        raise LimitError(
            "it is report-only, nothing enforces it.", where=f"limit {name!r}", remedy="Drop report_only to price it."
        )
    return names.index(name)


def _with(problem: Problem, at: int, limit: Limit | Share) -> tuple[Limit | Share, ...]:
    return (*problem.limits[:at], limit, *problem.limits[at + 1 :])


def _at_maximum(prepared: Prepared, at: int, maximum: float, start: Floats | None, gap: float) -> Solution:
    limit = prepared.problem.limits[at]
    if limit.minimum is not None and limit.minimum > maximum:
        return _impossible(prepared.problem, limit.name)
    return prepared.solve(_with(prepared.problem, at, replace(limit, maximum=maximum)), start, gap=gap)


def _impossible(problem: Problem, name: str) -> Solution:
    """A limit whose minimum lies above its maximum conflicts with itself."""
    n, k = problem.value.shape
    choice = np.full(n if problem.most == 1 else (n, problem.most), -1, np.int64)
    counted = usage(problem.limits, np.zeros((3, problem.n_cells, k)))
    prices = {limit.name: 0.0 for limit in problem.limits}
    return Solution(choice, 0.0, -np.inf, float("inf"), "infeasible", prices, counted, conflict=(name,))


def _never_falling(problem: Problem, at: int, found: dict[float, Solution]) -> None:
    """What is a plan below is one above, and what bounds the plans above bounds those below."""
    maxima = sorted(x for x, solution in found.items() if solution.status != "infeasible" and not solution.broken)
    for low, high in pairwise(maxima):
        if found[low].value > found[high].value:
            limits = _with(problem, at, replace(problem.limits[at], maximum=high))
            found[high] = _carried(replace(problem, limits=limits), found[high], found[low].choice)
    for high, low in pairwise(reversed(maxima)):
        if found[high].bound < found[low].bound:
            found[low] = _judged(found[low], max(found[high].bound, found[low].value))


def _carried(problem: Problem, weaker: Solution, choice: NDArray[np.int64]) -> Solution:
    """The solution with a better plan: its bound and prices stay."""
    rows = compile_rows(problem.limits, problem.n_cells, problem.value.shape[1])
    value, _ = recount(problem, rows, choice)
    counted = usage(problem.limits, use_of(problem, choice), weaker.prices)
    better = replace(weaker, choice=choice, value=value, usage=counted)
    return _judged(better, max(weaker.bound, value))


def _judged(solution: Solution, bound: float) -> Solution:
    gap = (bound - solution.value) / max(abs(bound), 1e-300) if bound > solution.value else 0.0
    better = solution.status == "feasible" and gap == 0.0
    return replace(solution, bound=bound, gap=gap, status="optimal" if better else solution.status)


def _used_at(prepared: Prepared, at: int, limit: Limit, price: float, start: Floats, gap: float) -> float:
    """What the limit counts in the best plan that pays this price for each unit of its measure."""
    if limit.penalty is not None and price >= limit.penalty:
        return -np.inf  # however low the maximum, breaking it never costs more
    priced = replace(limit, minimum=None, maximum=_least(prepared.problem, limit), penalty=price)
    found = prepared.solve(_with(prepared.problem, at, priced), start, gap=gap)
    if found.status == "infeasible":
        return float("nan")
    used = found.usage[at].used
    return used if limit.minimum is None else max(used, limit.minimum)


def _least(problem: Problem, limit: Limit) -> float:
    """No plan counts less than this: from here upwards a penalty is a price."""
    if limit.measure == "count":
        return 0.0
    array = problem.cost if limit.measure == "cost" else problem.value
    picked = slice(None) if limit.offers is None else list(limit.offers)
    own = np.where(problem.eligible[:, picked], array[:, picked], 0.0)
    return float(problem.most * np.minimum(own, 0.0).min(1, initial=0.0).sum(dtype=np.float64))


def _share_at(
    prepared: Prepared, at: int, share: tuple[Share, float], price: float, start: Floats, gap: float
) -> float:
    """The maximum where the price has reached `price`, interpolated between the steps."""
    limit, last = share
    last_price = float("nan")
    up = True
    for stretch in (1.0, *_STRETCHES):
        here = share[1] * stretch if up else share[1] / stretch
        found = _at_maximum(prepared, at, here, start, gap)
        if found.status == "infeasible":
            return last
        reached = found.prices[limit.name]
        if np.isnan(last_price):
            up = reached > price
        elif (reached <= price) if up else (reached >= price):
            return float(last + (here - last) * (price - last_price) / (reached - last_price))
        last, last_price, start = here, reached, found.row_prices
    return np.inf if up else -np.inf
