"""Trees specialised to a catalogue: the leaves of each tree that are still possible once the offer is known.

Leaves are numbered from left to right, one bit each. A node that answers no clears the leaves to its left; the exit
leaf is the lowest bit that no node of the tree clears (Lucchese et al. 2015, QuickScorer). Clearing is an intersection,
so it may be done in any order and in parts: the offer's part here, once; the customer's once per customer and tree;
what belongs to the pair, for each pair. Offers with the same leaves left share the lookup.
"""

from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from bandit.grid_codes import Codebook, Coder, make_codebook
from bandit.grid_lanes import by_pattern
from bandit.grid_model import LEAVES, Model, Tree

Floats: TypeAlias = NDArray[np.float64]
Masks: TypeAlias = NDArray[np.uint32]

_EVERY = (1 << LEAVES) - 1
_MOST = 2**31 - 1
_ERROR_BITS = 20  # rounding the leaves to fixed point moves no score by more than 2^−21


class Nodes(NamedTuple):
    """Nodes as the kernel reads them: a question of a row of codes, and what stays possible when the answer is no."""

    row: NDArray[np.int64]
    first: NDArray[np.uint8]
    width: NDArray[np.uint8]
    keep: Masks


class Plan(NamedTuple):
    """A model specialised to k offers; t trees, g groups of offers with the same leaves left in a tree.

    `tree_nodes`, `tree_groups` (t + 1,): where the customer nodes and the groups of each tree start. `flush` (t,):
    the sums are emptied into wider ones after this tree. `values` (t · 32,) leaves in fixed point. `allowed` (g,);
    `group_offers`, `group_nodes` (g + 1,): where its `offers` and its pair nodes start. `offset` (k,), `unit`:
    score = offset + unit · sum. `wanted` (k, rows of the cross coder): whether any node asks.
    """

    customer: Coder
    cross: Coder
    customer_nodes: Nodes
    cross_nodes: Nodes
    tree_nodes: NDArray[np.int64]
    tree_groups: NDArray[np.int64]
    flush: NDArray[np.bool_]
    values: NDArray[np.int32]
    allowed: Masks
    group_offers: NDArray[np.int64]
    group_nodes: NDArray[np.int64]
    offers: NDArray[np.int64]
    wanted: NDArray[np.bool_]
    offset: Floats
    unit: float


@dataclass(frozen=True, slots=True)
class Sides:
    """Whose features are whose: the customer's come first, then the offer's, then the pair's."""

    n_customer: int
    n_offer: int

    def of(self, feature: int) -> str:
        """`"customer"`, `"offer"` or `"cross"`."""
        if feature < self.n_customer:
            return "customer"
        return "offer" if feature < self.n_customer + self.n_offer else "cross"


@dataclass(frozen=True, slots=True, eq=False)
class _Shape:
    """A tree's leaves from left to right, (first, end) of the leaves under each node, and per offer what is left."""

    leaves: list[int]
    spans: dict[int, tuple[int, int]]
    possible: Masks

    def under(self, node: int) -> int:
        """The bits of the leaves under a node, or of the leaf ~node."""
        first, end = self.spans[node]
        return (1 << end) - (1 << first)


def _shape(tree: Tree, offers: Floats, sides: Sides) -> _Shape:
    leaves: list[int] = []
    spans: dict[int, tuple[int, int]] = {}

    def walk(node: int) -> Masks:
        start = len(leaves)
        if node < 0:
            leaves.append(~node)
            possible = np.full(len(offers), 1 << start, np.uint32)
        else:
            left, right = walk(int(tree.left[node])), walk(int(tree.right[node]))
            feature = int(tree.feature[node])
            if sides.of(feature) == "offer":
                possible = np.where(tree.goes_left(node, offers[:, feature - sides.n_customer]), left, right)
            else:
                possible = left | right
        spans[node] = (start, len(leaves))
        return possible

    return _Shape(leaves, spans, walk(0 if len(tree.leaf) > 1 else -1))


def _scale(trees: int) -> float:
    return float(2.0 ** (_ERROR_BITS + max(trees - 1, 0).bit_length()))


def spread_too_far(model: Model) -> bool:
    """Whether leaves of one tree lie too far apart for 31 bits and the accuracy that is promised."""
    scale = _scale(len(model.trees))
    return any(np.ptp(tree.leaf / 2) * scale >= _MOST for tree in model.trees)


def make_plan(model: Model, offers: Floats, sides: Sides) -> Plan:
    """Specialise a model that is inside the domain to offers (k, n_offer)."""
    shapes = [_shape(tree, offers, sides) for tree in model.trees]
    live = [
        [n for n in range(len(tree.feature)) if sides.of(int(tree.feature[n])) != "offer" and _alive(shape, n)]
        for tree, shape in zip(model.trees, shapes, strict=True)
    ]
    mine: dict[str, list[tuple[Tree, int]]] = {"customer": [], "cross": []}
    for tree, nodes in zip(model.trees, live, strict=True):
        for node in nodes:
            mine[sides.of(int(tree.feature[node]))].append((tree, node))
    books = (
        make_codebook(mine["customer"], 0),
        make_codebook(mine["cross"], sides.n_customer + sides.n_offer),
    )
    builder = _Builder(books, sides, _scale(len(model.trees)), len(offers))
    for tree, shape, nodes in zip(model.trees, shapes, live, strict=True):
        builder.add(tree, shape, nodes)
    return builder.plan()


