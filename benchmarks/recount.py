"""Plans recounted in plain numpy, apart from the product: limits, worth and what no plan can exceed."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from portfolio import Measure, Problem, Selection, Share

_BLOCK = 262_144
_ROUNDING = 1e-9  # of all that is summed


def worth(problem: Problem, choice: NDArray[np.integer]) -> float:
    """Value of the chosen offers less the penalties of broken elastic limits, in float64."""
    who = np.flatnonzero(choice >= 0)
    value = float(problem.value[who, choice[who]].sum(dtype=np.float64))
    breach = breaches(problem, choice)
    return value - sum((limit.penalty or 0.0) * breach.get(limit.name, 0.0) for limit in problem.limits)


def broken(problem: Problem, choice: NDArray[np.integer]) -> list[str]:
    """Names of the hard limits that a plan (n,) breaks, and whether it gives an offer that is not eligible."""
    who = np.flatnonzero(choice >= 0)
    out = [] if problem.eligible[who, choice[who]].all() else ["eligibility"]
    hard = {limit.name for limit in problem.limits if limit.penalty is None}
    return out + [name for name in breaches(problem, choice) if name in hard]


def breaches(problem: Problem, choice: NDArray[np.integer]) -> dict[str, float]:
    """By how much a plan (n,) breaks limits, in their own unit (shares: of their part); kept ones are left out."""
    who = np.flatnonzero(choice >= 0)
    offer, cell = choice[who], problem.cell[who]
    amount = {
        "count": np.ones(len(who)),
        "cost": problem.cost[who, offer].astype(np.float64),
        "value": problem.value[who, offer].astype(np.float64),
    }

    def total(measure: Measure, where: Selection) -> tuple[float, float]:
        picked = np.ones(len(who), bool)
        if where.offers is not None:
            picked &= np.isin(offer, where.offers)
        if where.cells is not None:
            picked &= np.isin(cell, where.cells)
        return float(amount[measure][picked].sum()), float(np.abs(amount[measure][picked]).sum())

    out = {}
    for limit in problem.limits:
        if isinstance(limit, Share):
            (part, gross), (whole, gross_whole) = (total(limit.measure, x) for x in (limit.part, limit.whole))
            gross += gross_whole
        elif limit.report_only:
            continue
        else:
            (part, gross), whole = total(limit.measure, limit.selection), 1.0
        below = 0.0 if limit.minimum is None else limit.minimum * whole - part
        above = 0.0 if limit.maximum is None else part - limit.maximum * whole
        if max(below, above) > _ROUNDING * gross:
            out[limit.name] = max(below, above)
    return out


def bound(problem: Problem, prices: dict[str, float]) -> float:
    """What no plan inside the limits can exceed, by weak duality at the prices of a solution.

    Raises:
        ValueError: a price has the wrong sign for its limit's bounds.
    """
    charges, total = np.zeros((3, problem.n_cells, problem.value.shape[1])), 0.0
    for limit in problem.limits:
        price = prices.get(limit.name, 0.0)  # reported ones have none
        side = limit.maximum if price > 0 else limit.minimum
        if price == 0:
            continue
        if side is None:
            raise ValueError(f"the price of {limit.name!r} is {price:g}, but nothing bounds it on that side.")
        t = ("count", "cost", "value").index(limit.measure)
        if isinstance(limit, Share):
            charges[t][_where(problem, limit.part)] += price
            charges[t][_where(problem, limit.whole)] -= price * side
        else:
            charges[t][_where(problem, limit.selection)] += price
            total += price * side
    for some in _blocks(problem):
        cell, value = problem.cell[some], problem.value[some].astype(np.float64)
        net = value - charges[0][cell] - charges[1][cell] * problem.cost[some] - charges[2][cell] * value
        total += float(np.where(problem.eligible[some], net, 0.0).max(1, initial=0.0).sum())
    return float(total)


def deviations(problem: Problem, probability: NDArray[np.floating], choice: NDArray[np.integer]) -> NDArray[np.float64]:
    """How far a drawn plan's use lies from its expectation, limit by limit, in largest coefficients of the limit.

    The largest coefficient is that of the pairs which have a chance.
    """
    k = problem.value.shape[1]
    out = []
    for limit in problem.limits:
        table = np.zeros((problem.n_cells, k))
        if isinstance(limit, Share):
            table[_where(problem, limit.part)] += 1.0
            table[_where(problem, limit.whole)] -= limit.maximum if limit.maximum is not None else limit.minimum or 0.0
        else:
            table[_where(problem, limit.selection)] = 1.0
        moved = largest = 0.0
        for some in _blocks(problem):
            coefficient = table[problem.cell[some]]
            if limit.measure != "count":
                coefficient = coefficient * (problem.cost if limit.measure == "cost" else problem.value)[some]
            chance = probability[some, :k].astype(np.float64)
            played = choice[some, None] == np.arange(k)
            moved += float(((played - chance) * coefficient).sum())
            largest = max(largest, float(np.abs(coefficient * (chance > 0)).max(initial=0.0)))
        out.append(moved / max(largest, 1e-300))
    return np.array(out)


def _where(problem: Problem, selection: Selection) -> tuple[NDArray[np.integer], NDArray[np.integer]]:
    cells = range(problem.n_cells) if selection.cells is None else selection.cells
    offers = range(problem.value.shape[1]) if selection.offers is None else selection.offers
    return np.ix_(list(cells), list(offers))  # type: ignore[return-value]


def _blocks(problem: Problem) -> Iterator[slice]:
    for first in range(0, len(problem.value), _BLOCK):
        yield slice(first, first + _BLOCK)
