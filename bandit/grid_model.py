"""A LightGBM model text as trees: what `compile_grid` reads, and which models are outside its domain."""

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from allot import DataError, ShapeError

Floats: TypeAlias = NDArray[np.float64]
Ints: TypeAlias = NDArray[np.int64]

LEAVES = 32
"""Most leaves of a tree: one bit each of a uint32."""

LEVELS = 1 << 16
"""Categories that a split names are below this."""

ZERO = float(np.float32(1e-35))
"""LightGBM's kZeroThreshold: inputs no farther from zero are zero before any tree sees them."""

NO_MISSING, ZERO_MISSING, NAN_MISSING = 0, 1, 2  # LightGBM's MissingType


@dataclass(frozen=True, slots=True, eq=False)
class Tree:
    """One tree of L leaves and L − 1 nodes; node 0 is the root.

    `leaf` (L,) values; `feature`, `left`, `right` (L − 1,); a child c < 0 is the leaf ~c. A node's `threshold` is its
    number, or NaN where categories decide: then those of `categories[node]` go left. `missing` (L − 1,) is LightGBM's
    type of what counts as missing, and `default_left` (L − 1,) where that goes.
    """

    leaf: Floats
    feature: Ints
    left: Ints
    right: Ints
    threshold: Floats
    missing: Ints
    default_left: NDArray[np.bool_]
    categories: dict[int, frozenset[int]]

    def goes_left(self, node: int, values: Floats) -> NDArray[np.bool_]:
        """Which of some float64 values of the node's feature go left: LightGBM's rule, word for word."""
        if node in self.categories:
            known = (values > -1) & (values < LEVELS)  # not so NaN
            whole = np.where(known, values, 0.0).astype(np.int64)  # towards zero: −0.5 belongs to 0
            return known & np.isin(whole, list(self.categories[node]))
        absent, zero = np.isnan(values), np.abs(values) <= ZERO
        kind = self.missing[node]
        missing = absent if kind == NAN_MISSING else (absent | zero) & (kind == ZERO_MISSING)
        below = np.where(absent | zero, 0.0, values) <= self.threshold[node]
        return np.asarray(np.where(missing, self.default_left[node], below), np.bool_)


@dataclass(frozen=True, slots=True, eq=False)
class Model:
    """The trees whose leaves add up to the raw score, the number of features, and whether leaves hold linear models."""

    features: int
    trees: tuple[Tree, ...]
    linear: bool

    def outside(self) -> str:
        """Why the factorised scorer does not take this model; empty where it does."""
        if self.linear:
            return "leaves hold linear models"
        if any(len(tree.leaf) > LEAVES for tree in self.trees):
            return f"a tree has more than {LEAVES} leaves"
        if any(max(s, default=0) >= LEVELS for tree in self.trees for s in tree.categories.values()):
            return f"a split names a category of {LEVELS} or more"
        if any(not np.isfinite(tree.leaf).all() for tree in self.trees):
            return "a leaf is not a finite number"
        return ""


def parse_model(text: str) -> Model:
    """Read LightGBM's model text.

    Raises:
        ShapeError: the model has several classes, and hence no one score for a pair.
        DataError: the text is not a whole model.
    """
    trees, end, _ = text.partition("\nend of trees")
    head, *blocks = trees.split("\nTree=")
    about = _fields(head)
    if not end or not {"num_tree_per_iteration", "max_feature_idx"} <= about.keys():
        raise DataError("A text is not a whole LightGBM model.", where="booster", remedy="Write it again.")
    if int(about["num_tree_per_iteration"]) != 1:
        raise ShapeError("A model of several classes has no one score for a pair.", where="booster")
    fields = [_fields(block) for block in blocks]
    linear = any(tree.get("is_linear", "0") != "0" for tree in fields)
    return Model(int(about["max_feature_idx"]) + 1, tuple(_tree(tree) for tree in fields), linear)


def _fields(block: str) -> dict[str, str]:
    return dict(line.split("=", 1) for line in block.splitlines() if "=" in line)


def _tree(fields: dict[str, str]) -> Tree:
    def column(name: str, kind: Any) -> NDArray[Any]:
        return np.array(fields.get(name, "").split(), np.float64).astype(kind)

    decision = column("decision_type", np.int64)
    threshold = column("threshold", np.float64)
    categories = {}
    if int(fields["num_cat"]) > 0:
        bounds = column("cat_boundaries", np.int64)
        words = np.array([int(word) for word in fields["cat_threshold"].split()], "<u4")
        for node in np.flatnonzero(decision & 1).tolist():
            which = int(threshold[node])
            bits = np.unpackbits(words[bounds[which] : bounds[which + 1]].view(np.uint8), bitorder="little")
            categories[node] = frozenset(np.flatnonzero(bits).tolist())
    return Tree(
        leaf=column("leaf_value", np.float64),
        feature=column("split_feature", np.int64),
        left=column("left_child", np.int64),
        right=column("right_child", np.int64),
        threshold=np.where(decision & 1, np.nan, threshold),
        missing=decision >> 2 & 3,
        default_left=(decision & 2) > 0,
        categories=categories,
    )
