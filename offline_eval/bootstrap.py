"""Intervals by drawing customers again: the same numbers for the same seed on any machine."""

from typing import Any, Final

import numpy as np
from numba import njit

from allot import ShapeError
from allot.uniform_kernels import mix
from allot.uniforms import stream
from offline_eval.estimate import Estimate, by_cluster
from offline_eval.log import Floats

REPLICATES: Final = 1_000
_GOLDEN: Final = np.uint64(0x9E3779B97F4A7C15)
_ANY_ORDER: Final = {"reassoc", "contract", "nsz"}

# A customer counts Poisson(1) times. A draw is one of 65,536 numbers, and these are the ones at which the count steps
# up: mean exactly 1, variance .99997.
_STEPS: Final = tuple(np.uint16(65_536 - above) for above in (41_427, 17_317, 5_263, 1_244, 240, 39, 5, 1))
_S0, _S1, _S2, _S3, _S4, _S5, _S6, _S7 = _STEPS


@njit(cache=True, nogil=True, fastmath=_ANY_ORDER, error_model="numpy")
def _resample(seed: Any, totals: Any, out: Any) -> None:
    """Sums of totals (m, p) over Poisson counts of the m customers, (p, replicates) out; replicates divide by 4."""
    replicates = out.shape[1]
    words = np.empty(replicates // 4, np.uint64)
    draws = words.view(np.uint16)
    count = np.empty(replicates)
    for c in range(len(totals)):
        start = mix(seed + np.uint64(c) * _GOLDEN)
        for b in range(len(words)):
            words[b] = mix(start + np.uint64(b) * _GOLDEN)
        for r in range(replicates):
            u = draws[r]
            low = np.int32(u >= _S0) + np.int32(u >= _S1) + np.int32(u >= _S2) + np.int32(u >= _S3)
            high = np.int32(u >= _S4) + np.int32(u >= _S5) + np.int32(u >= _S6) + np.int32(u >= _S7)
            count[r] = low + high
        for p in range(totals.shape[1]):
            total = totals[c, p]
            for r in range(replicates):
                out[p, r] += count[r] * total


def replicates(of: Estimate, *, seed: int, count: int = REPLICATES) -> Floats:
    """The value of an estimate on customers drawn again and again (Efron 1979; Poisson counts: Chamandy et al. 2012).

    Rows of one customer are drawn together. Self-normalised estimators are normalised anew in every replicate; a
    difference is drawn by its influence values.

    Args:
        of: an estimate over n rows.
        seed: another one gives other draws; the draws depend on the customers' numbers, not on the order of rows.
        count: how many replicates.

    Returns:
        (count,) values; NaN where a replicate drew no weight.

    Raises:
        ShapeError: fewer than one replicate.
    """
    if count < 1:
        raise ShapeError(f"{count} replicates are none.", where="bootstrap", remedy="1,000 is usual.")
    rows = np.ones_like(of.influence)
    if of.terms is None:
        parts = (np.zeros_like(rows), of.value + of.influence, rows, rows)
    else:
        parts = (of.terms.base, of.terms.numerator, of.terms.denominator, rows)
    totals = np.column_stack([by_cluster(p, of.cluster) for p in parts])
    sums = np.zeros((4, -(-count // 4) * 4))
    _resample(stream(seed, "offline_eval", "bootstrap"), totals, sums)
    base, numerator, denominator, drawn = sums[:, :count]
    with np.errstate(invalid="ignore", divide="ignore"):
        values: Floats = base / drawn + numerator / denominator
    return values


def percentiles(of: Estimate, level: float, *, seed: int, count: int = REPLICATES) -> tuple[float, float]:
    """The middle `level` of the replicates; the whole line for fewer than two customers or a value that is NaN."""
    if not np.isfinite(of.std_error):
        return -np.inf, np.inf
    values = replicates(of, seed=seed, count=count)
    low, high = np.nanquantile(values, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
