"""Two plans for the same customers side by side: who changes, and what that costs and is worth."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from allot import ShapeError
from portfolio.dual import Floats
from portfolio.limits import Problem, Usage, usage, use_of


@dataclass(frozen=True, slots=True)
class Totals:
    """What a plan adds up to: contacts, expected cost and value, currency units. Penalties are not taken off."""

    contacts: float
    cost: float
    value: float


@dataclass(frozen=True, slots=True)
class Change:
    """What a second plan does differently from a first one.

    Args:
        customers: (c,) indices of those who get something else, ascending.
        flows: (k + 1, k + 1) int64: how often an offer (row) gave way to another (column), k = no offer. Of customers
            with several offers, what they lose and what they gain is paired in ascending order and filled up with no
            offer. The diagonal is 0.
        value, cost: (c,) by how much each of these customers' value and expected cost rise, currency units.
        before, after: what the plans add up to.
        usage: per limit its use before and after.
    """

    customers: NDArray[np.int64]
    flows: NDArray[np.int64]
    value: Floats
    cost: Floats
    before: Totals
    after: Totals
    usage: tuple[tuple[Usage, Usage], ...]


def compare(problem: Problem, before: NDArray[np.integer], after: NDArray[np.integer]) -> Change:
    """What changes between two plans for the customers of one problem.

    Args:
        problem: whose value, cost and limits count; bounds in `Change.usage` are those of its limits.
        before, after: (n,) or (n, most) offers, -1 = no offer; `Solution.choice` for example.

    Raises:
        ShapeError: a plan is not about n customers or names an offer that does not exist.
    """
    k = problem.value.shape[1]
    first, second = _sorted_plan(problem, before), _sorted_plan(problem, after)
    width = max(first.shape[1], second.shape[1])
    first, second = (np.pad(x, ((0, 0), (width - x.shape[1], 0)), constant_values=-1) for x in (first, second))
    customers = np.flatnonzero((first != second).any(1)).astype(np.int64)
    lost, gained = _without(first[customers], second[customers], k), _without(second[customers], first[customers], k)
    flows = np.bincount((lost * (k + 1) + gained).ravel(), minlength=(k + 1) ** 2).reshape(k + 1, k + 1)
    np.fill_diagonal(flows, 0)
    value, cost = (
        _sums(array, customers, second[customers]) - _sums(array, customers, first[customers])
        for array in (problem.value, problem.cost)
    )
    uses = [use_of(problem, x) for x in (first, second)]
    counted = [usage(problem.limits, use) for use in uses]
    totals = [Totals(*(float(use[t].sum()) for t in range(3))) for use in uses]
    return Change(customers, flows, value, cost, totals[0], totals[1], tuple(zip(*counted, strict=True)))


def _sorted_plan(problem: Problem, choice: NDArray[np.integer]) -> NDArray[np.int64]:
    """(n, most), each customer's offers in ascending order: the order in which they are listed means nothing."""
    n, k = problem.value.shape
    if choice.ndim not in (1, 2) or len(choice) != n:
        raise ShapeError(f"a plan has shape {choice.shape}, not ({n},) or ({n}, most).")
    if choice.size and not -1 <= int(choice.min()) <= int(choice.max()) < k:
        raise ShapeError(f"a plan names an offer outside -1 to {k - 1}.")
    return np.sort(choice.reshape(n, -1), axis=1).astype(np.int64)


def _without(these: NDArray[np.int64], those: NDArray[np.int64], k: int) -> NDArray[np.int64]:
    """Offers of each row of `these` that the row of `those` lacks, ascending, filled up with k."""
    shared = (these[:, :, None] == those[:, None, :]).any(2) | (these < 0)
    return np.sort(np.where(shared, k, these), axis=1)


def _sums(array: NDArray[np.floating], customers: NDArray[np.int64], offers: NDArray[np.int64]) -> Floats:
    """(c,) sums of an (n, k) array over each customer's offers."""
    taken = array[customers[:, None], np.maximum(offers, 0)].astype(np.float64)
    out: Floats = np.where(offers >= 0, taken, 0.0).sum(1)
    return out
