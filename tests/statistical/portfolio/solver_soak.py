"""Large random problems that can be kept, for the deterministic solver, and what it makes of each."""

import time
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from benchmarks import recount
from portfolio import MEASURES, Limit, Measure, Problem, Selection, Share, solve

Kind: TypeAlias = Literal["plain", "rounded", "equal cost", "few scores", "twins"]
KINDS: Final[tuple[Kind, ...]] = ("plain", "rounded", "plain", "equal cost", "plain", "few scores", "plain", "twins")
TIED: Final = tuple(kind for kind in KINDS if kind != "plain")
Floats: TypeAlias = NDArray[np.float64]
Integers: TypeAlias = NDArray[np.int64]


@dataclass(frozen=True)
class Solved:
    """One problem and its plan; `gap` is recounted apart from the solver, `wrong` what it got wrong, if anything."""

    seed: int
    kind: Kind
    customers: int
    limits: int
    gap: float
    status: str
    cpu_seconds: float
    wrong: tuple[str, ...]


@dataclass(frozen=True)
class Made:
    """A problem and a plan (n,) that keeps all of its limits."""

    problem: Problem
    kind: Kind
    hidden: Integers


def examine(seed: int, low: int, high: int) -> Solved:
    """Solve one random problem of between low and high customers and count everything again."""
    made = random_problem(seed, low, high)
    problem = made.problem
    started = time.process_time()
    found = solve(problem)
    seconds = time.process_time() - started
    value, bound = recount.worth(problem, found.choice), recount.bound(problem, found.prices)
    wrong = [f"breaks {name}" for name in recount.broken(problem, found.choice)]
    if found.status == "infeasible":
        wrong.append("calls limits that can be kept infeasible")
    if abs(found.value - value) > 1e-8 * max(abs(value), 1.0):
        wrong.append(f"claims a value of {found.value} for {value}")
    if found.bound < value - 1e-8 * abs(value):
        wrong.append(f"claims a bound of {found.bound} below its value {value}")
    gap = (bound - value) / max(abs(bound), 1e-300)
    size = len(problem.value), len(problem.limits)
    return Solved(seed, made.kind, *size, gap, found.status, seconds, tuple(wrong))


def random_problem(seed: int, low: int, high: int) -> Made:
    """From 5 to 31 limits of random kinds around what a hidden plan uses: that plan keeps all of them.

    The hidden plan answers random charges, so that the limits pull against each other as prices would.
    """
    r = np.random.default_rng((2026, seed))
    kind = KINDS[seed % len(KINDS)]
    n = int(np.exp(r.uniform(np.log(low), np.log(high))))
    value, cost, eligible, cell = _customers(r, kind, n)
    charges = _charges(r, value, cost, cell)
    net = np.where(eligible, value - charges, -np.inf)
    choice = np.where(net.max(1) > 0, net.argmax(1), -1)
    hidden = _used(value, cost, cell, choice)
    limits = [_limit(r, j, hidden) for j in range(int(r.integers(5, 32)))]
    return Made(Problem(value, cost, eligible, cell, tuple(limits)), kind, choice)


def _customers(
    r: np.random.Generator, kind: Kind, n: int
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.bool_], Integers]:
    k, g = int(r.choice([2, 5, 12, 20])), int(r.choice([1, 4, 16, 40]))
    cell = r.integers(0, g, n)
    score = (
        r.normal(-2.5, 1.0, k) + r.normal(0, 0.5, (g, k))[cell] + r.normal(0, 0.6, (n, 1)) + r.normal(0, 0.8, (n, k))
    )
    value = r.uniform(20, 200, k) / (1 + np.exp(-score))
    if r.random() < 0.25:
        value -= r.uniform(0, 10, k)  # some are worth less than nothing
    cost = r.uniform(0.3, 8, k) * np.exp(r.normal(0, 0.3, (n, 1)))
    eligible = r.random((n, k)) > r.choice([0.0, 0.25, 0.6])
    if kind == "rounded":
        value = np.rint(value / (step := r.choice([1.0, 5.0, 20.0]))) * step
    if kind in ("rounded", "equal cost"):
        cost = np.broadcast_to(np.rint(cost.mean(0) * 4) / 4, cost.shape)
    if kind == "equal cost":
        value = np.rint(value)
    if kind == "few scores":
        value = np.quantile(value, [0.1, 0.5, 0.9])[np.digitize(value, np.quantile(value, [0.3, 0.7]))]
    if kind == "twins":
        alike = np.arange(n) // int(r.integers(50, 5_000))  # whole crowds are one customer many times over
        value, cost, eligible, cell = value[alike], cost[alike], eligible[alike], cell[alike]
    return value.astype(np.float32), np.ascontiguousarray(cost, np.float32), eligible, cell


