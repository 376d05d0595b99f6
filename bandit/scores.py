"""What competes for a customer: uncertain scores of the offers, and no offer beside them."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray

from allot import ShapeError
from bandit.quadrature_range import NEVER, Arms

Floats = NDArray[np.floating[Any]]
Result = TypeVar("Result")

BLOCK_ROWS: Final = 8192  # fixed: results do not depend on the number of threads
_NARROWEST_SD: Final = 1e-7  # smaller ones, 0 excepted, count as this: float64 holds too few logits between
_LEAST_VALUE: Final = 1e-100  # currency units; less is worth nothing: products of such numbers would vanish
_WIDEST_SD: Final = 30.0
_FARTHEST_MEAN: Final = 100.0  # beyond, a probability of success differs from 0 or 1 by less than 1e-43


@dataclass(frozen=True, slots=True)
class Outside:
    """No offer as an arm with beliefs of its own: worth `value·sigmoid(mean + sd·z)`.

    Attributes:
        mean, sd: (n,) beliefs on the logit scale about the customer's success without an offer.
        value: worth of that success, currency units; one number or (n,).
    """

    mean: Floats
    sd: Floats
    value: float | Floats


@dataclass(frozen=True, slots=True)
class Scores:
    """`score[i,a] = value·sigmoid(mean + sd·z) − fee − charge`, z ~ N(0, 1) independent; compared with no offer.

    Attributes:
        mean, sd: (n, k) beliefs on the logit scale; sd 0 (certain) or at most 30; between 0 and 1e-7 it counts as 1e-7.
        value: (n, k) or (k,) worth of a success, currency units, of either sign.
        fee: (n, k) or (k,) what playing the offer costs, currency units, of either sign.
        eligible: (n, k) bool.
        outside: worth of no offer, currency units: one number, (n,), or beliefs.

    Raises:
        ShapeError: the arrays' shapes disagree. (Their numbers are checked where they are used.)
    """

    mean: Floats
    sd: Floats
    value: Floats
    fee: Floats
    eligible: NDArray[np.bool_]
    outside: float | Floats | Outside = 0.0

    def __post_init__(self) -> None:
        shape = np.shape(self.mean)
        if len(shape) != 2:
            raise ShapeError(f"mean has shape {shape}.", where="scores", remedy="It must be (customers, offers).")
        rows, offers = shape
        for name in ("sd", "eligible"):
            _require(name, getattr(self, name), (shape,))
        for name in ("value", "fee"):
            _require(name, getattr(self, name), (shape, (offers,)))
        if np.asarray(self.eligible).dtype != np.bool_:
            raise ShapeError(f"eligible holds {np.asarray(self.eligible).dtype}, not booleans.", where="scores")
        if isinstance(self.outside, Outside):
            _require("outside.mean", self.outside.mean, ((rows,),))
            _require("outside.sd", self.outside.sd, ((rows,),))
            _require("outside.value", self.outside.value, ((), (rows,)))
        else:
            _require("outside", self.outside, ((), (rows,)))


def _require(name: str, array: ArrayLike, shapes: tuple[tuple[int, ...], ...]) -> None:
    found = np.shape(array)
    if found not in shapes:
        expected = " or ".join(str(shape) for shape in shapes)
        raise ShapeError(f"{name} has shape {found}.", where="scores", remedy=f"It must be {expected}.")


def block_arms(scores: Scores, rows: slice, charge: Floats | None = None) -> Arms:
    """The arms of some customers, no offer last, in fresh float64 arrays.

    Args:
        scores: of all customers.
        rows: which customers.
        charge: (rows, k) what limits charge, currency units, of either sign; default nothing.

    Raises:
        ShapeError: a number is NaN or infinite, or a standard deviation is negative or above 30.
    """
    eligible = np.array(scores.eligible[rows], order="C")  # copies, as writable as the kernel was compiled for
    mean, sd = (np.array(table[rows], np.float64, order="C") for table in (scores.mean, scores.sd))
    value, fee = (_lines(table[rows] if table.ndim == 2 else table) for table in (scores.value, scores.fee))
    free = np.zeros((1, mean.shape[1])) if charge is None else charge
    arms = Arms(*np.empty((4, len(mean), mean.shape[1] + 1)))
    _place_outside(scores.outside, rows, arms)
    wrong = _settle((mean, sd, value, fee, free), eligible, arms)
    if wrong >= 0:
        _place_outside(scores.outside, rows, arms)
        for table, given in zip(arms, (mean, sd, value, -(fee + free)), strict=True):
            table[wrong, :-1] = given[min(wrong, len(given) - 1)]
        raise _no_score(arms, wrong, eligible[wrong], rows.start or 0)
    return arms


def _lines(table: Floats) -> NDArray[np.float64]:
    """A fresh table with a line per customer, or a single line for all of them."""
    return np.atleast_2d(np.array(table, np.float64, order="C"))


@njit(cache=True, nogil=True)
def _settle(offers: Any, eligible: Any, arms: Any) -> Any:
    """Bring offers, and no offer, into the form that `Arms` promises; return the first row where one makes no score.

    Offers are mean, sd, value, fee and charge; what is the same for all rows has one.
    """
    mean, sd, value, fee, charge = offers
    rows, last = arms.mean.shape[0], arms.mean.shape[1] - 1
    for i in range(rows):
        of_value, of_fee, of_charge = min(i, len(value) - 1), min(i, len(fee) - 1), min(i, len(charge) - 1)
        outside = arms.mean[i, last], arms.sd[i, last], arms.value[i, last], arms.shift[i, last]
        wrong = _place_arm(outside, True, arms, i, last)
        for a in range(last):
            shift = -(fee[of_fee, a] + charge[of_charge, a])
            wrong |= _place_arm((mean[i, a], sd[i, a], value[of_value, a], shift), eligible[i, a], arms, i, a)
        if wrong:
            return i
    return -1


@njit(cache=True, nogil=True)
def _place_arm(arm: Any, played: Any, arms: Any, i: Any, a: Any) -> Any:
    """One arm; return whether it makes no score: what is played is finite, NaN is refused everywhere.

    Without branches, which would be mispredicted at every offer that a customer may not have.
    """
    m, s, v, h = arm
    total = m + s + v + h
    wrong = np.isnan(total) | (played & ~((abs(total) < np.inf) & (s >= 0.0) & (s <= _WIDEST_SD)))
    h, m = (h + v, -m) if v < 0.0 else (h, m)  # v·σ(x) = v + |v|·σ(−x)
    m = min(max(m, -_FARTHEST_MEAN), _FARTHEST_MEAN)
    s = max(s, _NARROWEST_SD) if s > 0.0 else 0.0
    v = abs(v) if abs(v) >= _LEAST_VALUE else 0.0
    arms.mean[i, a], arms.sd[i, a] = (m, s) if played else (0.0, 0.0)
    arms.value[i, a], arms.shift[i, a] = (v, h) if played else (0.0, NEVER)
    return wrong


def _place_outside(outside: float | Floats | Outside, rows: slice, arms: Arms) -> None:
    for table in arms:
        table[:, -1] = 0.0
    if isinstance(outside, Outside):
        arms.mean[:, -1] = outside.mean[rows]
        arms.sd[:, -1] = outside.sd[rows]
        arms.value[:, -1] = outside.value if np.ndim(outside.value) == 0 else np.asarray(outside.value)[rows]
    else:
        arms.shift[:, -1] = outside if np.ndim(outside) == 0 else np.asarray(outside)[rows]


def _no_score(arms: Arms, row: int, eligible: NDArray[np.bool_], first_row: int) -> ShapeError:
    """What is wrong with a row of arms as they were given."""
    total = sum(table[row] for table in arms)
    wrong = np.isnan(total)
    wrong |= np.append(eligible, True) & ~(np.isfinite(total) & (arms.sd[row] >= 0.0) & (arms.sd[row] <= _WIDEST_SD))
    offer = int(wrong.argmax())
    found = ", ".join(f"{name} {table[row, offer]:g}" for name, table in zip(arms._fields, arms, strict=True))
    return ShapeError(
        f"a score cannot be made of {found} (shift is minus fee and charge).",
        where=f"row {first_row + row}, " + (f"offer {offer}" if offer < len(eligible) else "no offer"),
        remedy="Numbers must be finite, and a logit's sd between 0 and 30.",
    )


def in_lanes(count: int, work: Callable[[list[slice]], Result], threads: int) -> list[Result]:
    """The results of `work` on the fixed blocks dealt out to up to so many threads; for sums that know no order."""
    blocks = [slice(start, min(start + BLOCK_ROWS, count)) for start in range(0, count, BLOCK_ROWS)]
    lanes = [blocks[lane :: max(1, threads)] for lane in range(max(1, min(threads, len(blocks))))]
    if len(lanes) == 1:
        return [work(blocks)]
    with ThreadPoolExecutor(len(lanes)) as pool:
        return list(pool.map(work, lanes))


def in_blocks(count: int, work: Callable[[slice], Result], threads: int) -> Iterator[Result]:
    """The results of `work` on fixed blocks of customers, in their order, computed on up to so many threads."""
    blocks = [slice(start, min(start + BLOCK_ROWS, count)) for start in range(0, count, BLOCK_ROWS)]
    if threads <= 1 or len(blocks) <= 1:
        yield from map(work, blocks)
        return
    with ThreadPoolExecutor(threads) as pool:
        yield from pool.map(work, blocks)
