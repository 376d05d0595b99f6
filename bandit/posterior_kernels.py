"""Means and sds of linear forms in Gaussian weights, for many customers and all arms.

The sd of ψ·w is |ψF|, F upper triangular. F comes in strips of `STRIP` columns (see `in_strips`). Sums run over the
columns of ψ, in one order: for many customers at a time, or for a few one by one and for a strip at a time. So the
vector units are full either way, and a customer's bits do not depend on the company.
"""

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

TILE = 128
STRIP = 32
_FEW = 5  # customers for whom a tile takes longer than one after the other


def in_strips(factor: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
    """Upper triangular (K, d, d) as the kernels read it: (K, strips, rows, STRIP), filled up with 0.

    Rows are the first and as many fours as hold the others, since sums run over four of them at a time.
    """
    arms, d, _ = factor.shape
    strips, rows = -(-d // STRIP), 1 + 4 * -(-(d - 1) // 4)
    out = np.zeros((arms, rows, strips * STRIP), np.float32)
    out[:, :d, :d] = factor
    return np.ascontiguousarray(out.reshape(arms, rows, strips, STRIP).transpose(0, 2, 1, 3))


@njit(cache=True, nogil=True)
def _arm(tile: Any, size: Any, weight: Any, factor: Any, mean: Any, square: Any, part: Any) -> None:
    """Add ψ·w to `mean`, and set `square` to |ψF|², for one arm and one tile (d, TILE)."""
    d = len(weight)
    for r in range(size):
        square[r] = np.float32(0.0)
    for i in range(d):
        w = weight[i]
        for r in range(size):
            mean[r] += w * tile[i, r]
    for j in range(d):
        column = factor[j // STRIP, :, j % STRIP]
        for r in range(size):
            part[r] = column[0] * tile[0, r]
        i = 1
        while i + 3 <= j:
            a, b, c, e = column[i], column[i + 1], column[i + 2], column[i + 3]
            for r in range(size):
                part[r] += (a * tile[i, r] + b * tile[i + 1, r]) + (c * tile[i + 2, r] + e * tile[i + 3, r])
            i += 4
        while i <= j:
            a = column[i]
            for r in range(size):
                part[r] += a * tile[i, r]
            i += 1
        for r in range(size):
            square[r] += part[r] * part[r]


@njit(cache=True, nogil=True)
def _arm_of_one(psi: Any, weight: Any, factor: Any, mean: Any, part: Any) -> Any:
    """`mean` plus ψ·w, and |ψF|², of one customer, ψ with zeros behind: the sums of `_arm` in its order, by strips."""
    d = len(weight)
    square = np.float32(0.0)
    for i in range(d):
        mean += weight[i] * psi[i]
    for s in range(len(factor)):
        strip, first = factor[s], s * STRIP
        last = min(first + STRIP, d)
        for r in range(STRIP):
            part[r] = strip[0, r] * psi[0]
        for i in range(1, last, 4):
            p, q, u, v = psi[i], psi[i + 1], psi[i + 2], psi[i + 3]
            one, two, three, four = strip[i], strip[i + 1], strip[i + 2], strip[i + 3]
            whole = i + 3 - first  # columns before it end within these four rows
            for r in range(STRIP):
                a, b, c, e = one[r] * p, two[r] * q, three[r] * u, four[r] * v
                together = part[r] + ((a + b) + (c + e))
                in_turn = ((part[r] + a) + b) + c
                part[r] = together if r >= whole else in_turn
        for r in range(last - first):
            square += part[r] * part[r]
    return mean, square


@njit(cache=True, nogil=True)
def beliefs_of(basis: Any, logit: Any, centre: Any, weight: Any, factor: Any, out_mean: Any, out_sd: Any) -> None:
    """Beliefs of one block: basis (n, p), logit (n, K), weight (K, d), factor `in_strips`, out (n, K), all float32."""
    n, p = basis.shape
    arms = logit.shape[1]
    tile, psi = np.empty((p + 1, TILE), np.float32), np.zeros(p + 5, np.float32)
    # three arrays, not rows of one: the compiler fills the vector units only where arrays cannot overlap
    mean, square, part = np.empty(TILE, np.float32), np.empty(TILE, np.float32), np.empty(TILE, np.float32)
    few = n % TILE if n % TILE < _FEW else 0
    for first in range(0, n - few, TILE):
        size = min(TILE, n - first)
        for r in range(size):
            for i in range(p):
                tile[i, r] = basis[first + r, i]
        for a in range(arms):
            for r in range(size):
                mean[r] = logit[first + r, a]
                tile[p, r] = mean[r] - centre
            _arm(tile, size, weight[a], factor[a], mean, square, part)
            for r in range(size):
                out_mean[first + r, a] = mean[r]
                out_sd[first + r, a] = np.sqrt(square[r])
    for r in range(n - few, n):
        psi[:p] = basis[r]
        for a in range(arms):
            psi[p] = logit[r, a] - centre
            out_mean[r, a], total = _arm_of_one(psi, weight[a], factor[a], logit[r, a], part)
            out_sd[r, a] = np.sqrt(total)
