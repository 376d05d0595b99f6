"""Where a row's quadrature has to look: which arms are live, which certain arm is the floor, and over what range."""

from typing import Any, Final, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from bandit.quadrature_lanes import WIDTH, highest, load, spread, store, total, where
from bandit.quadrature_math import FARTHEST, FAST, KNEE, bounded, exponential, logarithm, sigmoid
from bandit.quadrature_panel import FALL, MEAN, PRECISION, RISE, SD, SHIFT, TOP, VALUE, whole_vectors

NEVER: Final = -1e300  # the score of an arm that may not be played

_LOW, _UP = range(2)  # rows of the table of bounds
_STEPS: Final = 2  # towards the bottom
_HALVINGS: Final = 6  # of a step
_ENOUGH: Final = 1.05  # a bottom that is less too low than this is good
_TOO_FAR: Final = 0.9  # one that is more too high than this is not
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
def copy_row(arms: Any, i: Any, row: Any) -> None:
    """The arms of one customer in whole vectors, filled up with arms that score NEVER."""
    count = arms.mean.shape[1]
    for a in range(count):
        row[MEAN, a] = arms.mean[i, a]
        row[SD, a] = arms.sd[i, a]
        row[VALUE, a] = arms.value[i, a]
        row[SHIFT, a] = arms.shift[i, a]
    for a in range(count, row.shape[1]):
        row[SHIFT, a] = NEVER


@njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy")
def find_knees(row: Any, knees: Any) -> Any:
    """Whether logits go beyond the knees at all; if so, squeeze those at the lower end unless all uncertain arms start
    there together, those at the upper end likewise.

    Together, they are told apart by their logits, which need no squeezing.
    """
    farthest = spread(0.0)
    for a in range(0, row.shape[1], WIDTH):
        logit = abs(load(row, (MEAN, a))) + load(row, (SD, a)) * FARTHEST
        farthest = where(logit > farthest, logit, farthest)
    knees[0] = knees[1] = -NEVER
    if highest(farthest) <= KNEE:
        return False
    lowest = top_lowest = -NEVER
    uppermost = top_uppermost = NEVER
    for a in range(row.shape[1]):
        if row[SD, a] > 0.0:
            low = row[SHIFT, a]
            top = low + row[VALUE, a]
            lowest, uppermost = min(lowest, low), max(uppermost, low)
            top_lowest, top_uppermost = min(top_lowest, top), max(top_uppermost, top)
    knees[0] = KNEE if lowest < uppermost else -NEVER
    knees[1] = KNEE if top_lowest < top_uppermost else -NEVER
    return True


@njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy")
def bound_scores(reach: Any, wide: Any, scratch: Any) -> Any:
    """Each arm's scores so many standard deviations under and over its mean; return the best of the lower ones."""
    row, bounds, knees = scratch.row, scratch.bounds, scratch.knees
    best = spread(NEVER)
    for a in range(0, row.shape[1], WIDTH):
        mean, span = load(row, (MEAN, a)), load(row, (SD, a)) * reach
        value, shift = load(row, (VALUE, a)), load(row, (SHIFT, a))
        low, up = mean - span, mean + span
        if wide:
            low, up = bounded(low, knees[0], knees[1]), bounded(up, knees[0], knees[1])
        score = value * sigmoid(low) + shift
        store(bounds, (_LOW, a), score)
        store(bounds, (_UP, a), value * sigmoid(up) + shift)
        best = where(score > best, score, best)
    return highest(best)


@njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy")
def _surprise(score: Any, wide: Any, row: Any) -> Any:
    """−log of the probability that all arms score less, and its derivative.

    A parabola stands for −log Φ(z) below zero: right within a tenth, within 1 per cent beyond −2. Arms whose logits may
    be squeezed do not count.
    """
    surprise, slope = spread(0.0), spread(0.0)
    for a in range(0, row.shape[1], WIDTH):
        mean, sd, value = load(row, (MEAN, a)), load(row, (SD, a)), load(row, (VALUE, a))
        won = score - load(row, (SHIFT, a))
        lost = value - won
        counts = (sd > 0.0) & (won > 0.0) & (lost > 0.0)
        if wide:
            counts = counts & (abs(mean) + sd * FARTHEST <= KNEE)
        won, lost, precision = where(counts, won, 1.0), where(counts, lost, 1.0), 1.0 / where(counts, sd, 1.0)
        inverse = 1.0 / (won * lost)
        distance = (mean - logarithm(won * won * inverse)) * precision
        counts = counts & (distance > 0.0)
        surprise = surprise + where(counts, (distance * 0.46 + 0.6) * distance + 0.69, 0.0)
        slope = slope - where(counts, (distance * 0.92 + 0.6) * value * inverse * precision, 0.0)
    return total(surprise), total(slope)


