"""Which columns the trees read: the customer's, the offer's, and those of the pair of both."""

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from allot import ShapeError

Floats: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Cross:
    """A column of pairs that says of every offer what another column says of the customer and of that offer alone.

    `own` has, for each offer, the place of the customer's column that it reads, −1 where there is none for it. No offer
    and newcomers read nothing: there the column is NaN.
    """

    name: str
    own: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Columns:
    """Names of the columns, in the order in which the trees see them: customer, offer, cross.

    `categorical` are places among `names`. `sources` are further columns of the customer, behind the others, that the
    trees see through cross columns only: contacts with each single offer, say, are too many to be read one by one.
    """

    customer: tuple[str, ...]
    offer: tuple[str, ...]
    categorical: tuple[int, ...]
    cross: tuple[Cross, ...] = ()
    sources: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        names = (*self.names, *self.sources)
        if len(set(names)) < len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise ShapeError("Two columns have one name.", where=twice, remedy="Prefix customer and offer columns.")
        if any(not 0 <= j < len(self.names) for j in self.categorical):
            raise ShapeError(f"Category positions {self.categorical} do not all lie within {len(self.names)} columns.")
        for cross in self.cross:
            if len(cross.own) != len(self.cross[0].own) or any(not -1 <= j < self.width for j in cross.own):
                raise ShapeError(f"{cross.own} is not a customer column or -1 for each offer.", where=cross.name)

    @property
    def names(self) -> tuple[str, ...]:
        """What the trees see."""
        return (*self.customer, *self.offer, *(cross.name for cross in self.cross))

    @property
    def numbers(self) -> tuple[str, ...]:
        """Those of `names` that are numbers."""
        return tuple(name for j, name in enumerate(self.names) if j not in self.categorical)

    @property
    def alone(self) -> "Columns":
        """Without those of pairs, and without what only they read."""
        return replace(self, cross=(), sources=())

    @property
    def width(self) -> int:
        """How many columns a matrix of customers has."""
        return len(self.customer) + len(self.sources)

    def of_pairs(self, customers: Floats, arms: NDArray[np.int64]) -> Floats:
        """Cross columns of some customers with some arms.

        Args:
            customers: (n, width).
            arms: (a,) the same for all of them; those beyond the offers of `Cross.own` read nothing.

        Returns:
            (n, a, number of cross columns).
        """
        shape = (len(customers), len(arms), len(self.cross))
        if not self.cross:
            return np.empty(shape)
        place = self._places(arms).ravel()
        out = np.take(customers, place, axis=1)
        out[:, place < 0] = np.nan
        return out.reshape(shape)

    def of_rows(self, customers: Floats, arm: NDArray[np.int64]) -> Floats:
        """Cross columns (r, number of cross columns) of customers (r, width), each with an arm of its own (r,)."""
        if not self.cross:
            return np.empty((len(customers), 0))
        place = self._places(arm)
        return np.where(place < 0, np.nan, np.take_along_axis(customers, np.maximum(place, 0), axis=1))

    def _places(self, arms: NDArray[np.int64]) -> NDArray[np.int64]:
        """(a, number of cross columns) places of the columns that some arms read, −1: none."""
        own = _table(self.cross)
        return own[np.minimum(arms, len(own) - 1)]


@lru_cache(maxsize=8)
def _table(cross: tuple[Cross, ...]) -> NDArray[np.int64]:
    """(k + 1, number of cross columns): one row per offer, then that of all other arms."""
    own = np.array([column.own for column in cross], np.int64).T
    return np.concatenate([own, np.full((1, len(cross)), -1)])
