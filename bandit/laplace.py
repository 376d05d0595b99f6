"""A logistic likelihood seen from a Gaussian prior: its mode, and the curvature there.

Sums run over the rows in the order given, in float64, so that the same rows in the same order give the same bits.
"""

from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import numpy as np
from numba import njit
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float64]

_STEPS = 40
_HALVINGS = 30
_STEP_TOLERANCE = 1e-8


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Rows of one arm, each counted `weight` times; outcome ~ Bernoulli(sigmoid(z)), z = offset + [basis, slope]·w.

    `basis` (r, p) float32; `slope`, `offset`, `outcome`, `weight` (r,) float64. The weights w are (p + 1,).
    """

    basis: NDArray[np.float32]
    slope: Floats
    offset: Floats
    outcome: Floats
    weight: Floats


class Likelihood(Protocol):
    """What rows say of w, seen from w ~ N(mean, precision⁻¹): the mode (d,), and the curvature (d, d) there."""

    def __call__(
        self, batch: Batch, mean: Floats, precision: Floats, start: Floats | None = None
    ) -> tuple[Floats, Floats]:
        """As `mode`, which is the one of outcomes 0 and 1."""
        ...


@njit(cache=True, nogil=True)
def _loss(basis: Any, slope: Any, offset: Any, outcome: Any, weight: Any, w: Any) -> Any:
    """Minus the weighted log likelihood."""
    p = basis.shape[1]
    total = 0.0
    for r in range(basis.shape[0]):
        z = offset[r] + slope[r] * w[p]
        for i in range(p):
            z += basis[r, i] * w[i]
        total += weight[r] * (max(z, 0.0) + np.log1p(np.exp(-abs(z))) - outcome[r] * z)
    return total


@njit(cache=True, nogil=True)
def _derivatives(basis: Any, slope: Any, offset: Any, outcome: Any, weight: Any, w: Any) -> Any:
    """Gradient (d,) and Hessian (d, d) of `_loss`. Entries that are zero, as most of a one-hot's are, cost nothing."""
    p = basis.shape[1]
    d = p + 1
    gradient = np.zeros(d)
    hessian = np.zeros((d, d))
    x = np.empty(d)
    for r in range(basis.shape[0]):
        for i in range(p):
            x[i] = basis[r, i]
        x[p] = slope[r]
        z = offset[r]
        for i in range(d):
            z += x[i] * w[i]
        chance = 1.0 / (1.0 + np.exp(-min(max(z, -700.0), 700.0)))
        error = weight[r] * (chance - outcome[r])
        curve = weight[r] * chance * (1.0 - chance)
        for i in range(d):
            if x[i] != 0.0:
                gradient[i] += error * x[i]
                scaled = curve * x[i]
                for j in range(i + 1):
                    hessian[i, j] += scaled * x[j]
    for i in range(d):
        for j in range(i):
            hessian[j, i] = hessian[i, j]
    return gradient, hessian


def mode(batch: Batch, mean: Floats, precision: Floats, start: Floats | None = None) -> tuple[Floats, Floats]:
    """The maximum a posteriori of w under w ~ N(mean, precision⁻¹), and the likelihood's curvature there.

    Newton's method with step halving: full steps overshoot on nearly separable rows and never come back.

    Args:
        batch: the rows.
        mean: (d,) of the prior.
        precision: (d, d) of the prior, positive definite.
        start: (d,) where to start; the prior's mean if None.

    Returns:
        w (d,), and Σ weight·p(1 − p)·ψψᵀ (d, d).
    """
    rows = (batch.basis, batch.slope, batch.offset, batch.outcome, batch.weight)

    def objective(w: Floats) -> float:
        return float(_loss(*rows, w) + 0.5 * (w - mean) @ precision @ (w - mean))

    w = np.array(mean if start is None else start, np.float64)
    height = objective(w)
    for _ in range(_STEPS):
        gradient, hessian = _derivatives(*rows, w)
        step = np.linalg.solve(hessian + precision, gradient + precision @ (w - mean))
        moved = False
        for _half in range(_HALVINGS):
            lower = objective(w - step)
            if lower <= height:
                w, height, moved = w - step, lower, True
                break
            step *= 0.5
        if not moved or np.abs(step).max() < _STEP_TOLERANCE:
            break
    return w, _derivatives(*rows, w)[1]
