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


def block_arms(scores: Scores, rows: slice, charge: Floats | float = 0.0) -> Arms:
    """The arms of some customers, no offer last, in fresh float64 arrays.

    Args:
        scores: of all customers.
        rows: which customers.
        charge: (rows, k) what limits charge, currency units, of either sign.

    Raises:
        ShapeError: a number is NaN or infinite, or a standard deviation is negative or above 30.
    """
    eligible = np.array(scores.eligible[rows], order="C")  # a copy, as writable as the kernel was compiled for
    count, offers = eligible.shape
    arms = Arms(*np.zeros((4, count, offers + 1)))
    inner = Arms(*(table[:, :offers] for table in arms))
    inner.mean[:] = scores.mean[rows]
    inner.sd[:] = scores.sd[rows]
    inner.value[:] = scores.value[rows] if scores.value.ndim == 2 else scores.value
    inner.shift[:] = scores.fee[rows] if scores.fee.ndim == 2 else scores.fee
    inner.shift[:] += charge
    np.negative(inner.shift, out=inner.shift)
    _place_outside(scores.outside, rows, arms)
    wrong = _settle(arms, eligible)
    if wrong >= 0:
        raise _no_score(arms, wrong, rows.start or 0)
    return arms


@njit(cache=True, nogil=True)
def _settle(arms: Any, eligible: Any) -> Any:
    """Bring arms into the form that `Arms` promises, in place; return the position of the first that makes no score.

    Numbers of eligible pairs are finite; NaN is refused everywhere.
    """
    rows, count = arms.mean.shape
    for i in range(rows):
        for a in range(count):
            m, s, v, h = arms.mean[i, a], arms.sd[i, a], arms.value[i, a], arms.shift[i, a]
            total = m + s + v + h
            if np.isnan(total):
                return i * count + a
            if a < count - 1 and not eligible[i, a]:
                m, s, v, h = 0.0, 0.0, 0.0, NEVER
            elif not (np.isfinite(total) and 0.0 <= s <= _WIDEST_SD):
                return i * count + a
            elif v < 0.0:  # v·σ(x) = v + |v|·σ(−x)
                m, v, h = -m, -v, h + v
            arms.mean[i, a] = min(max(m, -_FARTHEST_MEAN), _FARTHEST_MEAN)
            arms.sd[i, a] = _NARROWEST_SD if 0.0 < s < _NARROWEST_SD else s
            arms.value[i, a] = v if v >= _LEAST_VALUE else 0.0
            arms.shift[i, a] = h
    return -1


def _place_outside(outside: float | Floats | Outside, rows: slice, arms: Arms) -> None:
    if isinstance(outside, Outside):
        arms.mean[:, -1] = outside.mean[rows]
        arms.sd[:, -1] = outside.sd[rows]
        arms.value[:, -1] = outside.value if np.ndim(outside.value) == 0 else np.asarray(outside.value)[rows]
    else:
        arms.shift[:, -1] = outside if np.ndim(outside) == 0 else np.asarray(outside)[rows]


def _no_score(arms: Arms, position: int, first_row: int) -> ShapeError:
    row, offer = divmod(position, arms.mean.shape[1])
    found = ", ".join(f"{name} {table[row, offer]:g}" for name, table in zip(arms._fields, arms, strict=True))
    return ShapeError(
        f"a score cannot be made of {found} (shift is minus fee and charge).",
        where=f"row {first_row + row}, " + (f"offer {offer}" if offer < arms.mean.shape[1] - 1 else "no offer"),
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
