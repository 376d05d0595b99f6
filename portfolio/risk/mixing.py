"""A mixture of plans as one plan: each customer follows one of them, so that every part of the crowd follows all.

Where customers are many, what such a plan is worth, uses and risks is nearly what the mixture does.
"""

import numpy as np
from numpy.typing import NDArray

from portfolio.certificate import recount
from portfolio.limits import Problem, Rows
from portfolio.risk.master import Column
from portfolio.risk.terms import Floats, Risk

_GOLDEN = (np.sqrt(5.0) - 1.0) / 2.0  # its multiples, modulo 1, fill every stretch evenly
_CALM = (0.0, 0.001, 0.003, 0.01, 0.03, 0.1)  # shares more that follow the plan of least risk


def mixed_plans(
    problem: Problem, rows: Rows, risk: Risk, columns: list[Column], share: Floats, cap: float
) -> list[NDArray[np.int64]]:
    """Plans (n, most) inside the limits that follow each column in its share of customers.

    Args:
        problem, rows, risk: counts rounded inwards.
        columns: plans inside the limits.
        share: (c,) of each, summing to 1.
        cap: what the sd should be.

    Returns:
        the plan nearest to the mixture, and where its sd is above the cap, the nearest one that is not.
    """
    best = np.max(np.where(problem.eligible, problem.value, 0.0), axis=1, initial=0.0)
    alike = np.lexsort((best, columns[int(share.argmax())].choice[:, 0], problem.cell))
    place = np.empty(len(alike))
    place[alike] = (np.arange(len(alike)) + 0.5) * _GOLDEN % 1.0
    calmest = np.arange(len(columns)) == int(np.argmin([c.sd for c in columns]))
    found: list[NDArray[np.int64]] = []
    for more in _CALM:
        ends = np.cumsum((1.0 - more) * share / share.sum() + more * calmest)
        which = np.minimum(np.searchsorted(ends, place, side="right"), len(columns) - 1)
        plan = np.full_like(columns[0].choice, -1)
        for at, column in enumerate(columns):
            plan[which == at] = column.choice[which == at]
        if recount(problem, rows, plan)[1]:
            calm = risk.deviation(risk.exposures(plan)) <= cap
            if calm or not found:
                found.append(plan)
            if calm:
                break
    return found
