"""Features as one byte each: how many of the model's own thresholds lie below the value.

A row of codes belongs to a feature and to what counts as missing in it, with at most 254 thresholds, or to one set of
categories. Every node then asks the same question of one row: is `code − first`, as a byte, at most `width`?
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numba import njit
from numpy.typing import NDArray

from bandit.grid_lanes import count_below
from bandit.grid_model import NO_MISSING, ZERO, ZERO_MISSING, Tree

Floats: TypeAlias = NDArray[np.float64]

_MISSING = 255  # code of what goes the default way
_MOST = _MISSING - 1  # thresholds of one row


class Coder(NamedTuple):
    """What the encoding kernel reads: c columns that any node asks for, and r rows of codes, column after column.

    `column` (c,) of the matrix, its rows from `rows` (c + 1,). A numeric row has its pivots, every eighth threshold, in
    `thresholds` from `start` to `end`, filled up with +inf to a multiple of four; from `end` on follow all of its
    thresholds, ascending, and at least one +inf, a multiple of eight. A set of categories has −1 − start and −1 − end
    of its bytes of `sets`: 0 = goes left, the last stands for all categories above. `absent` and `zero` (r,) are the
    codes of NaN and of zero.
    """

    column: NDArray[np.int64]
    rows: NDArray[np.int64]
    start: NDArray[np.int64]
    end: NDArray[np.int64]
    absent: NDArray[np.uint8]
    zero: NDArray[np.uint8]
    thresholds: Floats
    sets: NDArray[np.uint8]


class Question(NamedTuple):
    """A node's question: does it hold for a code of this row that `code − first`, as a byte, is at most `width`?"""

    row: int
    first: int
    width: int


@dataclass(frozen=True, slots=True, eq=False)
class Codebook:
    """Which rows there are, and the coder that fills them."""

    coder: Coder
    numbers: dict[tuple[int, int], tuple[int, Floats]]
    """(feature, kind of missing) -> its first row, and its thresholds in ascending order."""
    sets: dict[tuple[int, frozenset[int]], int]

    def question(self, tree: Tree, node: int) -> Question:
        """The question of a node: yes is left."""
        feature = int(tree.feature[node])
        if node in tree.categories:
            return Question(self.sets[feature, tree.categories[node]], 0, 0)
        kind = int(tree.missing[node])
        row, thresholds = self.numbers[feature, kind]
        place, below = divmod(int(np.searchsorted(thresholds, tree.threshold[node])), _MOST)
        if kind != NO_MISSING and tree.default_left[node]:
            return Question(row + place, _MISSING, below + 1)  # 255, then 0 … below
        return Question(row + place, 0, below)


def make_codebook(nodes: Iterable[tuple[Tree, int]], first_column: int) -> Codebook:
    """The rows that some nodes need, of a matrix whose column 0 is the model's feature `first_column`."""
    found: dict[tuple[int, int], set[float]] = {}
    sets: dict[tuple[int, frozenset[int]], None] = {}
    for tree, node in nodes:
        feature = int(tree.feature[node])
        if node in tree.categories:
            sets[feature, tree.categories[node]] = None
        else:
            found.setdefault((feature, int(tree.missing[node])), set()).add(float(tree.threshold[node]))
    coder = _Rows(first_column)
    numbers, places = {}, {}
    for feature in sorted({key[0] for key in (*found, *sets)}):
        coder.open(feature)
        for key in sorted(key for key in found if key[0] == feature):
            thresholds = np.array(sorted(found[key]))
            numbers[key] = (len(coder.start), thresholds)
            for start in range(0, len(thresholds), _MOST):
                coder.add_numbers(key[1], thresholds[start : start + _MOST])
        for members in (members for owner, members in sets if owner == feature):
            places[feature, members] = len(coder.start)
            coder.add_set(members)
    return Codebook(coder.finish(), numbers, places)


