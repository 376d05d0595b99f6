"""Limits that leave no room for a random draw, and how much each would have to give so that there is some.

A random draw needs more than one plan inside the limits: it keeps headroom from each, and its share of exploration
serves none. Where whole plans conflict by relaxations r, prices of a proof are as 1 / r (Farkas); so headroom h of all
members makes each relaxation 1 + sum(h / r) times as large. Then policies are tried, up to some number of customers.
"""

from dataclasses import replace
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from allot import AllotError
from engine.exploration import even_policy
from engine.infeasible import Cure, Infeasible, applied, cures_of, unmoved
from engine.objective import Worth
from engine.policy import Setting, policy_of
from portfolio import (
    Conflict,
    Limit,
    Problem,
    Rows,
    Share,
    compile_rows,
    diagnose,
    initial_headroom,
    reach,
    ruled_out,
    too_narrow,
)

Floats: TypeAlias = NDArray[np.float64]

_TRIED_UP_TO = 4_000  # customers: every try is a whole policy, and a conflict of many limits has many cures
_TRIES = 8
_MARGIN = 0.002  # of a bound: at the very edge of what is possible, prices would be infinite
_SHARE_STEP = 0.01


def check_drawable(worth: Worth, problem: Problem, share: float) -> None:
    """Refuse limits that no plan at all can keep, with cures that leave room for a random draw.

    Raises:
        LimitError: with the conflicting limits and what would cure each.
    """
    conflict = diagnose(problem)
    if conflict is not None:
        raise _refused(worth, problem, share, conflict).error()


def no_room_for_draw(worth: Worth, problem: Problem, share: float) -> Infeasible | None:
    """What keeps a random draw from being possible; the cures leave the room that it needs.

    Args:
        worth: what the draw sees.
        problem: the same pairs with the limits.
        share: exploration share.
    """
    conflict = diagnose(problem)
    if conflict is not None:
        return _refused(worth, problem, share, conflict)
    inside = diagnose(narrowed(problem, share))
    if inside is None:
        return None
    limits = {limit.name: limit for limit in problem.limits}
    cures = []
    for name in inside.limits:
        start = unmoved(limits[name])[-1]  # of two bounds the minimum, which chance serves worst
        step = _SHARE_STEP if start.share else inside.relaxation[name]
        cures.append(_tried(worth, problem, share, start.further(step)))
    return Infeasible(inside.limits, tuple(cures), drawn=True)


def narrowed(problem: Problem, share: float) -> Problem:
    """The limits that the priced part of a random policy must keep: headroom off each bound, exploration taken out.

    Limits too narrow for a draw stay as they are: they are refused in words of their own. So do shares, from which
    exploration takes nothing and whose headroom is no share.
    """
    allowed, rows = _allowed(problem)
    headroom = initial_headroom(rows, allowed)
    narrow = {name for name, _ in too_narrow(rows, headroom, reach(rows, allowed))}
    taken = share * rows.consumption(even_policy(allowed, rows, share)[1]) if share > 0 else np.zeros(len(headroom))
    place = {name: r for r, name in enumerate(rows.names)}

    def moved(limit: Limit | Share) -> Limit | Share:
        if isinstance(limit, Share) or limit.report_only or limit.penalty is not None or limit.name in narrow:
            return limit
        r = place[limit.name]
        low, high = (
            None if bound is None else float((bound + side * headroom[r] - taken[r]) / (1.0 - share))
            for bound, side in ((limit.minimum, 1.0), (limit.maximum, -1.0))
        )
        return replace(limit, minimum=low, maximum=high) if low is None or high is None or low <= high else limit

    return replace(allowed, limits=tuple(moved(limit) for limit in problem.limits))


def _allowed(problem: Problem) -> tuple[Problem, Rows]:
    """The problem without the pairs that a maximum of 0 forbids, and its rows."""
    rows = compile_rows(problem.limits, problem.n_cells, problem.value.shape[1])
    return replace(problem, eligible=problem.eligible & ~ruled_out(problem, rows)), rows


def _refused(worth: Worth, problem: Problem, share: float, conflict: Conflict) -> Infeasible:
    """A conflict of whole plans, with cures that make room for a draw as well."""
    allowed, rows = _allowed(problem)
    cures = cures_of(problem, conflict)
    if not len(problem.value):
        return Infeasible(conflict.limits, cures)  # where there is nobody, nothing is drawn
    more = _for_headroom(rows, initial_headroom(rows, allowed), conflict, share)
    wider = (cure.further(cure.by * more) for cure in cures)
    return Infeasible(conflict.limits, tuple(_tried(worth, problem, share, cure) for cure in wider))


def _for_headroom(rows: Rows, headroom: Floats, conflict: Conflict, share: float) -> float:
    """By which part of itself each relaxation grows; exploration takes at most its share of a bound."""
    out = 0.0
    for name, relaxation in conflict.relaxation.items():
        own = [r for r, x in enumerate(rows.names) if x == name]
        bounds = np.abs([b for r in own for b in (rows.lower[r], rows.upper[r]) if np.isfinite(b)])
        need = headroom[own].max() + share * bounds.max(initial=0.0)
        out += float(need) / max(relaxation, 1e-9)
    return out


def _tried(worth: Worth, problem: Problem, share: float, cure: Cure) -> Cure:
    """The cure with as much more as a policy needs, found by trying where that is quick, else with a margin."""
    bound = abs(cure.to)
    step = _SHARE_STEP if cure.share else max(_MARGIN * bound, 1.0 if cure.measure == "count" else 0.01)
    if not cure.enough or len(problem.value) > _TRIED_UP_TO:
        return cure.further(step)
    more = 0.0
    for _ in range(_TRIES):
        wider = cure.further(more) if more else cure
        if _can_be_drawn(worth, applied(problem, wider), share):
            return wider
        more = 2.0 * more if more else step
    return cure.further(more)


def _can_be_drawn(worth: Worth, problem: Problem, share: float) -> bool:
    problem, rows = _allowed(problem)
    headroom = initial_headroom(rows, problem)
    if too_narrow(rows, headroom, reach(rows, problem)):
        return False
    try:
        policy_of(worth.scores, problem, Setting(share, headroom))
    except AllotError:  # LimitError: no prices; ConvergenceError: none that keep clear of the limits
        return False
    return True
