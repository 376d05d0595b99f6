"""How customers respond to offers: a non-linear logit with effects of segment, numbers and pairs of numbers."""

from dataclasses import dataclass, replace

import numpy as np

from sims.people import Customers, Floats, Ints


@dataclass(frozen=True, slots=True)
class Response:
    """The coefficients of k offers over d numbers and S segments.

    Args:
        base: (k,) logits.
        segment_effect: (k, S).
        weight: (k, d) of the standardised numbers; `shared` (d,) is common to all offers.
        pair: (k, 3, 2) indices of two numbers: where the first exceeds `threshold` (k, 3), the second acts with
            `pair_weight` (k, 3) through a tanh.
    """

    base: Floats
    segment_effect: Floats
    weight: Floats
    pair: Ints
    pair_weight: Floats
    threshold: Floats
    shared: Floats

    def chance(self, customers: Customers) -> Floats:
        """True probability of success (n, k); logits are kept in [-6, -0.5]."""
        z = customers.standardised
        logit: Floats = self.base + self.segment_effect[:, customers.segment].T + z @ self.weight.T
        logit += (z @ self.shared)[:, None]
        for a, j in np.ndindex(self.threshold.shape):
            first, second = self.pair[a, j]
            above = z[:, first] > self.threshold[a, j]
            logit[:, a] += self.pair_weight[a, j] * (above * np.tanh(z[:, second]) * 1.5)
        return sigmoid(np.clip(logit, -6.0, -0.5))


def sigmoid(logit: Floats) -> Floats:
    """1 / (1 + exp(-logit))."""
    out: Floats = 1.0 / (1.0 + np.exp(-logit))
    return out


def draw_response(r: np.random.Generator, offers: int, numbers: int, segments: int) -> Response:
    """Random coefficients; the order of the draws is frozen, so that a seed always means the same world."""
    weight = r.normal(size=(offers, numbers)) * (r.random((offers, numbers)) < 0.35) * 0.45
    base = -3.4 + 0.5 * r.normal(size=offers)
    segment_effect = 0.6 * r.normal(size=(offers, segments))
    pair = r.integers(2, numbers, size=(offers, 3, 2))
    pair_weight = r.normal(size=(offers, 3)) * 0.45
    threshold = r.normal(size=(offers, 3))
    return Response(base, segment_effect, weight, pair, pair_weight, threshold, r.normal(size=numbers) * 0.2)


def drifted(r: np.random.Generator, response: Response) -> Response:
    """Half the offers become better or worse by 0.9; three offers change which segments like them."""
    offers, segments = response.segment_effect.shape
    base, effect = response.base.copy(), response.segment_effect.copy()
    moved = r.choice(offers, offers // 2, replace=False)
    base[moved] += r.choice([-0.9, 0.9], len(moved))
    turned = r.choice(offers, 3, replace=False)
    effect[turned] = 0.6 * r.normal(size=(3, segments))
    return replace(response, base=base, segment_effect=effect)


def organic_chance(r: np.random.Generator, shared: Floats, segments: int, groups: list[Customers]) -> list[Floats]:
    """Chance of a success without any offer, (n,) for each group: the shared taste at a lower base, never above .18."""
    effect = 0.4 * r.normal(size=segments)
    own = 0.15 * r.normal(size=len(shared))
    logits = (-4.6 + effect[g.segment] + g.standardised @ (shared + own) for g in groups)
    return [sigmoid(np.clip(logit, -7.0, -1.5)) for logit in logits]