class _Rows:
    """Rows of codes as they are collected."""

    def __init__(self, first_column: int) -> None:
        self.first_column = first_column
        self.column: list[int] = []
        self.rows: list[int] = []
        self.start: list[int] = []
        self.end: list[int] = []
        self.special: list[tuple[int, int]] = []  # codes of NaN and of zero
        self.thresholds: list[float] = []
        self.sets: list[int] = []

    def open(self, feature: int) -> None:
        """The following rows are of this feature."""
        self.column.append(feature - self.first_column)
        self.rows.append(len(self.start))

    def add_numbers(self, kind: int, thresholds: Floats) -> None:
        zero = int(np.searchsorted(thresholds, 0.0))
        absent = zero if kind == NO_MISSING else _MISSING
        self.special.append((absent, _MISSING if kind == ZERO_MISSING else zero))
        eights = len(thresholds) // 8 + 1
        padded = np.full(8 * eights, np.inf)  # at least the last one is above everything
        padded[: len(thresholds)] = thresholds
        pivots = np.full((eights + 2) // 4 * 4, np.inf)
        pivots[: eights - 1] = padded[7:-1:8]
        self.start.append(len(self.thresholds))
        self.end.append(len(self.thresholds) + len(pivots))
        self.thresholds += [*pivots, *padded]

    def add_set(self, members: frozenset[int]) -> None:
        self.special.append((1, 0 if 0 in members else 1))
        self.start.append(-1 - len(self.sets))
        self.sets += [0 if level in members else 1 for level in range(max(members, default=0) + 2)]
        self.end.append(-1 - len(self.sets))

    def finish(self) -> Coder:
        absent, zero = np.array(self.special, np.uint8).reshape(-1, 2).T.copy()
        return Coder(
            np.array(self.column, np.int64),
            np.array([*self.rows, len(self.start)], np.int64),
            np.array(self.start, np.int64),
            np.array(self.end, np.int64),
            absent,
            zero,
            np.array(self.thresholds, np.float64),
            np.array(self.sets, np.uint8),
        )


@njit(cache=True, nogil=True)
def _count_pivots(values: Any, thresholds: Any, start: Any, end: Any, below: Any) -> None:
    """How many of some pivots, a multiple of four, lie below each value."""
    below[:] = 0
    for at in range(start, end, 4):
        a, b, c, d = thresholds[at], thresholds[at + 1], thresholds[at + 2], thresholds[at + 3]
        for i in range(len(values)):
            v = values[i]
            below[i] += np.int64(a < v) + np.int64(b < v) + np.int64(c < v) + np.int64(d < v)


@njit(cache=True, nogil=True)
def encode(matrix: Any, block: Any, shift: Any, coder: Any, wanted: Any, base: Any, codes: Any) -> None:
    """Code some customers, or their pairs with one offer.

    Args:
        matrix: (n, columns) float32 or float64; comparisons are in float64.
        block: (first, count) of the customers.
        shift: added to the coder's columns.
        coder: how to code.
        wanted: (r,) bool, the rows to fill.
        base: added to the coder's rows.
        codes: (rows, ≥ count) uint8, written.
    """
    first, count = block
    thresholds, sets = coder.thresholds, coder.sets
    values, below = np.empty(count), np.empty(count, np.int64)
    for column in range(len(coder.column)):
        at = coder.column[column] + shift
        for i in range(count):
            values[i] = matrix[first + i, at]
        for i in range(count):
            values[i] = 0.0 if abs(values[i]) <= ZERO else values[i]
        for row in range(coder.rows[column], coder.rows[column + 1]):
            if not wanted[row]:
                continue
            start, end, absent, zero = coder.start[row], coder.end[row], coder.absent[row], coder.zero[row]
            if start < 0:
                start, last = -1 - start, start - end - 1
                for i in range(count):
                    v = values[i]  # towards zero: a fraction belongs to the category below it, and −0.5 to 0
                    level = min(np.int64(v), last) if -1.0 < v < 1e9 else last
                    codes[base + row, i] = sets[np.uint64(start + level)]
                continue
            _count_pivots(values, thresholds, start, end, below)
            for i in range(count):
                at = 8 * below[i]
                codes[base + row, i] = np.uint8(at + count_below(thresholds, end + at, values[i]))
            for i in range(count):
                v, code = values[i], codes[base + row, i]
                code = zero if v == 0.0 else code
                codes[base + row, i] = absent if np.isnan(v) else code
