"""Whole numbers by counting: how many customers of each kind take which option, as one small integer program.

Where values tie, customers of a kind are one column with a number, so that thousands of them may change at once; where
they do not, the program sees those nearest to indifference.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from portfolio.dual import Floats
from portfolio.large.linear import Columns, Kinds, Room
from portfolio.large.undecided import Undecided
from portfolio.limits import Rows

_ROOM = 1e-9  # HiGHS keeps rows to within a share like this: bounds are moved inwards by as much


@dataclass(frozen=True, slots=True)
class Program:
    """Columns (w,) from 0 to `upper` at a cost each, and sparse rows (r, w) between `low` and `high` (r,)."""

    cost: Floats
    upper: Floats
    matrix: Any
    low: Floats
    high: Floats


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


def _safe(columns: Columns, room: Room, elastic: NDArray[np.bool_], bound: Floats) -> Floats:
    """Bounds (r,) of `Columns.limits` that HiGHS' tolerance cannot carry a plan past.

    Sums of whole numbers are bounded half-way to the next one, others a little inwards.
    """
    effect = columns.effect.toarray() * columns.size[:, None]
    whole = ~elastic & (np.abs(effect - np.rint(effect)).max(1, initial=0.0) <= _ROOM)
    row = np.concatenate([r for _, r, _ in room.sides()])
    exact = (np.floor(bound * columns.size[row] + 1e-6) + 0.5) / columns.size[row]
    return np.where(whole[row], exact, bound - _ROOM * np.abs(bound))


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
    from scipy import sparse

    columns = Columns.of(some, alike, rows)
    room = Room.of(rows, rows.penalty, fixed)
    matrix, bound = columns.limits(room)
    width, elastic = matrix.shape[1], np.isfinite(room.box)
    fine, free = np.where(elastic, room.box, 0.0) * columns.size, np.where(elastic, np.inf, 0.0)
    worth = float(np.abs(columns.value).sum() * alike.many.sum() / max(len(columns.value), 1))
    program = Program(
        np.concatenate((-columns.value, fine)),
        np.concatenate((np.full(len(columns.value), np.inf), free)),
        sparse.vstack((matrix, columns.whose(width))),
        np.concatenate((np.full(len(bound), -np.inf), alike.many)),
        np.concatenate((_safe(columns, room, elastic, bound), alike.many)),
    )
    found = _cheapest(program, len(columns.value), nodes, goal / max(worth, 1e-300))
    if found is None:
        return None
    share = columns.handed_out(some, alike, np.rint(found[: len(columns.value)]))
    owner = some.owner()
    at = np.zeros(len(some.customer), np.int64)
    at[owner[share > 0.5]] = np.nonzero(share > 0.5)[0]
    return at


def _cheapest(program: Program, whole: int, nodes: int, gap: float) -> Floats | None:
    """Columns (w,) within a relative gap of the cheapest, the first `whole` of them whole numbers; None if none found.

    By highspy: the HiGHS 1.12 inside scipy 1.17 writes to the terminal whenever it repairs a plan.
    """
    import highspy  # type: ignore[import-untyped]
    from scipy import sparse

    matrix = sparse.csc_matrix(program.matrix)
    model = highspy.HighsLp()
    model.num_row_, model.num_col_ = matrix.shape
    model.col_cost_, model.col_lower_, model.col_upper_ = program.cost, np.zeros(model.num_col_), program.upper
    model.row_lower_, model.row_upper_ = program.low, program.high
    model.a_matrix_.format_ = highspy.MatrixFormat.kColwise
    model.a_matrix_.start_, model.a_matrix_.index_ = matrix.indptr, matrix.indices
    model.a_matrix_.value_ = matrix.data
    kinds = (highspy.HighsVarType.kContinuous, highspy.HighsVarType.kInteger)
    model.integrality_ = [kinds[j < whole] for j in range(model.num_col_)]
    solver = highspy.Highs()
    options = {"output_flag": False, "threads": 1, "mip_max_nodes": nodes, "mip_rel_gap": gap}
    for name, setting in options.items():
        solver.setOptionValue(name, setting)
    solver.passModel(model)
    solver.run()
    found = solver.getInfo().primal_solution_status == highspy.SolutionStatus.kSolutionStatusFeasible
    return np.array(solver.getSolution().col_value) if found else None