@njit(cache=True, nogil=True, error_model="numpy")
def find_bottom(reach: Any, wide: Any, best: Any, row: Any) -> Any:
    """A score that the best arm exceeds as surely as a single one exceeds its lower bound.

    From the best of these bounds Newton's method climbs the root of the surprise, which is nearly straight. It is not
    where scores come near the most that they can be; a step that went too far is halved until it has not.
    """
    enough = (reach * 0.46 + 0.6) * reach + 0.69
    bottom = best
    surprise, slope = _surprise(bottom, wide, row)
    for _ in range(_STEPS):
        if not surprise > _ENOUGH * enough or not slope < 0.0:
            break
        step = 2.0 * (np.sqrt(enough * surprise) - surprise) / slope
        for _half in range(_HALVINGS):
            there, steeper = _surprise(bottom + step, wide, row)
            if there >= _TOO_FAR * enough:
                bottom, surprise, slope = bottom + step, there, steeper
                break
            step *= 0.5
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
def _coordinates(n: Any, z: Any, wide: Any, scratch: Any) -> Any:
    """y of each live arm's score at z, −400 where that lies under L, into its TOP; return the highest."""
    constants, knees = scratch.constants, scratch.knees
    uppermost = spread(-400.0)
    for j in range(0, n, WIDTH):
        x = load(constants, (MEAN, j)) + z / load(constants, (PRECISION, j))
        if wide:
            x = bounded(x, knees[0], knees[1])
        value, odds = load(constants, (VALUE, j)), exponential(x)
        above = value * odds - load(constants, (RISE, j)) * (odds + 1.0)
        below = value - load(constants, (FALL, j)) * (odds + 1.0)
        y = where(above > 0.0, logarithm(where(above > 0.0, above / below, 1.0)), -400.0)
        store(constants, (TOP, j), y)
        uppermost = where(y > uppermost, y, uppermost)
    return highest(uppermost)


@njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy")
def _sharpest(n: Any, reach: Any, first: Any, width: Any, constants: Any) -> Any:
    """How many standard deviations the live arms have between the start of the range (or of the arm) and their tops.

    The most of them; an arm that ends after a share of the range counts more by the root of that share: nodes stand
    closer near the start.
    """
    start = width * sigmoid(first)
    end = width - start
    sharpest = spread(0.0)
    for j in range(0, n, WIDTH):
        odds = (start + load(constants, (RISE, j))) / (end + load(constants, (FALL, j)))
        z = (logarithm(where(odds > 0.0, odds, 1.0)) - load(constants, (MEAN, j))) * load(constants, (PRECISION, j))
        z = where((odds > 0.0) & (z > -reach), z, -reach)
        room = load(constants, (TOP, j)) - first
        squared = where((room > 0.0) & (z < reach), (reach - z) * (reach - z) / room, 0.0)
        sharpest = where(squared > sharpest, squared, sharpest)
    return highest(sharpest)


@njit(cache=True, nogil=True, error_model="numpy")
def score_range(bottom: Any, coordinate: Any, n: Any, reach: Any, wide: Any, scratch: Any) -> Any:
    """The range of y, and how many standard deviations of the sharpest live arm it spans."""
    constants = scratch.constants
    lower, width = coordinate
    for j in range(n, whole_vectors(n)):
        for each in range(constants.shape[0]):
            constants[each, j] = constants[each, n - 1]
    above, below = bottom - lower, (lower + width) - bottom
    first = logarithm(above / below) if above > 0.0 else -400.0
    if wide:  # then scores near the ends are told apart by their coordinates alone
        first = max(first, _coordinates(n, -reach, wide, scratch))
    last = _coordinates(n, reach, wide, scratch)
    span = last - first
    sharpest = np.sqrt(_sharpest(n, reach, first, width, constants) * span)
    return first, last, max(sharpest, span)
