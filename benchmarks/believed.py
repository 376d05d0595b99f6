"""Made-up posteriors, and their choice probabilities by another way than the product's."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, log_ndtr

from bandit import Posterior
from bandit.relatives import no_relatives

Floats = NDArray[np.floating[Any]]

REACH = 8.5  # standard deviations within which an offer's logit is looked for
NODES = 20  # of each panel; twice as many change no probability by 1e-12


@dataclass(frozen=True, slots=True)
class Believed:
    """Random posteriors: mean and sd (n, k) of logits, margin (k,), price (n, k), eligible (n, k)."""

    mean: NDArray[np.float32]
    sd: NDArray[np.float32]
    margin: NDArray[np.float64]
    price: NDArray[np.float32]
    eligible: NDArray[np.bool_]


def even(n: int, k: int, *, seed: int = 0) -> Believed:
    """Every offer is eligible and earns the same: nearly all have a chance with everybody."""
    r = np.random.default_rng(seed)
    mean, sd = r.normal(-2.5, 0.8, (n, k)).astype(np.float32), r.lognormal(-1.3, 0.5, (n, k)).astype(np.float32)
    return Believed(mean, sd, np.ones(k), r.uniform(0, 0.05, (n, k)).astype(np.float32), np.ones((n, k), np.bool_))


def uneven(n: int, k: int, *, seed: int = 0) -> Believed:
    """Margins of 20 to 200, prices of 0 to 8, seven tenths of the pairs eligible."""
    r = np.random.default_rng(seed)
    mean, sd = r.normal(-2.5, 0.8, (n, k)).astype(np.float32), r.lognormal(-1.3, 0.5, (n, k)).astype(np.float32)
    return Believed(mean, sd, r.uniform(20, 200, k), r.uniform(0, 8, (n, k)).astype(np.float32), r.random((n, k)) < 0.7)


def alike(n: int, k: int, *, seed: int = 0) -> Believed:
    """Offers that earn the same and are believed to be nearly the same, some very surely: peaks in one place."""
    r = np.random.default_rng(seed)
    mean = (r.normal(-2.5, 0.8, (n, 1)) + r.normal(0, 0.02, (n, k))).astype(np.float32)
    sd = r.lognormal(-4.0, 2.0, (n, k)).clip(1e-4, 2.0).astype(np.float32)
    return Believed(mean, sd, np.full(k, 50.0), np.zeros((n, k), np.float32), np.ones((n, k), np.bool_))


def referee(who: Believed, i: int, *, nodes: int = NODES) -> Floats:
    """(k,) one customer's probabilities, integrated over the score itself: no dropped offers, no certificate.

    Every offer puts edges of panels one standard deviation apart, or one logit where that is less. So nobody's normal
    and nobody's sigmoid bends much inside a panel, however many offers look alike and however sure each is, and Gauss
    and Legendre's rule is exact on it to the last digits.
    """
    at = np.flatnonzero(who.eligible[i])
    mean, sd = who.mean[i, at].astype(np.float64), who.sd[i, at].astype(np.float64)
    margin, shift = who.margin[at], -who.price[i, at].astype(np.float64)
    out = np.zeros(who.mean.shape[1])
    low = (shift + margin * expit(mean - REACH * sd)).max(initial=0.0)
    high = (shift + margin * expit(mean + REACH * sd)).max(initial=0.0)
    if high <= low:
        return out
    count = 1 + np.ceil(2 * REACH * np.maximum(sd, 1.0)).astype(np.int64)
    steps = [np.linspace(-REACH, REACH, c) for c in count]
    scores = [shift[a] + margin[a] * expit(mean[a] + step * sd[a]) for a, step in enumerate(steps)]
    edges = np.unique(np.clip(np.concatenate(scores), low, high))
    place, weights = np.polynomial.legendre.leggauss(nodes)
    half = 0.5 * np.diff(edges)[:, None]
    score = (edges[:-1, None] + half * (1 + place)).ravel()[:, None]
    won, lost = score - shift, shift + margin - score
    inside = (won > 0) & (lost > 0)
    won, lost = np.where(inside, won, 1.0), np.where(inside, lost, 1.0)
    z = np.where(inside, (np.log(won / lost) - mean) / sd, np.where(score > shift, 40.0, -40.0))
    below = log_ndtr(z)
    density = np.where(inside, np.exp(-0.5 * z * z) / np.sqrt(2 * np.pi) * margin / (sd * won * lost), 0.0)
    others = np.exp(below.sum(1, keepdims=True) - below)
    out[at] = ((half * weights).ravel()[:, None] * density * others).sum(0)
    return out


def posterior(arms: int, d: int, *, seed: int = 0) -> Posterior:
    """A state with evidence of a thousand rows per arm."""
    r = np.random.default_rng(seed)
    rows = r.normal(size=(arms, 1_000, d))
    group = np.full((2, d), 0.1)
    zero = np.zeros((2, d))
    return Posterior(
        precision=0.1 * np.einsum("ari,arj->aij", rows, rows),
        shift=r.normal(size=(arms, d)),
        cold=np.arange(arms) % 5 == 4,
        mean=zero,
        variance=group,
        anchor_mean=zero,
        anchor_variance=group,
        block=np.zeros(d, np.int64),
        centre=-2.0,
        count=np.full(arms, 1_000.0),
        discount=0.95,
        window=None,
        lift=np.zeros((arms, d)),
        width=np.ones((arms, d)),
        relatives=no_relatives(group[1]),
    )
