"""Random LightGBM models, written out as text, and values that sit where their trees decide."""

from dataclasses import dataclass

import lightgbm
import numpy as np

ZERO = float(np.float32(1e-35))
NEAR_ZERO = [
    0.0,
    -0.0,
    5e-324,
    -1e-310,
    ZERO,
    -ZERO,
    np.nextafter(ZERO, 1),
    -np.nextafter(ZERO, 1),
    1e-36,
    2e-35,
    -2e-35,
]
FAR = [np.inf, -np.inf, np.nan, 1e300, -1e300]
ODD_CATEGORIES = [-0.5, -1.0, -7.0, 0.5, 1.999, 1e6, 2.0**31, 3e9, 65_535.0]


@dataclass(frozen=True)
class World:
    """What a random model is made of; features are `customer`, `offer` and `cross` ones, in this order."""

    customer: int
    offer: int
    cross: int
    trees: int
    leaves: int
    spread: float = 0.3
    numbers: int = 12  # different thresholds of a feature
    levels: int = 40

    @property
    def features(self) -> int:
        return self.customer + self.offer + self.cross


@dataclass(frozen=True)
class Feature:
    category: bool
    missing: int
    thresholds: np.ndarray
    sets: tuple[frozenset[int], ...]


def random_features(r: np.random.Generator, world: World) -> list[Feature]:
    made = []
    for _ in range(world.features):
        thresholds = np.concatenate([r.normal(size=world.numbers), r.choice(NEAR_ZERO, 2)])
        one = [frozenset(r.choice(world.levels, 1).tolist()) for _ in range(3)]
        many = [frozenset(r.choice(world.levels, 1 + r.integers(world.levels - 1)).tolist()) for _ in range(4)]
        made.append(Feature(bool(r.random() < 0.35), int(r.integers(3)), thresholds, (*one, *many)))
    return made


def _words(members: frozenset[int]) -> list[int]:
    words = [0] * (max(members) // 32 + 1)
    for member in members:
        words[member // 32] |= 1 << member % 32
    return words


def _tree_text(r: np.random.Generator, world: World, features: list[Feature], number: int) -> str:
    """A tree of random shape: now a chain, now bushy, now one leaf only."""
    leaves = int(r.integers(1, world.leaves + 1))
    chain = r.random() < 0.2
    left, right, parent = [], [], {0: None}
    feature, threshold, decision, boundaries, words = [], [], [], [0], []
    for node in range(leaves - 1):  # splits a leaf into itself and leaf node + 1
        leaf = node if chain else int(r.integers(node + 1))
        if parent[leaf] is not None:
            (left if parent[leaf][1] == 0 else right)[parent[leaf][0]] = node
        left.append(~leaf)
        right.append(~(node + 1))
        parent[leaf], parent[node + 1] = (node, 0), (node, 1)
        which = int(r.integers(world.features))
        about = features[which]
        feature.append(which)
        if about.category:
            members = about.sets[r.integers(len(about.sets))]
            threshold.append(len(boundaries) - 1)
            words += _words(members)
            boundaries.append(len(words))
            decision.append(1)
        else:
            threshold.append(float(r.choice(about.thresholds)))
            decision.append(about.missing << 2 | 2 * int(r.integers(2)))
    fields = {
        "num_leaves": [leaves],
        "num_cat": [len(boundaries) - 1],
        "split_feature": feature,
        "split_gain": [1] * (leaves - 1),
        "threshold": threshold,
        "decision_type": decision,
        "left_child": left,
        "right_child": right,
        "leaf_value": (world.spread * r.normal(size=leaves)).tolist(),
        "leaf_weight": [1] * leaves,
        "leaf_count": [1] * leaves,
        "internal_value": [0] * (leaves - 1),
        "internal_weight": [0] * (leaves - 1),
        "internal_count": [0] * (leaves - 1),
    }
    if words:
        fields |= {"cat_boundaries": boundaries, "cat_threshold": words}
    fields |= {"is_linear": [0], "shrinkage": [1]}
    lines = [f"{name}={' '.join(map(repr, values))}" for name, values in fields.items()]
    return "\n".join([f"Tree={number}", *lines, "", ""])


def random_model(r: np.random.Generator, world: World) -> tuple[lightgbm.Booster, list[Feature]]:
    features = random_features(r, world)
    head = {
        "version": "v4",
        "num_class": 1,
        "num_tree_per_iteration": 1,
        "label_index": 0,
        "max_feature_idx": world.features - 1,
        "objective": "binary sigmoid:1",
        "feature_names": " ".join(f"f{j}" for j in range(world.features)),
        "feature_infos": " ".join(["[-9:9]"] * world.features),
    }
    trees = "\n".join(_tree_text(r, world, features, number) for number in range(world.trees))
    text = "tree\n" + "\n".join(f"{k}={v}" for k, v in head.items()) + f"\n\n{trees}\nend of trees\n"
    return lightgbm.Booster(model_str=text), features


def random_values(r: np.random.Generator, features: list[Feature], rows: int) -> np.ndarray:
    """Rows of values on, just above and just below thresholds, in and out of sets, missing, tiny and huge."""
    columns = []
    for about in features:
        if about.category:
            usual = r.integers(0, 45, rows).astype(float)
            odd = r.choice([*ODD_CATEGORIES, *NEAR_ZERO, *FAR], rows)
        else:
            at = r.choice(about.thresholds, rows)
            usual = np.choose(r.integers(3, size=rows), [at, np.nextafter(at, np.inf), np.nextafter(at, -np.inf)])
            odd = np.where(r.random(rows) < 0.5, r.choice([*NEAR_ZERO, *FAR], rows), r.normal(size=rows))
        columns.append(np.where(r.random(rows) < 0.6, usual, odd))
    return np.column_stack(columns)


def native(booster: lightgbm.Booster, customers: np.ndarray, offers: np.ndarray, cross: np.ndarray) -> np.ndarray:
    """LightGBM's own raw scores (n, k), pair by pair."""
    n, k = cross.shape[:2]
    sides = (
        np.broadcast_to(customers[:, None, :], (n, k, customers.shape[1])),
        np.broadcast_to(offers, (n, *offers.shape)),
    )
    rows = np.concatenate([*(side.astype(np.float64) for side in sides), cross.astype(np.float64)], axis=2)
    scores = booster.predict(rows.reshape(n * k, -1), raw_score=True, num_threads=1)
    return np.asarray(scores).reshape(n, k)


def agrees(ours: np.ndarray, theirs: np.ndarray) -> bool:
    """The promise of `Grid.logits`."""
    return bool((np.abs(ours - theirs) <= 1e-6 + 2e-7 * np.abs(theirs)).all())
