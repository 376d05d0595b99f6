"""Where a row's quadrature has to look: which arms are live, which certain arm is the floor, and over what range."""

from typing import Any, Final, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from bandit.quadrature_math import FAST, KNEE, bounded, logarithm, sigmoid
from bandit.quadrature_panel import FALL, MEAN, PRECISION, RISE, SD, SHIFT, TOP, VALUE, whole_vectors

NEVER: Final = -1e300  # the score of an arm that may not be played

# An arm is followed to 6.5 sds (4e-11 beyond). The range starts where 1, 2, 4, 8 or 16 arms together are
# that unlikely to be lower: Φ(−6.5) = 4e-11, Φ(−4.5)² = 1e-11, Φ(−3)⁴ = 3e-12, Φ(−1.75)⁸ = 7e-12, Φ(−0.83)¹⁶ = 8e-12.
_REACH: Final = 6.5
_QUANTILES: Final = (-_REACH, _REACH, -4.5, -3.0, -1.75, -0.83)
_LEAST_ARMS: Final = (0, 0, 2, 4, 12, 24)  # smaller crowds have fewer strong arms than that
_LOW, _UP = range(2)  # rows of the table of bounds; the others, in the order above, tell where crowds start
_HALVINGS: Final = 5  # of the search for the bottom: it falls short by a thirtieth of what is to be found
_RESOLUTION: Final = 1e-8  # spans below this share of the distance to the coordinate's ends drown in rounding


class Arms(NamedTuple):
    """A block of customers: what each arm's score is made of, float64 (rows, arms); the last arm is no offer.

    `value` is not negative; `sd` 0 makes a score certain; `shift` NEVER takes an arm out.
    """

    mean: NDArray[np.float64]
    sd: NDArray[np.float64]
    value: NDArray[np.float64]
    shift: NDArray[np.float64]


@njit(cache=True, nogil=True)
def find_knees(arms: Any, i: Any, knees: Any) -> None:
    """Squeeze logits at the lower end unless all uncertain arms start there together, at the upper end likewise.

    Together, they are told apart by their logits, which need no squeezing.
    """
    sd, value, shift = arms.sd, arms.value, arms.shift
    lowest = top_lowest = -NEVER
    highest = top_highest = NEVER
    for a in range(sd.shape[1]):
        if sd[i, a] > 0.0:
            lowest, highest = min(lowest, shift[i, a]), max(highest, shift[i, a])
            top = shift[i, a] + value[i, a]
            top_lowest, top_highest = min(top_lowest, top), max(top_highest, top)
    knees[0] = KNEE if lowest < highest else -NEVER
    knees[1] = KNEE if top_lowest < top_highest else -NEVER


@njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy")
def bound_scores(arms: Any, i: Any, scratch: Any) -> None:
    """Scores at the standard deviations of `_QUANTILES` from the mean; those of crowds for as many arms as there are.

    On a copy of the row in whole vectors, filled up with arms that score NEVER.
    """
    row, bounds = scratch.row, scratch.bounds
    low, high = scratch.knees[0], scratch.knees[1]
    count = arms.mean.shape[1]
    for a in range(count):
        row[MEAN, a] = arms.mean[i, a]
        row[SD, a] = arms.sd[i, a]
        row[VALUE, a] = arms.value[i, a]
        row[SHIFT, a] = arms.shift[i, a]
    for a in range(count, row.shape[1]):
        row[SHIFT, a] = NEVER
    for which in range(bounds.shape[0]):
        if which > _UP and count < _LEAST_ARMS[which]:
            break
        z = _QUANTILES[which]
        for a in range(row.shape[1]):
            logit = row[MEAN, a] + z * row[SD, a]
            bounds[which, a] = row[SHIFT, a] + row[VALUE, a] * sigmoid(bounded(logit, low, high))


@njit(cache=True, nogil=True)
def _count_from(score: Any, row: Any, bounds: Any) -> Any:
    """How many arms' bounds of this row lie at the score or above."""
    found = 0
    for a in range(bounds.shape[1]):
        found += 1 if bounds[row, a] >= score else 0
    return found


@njit(cache=True, nogil=True)
def find_bottom(count: Any, bounds: Any) -> Any:
    """A score that the best of so many arms almost surely exceeds: the best of the bounds by 1, 2, 4, 8 and 16 arms."""
    bottom = NEVER
    for a in range(count):
        bottom = max(bottom, bounds[_LOW, a])
    crowd = 2
    for row in range(_UP + 1, bounds.shape[0]):
        if count < _LEAST_ARMS[row]:
            break
        if _count_from(bottom, row, bounds) >= crowd:
            low, high = bottom, NEVER
            for a in range(count):
                high = max(high, bounds[row, a])
            for _ in range(_HALVINGS):
                middle = 0.5 * (low + high)
                if _count_from(middle, row, bounds) >= crowd:
                    low = middle
                else:
                    high = middle
            bottom = low
        crowd *= 2
    return bottom


