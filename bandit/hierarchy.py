"""How alike are the offers? Arms of a group share a Gaussian of residual weights, learnt from the arms themselves.

w_a ~ N(μ, diag σ²), σ² pooled over the columns of a block, fitted by expectation–maximisation over Gaussian sites
(Laplace approximations of each arm's likelihood: precision J, shift h; exact where outcomes are Gaussian).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from bandit.basis import INTERCEPT, NUMERICS, SEGMENTS, SLOPE
from bandit.laplace import Batch, Likelihood, mode

Floats: TypeAlias = NDArray[np.float64]

FOURIER = 4
"""Block of the waves that stand beside the basis (`bandit.fourier`)."""

_INITIAL_SD = {INTERCEPT: 0.5, SEGMENTS: 0.3, NUMERICS: 0.3, SLOPE: 0.25, FOURIER: 0.1}
_INITIAL_COLD_INTERCEPT_SD = 1.0
_LAPLACE_ROUNDS = 3
_STEPS_PER_ROUND = 6
_LOG_STRENGTH = 1.0  # ν, in arms: how much the initial variances weigh against the log
_MEAN_WIDTH = 4.0  # μ ~ N(0, (4·sd₀)²)


@dataclass(frozen=True, slots=True, eq=False)
class Group:
    """What the arms of a group have in common: `mean` μ (d,) and `variance` σ² (d,) of their weights."""

    mean: Floats
    variance: Floats


@dataclass(frozen=True, slots=True, eq=False)
class Anchor:
    """The hyperprior: μ ~ N(`mean`, diag `mean_variance`); σ² is `variance`, seen on `strength` arms."""

    mean: Floats
    mean_variance: Floats
    variance: Floats
    strength: float


@dataclass(frozen=True, slots=True, eq=False)
class Sites:
    """Each arm's evidence without the prior: `precision` J (A, d, d) and `shift` h (A, d).

    `lift` and `width` (A, d) are what is known beforehand of single arms: their weights are N(μ + lift, width·σ²).
    """

    precision: Floats
    shift: Floats
    lift: Floats | float = 0.0
    width: Floats | float = 1.0


def initial(block: NDArray[np.int64], *, cold: bool, unit: float = 1.0) -> Group:
    """The group before any log: mean 0 and the initial scales; a new offer's level is the least known.

    Scales are in units of `unit`, but for the slope's, which has none.
    """
    sd = np.array([_INITIAL_SD[int(b)] for b in block])
    if cold:
        sd[block == INTERCEPT] = _INITIAL_COLD_INTERCEPT_SD
    sd[block != SLOPE] *= unit
    return Group(np.zeros(len(block)), sd**2)


def moments(group: Group, sites: Sites) -> tuple[Floats, Floats]:
    """Posterior means (A, d) and covariances (A, d, d) of the arms' weights."""
    variance = np.broadcast_to(sites.width * group.variance, sites.shift.shape)
    eye = np.eye(len(group.variance))
    covariance: Floats = np.asarray(np.linalg.inv(eye * (1.0 / variance)[:, None, :] + sites.precision), np.float64)
    mean: Floats = np.einsum("aij,aj->ai", covariance, sites.shift + (group.mean + sites.lift) / variance)
    return mean, covariance


def em_step(group: Group, anchor: Anchor, sites: Sites, block: NDArray[np.int64]) -> Group:
    """One step of expectation–maximisation on μ and σ², with the sites as they are.

    Without arms, the step leads back to the anchor.
    """
    arms, width = len(sites.shift), np.broadcast_to(sites.width, sites.shift.shape)
    weight, covariance = moments(group, sites)
    weight = weight - sites.lift
    mean_variance = 1.0 / ((1.0 / width).sum(0) / group.variance + 1.0 / anchor.mean_variance)
    mean = mean_variance * ((weight / width).sum(0) / group.variance + anchor.mean / anchor.mean_variance)
    square = (np.einsum("aii->ai", covariance) + (weight - mean) ** 2 + mean_variance) / width
    variance = np.empty_like(mean)
    for b in np.unique(block):
        columns = block == b
        evidence = square[:, columns].mean(1).sum()
        prior = anchor.strength * anchor.variance[columns].mean()
        variance[columns] = (prior + evidence) / (anchor.strength + arms)
    return Group(mean, variance)


def site(
    batch: Batch, group: Group, start: Floats | None = None, *, likelihood: Likelihood = mode
) -> tuple[Floats, Floats, Floats]:
    """One arm's rows as a Gaussian site (J (d, d), h (d,)), and the mode (d,) it was taken at."""
    precision = np.diag(1.0 / group.variance)
    w, curvature = likelihood(batch, group.mean, precision, start)
    return curvature, (curvature + precision) @ w - precision @ group.mean, w


def fit_group(
    batches: Sequence[Batch], block: NDArray[np.int64], start: Group, *, likelihood: Likelihood = mode
) -> tuple[Group, Sites]:
    """Learn a group from its arms' logged rows.

    Args:
        batches: the rows of each arm; logits in them are cross-fitted, or the slope would learn that the prior is
            better than it is.
        block: (d,) block of each column.
        start: the initial scales.
        likelihood: of the outcomes.

    Returns:
        the group, and the arms' sites.
    """
    d = len(block)
    if not batches:
        return start, Sites(np.zeros((0, d, d)), np.zeros((0, d)))
    anchor = Anchor(start.mean, _MEAN_WIDTH**2 * start.variance, start.variance, _LOG_STRENGTH)
    group = start
    modes: list[Floats | None] = [None] * len(batches)
    for _ in range(_LAPLACE_ROUNDS):
        found = [site(batch, group, at, likelihood=likelihood) for batch, at in zip(batches, modes, strict=True)]
        modes = [w for _, _, w in found]
        sites = Sites(np.stack([j for j, _, _ in found]), np.stack([h for _, h, _ in found]))
        for _step in range(_STEPS_PER_ROUND):
            group = em_step(group, anchor, sites, block)
    return group, sites
