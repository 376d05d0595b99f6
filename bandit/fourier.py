"""Curves for a model of straight lines: random Fourier features (Rahimi & Recht 2007) beside the basis."""

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numba import njit
from numpy.typing import NDArray

from allot import ShapeError

Singles: TypeAlias = NDArray[np.float32]

_WIDTH = 0.5  # of the kernel, in median distances between two customers of the log
_PAIRS = 400  # customers whose distances are looked at


@njit(cache=True, nogil=True)
def _extended(basis: Any, direction: Any, phase: Any, centre: Any, out: Any) -> None:
    """Copy `basis` (n, p) into `out` (n, p + R), and √2·cos(basis·direction + phase) − centre behind it."""
    n, p = basis.shape
    for r in range(n):
        for i in range(p):
            out[r, i] = basis[r, i]
        for j in range(len(phase)):
            angle = phase[j]
            for i in range(1, p):  # the first column is 1 for everybody
                angle += basis[r, i] * direction[j, i]
            out[r, p + j] = np.float32(np.sqrt(2.0)) * np.cos(angle) - centre[j]


@dataclass(frozen=True, slots=True, eq=False)
class Fourier:
    """R waves over the customer's basis of p columns: `direction` (R, p), `phase` and `centre` (R,), float32.

    Products of them approximate a Gaussian kernel; `centre` is each wave's mean over the log.
    """

    direction: Singles
    phase: Singles
    centre: Singles

    def __call__(self, basis: Singles) -> Singles:
        """The basis (n, p) with the waves behind it: (n, p + R) float32, a customer's bits whoever else there is.

        Raises:
            ShapeError: the basis does not have the columns of the log's.
        """
        waves, p = self.direction.shape
        if basis.ndim != 2 or basis.shape[1] != p:
            raise ShapeError(f"A basis of shape {basis.shape} does not have the {p} columns of the waves.")
        out = np.empty((len(basis), p + waves), np.float32)
        _extended(np.ascontiguousarray(basis, np.float32), self.direction, self.phase, self.centre, out)
        return out


def fit_fourier(basis: Singles, *, seed: int, waves: int = 60) -> Fourier:
    """Draw waves whose length fits the log's customers.

    Args:
        basis: (r, p) of the log, the first column 1; with fewer than two different customers the length is 1.
        seed: of the drawing.
        waves: R.
    """
    rows, p = basis.shape
    r = np.random.default_rng(seed)
    one, other = (basis[r.integers(0, max(rows, 1), _PAIRS if rows else 0)].astype(np.float64) for _ in range(2))
    distance = np.sqrt(((one - other) ** 2).sum(1))
    length = _WIDTH * float(np.median(distance)) if (distance > 0).any() else 1.0
    direction = (r.normal(size=(waves, p)) / (length or 1.0)).astype(np.float32)
    phase = r.uniform(0, 2 * np.pi, waves).astype(np.float32)
    raw = Fourier(direction, phase, np.zeros(waves, np.float32))
    centre = raw(basis)[:, p:].mean(0, dtype=np.float64) if rows else np.zeros(waves)
    return Fourier(direction, phase, centre.astype(np.float32))
