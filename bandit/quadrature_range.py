"""Where a row's quadrature has to look: which arms are live, which certain arm is the floor, and over what range."""

from typing import Any, Final, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from bandit.quadrature_lanes import WIDTH, highest, load, spread, store, total, where
from bandit.quadrature_math import FAST, exponential, logarithm, sigmoid
from bandit.quadrature_panel import FALL, LOW, MEAN, PRECISION, RISE, SD, SHIFT, TOP, UP, VALUE, whole_vectors

NEVER: Final = -1e300  # the score of an arm that may not be played

_STEPS: Final = 2  # towards the bottom
_HALVINGS: Final = 6  # of a step
_ENOUGH: Final = 1.05  # a bottom that is less too low than this is good
_TOO_FAR: Final = 0.9  # one that is more too high than this is not
_RESOLUTION: Final = 1e-8  # differences below this share of what they are taken of, in standard deviations, are blurred


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
def bound_scores(reach: Any, scratch: Any) -> Any:
    """Each arm's scores so many standard deviations under and over its mean; return the best of the lower ones."""
    row, bounds = scratch.row, scratch.bounds
    best = spread(NEVER)
    for a in range(0, row.shape[1], WIDTH):
        mean, span = load(row, (MEAN, a)), load(row, (SD, a)) * reach
        value, shift = load(row, (VALUE, a)), load(row, (SHIFT, a))
        score = value * sigmoid(mean - span) + shift
        store(bounds, (LOW, a), score)
        store(bounds, (UP, a), value * sigmoid(mean + span) + shift)
        best = where(score > best, score, best)
    return highest(best)


@njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy")
def _surprise(score: Any, row: Any) -> Any:
    """−log of the probability that all arms score less, and its derivative.

    A parabola stands for −log Φ(z) below zero: right within a tenth, within 1 per cent beyond −2.
    """
    surprise, slope = spread(0.0), spread(0.0)
    for a in range(0, row.shape[1], WIDTH):
        mean, sd, value = load(row, (MEAN, a)), load(row, (SD, a)), load(row, (VALUE, a))
        won = score - load(row, (SHIFT, a))
        lost = value - won
        counts = (sd > 0.0) & (won > 0.0) & (lost > 0.0)
        won, lost, precision = where(counts, won, 1.0), where(counts, lost, 1.0), 1.0 / where(counts, sd, 1.0)
        inverse = 1.0 / (won * lost)
        distance = (mean - logarithm(won * won * inverse)) * precision
        counts = counts & (distance > 0.0)
        surprise = surprise + where(counts, (distance * 0.46 + 0.6) * distance + 0.69, 0.0)
        slope = slope - where(counts, (distance * 0.92 + 0.6) * value * inverse * precision, 0.0)
    return total(surprise), total(slope)


@njit(cache=True, nogil=True, error_model="numpy")
def find_bottom(reach: Any, best: Any, row: Any) -> Any:
    """A score that the best arm exceeds as surely as a single one exceeds its lower bound.

    From the best of these bounds Newton's method climbs the root of the surprise, which is nearly straight. It is not
    where scores come near the most that they can be; a step that went too far is halved until it has not.
    """
    enough = (reach * 0.46 + 0.6) * reach + 0.69
    bottom = best
    surprise, slope = _surprise(bottom, row)
    for _ in range(_STEPS):
        if not surprise > _ENOUGH * enough or not slope < 0.0:
            break
        step = 2.0 * (np.sqrt(enough * surprise) - surprise) / slope
        for _half in range(_HALVINGS):
            there, steeper = _surprise(bottom + step, row)
            if there >= _TOO_FAR * enough:
                bottom, surprise, slope = bottom + step, there, steeper
                break
            step *= 0.5
    return bottom


@njit(cache=True, nogil=True)
def find_floor(last: Any, best: Any, scratch: Any) -> Any:
    """The best certain arm, its score, and whether an uncertain arm that matters is a single number in float64.

    Ties go to no offer (the last), then to the lowest index. An arm too small to change its shift is certain, too.
    """
    row, bounds = scratch.row, scratch.bounds
    owner, floor, blurred = -1, NEVER, False
    for turn in range(last + 1):
        a = turn - 1 if turn > 0 else last
        low = bounds[LOW, a]
        if (bounds[UP, a] <= low) & (low > NEVER) & (low >= floor):  # `and` would be mispredicted at closed offers
            if row[SD, a] > 0.0 and row[SHIFT, a] + row[VALUE, a] > row[SHIFT, a]:
                blurred |= bounds[UP, a] >= best
            elif bounds[LOW, a] > floor:
                owner, floor = a, bounds[LOW, a]
    return owner, floor, blurred


@njit(cache=True, nogil=True)
def collect(bounds: Any, bottom: Any, live: Any) -> Any:
    """Indices of the uncertain arms that can exceed the bottom; how many they are."""
    n = 0
    for a in range(bounds.shape[1]):
        live[n] = a  # overwritten unless it counts: a branch would be mispredicted half of the time
        n += 1 if (bounds[UP, a] > bottom) & (bounds[UP, a] > bounds[LOW, a]) else 0
    return n


@njit(cache=True, nogil=True, error_model="numpy")
def place(n: Any, bottom: Any, scratch: Any) -> Any:
    """Choose the coordinate and each live arm's constants in it; return its lower end L, width W, and whether rounding
    blurs an arm there.

    L is the mean of the live arms' shifts, which no score that matters is under; L + W the highest of their tops. An
    arm that starts above L or ends below L + W is blurred where its distance from there is too small a difference.
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
    blurred = False
    for j in range(n):
        a, shift = live[j], constants[SHIFT, j]
        top = shift + constants[VALUE, j]
        rise, fall = lower - shift, top - upper
        constants[RISE, j], constants[FALL, j] = rise, fall
        sharp = min(row[SD, a], 1.0)
        won, lost = sharp * (bottom - shift), sharp * (top - bounds[UP, a])
        blurred |= (won < _RESOLUTION * max(-rise, abs(bottom))) | (lost < -_RESOLUTION * fall)
    return lower, upper - lower, blurred


@njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy")
def _coordinates(n: Any, z: Any, scratch: Any) -> Any:
    """y of each live arm's score at z, −400 where that lies under L, into its TOP; return the highest."""
    constants = scratch.constants
    uppermost = spread(-400.0)
    for j in range(0, n, WIDTH):
        x = load(constants, (MEAN, j)) + z / load(constants, (PRECISION, j))
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
def score_range(bottom: Any, coordinate: Any, n: Any, reach: Any, scratch: Any) -> Any:
    """The range of y, and how many standard deviations of the sharpest live arm it spans."""
    constants = scratch.constants
    lower, width = coordinate
    for j in range(n, whole_vectors(n)):
        for each in range(constants.shape[0]):
            constants[each, j] = constants[each, n - 1]
    above, below = bottom - lower, (lower + width) - bottom
    first = logarithm(above / below) if above > 0.0 else -400.0
    last = _coordinates(n, reach, scratch)
    span = last - first
    sharpest = np.sqrt(_sharpest(n, reach, first, width, constants) * span)
    return first, last, max(sharpest, span)
