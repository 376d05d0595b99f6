"""The words for limits, and the linear rows they are made of.

Every limit is linear in three measures of the plan per (cell, offer): contacts, expected cost and value. So the prices
of any number of limits collapse into three tables of charges, and a pass over customers never sees a limit.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numba import njit
from numpy.typing import NDArray

from allot import LimitError, ShapeError
from portfolio.measures import MEASURES, Measure

Floats: TypeAlias = NDArray[np.float64]

_BLOCK = 8192  # customers at a time; no sum depends on it


@dataclass(frozen=True, slots=True)
class Selection:
    """Some offers and some cells, as index tuples; None means all."""

    offers: tuple[int, ...] | None = None
    cells: tuple[int, ...] | None = None


@dataclass(frozen=True, slots=True)
class Limit:
    """minimum <= sum of a measure over the chosen offers of a selection <= maximum.

    `measure` is "count" (contacts), "cost" (expected cost, currency units) or "value" (of the objective).
    `penalty` None is hard; else the price per unit of a breach. `report_only` limits are counted, never enforced.
    """

    name: str
    measure: Measure
    minimum: float | None = None
    maximum: float | None = None
    offers: tuple[int, ...] | None = None
    cells: tuple[int, ...] | None = None
    penalty: float | None = None
    report_only: bool = False

    def __post_init__(self) -> None:
        _check_bounds(self.name, self.measure, self.minimum, self.maximum, self.penalty)

    @property
    def selection(self) -> Selection:
        """What the limit counts."""
        return Selection(self.offers, self.cells)


@dataclass(frozen=True, slots=True)
class Share:
    """minimum * whole <= part <= maximum * whole, each a sum of a measure over a selection."""

    name: str
    measure: Measure
    part: Selection
    whole: Selection
    minimum: float | None = None
    maximum: float | None = None
    penalty: float | None = None

    def __post_init__(self) -> None:
        _check_bounds(self.name, self.measure, self.minimum, self.maximum, self.penalty)


def _check_bounds(name: str, measure: str, minimum: float | None, maximum: float | None, penalty: float | None) -> None:
    where = f"limit {name!r}"
    if measure not in MEASURES:
        raise LimitError(f"measure {measure!r} is unknown.", where=where, remedy='Use "count", "cost" or "value".')
    if any(x is not None and np.isnan(x) for x in (minimum, maximum, penalty)):
        raise LimitError("a bound is not a number.", where=where, remedy="Give a finite number or leave it out.")
    if minimum == np.inf or maximum == -np.inf:
        raise LimitError("no plan can reach an infinite bound.", where=where, remedy="Give a number or leave it out.")
    if minimum is not None and maximum is not None and minimum > maximum:
        raise LimitError(
            f"the minimum {minimum:g} is above the maximum {maximum:g}.",
            where=where,
            remedy="Lower one or raise the other.",
        )
    if penalty is not None and penalty < 0:
        raise LimitError(
            f"the penalty {penalty:g} is negative.", where=where, remedy="Give the price of one unit of breach."
        )


@dataclass(frozen=True, slots=True)
class Problem:
    """Who can get what, what it is worth and what it costs, and what must hold over many customers.

    Args:
        value: (n, k) worth of each offer to the objective, in posterior means, currency units (or expected successes).
        cost: (n, k) expected cost, currency units.
        eligible: (n, k) bool.
        cell: (n,) integers; the combination of segments that limits speak of.
        limits: any number of `Limit` and `Share`.
        most: offers per customer; more than one is for the deterministic solver only.
        groups: (k,) integers or None; at most one offer of a group per customer.
        n_cells: at least so many cells; those that data and limits speak of are there anyway.

    Raises:
        ShapeError: arrays disagree, or `most` is below 1.
        LimitError: a limit speaks of an offer or a cell that does not exist, or two have one name.
    """

    value: NDArray[np.floating]
    cost: NDArray[np.floating]
    eligible: NDArray[np.bool_]
    cell: NDArray[np.integer]
    limits: tuple[Limit | Share, ...] = ()
    most: int = 1
    groups: NDArray[np.integer] | None = None
    n_cells: int = 0

    def __post_init__(self) -> None:
        if self.value.ndim != 2 or self.cost.shape != self.value.shape or self.eligible.shape != self.value.shape:
            raise ShapeError(
                f"value {self.value.shape}, cost {self.cost.shape}, eligible {self.eligible.shape} must be one (n, k)."
            )
        if self.cell.shape != (len(self.value),):
            raise ShapeError(f"cell has shape {self.cell.shape}, not ({len(self.value)},).")
        if len(self.cell) and int(self.cell.min()) < 0:
            raise ShapeError("a cell is negative.")
        if self.most < 1:
            raise ShapeError(
                f"most is {self.most}, not a positive number of offers.", where="most", remedy="Give 1 or more."
            )
        _check_groups(self.groups, self.value.shape[1])
        object.__setattr__(self, "limits", tuple(self.limits))
        _check_names(self.limits)
        in_limits = [c for s in _selections(self.limits) for c in s.cells or ()]
        in_data = int(self.cell.max()) + 1 if len(self.cell) else 1
        object.__setattr__(self, "n_cells", max(self.n_cells, in_data, max(in_limits, default=0) + 1))
        k = self.value.shape[1]
        for limit in self.limits:
            for selection in _selections((limit,)):
                bad = [a for a in selection.offers or () if not 0 <= a < k] + [
                    c for c in selection.cells or () if c < 0
                ]
                if bad:
                    raise LimitError(f"offer or cell {bad[0]} does not exist.", where=f"limit {limit.name!r}")


def check_finite(problem: Problem) -> None:
    """Refuse a problem in which an eligible pair has no finite value or cost; what is not eligible may hold anything.

    Raises:
        ShapeError: with the first such customer and offer.
    """
    for name, array in (("value", problem.value), ("cost", problem.cost)):
        bad = problem.eligible & ~np.isfinite(array)
        if bad.any():
            i, a = (int(x[0]) for x in np.nonzero(bad))
            raise ShapeError(
                f"{name} of customer {i} and offer {a} is {float(array[i, a])} though the pair is eligible.",
                where=name,
                remedy="Give a finite number, or mark the pair as not eligible.",
            )


def _check_groups(groups: NDArray[np.integer] | None, k: int) -> None:
    if groups is None:
        return
    if groups.shape != (k,) or not np.issubdtype(groups.dtype, np.integer) or (groups < 0).any():
        raise ShapeError(
            f"groups are {groups.dtype} of shape {groups.shape}.",
            where="groups",
            remedy=f"Give {k} integers from 0, one for each offer; an offer of its own gets a number of its own.",
        )


def _selections(limits: Iterable[Limit | Share]) -> list[Selection]:
    return [s for x in limits for s in ((x.part, x.whole) if isinstance(x, Share) else (x.selection,))]


def _check_names(limits: tuple[Limit | Share, ...]) -> None:
    seen: set[str] = set()
    for limit in limits:
        if limit.name in seen:
            raise LimitError("two limits have this name.", where=f"limit {limit.name!r}", remedy="Rename one.")
        seen.add(limit.name)


@dataclass(frozen=True, slots=True)
class Rows:
    """Limits as linear rows: lower <= sum over (measure, cell, offer) of coefficient * use <= upper.

    A `Share` with both bounds gives two rows. Report-only limits give none.

    Args:
        names: (m,) of the limit each row comes from.
        coefficient: (m, 3, g, k) float64, axis 1 in the order of `MEASURES`.
        lower, upper: (m,) float64, infinite where there is none.
        penalty: (m,) float64 per unit of breach; infinite = hard.
    """

    names: tuple[str, ...]
    coefficient: Floats
    lower: Floats
    upper: Floats
    penalty: Floats

    def consumption(self, use: Floats) -> Floats:
        """Row sums (m,) of a use table (3, g, k)."""
        out: Floats = np.einsum("rtga,tga->r", self.coefficient, use)
        return out

    def charges(self, price: Floats) -> Floats:
        """What the prices (m,) charge per contact, per unit of cost and per unit of value: (3, g, k)."""
        out: Floats = np.einsum("r,rtga->tga", price, self.coefficient)
        return out


def _table(selection: Selection, measure: Measure, n_cells: int, k: int) -> Floats:
    table = np.zeros((3, n_cells, k))
    cells = np.arange(n_cells) if selection.cells is None else np.array(selection.cells, int)
    offers = np.arange(k) if selection.offers is None else np.array(selection.offers, int)
    table[MEASURES.index(measure), cells[:, None], offers[None, :]] = 1.0
    return table


def compile_rows(limits: Iterable[Limit | Share], n_cells: int, k: int) -> Rows:
    """The enforced limits as linear rows over g = n_cells cells and k offers."""
    names: list[str] = []
    tables: list[Floats] = []
    bounds: list[tuple[float, float, float]] = []

    def add(name: str, table: Floats, minimum: float | None, maximum: float | None, penalty: float | None) -> None:
        names.append(name)
        tables.append(table)
        low = -np.inf if minimum is None else minimum
        high = np.inf if maximum is None else maximum
        bounds.append((low, high, np.inf if penalty is None else penalty))

    for limit in limits:
        if isinstance(limit, Share):
            part = _table(limit.part, limit.measure, n_cells, k)
            whole = _table(limit.whole, limit.measure, n_cells, k)
            if limit.minimum is not None:
                add(limit.name, part - limit.minimum * whole, 0.0, None, limit.penalty)
            if limit.maximum is not None:
                add(limit.name, part - limit.maximum * whole, None, 0.0, limit.penalty)
        elif not limit.report_only:
            table = _table(limit.selection, limit.measure, n_cells, k)
            add(limit.name, table, limit.minimum, limit.maximum, limit.penalty)
    stacked = np.stack(tables) if tables else np.zeros((0, 3, n_cells, k))
    low, high, penalty = (np.array([b[j] for b in bounds]) for j in range(3))
    return Rows(tuple(names), stacked, low, high, penalty)


def use_of(problem: Problem, choice: NDArray[np.integer]) -> Floats:
    """What a plan uses: (3, g, k) contacts, expected cost and value per (cell, offer), summed in float64.

    Args:
        problem: the problem of n customers and k offers.
        choice: (n,) or (n, most) integers, -1 = no offer.
    """
    k = problem.value.shape[1]
    picks = choice if choice.ndim == 2 else choice[:, None]
    row, column = np.nonzero(picks >= 0)
    offer = picks[row, column].astype(np.int64)
    where = problem.cell[row].astype(np.int64) * k + offer
    size = problem.n_cells * k
    weights = (None, problem.cost[row, offer].astype(np.float64), problem.value[row, offer].astype(np.float64))
    return np.stack([np.bincount(where, w, size).astype(np.float64).reshape(problem.n_cells, k) for w in weights])


def expected_use(problem: Problem, probability: NDArray[np.floating]) -> Floats:
    """What a policy uses in expectation: (3, g, k), as `use_of`, for probabilities (n, k + 1).

    Summed in float64 in the order of the customers; what is never played may cost anything.
    """
    n, k = problem.value.shape
    out = np.zeros((3, problem.n_cells, k))
    for first in range(0, n, _BLOCK):
        rows = slice(first, first + _BLOCK)
        tables = (probability[rows, :k], problem.cost[rows], problem.value[rows])
        chance, cost, value = (np.array(table, np.float64, order="C") for table in tables)  # copies: one compilation
        _add_expected(np.array(problem.cell[rows], np.int64), chance, cost, value, out)
    return out


@njit(cache=True, nogil=True)
def _add_expected(cell: Any, chance: Any, cost: Any, value: Any, out: Any) -> None:
    for i in range(len(cell)):
        g = cell[i]
        for a in range(chance.shape[1]):
            share = chance[i, a]
            if share != 0.0:
                out[0, g, a] += share
                out[1, g, a] += share * cost[i, a]
                out[2, g, a] += share * value[i, a]


def ruled_out(problem: Problem, rows: Rows) -> NDArray[np.bool_]:
    """Pairs (n, k) that no plan may contain: a hard maximum of 0 forbids whatever uses anything of it."""
    hard = np.isinf(rows.penalty)
    zero = [rows.coefficient[r] for r in np.flatnonzero(hard & (rows.upper == 0.0))]
    zero += [-rows.coefficient[r] for r in np.flatnonzero(hard & (rows.lower == 0.0))]
    out = np.zeros(problem.eligible.shape, bool)
    while True:
        before = int(out.sum())
        for table in zero:
            up, down = _touched(problem, table, out)
            if not down.any():  # else something makes room: the rest of a share, or what is negative
                out |= up
        if int(out.sum()) == before:
            return out


def _touched(problem: Problem, table: Floats, gone: NDArray[np.bool_]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Pairs (n, k) that raise and that lower a row, of those that are eligible and not gone."""
    up, down = (np.zeros(problem.eligible.shape, bool) for _ in range(2))
    for t, measure in enumerate((None, problem.cost, problem.value)):
        if (table[t] != 0).any():
            use = table[t][problem.cell] * (1.0 if measure is None else measure)
            up |= use > 0
            down |= use < 0
    possible = problem.eligible & ~gone
    return up & possible, down & possible