def _alive(shape: _Shape, node: int) -> bool:
    return bool((shape.possible & np.uint32(shape.under(node))).any())


class _Builder:
    """Tables as they grow, tree after tree."""

    def __init__(self, books: tuple[Codebook, Codebook], sides: Sides, scale: float, offers: int) -> None:
        self.customer, self.cross = books
        self.sides, self.scale = sides, scale
        self.offset = 0.0
        self.certain = np.zeros(offers, np.int64)  # leaves that the offer alone decides, in fixed point
        self.customer_nodes: list[tuple[int, int, int, int]] = []
        self.cross_nodes: list[tuple[int, int, int, int]] = []
        self.tree_nodes, self.tree_groups, self.group_offers, self.group_nodes = [0], [0], [0], [0]
        self.flush: list[bool] = []
        self.room = _MOST
        self.values: list[NDArray[np.int32]] = []
        self.allowed: list[int] = []
        self.offers: list[int] = []
        self.wanted = np.zeros((offers, len(self.cross.coder.start)), np.bool_)

    def add(self, tree: Tree, shape: _Shape, live: list[int]) -> None:
        """One more tree, whose `live` nodes are left."""
        middle = float(tree.leaf.min() / 2 + tree.leaf.max() / 2)
        fixed = np.rint((tree.leaf[shape.leaves] - middle) * self.scale).astype(np.int64)
        self.offset += middle
        groups = len(self.allowed)
        for possible in np.unique(shape.possible).tolist():
            offers = np.flatnonzero(shape.possible == possible)
            if possible.bit_count() == 1:
                self.certain[offers] += fixed[possible.bit_length() - 1]
            else:
                self._group(tree, shape, live, possible, offers)
        if len(self.allowed) == groups:
            return
        self.tree_groups.append(len(self.allowed))
        asked = [n for n in live if self.sides.of(int(tree.feature[n])) == "customer"]
        self.customer_nodes += [self._node(self.customer, tree, shape, n) for n in asked]
        self.tree_nodes.append(len(self.customer_nodes))
        self.values.append(by_pattern(fixed.astype(np.int32)))
        self._make_room(int(np.abs(fixed).max()))

    def _make_room(self, largest: int) -> None:
        """Sums of 32 bits hold the trees since the last flush."""
        if self.flush and largest > self.room:
            self.flush[-1] = True
            self.room = _MOST
        self.room -= largest
        self.flush.append(False)

    def _group(self, tree: Tree, shape: _Shape, live: list[int], possible: int, offers: NDArray[np.int64]) -> None:
        self.allowed.append(possible)
        self.offers += offers.tolist()
        self.group_offers.append(len(self.offers))
        asked = [n for n in live if self.sides.of(int(tree.feature[n])) == "cross" and shape.under(n) & possible]
        nodes = [self._node(self.cross, tree, shape, n) for n in asked]
        for row, *_ in nodes:
            self.wanted[offers, row] = True
        self.cross_nodes += nodes
        self.group_nodes.append(len(self.cross_nodes))

    def _node(self, book: Codebook, tree: Tree, shape: _Shape, node: int) -> tuple[int, int, int, int]:
        return (*book.question(tree, node), _EVERY & ~shape.under(int(tree.left[node])))

    def plan(self) -> Plan:
        """The finished tables."""
        if self.flush:
            self.flush[-1] = True
        return Plan(
            customer=self.customer.coder,
            cross=self.cross.coder,
            customer_nodes=_nodes(self.customer_nodes),
            cross_nodes=_nodes(self.cross_nodes),
            tree_nodes=np.array(self.tree_nodes, np.int64),
            tree_groups=np.array(self.tree_groups, np.int64),
            flush=np.array(self.flush, np.bool_),
            values=np.concatenate([np.zeros(0, np.int32), *self.values]),
            allowed=np.array(self.allowed, np.uint32),
            group_offers=np.array(self.group_offers, np.int64),
            group_nodes=np.array(self.group_nodes, np.int64),
            offers=np.array(self.offers, np.int64),
            wanted=self.wanted,
            offset=self.offset + self.certain / self.scale,
            unit=1.0 / self.scale,
        )


def _nodes(rows: list[tuple[int, int, int, int]]) -> Nodes:
    row, first, width, keep = np.array(rows, np.int64).reshape(-1, 4).T.copy()
    return Nodes(row, first.astype(np.uint8), width.astype(np.uint8), keep.astype(np.uint32))
