"""The customer as the residual sees him: one, segments, standardised numbers."""

import json
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final, TypeAlias

import numpy as np
from numba import njit
from numpy.typing import NDArray

from allot import ShapeError
from bandit.columns import Columns

Floats: TypeAlias = NDArray[np.float64]

INTERCEPT, SEGMENTS, NUMERICS, SLOPE = 0, 1, 2, 3
"""Blocks of ψ; weights of a block share one prior variance."""

MOST_SEGMENT_LEVELS = 20
_CLIP: Final = 4.0


@njit(cache=True, nogil=True)
def _extended(customers: Any, hots: Any, numbers: Any, scale: Any, out: Any) -> None:
    """Write the basis (n, p) float32 of `customers` (n, width).

    `hots` (segments, 2) are columns and their levels, `numbers` (numerics,) columns, `scale` (2, numerics) means, sds.
    """
    for r in range(len(out)):
        out[r] = np.float32(0.0)
        out[r, 0] = np.float32(1.0)
        at = 1
        for s in range(len(hots)):
            code = customers[r, hots[s, 0]]
            if 0 <= code < hots[s, 1]:
                out[r, at + np.int64(code)] = np.float32(1.0)
            at += hots[s, 1]
        for j in range(len(numbers)):
            z = (customers[r, numbers[j]] - scale[0, j]) / scale[1, j]
            out[r, at + j] = np.float32(min(max(z, -_CLIP), _CLIP)) if np.isfinite(z) else np.float32(0.0)


@dataclass(frozen=True, slots=True)
class Segment:
    """A category column that becomes `levels` one-hots. Missing and unseen codes are all zeros."""

    column: int
    levels: int


@dataclass(frozen=True, slots=True)
class Numeric:
    """A number column: (x − mean) / sd, clipped to ±4. Missing values are 0, the mean."""

    column: int
    mean: float
    sd: float


@dataclass(frozen=True, slots=True)
class Basis:
    """ψ's customer part, learnt on the log and frozen. `width` is the number of columns of the customer matrix."""

    width: int
    segments: tuple[Segment, ...]
    numerics: tuple[Numeric, ...]
    _hots: NDArray[np.int64] = field(init=False, repr=False, compare=False)  # (segments, 2) columns and levels
    _numbers: NDArray[np.int64] = field(init=False, repr=False, compare=False)  # (numerics,) columns
    _scale: Floats = field(init=False, repr=False, compare=False)  # (2, numerics) means and sds

    def __post_init__(self) -> None:
        hots = np.array([(segment.column, segment.levels) for segment in self.segments], np.int64)
        object.__setattr__(self, "_hots", hots.reshape(-1, 2))
        object.__setattr__(self, "_numbers", np.array([number.column for number in self.numerics], np.int64))
        scale = np.array([(number.mean, number.sd) for number in self.numerics], np.float64).reshape(-1, 2).T
        object.__setattr__(self, "_scale", np.ascontiguousarray(scale))

    @property
    def blocks(self) -> tuple[int, ...]:
        """(d,) the block of every column of ψ: the columns of the basis, then the slope on the prior's logit."""
        hots = sum(segment.levels for segment in self.segments)
        return (INTERCEPT, *(SEGMENTS,) * hots, *(NUMERICS,) * len(self.numerics), SLOPE)

    def __call__(self, customers: Floats) -> NDArray[np.float32]:
        """The basis of some customers.

        Args:
            customers: (n, width) float64, NaN = missing, categories as codes.

        Returns:
            (n, p) float32; the first column is 1. The slope's column is not among them.

        Raises:
            ShapeError: the matrix is not (n, width).
        """
        if customers.ndim != 2 or customers.shape[1] != self.width:
            raise ShapeError(
                f"A customer matrix of shape {customers.shape} does not fit a basis of {self.width} columns.",
                remedy="Encode customers with the columns that the model was trained on.",
            )
        wide = 1 + int(self._hots[:, 1].sum()) + len(self._numbers)
        out = np.empty((len(customers), wide), np.float32)
        read = np.require(customers, np.float64, ["C", "W"])  # the one layout that the kernel is compiled for
        _extended(read, self._hots, self._numbers, self._scale, out)
        return out

    def to_json(self) -> str:
        """For the model's folder; numbers come back exactly."""
        parts = {name: [asdict(x) for x in getattr(self, name)] for name in ("segments", "numerics")}
        return json.dumps({"width": self.width, **parts}, indent=1)

    @staticmethod
    def from_json(text: str) -> "Basis":
        """What `to_json` wrote."""
        data = json.loads(text)
        return Basis(
            width=data["width"],
            segments=tuple(Segment(**row) for row in data["segments"]),
            numerics=tuple(Numeric(**row) for row in data["numerics"]),
        )


def fit_basis(
    customers: Floats,
    columns: Columns,
    *,
    levels: Mapping[str, int],
    gain: Mapping[str, float] | None = None,
    among: Collection[str] | None = None,
    most: int = 48,
) -> Basis:
    """Choose ψ's customer columns from the log and learn their scales.

    Category columns with at most 20 levels become one-hots, number columns that vary are standardised. Where that is
    more than `most` columns, those with the highest gain in the prior come first.

    Args:
        customers: (r, width) float64, the log's customers, NaN = missing, categories as codes.
        columns: their names, and which are categories.
        levels: number of levels of each category column, by name.
        gain: total gain of each column in the prior, by name; columns without a gain come last.
        among: names of the columns that may be chosen; None = all.
        most: the most columns, the leading 1 included.

    Raises:
        ShapeError: the matrix does not fit the columns, or a category column has no number of levels.
    """
    if customers.ndim != 2 or customers.shape[1] != columns.width:
        raise ShapeError(f"A matrix of shape {customers.shape} does not have {columns.width} columns.")
    choice = [
        entry
        for j, name in enumerate(columns.customer)
        if (among is None or name in among)
        and (entry := _entry(customers[:, j], j, _levels_of(name, levels) if j in columns.categorical else None))
    ]
    importance = [(gain or {}).get(columns.customer[entry.column], 0.0) for entry in choice]
    room = most - 1
    kept: list[Segment | Numeric] = []
    for at in np.argsort(-np.asarray(importance, np.float64), kind="stable"):
        entry = choice[at]
        size = entry.levels if isinstance(entry, Segment) else 1
        if size <= room:
            kept.append(entry)
            room -= size
    kept.sort(key=lambda entry: entry.column)
    return Basis(
        width=columns.width,
        segments=tuple(entry for entry in kept if isinstance(entry, Segment)),
        numerics=tuple(entry for entry in kept if isinstance(entry, Numeric)),
    )


def _levels_of(name: str, levels: Mapping[str, int]) -> int:
    if name not in levels:
        raise ShapeError("A category column without a number of levels.", where=name)
    return levels[name]


def _entry(values: Floats, column: int, levels: int | None) -> Segment | Numeric | None:
    """What becomes of one column; None if it says nothing that a line could use."""
    if levels is not None:
        return Segment(column, levels) if 1 < levels <= MOST_SEGMENT_LEVELS else None
    seen = values[np.isfinite(values)]
    if len(seen) == 0:
        return None
    mean, sd = float(seen.mean()), float(seen.std())
    return Numeric(column, mean, sd) if sd > 1e-12 * max(1.0, abs(mean)) else None
