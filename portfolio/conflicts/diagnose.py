"""Limits that no plan can keep: an irreducible set of them, and how little each would have to give.

Linear duality finds the set (`portfolio.conflicts.keeping`): prices whose dual value is negative prove that no plan
keeps the limits they price (Farkas), and the proof is taken over all customers, so a problem that can be kept is
never called infeasible. Limits are then left out one by one while the rest is still refuted. (Chinneck and Dravnieks
1991, "Locating minimal infeasible constraint sets in linear programs".) Small problems go to
`portfolio.conflicts.small`.
"""

from dataclasses import dataclass

import numpy as np

from portfolio.conflicts.keeping import Hall, examine, refutes, smallest_breach
from portfolio.conflicts.small import SmallHall
from portfolio.dual import Floats
from portfolio.limits import Problem, Rows, check_finite, compile_rows
from portfolio.referee import impossible_counts, whole_counts

EXACT_PAIRS = 2_000  # up to here the integer program answers
_CUTS = (0.3, 0.1, 0.03, 0.01, 1e-3)  # limits whose prices are a smaller share of the largest may be beside the point
_ROUNDING = 2e-7  # how exactly the smallest breach is known
_ROOM = 1.001  # fractions of customers are cured a little earlier than whole ones


@dataclass(frozen=True, slots=True)
class Conflict:
    """Limits that no plan keeps together.

    Args:
        limits: names; without any one of them the others can be kept.
        relaxation: for each of them, the smallest breach that lets the others hold, in the limit's own measure
            (contacts or currency units; for a `Share` of its part).
    """

    limits: tuple[str, ...]
    relaxation: dict[str, float]


def diagnose(problem: Problem) -> Conflict | None:
    """Which hard limits cannot be kept together, if any.

    Args:
        problem: any size, with `most` and groups. Above 2,000 eligible pairs customers may be split between offers, so
            a conflict of whole numbers alone is not found, and relaxations leave a thousandth of room for whole ones.
            Up to there relaxations are those of whole plans, and the search for these has an end: see `SmallHall`.

    Returns:
        None when no proof of a conflict was found, else Conflict.

    Raises:
        ShapeError: an eligible value or cost is not finite.
    """
    check_finite(problem)
    exact = compile_rows(problem.limits, problem.n_cells, problem.value.shape[1])
    rows = whole_counts(exact)
    hard = tuple(dict.fromkeys(n for n, p in zip(rows.names, rows.penalty, strict=True) if np.isinf(p)))
    if not hard:
        return None
    if impossible := impossible_counts(rows):
        return Conflict(impossible[:1], {impossible[0]: _to_the_nearest_whole(exact, rows, impossible[0])})
    if int(np.count_nonzero(problem.eligible)) <= EXACT_PAIRS:
        relaxation = SmallHall.of(problem, rows).conflict(hard)
    else:
        hall = Hall.of(problem)
        left = _refuted_set(hall, only(rows, hard))
        part = only(rows, left)
        near = hall.touched_by(part)
        relaxation = {name: _rounded_up(part, name, smallest_breach(near, part, name)) for name in left}
    if not relaxation:
        return None
    return Conflict(tuple(relaxation), {name: x - _rounded_off(exact, rows, name) for name, x in relaxation.items()})


def only(rows: Rows, names: tuple[str, ...]) -> Rows:
    """The rows of these limits."""
    keep = np.array([name in names for name in rows.names], bool)
    kept = tuple(name for name in rows.names if name in names)
    return Rows(kept, rows.coefficient[keep], rows.lower[keep], rows.upper[keep], rows.penalty[keep])


def _refuted_set(hall: Hall, rows: Rows) -> tuple[str, ...]:
    """Limits that prices prove to conflict, and none too many; empty when there is no proof."""
    missing = hall.out_of_reach(rows)
    if missing.any():
        return (rows.names[int(missing.argmax())],)
    found = examine(hall, rows)
    return _irreducible(hall, rows, found.price) if found.verdict == "refuted" else ()


def _irreducible(hall: Hall, rows: Rows, price: Floats) -> tuple[str, ...]:
    """Of limits refuted by prices, a set that is refuted while every smaller one can be kept."""
    left = rows.names
    for share in _CUTS:
        weight = _weights(hall, rows, price)
        few = tuple(dict.fromkeys(n for n in rows.names if weight[n] >= share * max(weight.values())))
        mask = np.array([n in few for n in rows.names])
        if refutes(hall, only(rows, few), price[mask]):
            left, price = few, price[mask]
            break
    left = tuple(dict.fromkeys(left))
    weight = _weights(hall, only(rows, left), price)
    left = tuple(sorted(left, key=lambda n: weight[n]))
    while len(left) > 3 and _refuted(hall, rows, left[len(left) // 2 :]):
        left = left[len(left) // 2 :]
    for name in left:
        fewer = tuple(x for x in left if x != name)
        if fewer and _refuted(hall, rows, fewer):
            left = fewer
    return tuple(name for name in dict.fromkeys(rows.names) if name in left)


def _refuted(hall: Hall, rows: Rows, names: tuple[str, ...]) -> bool:
    part = only(rows, names)
    return examine(hall.touched_by(part), part).verdict == "refuted"


def _weights(hall: Hall, rows: Rows, price: Floats) -> dict[str, float]:
    """By limit, what its price charges a typical contact."""
    out = dict.fromkeys(rows.names, 0.0)
    for name, x in zip(rows.names, np.abs(price) / hall.units(rows), strict=True):
        out[name] = max(out[name], float(x))
    return out


def _to_the_nearest_whole(exact: Rows, rows: Rows, name: str) -> float:
    """How far a count's bounds, between which no whole number lies, are from the nearest one."""
    r = rows.names.index(name)
    return float(min(rows.lower[r] - exact.upper[r], exact.lower[r] - rows.upper[r]))


def _rounded_off(exact: Rows, rows: Rows, name: str) -> float:
    """By how much a limit's bound was moved inwards to a whole number: so much less has to give."""
    own = np.array([x == name for x in rows.names])
    inwards = [(rows.lower[own], exact.lower[own]), (exact.upper[own], rows.upper[own])]
    moved = [float(x - y) for left, right in inwards for x, y in zip(left, right, strict=True) if np.isfinite(x)]
    return min(moved) if own.sum() == 1 else 0.0


def _rounded_up(rows: Rows, name: str, breach: float) -> float:
    """A breach that leaves room for whole customers."""
    own = [r for r, x in enumerate(rows.names) if x == name]
    table = rows.coefficient[own]
    if not table[:, 1:].any() and bool((table == np.round(table)).all()):
        return float(np.ceil(breach * (1.0 + _ROUNDING) - 1e-3))
    return breach * _ROOM