@njit(cache=True, nogil=True)
def find_floor(last: Any, bounds: Any) -> Any:
    """The best certain arm. Ties go to no offer (the last), then to the lowest index."""
    owner, floor = -1, NEVER
    if bounds[_UP, last] <= bounds[_LOW, last]:
        owner, floor = last, bounds[_LOW, last]
    for a in range(last):
        if bounds[_UP, a] <= bounds[_LOW, a] and bounds[_LOW, a] > floor:
            owner, floor = a, bounds[_LOW, a]
    return owner, floor


@njit(cache=True, nogil=True)
def collect(bounds: Any, bottom: Any, live: Any) -> Any:
    """Indices of the uncertain arms that can exceed the bottom; how many they are."""
    n = 0
    for a in range(bounds.shape[1]):
        live[n] = a  # overwritten unless it counts: a branch would be mispredicted half of the time
        n += 1 if (bounds[_UP, a] > bottom) & (bounds[_UP, a] > bounds[_LOW, a]) else 0
    return n


@njit(cache=True, nogil=True, error_model="numpy")
def place(n: Any, scratch: Any) -> Any:
    """Choose the coordinate and each live arm's constants in it; return its lower end L, width W, and the arm whose
    span drowns in rounding there, or −1.

    L is the mean of the live arms' shifts, which no score that matters is under; L + W the highest of their tops.
    """
    live, row, constants, bounds = scratch.live, scratch.row, scratch.constants, scratch.bounds
    origin = row[SHIFT, live[0]]
    lower, upper = 0.0, NEVER
    for j in range(n):
        a = live[j]
        constants[MEAN, j], constants[PRECISION, j] = row[MEAN, a], 1.0 / row[SD, a]
        constants[VALUE, j], constants[SHIFT, j] = row[VALUE, a], row[SHIFT, a]
        lower += row[SHIFT, a] - origin
        upper = max(upper, row[SHIFT, a] + row[VALUE, a])
    lower = origin + lower / n
    drowned = -1
    for j in range(n):
        shift = constants[SHIFT, j]
        rise, fall = lower - shift, (shift + constants[VALUE, j]) - upper
        constants[RISE, j], constants[FALL, j] = rise, fall
        span = bounds[_UP, live[j]] - bounds[_LOW, live[j]]
        if span < _RESOLUTION * max(abs(rise), abs(fall)):
            drowned = live[j]
    return lower, upper - lower, drowned


@njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy")
def _coordinates(n: Any, constants: Any, knees: Any, z: Any, out: Any) -> None:
    """y of each live arm's score at z; −400 where that lies under L."""
    low, high = knees[0], knees[1]
    for j in range(whole_vectors(n)):
        x = bounded(constants[MEAN, j] + z / constants[PRECISION, j], low, high)
        chance = sigmoid(x)
        above = constants[VALUE, j] * chance - constants[RISE, j]
        below = constants[VALUE, j] * sigmoid(-x) - constants[FALL, j]
        odds = above / below
        safe = odds if above > 0.0 else 1.0
        out[j] = logarithm(safe) if above > 0.0 else -400.0


@njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy")
def _rates(n: Any, constants: Any, first: Any, above: Any, below: Any, out: Any) -> None:
    """Standard deviations per y of each live arm, between the start of the range (or of the arm) and its own top."""
    for j in range(whole_vectors(n)):
        odds = (above + constants[RISE, j]) / (below + constants[FALL, j])
        safe = odds if odds > 0.0 else 1.0
        z = (logarithm(safe) - constants[MEAN, j]) * constants[PRECISION, j]
        z = z if (odds > 0.0) & (z > -_REACH) else -_REACH
        room = constants[TOP, j] - first
        out[j] = (_REACH - z) / (room if room > 0.0 else 1e300)


@njit(cache=True, nogil=True, error_model="numpy")
def score_range(bottom: Any, lower: Any, width: Any, n: Any, scratch: Any) -> Any:
    """The range of y, and how many standard deviations of the sharpest live arm it spans."""
    constants, knees, out = scratch.constants, scratch.knees, scratch.chance
    above, below = bottom - lower, (lower + width) - bottom
    first = logarithm(above / below) if above > 0.0 else -400.0
    _coordinates(n, constants, knees, -_REACH, out)
    for j in range(n):
        first = max(first, out[j])
    _coordinates(n, constants, knees, _REACH, out)
    last = -400.0
    for j in range(n):
        constants[TOP, j] = out[j]
        last = max(last, out[j])
    _rates(n, constants, first, width * sigmoid(first), width * sigmoid(-first), out)
    sharpest = 1.0  # the coordinate's own scale
    for j in range(n):
        sharpest = max(sharpest, out[j])
    return first, last, sharpest * (last - first)
