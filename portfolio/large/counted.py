"""Whole numbers by counting: how many customers of each kind take which option, as one small integer program.

Where values tie, customers of a kind are one column with a number, so that thousands of them may change at once; where
they do not, the program sees those nearest to indifference.
"""

import numpy as np
from numpy.typing import NDArray

from portfolio.dual import Floats
from portfolio.large.linear import Columns, Kinds, Room
from portfolio.large.undecided import Undecided
from portfolio.limits import Rows

_ROOM = 1e-9  # HiGHS keeps rows to within a share like this: bounds are moved inwards by as much


def nearest(few: Undecided, alike: Kinds, order: NDArray[np.int64], most: int) -> NDArray[np.int64]:
    """Positions (s,) of customers, whole kinds of them, in the order of the first of each kind; few options together.

    Args:
        few: the undecided, and which of them are alike.
        order: (s,) their positions, the most willing first.
        most: options of the kinds taken.
    """
    _, first = np.unique(alike.kind[order], return_index=True)
    by_turn = alike.kind[order][np.sort(first)]
    options = np.cumsum(np.diff(few.first)[alike.one[by_turn]])
    taken = np.zeros(alike.count, bool)
    taken[by_turn[options <= most]] = True
    return np.nonzero(taken[alike.kind])[0]


def solve_counted(
    some: Undecided, alike: Kinds, rows: Rows, fixed: Floats, goal: float, nodes: int
) -> NDArray[np.int64] | None:
    """Positions (s,) in `some.offer` of what each customer takes, everybody else fixed.

    Args:
        some: the customers and their options, and which of them are alike.
        rows: the limits.
        fixed: (3, g, k) what everybody else uses.
        goal: currency units by which the answer may be worse than the best one.
        nodes: of the search, at most.

    Returns:
        None when nothing inside the limits was found.
    """
    from scipy.optimize import Bounds, LinearConstraint, milp

    columns = Columns.of(some, alike, rows)
    room = Room.of(rows, rows.penalty, fixed)
    matrix, bound = columns.limits(room)
    width, elastic = matrix.shape[1], np.isfinite(room.box)
    fine, free = np.where(elastic, room.box, 0.0) * columns.size, np.where(elastic, np.inf, 0.0)
    counted = np.arange(width) < len(columns.value)
    worth = float(np.abs(columns.value).sum() * alike.many.sum() / max(len(columns.value), 1))
    answer = milp(
        np.concatenate((-columns.value, fine)),
        integrality=counted.astype(np.int64),
        bounds=Bounds(0.0, np.concatenate((np.full(len(columns.value), np.inf), free))),
        constraints=[
            LinearConstraint(matrix, -np.inf, bound - _ROOM * np.abs(bound)),
            LinearConstraint(columns.whose(width), alike.many, alike.many),
        ],
        options={"node_limit": nodes, "mip_rel_gap": goal / max(worth, 1e-300)},
    )
    if answer.x is None:
        return None
    share = columns.handed_out(some, alike, np.rint(answer.x[counted]))
    owner = some.owner()
    at = np.zeros(len(some.customer), np.int64)
    at[owner[share > 0.5]] = np.nonzero(share > 0.5)[0]
    return at
