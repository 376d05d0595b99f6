"""Where a row's quadrature has to look: which arms are live, which certain arm is the floor, and over what range."""

from typing import Any, Final, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from bandit.quadrature_math import FAST, KNEE, bounded, logarithm, sigmoid
from bandit.quadrature_panel import FALL, MEAN, PRECISION, RISE, VALUE

NEVER: Final = -1e300  # the score of an arm that may not be played

# An arm is followed to 6.5 standard deviations (4e-11 beyond). The range starts where the best arm, the two best or
# the four best together are that unlikely to be lower: Φ(−4.5)² = 1e-11, Φ(−3)⁴ = 3e-12.
_REACH: Final = 6.5
_PAIR_REACH: Final = 4.5
_FOUR_REACH: Final = 3.0
_RESOLUTION: Final = 1e-8  # spans below this share of the distance to the coordinate's ends drown in rounding
_LOW, _PAIR, _FOUR, _UP = range(4)  # rows of the table of bounds


class Arms(NamedTuple):
    """A block of customers: what each arm's score is made of, float64 (rows, arms); the last arm is no offer.

    `value` is not negative; `sd` 0 makes a score certain; `shift` NEVER takes an arm out.
    """

    mean: NDArray[np.float64]
    sd: NDArray[np.float64]
    value: NDArray[np.float64]
    shift: NDArray[np.float64]


@njit(cache=True, nogil=True)
def find_knees(sd: Any, value: Any, shift: Any, knees: Any) -> None:
    """Squeeze logits at the lower end unless all uncertain arms start there together, at the upper end likewise.

    Together, they are told apart by their logits, which need no squeezing.
    """
    lowest = top_lowest = -NEVER
    highest = top_highest = NEVER
    for a in range(len(sd)):
        if sd[a] > 0.0:
            lowest, highest = min(lowest, shift[a]), max(highest, shift[a])
            top = shift[a] + value[a]
            top_lowest, top_highest = min(top_lowest, top), max(top_highest, top)
    knees[0] = KNEE if lowest < highest else -NEVER
    knees[1] = KNEE if top_lowest < top_highest else -NEVER


@njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy")
def bound_scores(mean: Any, sd: Any, value: Any, shift: Any, knees: Any, bounds: Any) -> None:
    """Scores at 6.5, 4.5 and 3 standard deviations below the mean and at 6.5 above."""
    for a in range(len(mean)):
        bounds[_LOW, a] = shift[a] + value[a] * sigmoid(bounded(mean[a] - _REACH * sd[a], knees))
        bounds[_PAIR, a] = shift[a] + value[a] * sigmoid(bounded(mean[a] - _PAIR_REACH * sd[a], knees))
        bounds[_FOUR, a] = shift[a] + value[a] * sigmoid(bounded(mean[a] - _FOUR_REACH * sd[a], knees))
        bounds[_UP, a] = shift[a] + value[a] * sigmoid(bounded(mean[a] + _REACH * sd[a], knees))


@njit(cache=True, nogil=True)
def find_bottom(bounds: Any) -> Any:
    """The score that the best arm almost surely exceeds: the best of the three bounds."""
    best = runner = NEVER
    pair = NEVER
    first = second = third = fourth = NEVER
    for a in range(bounds.shape[1]):
        best = max(best, bounds[_LOW, a])
        x = bounds[_PAIR, a]
        pair = max(pair, min(x, runner))
        runner = max(x, runner)
        x = bounds[_FOUR, a]
        if x > fourth:
            fourth = x
            if fourth > third:
                third, fourth = fourth, third
            if third > second:
                second, third = third, second
            if second > first:
                first, second = second, first
    return max(best, max(pair, fourth))


@njit(cache=True, nogil=True)
def find_floor(bounds: Any) -> Any:
    """The best certain arm. Ties go to no offer, then to the lowest index."""
    last = bounds.shape[1] - 1
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
        if bounds[_UP, a] > bottom and bounds[_UP, a] > bounds[_LOW, a]:
            live[n] = a
            n += 1
    return n


@njit(cache=True, nogil=True, error_model="numpy")
def place(arms: Any, i: Any, n: Any, scratch: Any) -> Any:
    """Choose the coordinate and each live arm's constants in it; return its lower end L, width W, and the arm whose
    span drowns in rounding there, or −1.

    L is the mean of the live arms' shifts, which no score that matters is under; L + W the highest of their tops.
    """
    live, constants = scratch.live, scratch.constants
    origin = arms.shift[i, live[0]]
    lower, upper = 0.0, NEVER
    for j in range(n):
        lower += arms.shift[i, live[j]] - origin
        upper = max(upper, arms.shift[i, live[j]] + arms.value[i, live[j]])
    lower = origin + lower / n
    drowned = -1
    for j in range(n):
        a = live[j]
        rise, fall = lower - arms.shift[i, a], (arms.shift[i, a] + arms.value[i, a]) - upper
        constants[j, MEAN], constants[j, PRECISION] = arms.mean[i, a], 1.0 / arms.sd[i, a]
        constants[j, VALUE], constants[j, RISE], constants[j, FALL] = arms.value[i, a], rise, fall
        span = scratch.bounds[_UP, a] - scratch.bounds[_LOW, a]
        if span < _RESOLUTION * max(abs(rise), abs(fall)):
            drowned = a
    return lower, upper - lower, drowned


@njit(cache=True, nogil=True, error_model="numpy")
def _coordinate(constants: Any, knees: Any, z: Any) -> Any:
    """y of an arm's score at z; −400 where that lies under L."""
    x = bounded(constants[MEAN] + z / constants[PRECISION], knees)
    above = constants[VALUE] * sigmoid(x) - constants[RISE]
    below = constants[VALUE] * sigmoid(-x) - constants[FALL]
    return logarithm(above / below) if above > 0.0 else -400.0


@njit(cache=True, nogil=True, error_model="numpy")
def score_range(bottom: Any, lower: Any, width: Any, n: Any, constants: Any, knees: Any) -> Any:
    """The range of y, and how many standard deviations of the sharpest live arm it spans."""
    above, below = bottom - lower, (lower + width) - bottom
    first = logarithm(above / below) if above > 0.0 else -400.0
    last = -400.0
    for j in range(n):
        first = max(first, _coordinate(constants[j], knees, -_REACH))
        last = max(last, _coordinate(constants[j], knees, _REACH))
    above, below = width * sigmoid(first), width * sigmoid(-first)
    sharpest = 1.0  # the coordinate's own scale
    for j in range(n):
        one = constants[j]
        room = _coordinate(one, knees, _REACH) - first
        odds = (above + one[RISE]) / (below + one[FALL])
        z = (logarithm(odds) - one[MEAN]) * one[PRECISION] if odds > 0.0 else -_REACH
        if room > 0.0:
            sharpest = max(sharpest, (_REACH - max(z, -_REACH)) / room)
    return first, last, sharpest * (last - first)
