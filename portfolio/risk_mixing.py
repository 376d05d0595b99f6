"""A mixture of plans as one plan: each customer follows one of them, so that every part of the crowd follows all.

Where customers are many, what such a plan is worth, uses and risks is nearly what the mixture does.
"""

import numpy as np
from numpy.typing import NDArray

from portfolio.certificate import recount
from portfolio.limits import Problem, Rows
from portfolio.risk import Floats
from portfolio.risk_master import Column

_GOLDEN = (np.sqrt(5.0) - 1.0) / 2.0  # its multiples, modulo 1, fill every stretch evenly
_NOBODY = (0.0, 0.003, 0.01, 0.03)  # shares that get nothing, until the limits are kept


def mixed_plan(problem: Problem, rows: Rows, columns: list[Column], share: Floats) -> NDArray[np.int64] | None:
    """A plan (n, most) inside the limits that follows each column in its share of customers; None where none is found.

    Args:
        problem, rows: counts rounded inwards.
        columns: plans inside the limits.
        share: (c,) of each, summing to 1.
    """
    best = np.max(np.where(problem.eligible, problem.value, 0.0), axis=1, initial=0.0)
    alike = np.lexsort((best, columns[int(share.argmax())].choice[:, 0], problem.cell))
    place = np.empty(len(alike))
    place[alike] = (np.arange(len(alike)) + 0.5) * _GOLDEN % 1.0
    ends = np.cumsum(share)
    for nobody in _NOBODY:
        which = np.searchsorted(ends * (1.0 - nobody) / ends[-1], place, side="right")
        plan = np.full_like(columns[0].choice, -1)
        for at, column in enumerate(columns):
            plan[which == at] = column.choice[which == at]
        if recount(problem, rows, plan)[1]:
            return plan
    return None
