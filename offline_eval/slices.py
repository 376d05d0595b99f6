"""Where does a policy win? The same comparison in every segment, without being fooled by the number of segments."""

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from allot import ShapeError
from offline_eval.choosing import compare, fitted, weighted_successes
from offline_eval.estimate import Estimate, part
from offline_eval.log import Floats, Integers, Log, integers


@dataclass(frozen=True, slots=True, eq=False)
class Slice:
    """One segment.

    Args:
        segment: its code.
        rows: logged decisions.
        estimate: on its rows; the interval is one of all segments' that hold together in a share `level` of logs.
        chance: of so large a value if it were 0 in this segment; below 1 - level where the interval leaves 0 out.
        adjusted: the same, corrected for the number of segments looked at (Holm 1979); below .05 is a finding.
    """

    segment: int
    rows: int
    estimate: Estimate
    chance: float
    adjusted: float


def slices(
    first: Estimate, segment: Integers, log: Log, second: Estimate | None = None, *, level: float = 0.95
) -> tuple[Slice, ...]:
    """An estimate, or the paired difference of two, in every segment, with the interval that its rows call for.

    Segments have few successes where the whole has many. Normal intervals of 20 segments of some 60 successes, measured
    without any difference, had a finding in one log of ten instead of one of twenty; these have one in thirty.

    Args:
        first, second: estimates over the n rows of the log, not differences.
        segment: (n,) integers.
        log: what they come from.
        level: share of logs in which all intervals hold together.

    Raises:
        ShapeError: arrays do not fit together, or an estimate is a difference.
    """
    codes = integers("segment", segment, len(first.influence), "Number the segments.")
    names = np.unique(codes)
    together = 1 - (1 - level) / len(names)
    found = []
    for name in names:
        rows = codes == name
        one, own = part(first, rows).at(together), _rows(log, rows)
        if second is None:
            successes = weighted_successes(one.terms.weight, own) if one.terms else 0.0
            found.append(fitted(one, successes, own)[0])
        else:
            found.append(compare(one, part(second, rows).at(together), own)[0])
    chance = np.array([_chance(e) for e in found])
    return tuple(
        Slice(int(name), int((codes == name).sum()), e, float(p), float(q))
        for name, e, p, q in zip(names, found, chance, holm(chance), strict=True)
    )


def holm(chance: Floats) -> Floats:
    """Chance values corrected for their number: no true null falls below x but with chance x (Holm 1979).

    Raises:
        ShapeError: a value is not from 0 to 1.
    """
    if not ((chance >= 0) & (chance <= 1)).all():
        raise ShapeError("chance values lie from 0 to 1.", where="holm")
    order = np.argsort(chance, kind="stable")
    grown = np.maximum.accumulate(chance[order] * np.arange(len(chance), 0, -1))
    out = np.empty(len(chance))
    out[order] = np.minimum(grown, 1.0)
    return out


def _rows(log: Log, at: NDArray[np.bool_]) -> Log:
    """Some of a log's rows (n,) bool."""
    return Log(log.reward[at], log.action[at], log.propensity[at], None if log.cluster is None else log.cluster[at])


def _chance(e: Estimate) -> float:
    """Two-sided chance value of 0, by the error that the interval shows on that side; 1 where nothing is known."""
    reach = e.value - e.low if e.value > 0 else e.high - e.value
    if e.value == 0 or not np.isfinite(reach):
        return 1.0
    if reach == 0:
        return 0.0
    return 2 * NormalDist().cdf(-abs(e.value) / reach * NormalDist().inv_cdf(0.5 + e.level / 2))
