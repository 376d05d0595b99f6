"""Greedy repair: what everybody does to a plan that breaks its limits, and what the draw is measured against."""

import numpy as np
from engine_calibration import Choices, Floats

from portfolio import Problem, Rows, use_of

_ROUNDS = 60
_SLACK = 1e-9


def mended(problem: Problem, rows: Rows, plan: Choices, net: Floats) -> Choices:
    """The plan with as little worth given up as greed finds, until no limit is broken or nothing helps.

    Row by row, the worst broken first: of the customers whose change helps the row, those who lose least by it change,
    each to the best option that breaks no other row further.

    Args:
        problem: n customers, k offers.
        rows: its limits, m rows.
        plan: (n,) option numbers, k = no offer.
        net: (n, k + 1) what each option brings; -inf where impossible.

    Returns:
        (n,) offer numbers, -1 = no offer.
    """
    k = problem.value.shape[1]
    choice = plan.copy()
    size = np.maximum(np.abs(np.where(np.isfinite(rows.upper), rows.upper, rows.lower)), 1.0)
    stuck = np.zeros(len(size), bool)
    for _ in range(_ROUNDS):
        level = rows.consumption(use_of(problem, np.where(choice == k, -1, choice)))
        breach = np.where(stuck, 0.0, np.maximum(level - rows.upper, rows.lower - level) / size)
        row = int(breach.argmax())
        if breach[row] <= _SLACK:
            break
        stuck[row] = not _mend(problem, rows, row, choice, level, net)
        if not stuck[row]:
            stuck[:] = False
    return np.where(choice == k, -1, choice)


def _mend(problem: Problem, rows: Rows, row: int, choice: Choices, level: Floats, net: Floats) -> bool:
    """Change choices in place until one row holds; False when no change helps it."""
    over = level[row] > rows.upper[row]
    takes = _takes(problem, rows, row)
    who = np.arange(len(choice))
    helps = takes < takes[who, choice][:, None] if over else takes > takes[who, choice][:, None]
    loss = np.where(helps & np.isfinite(net), net[who, choice][:, None] - net, np.inf)
    moved = False
    for i in np.argsort(loss.min(1), kind="stable"):
        if not np.isfinite(loss[i].min()) or rows.lower[row] <= level[row] <= rows.upper[row]:
            break
        for option in np.argsort(loss[i], kind="stable")[: np.isfinite(loss[i]).sum()]:
            after = level + _effect(problem, rows, i, option) - _effect(problem, rows, i, choice[i])
            worse = np.maximum(after - rows.upper, rows.lower - after)
            if (worse <= np.maximum(np.maximum(level - rows.upper, rows.lower - level), 0.0) + _SLACK).all():
                choice[i], level, moved = option, after, True
                break
    return moved


def _takes(problem: Problem, rows: Rows, row: int) -> Floats:
    """(n, k + 1) what each option takes of a row."""
    c = rows.coefficient[row][:, problem.cell]
    return np.column_stack([c[0] + c[1] * problem.cost + c[2] * problem.value, np.zeros(len(problem.cell))])


def _effect(problem: Problem, rows: Rows, i: int, option: int) -> Floats:
    """(m,) what one customer's option takes of every row."""
    if option == problem.value.shape[1]:
        return np.zeros(len(rows.names))
    c = rows.coefficient[:, :, problem.cell[i], option]
    return c @ np.array([1.0, float(problem.cost[i, option]), float(problem.value[i, option])])