@dataclass(frozen=True, slots=True)
class Usage:
    """One limit, re-counted. For a `Share`, used, minimum and maximum are shares of the whole.

    `slack` is the distance to the nearest bound, negative when broken, infinite where there is no bound.
    Nothing has no shares: of an empty whole the part itself is `used`, and both bounds allow exactly 0 of it (a
    minimum also more), so that `slack` is 0 where the part is empty too.
    `price` is what one more unit of room would be worth, in the objective's units.
    """

    name: str
    used: float
    minimum: float | None
    maximum: float | None
    slack: float
    price: float = 0.0


def usage(limits: Iterable[Limit | Share], use: Floats, prices: dict[str, float] | None = None) -> tuple[Usage, ...]:
    """Every limit's use, recounted from a use table (3, g, k)."""
    out = []
    for limit in limits:
        used, room = _used_and_room(limit, use)
        price = (prices or {}).get(limit.name, 0.0)
        out.append(Usage(limit.name, used, limit.minimum, limit.maximum, room, price))
    return tuple(out)


def _used_and_room(limit: Limit | Share, use: Floats) -> tuple[float, float]:
    """What stands in `Usage.used` and `Usage.slack`."""
    lower = -np.inf if limit.minimum is None else limit.minimum
    upper = np.inf if limit.maximum is None else limit.maximum
    if isinstance(limit, Limit):
        used = _amount(limit.selection, limit.measure, use)
        return used, min(upper - used, used - lower)
    part, whole = (_amount(selection, limit.measure, use) for selection in (limit.part, limit.whole))
    if whole == 0.0:
        most, least = (0.0 if np.isfinite(bound) else bound for bound in (upper, lower))
        return part, min(most - part, part - least)
    share = part / whole
    rooms = [upper - share, share - lower]
    if whole < 0:  # the larger share is then the smaller part
        rooms = [-room for room in rooms if np.isfinite(room)]
    return share, min(rooms, default=np.inf)


def _amount(selection: Selection, measure: Measure, use: Floats) -> float:
    _, n_cells, k = use.shape
    return float((_table(selection, measure, n_cells, k) * use).sum())
