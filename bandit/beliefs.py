"""Gaussian weights of one line per arm, looked at by many customers: what each logit is believed to be."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from allot import ShapeError
from bandit.posterior_kernels import TILE, beliefs_of, in_strips

Floats: TypeAlias = NDArray[np.float64]
Singles: TypeAlias = NDArray[np.float32]

_BLOCK = 32 * TILE  # customers per task; fixed, so that the number of threads changes no bit


@dataclass(frozen=True, slots=True, eq=False)
class Beliefs:
    """Posterior `mean` and `sd` of the logit, or of the mean amount, each (n, K) float32."""

    mean: Singles
    sd: Singles


def same(basis: Singles) -> Singles:
    """The basis as it is."""
    return basis


@dataclass(frozen=True, slots=True, eq=False)
class Lines:
    """What turns customers into beliefs: logit ℓ(x, a) + ψ·w_a with ψ = [seen(x), ℓ − centre] and w_a Gaussian.

    `weight` (K, d) means of the weights; `factor` upper triangular in strips, FFᵀ their covariance: the sd of ψ·w is
    |ψF|; `seen` gives a customer's d − 1 columns from the basis.
    """

    weight: Singles
    factor: Singles
    centre: float
    seen: Callable[[Singles], Singles] = same

    def beliefs(self, basis: Singles, logit: NDArray[Any], *, threads: int = 2) -> Beliefs:
        """Mean and sd for each customer and arm.

        Args:
            basis: (n, p) float32, what `seen` takes.
            logit: (n, K) prior logits, or the amounts that the prior expects.
            threads: the bits do not depend on it.

        Raises:
            ShapeError: the arrays do not fit the weights.
        """
        arms, d = self.weight.shape
        n = len(basis)
        base = np.ascontiguousarray(basis, np.float32)
        prior = np.ascontiguousarray(logit, np.float32)
        out = Beliefs(np.empty((n, arms), np.float32), np.empty((n, arms), np.float32))
        centre = np.float32(self.centre)

        def block(first: int) -> None:
            rows = slice(first, first + _BLOCK)
            seen = self.seen(base[rows])
            if seen.shape[1:] != (d - 1,) or logit.shape != (n, arms):
                raise ShapeError(
                    f"A basis {basis.shape} and logits {logit.shape} do not fit {arms} arms, {d - 1} columns."
                )
            beliefs_of(seen, prior[rows], centre, self.weight, self.factor, out.mean[rows], out.sd[rows])

        if n <= _BLOCK:  # one customer at a time should not pay for a pool
            block(0)
            return out
        with ThreadPoolExecutor(max(1, threads)) as pool:
            list(pool.map(block, range(0, n, _BLOCK)))
        return out


def factor_of_precision(precision: Floats) -> Singles:
    """The `factor` of `Lines` for weights of these precisions (K, d, d)."""
    lower = np.tril(np.linalg.inv(np.linalg.cholesky(precision)))
    return in_strips(lower.transpose(0, 2, 1))


def factor_of_covariance(covariance: Floats) -> Singles:
    """The `factor` of `Lines` for weights of these covariances (K, d, d): Cholesky's, read from the last column on."""
    lower = np.linalg.cholesky(covariance[:, ::-1, ::-1])
    return in_strips(lower[:, ::-1, ::-1])
