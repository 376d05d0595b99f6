"""Amounts instead of yes and no: a Gaussian likelihood for the same residual, exact in one step.

outcome ~ N(ℓ + ψ·w, s²/weight), and beliefs are of the mean amount, in the unit of the outcomes.
"""

from collections.abc import Iterable
from functools import partial
from typing import Any, TypeAlias

import numpy as np
from numba import njit
from numpy.typing import NDArray

from bandit.hierarchy import Group, Sites, moments
from bandit.laplace import Batch, Likelihood

Floats: TypeAlias = NDArray[np.float64]

_NOISE_ROWS = 1.0  # how many rows the first guess of the noise counts for


@njit(cache=True, nogil=True)
def _sums(basis: Any, slope: Any, residual: Any, weight: Any) -> Any:
    """Gram matrix Σ weight·ψψᵀ (d, d) and Σ weight·ψ·residual (d,), in the order of the rows."""
    p = basis.shape[1]
    d = p + 1
    gram = np.zeros((d, d))
    moment = np.zeros(d)
    x = np.empty(d)
    for r in range(basis.shape[0]):
        for i in range(p):
            x[i] = basis[r, i]
        x[p] = slope[r]
        for i in range(d):
            if x[i] != 0.0:
                scaled = weight[r] * x[i]
                moment[i] += scaled * residual[r]
                for j in range(i + 1):
                    gram[i, j] += scaled * x[j]
    for i in range(d):
        for j in range(i):
            gram[j, i] = gram[i, j]
    return gram, moment


def with_noise(noise_variance: float) -> Likelihood:
    """The likelihood of amounts whose variance around their mean is known: `mode` of the Gaussian case."""
    return partial(_mode, noise_variance)


def _mode(
    noise_variance: float,
    batch: Batch,
    mean: Floats,
    precision: Floats,
    start: Floats | None = None,  # noqa: ARG001 - what every Likelihood is given
) -> tuple[Floats, Floats]:
    """The posterior mean of w, and Σ weight·ψψᵀ/s²; it is found at once, whatever the start."""
    gram, moment = _sums(batch.basis, batch.slope, batch.outcome - batch.offset, batch.weight)
    curvature = gram / noise_variance
    w = np.linalg.solve(curvature + precision, moment / noise_variance + precision @ mean)
    return w, curvature


def unit_of(noise_variance: float) -> float:
    """What a logit is among amounts: the noise of a logit's own success has the sd π/√3."""
    return float(np.sqrt(3.0 * noise_variance)) / np.pi


def first_noise(batches: Iterable[Batch]) -> float:
    """Variance of the outcomes around the prior's amounts, before any residual; 1 where there is none."""
    square = rows = 0.0
    for batch in batches:
        square += float((batch.weight * (batch.outcome - batch.offset) ** 2).sum())
        rows += float(batch.weight.sum())
    return square / rows if square > 0.0 else 1.0


def noise_step(noise_variance: float, batches: list[Batch], group: Group, sites: Sites) -> float:
    """One step of expectation–maximisation on the noise: mean square of what the arms' weights leave unexplained.

    Args:
        noise_variance: s² with which the sites were made.
        batches: the rows of each arm, as in `sites`.
        group: the arms' hierarchy.
        sites: their evidence.
    """
    mean, covariance = moments(group, sites)
    square, rows = _NOISE_ROWS * noise_variance, _NOISE_ROWS
    for batch, w, v, j in zip(batches, mean, covariance, sites.precision, strict=True):
        explained = np.einsum("ri,i->r", batch.basis, w[:-1]) + batch.slope * w[-1]
        error = batch.outcome - batch.offset - explained
        square += float((batch.weight * error**2).sum()) + noise_variance * float((j * v).sum())
        rows += float(batch.weight.sum())
    return square / rows
