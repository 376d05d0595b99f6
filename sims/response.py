"""How customers respond to offers: a non-linear logit with effects of segment, numbers, pairs of numbers and trees."""

from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from sims.description import Taste
from sims.people import Customers, Floats, Ints

OWN_TREES: Final = 3
"""Trees of each offer; as many are shared by all."""

SPLITS: Final = 2
"""Thresholds of a tree, each of another number."""


@dataclass(frozen=True, slots=True)
class Trees:
    """T trees for each of k offers: which of its thresholds a customer exceeds picks one of 2^SPLITS leaves.

    Args:
        number: (k, T, SPLITS) indices of the numbers that are compared.
        threshold: (k, T, SPLITS) in standard deviations.
        leaf: (k, T, 2^SPLITS) what is added to the logit; 0 on average over the leaves.
    """

    number: Ints
    threshold: Floats
    leaf: Floats

    def logit(self, z: Floats) -> Floats:
        """(n, k) of standardised numbers z (n, d)."""
        out = np.zeros((len(z), len(self.leaf)))
        for a, t in np.ndindex(self.leaf.shape[:2]):
            above = z[:, self.number[a, t]] > self.threshold[a, t]
            out[:, a] += self.leaf[a, t][above @ (1 << np.arange(SPLITS))]
        return out


def draw_trees(r: np.random.Generator, offers: int, numbers: int, scale: float) -> Trees:
    """The offers' own trees, and half as strong ones that every offer has."""
    trees = 2 * OWN_TREES
    number = np.array([[r.choice(numbers, SPLITS, replace=False) for _ in range(trees)] for _ in range(offers)])
    threshold = 0.5 * r.normal(size=number.shape)
    leaf = r.normal(size=(offers, trees, 1 << SPLITS))
    leaf[:, OWN_TREES:] *= 0.5
    for part in (number, threshold, leaf):
        part[:, OWN_TREES:] = part[:1, OWN_TREES:]
    return Trees(number, threshold, scale * (leaf - leaf.mean(2, keepdims=True)))


@dataclass(frozen=True, slots=True)
class Response:
    """The coefficients of k offers over d numbers and S segments.

    Args:
        base: (k,) logits.
        segment_effect: (k, S).
        weight: (k, d) of the standardised numbers; `shared` (d,) is common to all offers.
        pair: (k, 3, 2) indices of two numbers: where the first exceeds `threshold` (k, 3), the second acts with
            `pair_weight` (k, 3) through a tanh.
        trees: thresholds of several numbers together; None = there are none.
    """

    base: Floats
    segment_effect: Floats
    weight: Floats
    pair: Ints
    pair_weight: Floats
    threshold: Floats
    shared: Floats
    trees: Trees | None = None

    def chance(self, customers: Customers) -> Floats:
        """True probability of success (n, k); logits are kept in [-6, -0.5]."""
        z = customers.standardised
        logit: Floats = self.base + self.segment_effect[:, customers.segment].T + z @ self.weight.T
        logit += (z @ self.shared)[:, None]
        number = np.ascontiguousarray(z.T)
        acting = np.tanh(number)
        for a, j in np.ndindex(self.threshold.shape):
            first, second = self.pair[a, j]
            above = number[first] > self.threshold[a, j]
            logit[:, a] += self.pair_weight[a, j] * (above * acting[second] * 1.5)
        if self.trees is not None:
            logit += self.trees.logit(z)
        return sigmoid(np.clip(logit, -6.0, -0.5))


def sigmoid(logit: Floats) -> Floats:
    """1 / (1 + exp(-logit))."""
    out: Floats = 1.0 / (1.0 + np.exp(-logit))
    return out


def draw_response(r: np.random.Generator, taste: Taste, offers: int, numbers: int, segments: int) -> Response:
    """Random coefficients; the order of the draws is frozen, so that a seed always means the same world."""
    weight = r.normal(size=(offers, numbers)) * (r.random((offers, numbers)) < 0.35) * 0.45 * taste.numbers
    base = taste.level + 0.5 * r.normal(size=offers)
    segment_effect = 0.6 * r.normal(size=(offers, segments)) * taste.segments
    pair = r.integers(2, numbers, size=(offers, 3, 2))
    pair_weight = r.normal(size=(offers, 3)) * 0.45 * taste.pairs
    threshold = r.normal(size=(offers, 3))
    shared = r.normal(size=numbers) * 0.2 * taste.shared
    return Response(base, segment_effect, weight, pair, pair_weight, threshold, shared)


def drifted(r: np.random.Generator, response: Response, size: float, segments: float) -> Response:
    """Half the offers become better or worse by `size`; three offers change which segments like them."""
    base, effect = response.base.copy(), response.segment_effect.copy()
    offers = len(base)
    moved = r.choice(offers, offers // 2, replace=False)
    base[moved] += r.choice([-size, size], len(moved))
    turned = r.choice(offers, min(3, offers), replace=False)
    effect[turned] = 0.6 * r.normal(size=(len(turned), effect.shape[1])) * segments
    return replace(response, base=base, segment_effect=effect)


def organic_chance(r: np.random.Generator, shared: Floats, segments: int, groups: list[Customers]) -> list[Floats]:
    """Chance of a success without any offer, (n,) for each group: the shared taste at a lower base, never above .18."""
    effect = 0.4 * r.normal(size=segments)
    own = 0.15 * r.normal(size=len(shared))
    logits = (-4.6 + effect[g.segment] + g.standardised @ (shared + own) for g in groups)
    return [sigmoid(np.clip(logit, -7.0, -1.5)) for logit in logits]
