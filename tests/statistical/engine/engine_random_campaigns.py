"""Random campaigns for whole allocations, and limits counted with nothing of ours: numpy over the choices."""

from dataclasses import dataclass, replace

import numpy as np
from engine_calibration import Choices, Floats, Table
from numpy.typing import NDArray

from bandit import Beliefs
from engine.objective import Terms, Worth, worth_of
from engine.plan import Draws
from engine.policy import Setting, policy_of
from portfolio import MEASURES, Limit, Measure, Problem, Selection, Share

OBJECTIVES = ("profit", "value", "conversions", "incremental")


@dataclass(frozen=True, slots=True, eq=False)
class Request:
    """What one allocation is asked for."""

    worth: Worth
    problem: Problem
    share: float
    draws: Draws


def request(seed: int, *, largest: int = 250) -> Request:
    """Few or many customers, offers, segments and limits of every kind, from loose to a third of what is wanted."""
    r = np.random.default_rng([77, seed])
    n, k, g = (int(r.integers(*ends)) for ends in ((40, largest), (1, 9), (1, 7)))
    cell = r.integers(0, g, n).astype(np.int32)
    mean = (r.normal(-1.5, 0.5, k + 1) + r.normal(0, 0.8, (n, k + 1))).astype(np.float32)
    mean[:, k] -= 1.0
    sd = (r.choice([0.1, 0.5, 1.5]) * np.exp(r.normal(0, 0.4, (n, k + 1)))).astype(np.float32)
    terms = Terms(r.uniform(10, 60, k), r.uniform(0.2, 3, k), r.choice([0.0, 5.0], k), 30.0)
    eligible = r.random((n, k)) < r.uniform(0.3, 1.0)
    worth = worth_of(r.choice(OBJECTIVES), Beliefs(mean, sd), eligible, terms, np.full(k + 1, r.uniform(0.3, 1.0)))
    free = Problem(worth.value, worth.cost, eligible, cell, n_cells=g)
    share = float(r.choice([0.0, 0.01, 0.1]))
    wanted = policy_of(worth.scores, free, Setting(0.0)).use
    problem = replace(free, limits=tuple(_limit(r, i, wanted) for i in range(int(r.integers(1, 14)))))
    keys = r.permutation(n).astype(np.uint64)
    return Request(worth, problem, share, Draws(seed, "campaign", "2026-03-01T00:00:00+00:00", keys))


def _limit(r: np.random.Generator, number: int, wanted: Floats) -> Limit | Share:
    """A maximum, a minimum, a band or a share around what would be used without limits."""
    _, g, k = wanted.shape
    offers, cells = _some(r, k), _some(r, g)
    name, tight = f"limit {number}", r.uniform(0.3, 1.3)
    measure: Measure = r.choice(["count", "count", "cost", "value"])
    table = wanted[MEASURES.index(measure)]
    inside = Selection(offers, cells)
    level = float(table[np.ix_(*_indices(inside, g, k))].sum())
    kind = r.choice(["maximum", "maximum", "maximum", "minimum", "band", "share"])
    if kind == "maximum":
        return Limit(name, measure, maximum=tight * level + r.uniform(0, 8), offers=offers, cells=cells)
    if kind == "minimum":
        return Limit(name, measure, minimum=0.5 * tight * level - r.uniform(0, 8), offers=offers, cells=cells)
    if kind == "band":
        low, high = 0.3 * tight * level - 4, tight * level + 8
        return Limit(name, measure, low, max(low, high), offers, cells)
    part = level / max(float(table.sum()), 1e-9)
    return Share(name, measure, inside, Selection(), maximum=float(np.clip(tight * part + 0.05, 0.02, 1.0)))


def _some(r: np.random.Generator, size: int) -> tuple[int, ...] | None:
    if r.random() < 0.4:
        return None
    return tuple(int(x) for x in np.flatnonzero(r.random(size) < 0.5)) or (int(r.integers(size)),)


def _indices(selection: Selection, g: int, k: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    cells = np.arange(g) if selection.cells is None else np.array(selection.cells)
    return cells, np.arange(k) if selection.offers is None else np.array(selection.offers)


def broken_limits(problem: Problem, choice: Choices) -> list[str]:
    """Names of hard limits that a plan (n,) breaks; money may be off by a billionth of the sums, contacts by nothing.

    Counted from the choices alone, customer by customer, limit by limit as its documentation says.
    """
    return [limit.name for limit in problem.limits if _is_broken(limit, problem, choice)]


def _is_broken(limit: Limit | Share, problem: Problem, choice: Choices) -> bool:
    if limit.penalty is not None or (isinstance(limit, Limit) and limit.report_only):
        return False
    if isinstance(limit, Limit):
        total, size = _counted(Selection(limit.offers, limit.cells), limit.measure, problem, choice)
        low = -np.inf if limit.minimum is None else limit.minimum
        high = np.inf if limit.maximum is None else limit.maximum
    else:
        total, size = _counted(limit.part, limit.measure, problem, choice)
        whole, more = _counted(limit.whole, limit.measure, problem, choice)
        low = -np.inf if limit.minimum is None else limit.minimum * whole
        high = np.inf if limit.maximum is None else limit.maximum * whole
        size = size + more
    slack = 1e-9 * size if limit.measure != "count" or isinstance(limit, Share) else 0.0
    return not low - slack <= total <= high + slack


def _counted(inside: Selection, measure: str, problem: Problem, choice: Choices) -> tuple[float, float]:
    """Sum of a measure over the chosen offers of a selection, and of its size."""
    chosen = choice >= 0
    if inside.offers is not None:
        chosen &= np.isin(choice, inside.offers)
    if inside.cells is not None:
        chosen &= np.isin(problem.cell, inside.cells)
    table: Table | None = {"count": None, "cost": problem.cost, "value": problem.value}[measure]
    if table is None:
        return float(chosen.sum()), float(chosen.sum())
    each = table[np.flatnonzero(chosen), choice[chosen]].astype(np.float64)
    return float(each.sum()), float(np.abs(each).sum())
