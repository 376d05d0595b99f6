"""How far from its limits a policy has to stay so that its draws keep them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from portfolio.draw.flight import take_off
from portfolio.draw.landing import land, landing_stream, require_inside, tight_bounds
from portfolio.limits import Floats, Problem, Rows

WANTED, TOLERATED = 0.97, 0.85  # acceptance of a rehearsal
_SURE = 100  # landings without a failure that settle a rehearsal: at an acceptance of 0.97, 1 in 20 has as many
_BLOCK = 16_384  # customers looked at a time
_FEW, _MANY = 30, 200  # numbers of limits between which the headroom grows
_COUNT = (2.0, 3.0)  # largest coefficients kept free in rows of contacts, at few and at many limits
_MONEY = (1.0, 1.5)  # the same in rows of cost or value


@dataclass(frozen=True, slots=True)
class Reach:
    """Bounds on what any plan could use: least, most (m,), and the largest size of a coefficient (m,)."""

    least: Floats
    most: Floats
    largest: Floats


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """Trial landings of one flight.

    Args:
        acceptance: share of landings that kept every limit. Wanted: 0.97; tolerated: 0.85; refused: below 0.70.
        failures: (m,) share of landings that broke the row.
        suggested: (m,) headroom that would have kept the row, 0 for rows that never failed.
        fractional: customers whom the landing had to decide.
    """

    acceptance: float
    failures: Floats
    suggested: Floats
    fractional: int


def reach(rows: Rows, problem: Problem) -> Reach:
    """Bounds on the rows of any plan of one offer per customer. They are bounds, not always attained."""
    size = np.bincount(problem.cell, minlength=problem.n_cells)
    least, most, largest = (np.zeros(len(rows.names)) for _ in range(3))
    for t, measure in enumerate((None, problem.cost, problem.value)):
        touched = (rows.coefficient[:, t] != 0).any((1, 2))
        if not touched.any():
            continue
        gain, loss = _per_cell(problem, measure)
        for r in np.flatnonzero(touched):
            c = rows.coefficient[r, t]
            rise = (np.maximum(c, 0) * gain, np.maximum(-c, 0) * loss)
            fall = (np.maximum(c, 0) * loss, np.maximum(-c, 0) * gain)
            up, down = (np.maximum(part[0][1], part[1][1]).max(1, initial=0.0) for part in (rise, fall))
            most[r] += np.minimum((rise[0][0] + rise[1][0]).sum(1), size * up).sum()
            least[r] -= np.minimum((fall[0][0] + fall[1][0]).sum(1), size * down).sum()
            largest[r] += max(up.max(initial=0.0), down.max(initial=0.0))
    return Reach(least, most, largest)


def _per_cell(problem: Problem, measure: NDArray[np.floating] | None) -> Floats:
    """(2, 2, g, k): sums and maxima per cell of what eligible pairs add (first) and take away (second); in blocks."""
    g, k = problem.n_cells, problem.value.shape[1]
    out = np.zeros((2, 2, g, k))
    for first in range(0, len(problem.cell), _BLOCK):
        some = slice(first, first + _BLOCK)
        order = np.argsort(problem.cell[some], kind="stable")
        cell = problem.cell[some][order]
        start = np.flatnonzero(np.diff(cell, prepend=-1))
        here = cell[start]
        x = np.where(problem.eligible[some], 1.0 if measure is None else measure[some], 0.0)[order]
        for side, part in enumerate((np.maximum(x, 0), np.maximum(-x, 0) if x.min(initial=0.0) < 0 else None)):
            if part is not None:
                out[side, 0, here] += np.add.reduceat(part, start, axis=0)
                out[side, 1, here] = np.maximum(out[side, 1, here], np.maximum.reduceat(part, start, axis=0))
    return out


def initial_headroom(rows: Rows, problem: Problem) -> Floats:
    """Distance (m,) to keep from every finite bound before prices are solved, in each row's own unit.

    Two largest coefficients in rows of contacts and one in rows of money up to 30 rows, growing to 3 and 1.5 at 200,
    plus what a bound that is not whole gives away. 0 for elastic rows, for rows that no plan can break and for a
    maximum that forbids all use (a budget of 0): every pair it touches then needs probability 0.
    """
    span = reach(rows, problem)
    m = len(rows.names)
    contacts = (rows.coefficient[:, 1:] == 0).all((1, 2, 3))
    times = np.where(contacts, np.interp(m, (_FEW, _MANY), _COUNT), np.interp(m, (_FEW, _MANY), _MONEY))
    lower, upper = tight_bounds(rows)
    width = times * span.largest + np.maximum(_given_away(rows.lower, lower), _given_away(rows.upper, upper))
    return np.where(_breakable(rows, span), width, 0.0)


def _given_away(bound: Floats, kept: Floats) -> Floats:
    """Distance (m,) from a bound to the whole number that a count must keep instead."""
    out = np.zeros(len(bound))
    finite = np.isfinite(bound) & np.isfinite(kept)
    out[finite] = np.abs(bound[finite] - kept[finite])
    return out


def _breakable(rows: Rows, span: Reach) -> NDArray[np.bool_]:
    """Hard rows that some plan breaks, and that a draw could break: one that forbids all use stands still."""
    over, under = span.most > rows.upper, span.least < rows.lower
    forbids = (rows.upper <= span.least) & ~under
    out: NDArray[np.bool_] = np.isinf(rows.penalty) & (over | under) & ~forbids
    return out


def too_narrow(rows: Rows, headroom: Floats, span: Reach) -> tuple[tuple[str, float], ...]:
    """Hard limits that leave no room for a draw, each with the width it would need in its own unit.

    A band from minimum to maximum must be wider than its headroom on both sides. A single bound must leave more than
    its headroom between itself and the least (or most) that any plan uses.

    Args:
        rows: m rows.
        headroom: (m,).
        span: from `reach`.
    """
    out = []
    breakable = _breakable(rows, span)
    for r, name in enumerate(rows.names):
        low_bound, high_bound = span.least[r] < rows.lower[r], span.most[r] > rows.upper[r]
        low = rows.lower[r] if low_bound else span.least[r]
        high = rows.upper[r] if high_bound else span.most[r]
        needed = headroom[r] * (int(low_bound) + int(high_bound))
        if breakable[r] and high - low <= needed:
            out.append((name, float(needed)))
    return tuple(out)


def rehearse(
    probability: NDArray[np.floating],
    problem: Problem,
    rows: Rows,
    *,
    seed: int,
    keys: NDArray[np.uint64],
    landings: int = 200,
) -> Rehearsal:
    """One flight, landed many times, with random numbers that the draw itself never uses.

    Args:
        probability: (n, k + 1).
        problem: n customers, k offers.
        rows: compiled from the problem's limits.
        seed: of the run.
        keys: (n,) uint64, all different.
        landings: how many at most; a hundred are enough when none of them fails.

    Raises:
        ShapeError, LimitError: as `balance`.
    """
    flight = take_off(probability, problem, rows, seed=seed, keys=keys, purpose="rehearsal")
    require_inside(rows, flight.expected)
    expected = rows.consumption(flight.expected)
    lower, upper = tight_bounds(rows)
    failures, suggested = np.zeros(len(rows.names)), np.zeros(len(rows.names))
    accepted = tried = 0
    while tried < landings and not accepted == tried == _SURE:
        landing = land(flight, problem, rows, of=landing_stream(seed, "rehearsal"), attempt=tried)
        tried += 1
        accepted += landing.accepted
        failures += landing.broken
        level = rows.consumption(landing.use)
        moved = np.where(level > upper, level - expected, np.where(level < lower, expected - level, 0.0))
        wanted = moved + np.where(level > upper, _given_away(rows.upper, upper), _given_away(rows.lower, lower))
        suggested = np.maximum(suggested, np.where(landing.broken, wanted, 0.0))
    return Rehearsal(accepted / max(1, tried), failures / max(1, tried), suggested, len(flight.left.customer))
