"""What competes for a customer: uncertain scores of the offers, and no offer beside them."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from allot import ShapeError
from bandit.quadrature_range import NEVER, Arms

Floats = NDArray[np.floating[Any]]
Result = TypeVar("Result")

BLOCK_ROWS: Final = 8192  # fixed: results do not depend on the number of threads
_NARROWEST_SD: Final = 1e-7  # smaller ones, 0 excepted, count as this: float64 holds too few logits between
_LEAST_VALUE = 1e-100  # currency units; what is worth less is worth nothing: products of such numbers would vanish
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
    eligible = scores.eligible[rows]
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
    allowed = np.ones((count, offers + 1), np.bool_)
    allowed[:, :offers] = eligible
    _check(arms, allowed, rows.start or 0)
    barred = ~allowed
    for table in (arms.mean, arms.sd, arms.value):
        table[barred] = 0.0
    arms.shift[barred] = NEVER
    arms.sd[(arms.sd > 0.0) & (arms.sd < _NARROWEST_SD)] = _NARROWEST_SD
    negative = arms.value < 0.0
    if negative.any():  # v·σ(x) = v + |v|·σ(−x)
        arms.shift[negative] += arms.value[negative]
        arms.value[negative] *= -1.0
        arms.mean[negative] *= -1.0
    arms.value[arms.value < _LEAST_VALUE] = 0.0
    np.clip(arms.mean, -_FARTHEST_MEAN, _FARTHEST_MEAN, out=arms.mean)
    return arms


def _place_outside(outside: float | Floats | Outside, rows: slice, arms: Arms) -> None:
    if isinstance(outside, Outside):
        arms.mean[:, -1] = outside.mean[rows]
        arms.sd[:, -1] = outside.sd[rows]
        arms.value[:, -1] = outside.value if np.ndim(outside.value) == 0 else np.asarray(outside.value)[rows]
    else:
        arms.shift[:, -1] = outside if np.ndim(outside) == 0 else np.asarray(outside)[rows]


def _check(arms: Arms, allowed: NDArray[np.bool_], first_row: int) -> None:
    """Numbers of eligible pairs are finite; NaN is refused everywhere."""
    total = arms.mean + arms.sd
    total += arms.value
    total += arms.shift
    wrong = np.isnan(total) | (allowed & ~(np.isfinite(total) & (arms.sd >= 0.0) & (arms.sd <= _WIDEST_SD)))
    if not wrong.any():
        return
    row, offer = (int(index[0]) for index in np.nonzero(wrong))
    found = ", ".join(f"{name} {table[row, offer]:g}" for name, table in zip(arms._fields, arms, strict=True))
    raise ShapeError(
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
