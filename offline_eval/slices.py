"""Where does a policy win? The same comparison in every segment, without being fooled by the number of segments."""

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from allot import ShapeError
from offline_eval.estimate import Estimate, difference, part
from offline_eval.log import Floats, Integers, integers


@dataclass(frozen=True, slots=True, eq=False)
class Slice:
    """One segment.

    Args:
        segment: its code.
        rows: logged decisions.
        estimate: on its rows; the interval is one of all segments' that hold together in a share `level` of logs.
        chance: of so large a value if it were 0 in this segment.
        adjusted: the same, corrected for the number of segments looked at (Holm 1979); below .05 is a finding.
    """

    segment: int
    rows: int
    estimate: Estimate
    chance: float
    adjusted: float


def slices(
    first: Estimate, segment: Integers, second: Estimate | None = None, *, level: float = 0.95
) -> tuple[Slice, ...]:
    """An estimate, or the paired difference of two, in every segment.

    Args:
        first, second: estimates over n rows of one log, not differences.
        segment: (n,) integers.
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
        one = part(first, rows)
        found.append((one if second is None else difference(one, part(second, rows))).at(together))
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


def _chance(e: Estimate) -> float:
    """Two-sided chance value of 0; 1 where nothing is known."""
    if not np.isfinite(e.std_error):
        return 1.0
    if e.std_error == 0:
        return 1.0 if e.value == 0 else 0.0
    return 2 * NormalDist().cdf(-abs(e.value) / e.std_error)
