"""Means and sds of linear forms in Gaussian weights, for many customers and all arms.

Customers run along the inner loops, so that every sum has a fixed order and still fills the vector units.
"""

from typing import Any

import numpy as np
from numba import njit

TILE = 128


@njit(cache=True, nogil=True)
def _arm(tile: Any, size: Any, weight: Any, factor: Any, mean: Any, square: Any, part: Any) -> None:
    """Add ψ·w to `mean`, and set `square` to |Fψ|², F lower triangular, for one arm and one tile (d, TILE)."""
    d = len(weight)
    for r in range(size):
        square[r] = np.float32(0.0)
    for i in range(d):
        w = weight[i]
        for r in range(size):
            mean[r] += w * tile[i, r]
    for j in range(d):
        for r in range(size):
            part[r] = factor[j, 0] * tile[0, r]
        i = 1
        while i + 3 <= j:
            a, b, c, e = factor[j, i], factor[j, i + 1], factor[j, i + 2], factor[j, i + 3]
            for r in range(size):
                part[r] += (a * tile[i, r] + b * tile[i + 1, r]) + (c * tile[i + 2, r] + e * tile[i + 3, r])
            i += 4
        while i <= j:
            a = factor[j, i]
            for r in range(size):
                part[r] += a * tile[i, r]
            i += 1
        for r in range(size):
            square[r] += part[r] * part[r]


@njit(cache=True, nogil=True)
def beliefs_of(basis: Any, logit: Any, centre: Any, weight: Any, factor: Any, out_mean: Any, out_sd: Any) -> None:
    """Beliefs of one block: basis (n, p), logit (n, K), weight (K, d), factor (K, d, d), out (n, K), all float32."""
    n, p = basis.shape
    tile = np.empty((p + 1, TILE), np.float32)
    mean = np.empty(TILE, np.float32)
    square = np.empty(TILE, np.float32)
    part = np.empty(TILE, np.float32)
    for first in range(0, n, TILE):
        size = min(TILE, n - first)
        for r in range(size):
            for i in range(p):
                tile[i, r] = basis[first + r, i]
        for a in range(logit.shape[1]):
            for r in range(size):
                mean[r] = logit[first + r, a]
                tile[p, r] = mean[r] - centre
            _arm(tile, size, weight[a], factor[a], mean, square, part)
            for r in range(size):
                out_mean[first + r, a] = mean[r]
                out_sd[first + r, a] = np.sqrt(square[r])