def _charges(r: np.random.Generator, value: NDArray[np.float32], cost: NDArray[np.float32], cell: Integers) -> Floats:
    """(n, k) of a random market: prices on offers, cells and money."""
    k, g = value.shape[1], int(cell.max()) + 1
    typical = float(np.abs(value).mean())
    per_contact = r.uniform(0, 1.5, (1, k)) * (r.random((1, k)) < 0.5) + r.uniform(0, 0.5, (g, 1))
    out: Floats = typical * (per_contact[cell] + r.uniform(0, 1) * cost / max(float(cost.mean()), 1e-9))
    return out


def _used(value: NDArray[np.float32], cost: NDArray[np.float32], cell: Integers, choice: Integers) -> Floats:
    """(3, g, k) what a plan uses."""
    k, g = value.shape[1], int(cell.max()) + 1
    who = np.flatnonzero(choice >= 0)
    where = cell[who] * k + choice[who]
    amounts = (np.ones(len(who)), cost[who, choice[who]], value[who, choice[who]])
    return np.stack([np.bincount(where, x, g * k).reshape(g, k) for x in amounts])


def _limit(r: np.random.Generator, number: int, hidden: Floats) -> Limit | Share:
    """One limit that the hidden plan keeps, closely or with room."""
    _, g, k = hidden.shape
    where, measure = _selection(r, g, k), MEASURES[int(r.choice(3, p=[0.5, 0.35, 0.15]))]
    used = _sum(hidden, measure, where)
    name, room = f"limit {number}", float(r.choice([0.0, 0.02, 0.2])) * abs(used)
    if r.random() < 0.15 and measure != "value":
        part = Selection(tuple(r.choice(k, max(1, k // 3), replace=False).tolist()), where.cells)
        whole = Selection(None, where.cells)
        share = _sum(hidden, measure, part) / max(_sum(hidden, measure, whole), 1e-9)
        spread = float(r.choice([0.001, 0.02, 0.2]))
        sides = r.choice(["minimum", "maximum", "both"])
        low = None if sides == "maximum" else max(share - spread, 0.0)
        return Share(name, measure, part, whole, low, None if sides == "minimum" else share + spread)
    if measure == "count":
        low, high = float(np.floor(used - room)), float(np.ceil(used + room))
    else:
        # a sum of money is never met to the cent by whole customers
        low, high = used - room - 1e-6 * abs(used) - 10, used + room + 1e-6 * abs(used) + 10
    style = r.choice(["maximum", "minimum", "both", "elastic", "report"], p=[0.6, 0.15, 0.1, 0.1, 0.05])
    if style == "elastic":
        high, penalty = 0.8 * high, float(r.uniform(0.1, 20))
        return Limit(name, measure, None, high, where.offers, where.cells, penalty=penalty)
    bottom, top = (None if style == "maximum" else low), (None if style == "minimum" else high)
    return Limit(name, measure, bottom, top, where.offers, where.cells, report_only=bool(style == "report"))


def _selection(r: np.random.Generator, g: int, k: int) -> Selection:
    """Everything, one offer, a few offers, some cells, or some offers in some cells."""
    offers = tuple(r.choice(k, int(r.integers(1, max(2, k // 3 + 1))), replace=False).tolist())
    cells = tuple(r.choice(g, int(r.integers(1, max(2, g // 2 + 1))), replace=False).tolist())
    shapes = (Selection(), Selection(offers[:1]), Selection(offers), Selection(None, cells), Selection(offers, cells))
    return shapes[int(r.integers(len(shapes)))]


def _sum(hidden: Floats, measure: Measure, where: Selection) -> float:
    table = hidden[MEASURES.index(measure)]
    rows = slice(None) if where.cells is None else list(where.cells)
    columns = slice(None) if where.offers is None else list(where.offers)
    return float(table[rows][:, columns].sum())
