"""Raw scores of boosted trees for every customer and offer, without a row for every pair.

`compile_grid` specialises a model to a catalogue; `Grid.logits` then computes each tree's customer part once per
customer, and only what depends on both sides once per pair. How: see `bandit.grid_plan`.
"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from allot import ShapeError
from bandit.grid_model import parse_model
from bandit.grid_plan import Plan, Sides, make_plan, spread_too_far

Floats: TypeAlias = NDArray[np.float64]
Matrix: TypeAlias = NDArray[np.float32 | np.float64]

_CUSTOMERS_AT_ONCE = 8192  # of one call of a kernel: what two threads share out
_PAIRS_AT_ONCE = 200_000  # rows of a matrix handed to LightGBM: bounds the memory


@dataclass(frozen=True, slots=True, eq=False)
class Grid:
    """A model specialised to k offers.

    Attributes:
        offers: (k, n_offer) their features.
        n_customer, n_cross: columns of a customer and of a pair.
        outside: why the model is outside the kernel's domain and LightGBM itself predicts; empty where it is inside.
    """

    offers: Floats
    n_customer: int
    n_cross: int
    outside: str
    _plan: Plan | None
    _booster: Any

    def logits(self, customers: Matrix, cross: Matrix | None = None, *, threads: int = 1) -> NDArray[np.float32]:
        """Raw scores of all pairs.

        Args:
            customers: (n, n_customer) float32 or float64, NaN = missing, categories as codes; other types are read as
                float64.
            cross: (n, k, n_cross) features of the pair, of the same types; None where there are none.
            threads: how many may work.

        Returns:
            (n, k) float32. A pair's score is the same to the bit whatever else is scored with it, in whatever order, in
            pieces of whatever size and by however many threads. It lies within 1e-6 + 2e-7·|score| of what
            `Booster.predict(raw_score=True)` gives for the expanded row.

        Raises:
            ShapeError: the arrays do not have the columns that the model was compiled for.
        """
        mine = _as_floats(customers)
        if mine.ndim != 2 or mine.shape[1] != self.n_customer:
            raise ShapeError(f"A customer matrix of shape {mine.shape} does not have {self.n_customer} columns.")
        n, k = len(mine), len(self.offers)
        pairs = np.empty((n, k, 0), mine.dtype) if cross is None else _as_floats(cross)
        if pairs.shape != (n, k, self.n_cross):
            raise ShapeError(f"Cross features of shape {pairs.shape} are not ({n}, {k}, {self.n_cross}).")
        out = np.empty((n, k), np.float32)
        size = _CUSTOMERS_AT_ONCE if self._plan else max(1, _PAIRS_AT_ONCE // max(k, 1))

        def work(first: int) -> None:
            piece = slice(first, first + size)
            self._piece(mine[piece], pairs[piece], out[piece])

        starts = range(0, n, size)
        if threads < 2 or len(starts) < 2:
            for first in starts:
                work(first)
        else:
            with ThreadPoolExecutor(threads) as pool:
                for _ in pool.map(work, starts):
                    pass
        return out

    def _piece(self, customers: Matrix, cross: Matrix, out: NDArray[np.float32]) -> None:
        n, k = out.shape
        if self._plan is None:
            out[:] = _expanded(self._booster, customers, self.offers, cross)
        elif n and k:
            from bandit.grid_kernels import score

            score(_writable(customers), _writable(cross.reshape(n, k * self.n_cross)), self._plan, out)


def _as_floats(values: Matrix) -> Matrix:
    array = np.asarray(values)
    return array if array.dtype in (np.float32, np.float64) else array.astype(np.float64)


def _writable(values: Matrix) -> Matrix:
    """The one memory layout that the kernels are compiled for."""
    return np.require(values, requirements=["C", "W"])


def _expanded(booster: Any, customers: Matrix, offers: Floats, cross: Matrix) -> Floats:
    """LightGBM's own scores (n, k), one row per pair."""
    n, k, width = cross.shape
    pairs = np.empty((n, k, customers.shape[1] + offers.shape[1] + width))
    pairs[:, :, : customers.shape[1]] = customers[:, None, :]
    pairs[:, :, customers.shape[1] : pairs.shape[2] - width] = offers
    pairs[:, :, pairs.shape[2] - width :] = cross
    if n * k == 0:
        return np.empty((n, k))
    flat = pairs.reshape(n * k, -1)
    return np.asarray(booster.predict(flat, raw_score=True, num_threads=1), np.float64).reshape(n, k)


def _text_of(booster: Any, start_iteration: int, num_iteration: int | None) -> str:
    """The text of some iterations of a `Booster` or of a model text."""
    if isinstance(booster, str):
        if start_iteration <= 0 and num_iteration is None:
            return booster
        import lightgbm

        parse_model(booster)  # refuses in words what LightGBM would not
        booster = lightgbm.Booster(model_str=booster)
    best = None if start_iteration <= 0 else -1
    return str(booster.model_to_string(num_iteration if num_iteration is not None else best, start_iteration))


def compile_grid(
    booster: Any,
    offers: Matrix,
    n_customer: int,
    n_cross: int = 0,
    *,
    start_iteration: int = 0,
    num_iteration: int | None = None,
) -> Grid:
    """Specialise a LightGBM model to a catalogue.

    The domain is: one class; trees of at most 32 leaves, with constants in them that lie within a few units of each
    other (2^31 / 2^20 / number of trees); categories below 65536. Numbers with any kind of missing values and default
    direction, categories one against many or many against many, constant trees, random forests and DART are inside it.
    Any other model of one class gives a `Grid` that asks LightGBM itself, in pieces of bounded memory.

    Args:
        booster: a LightGBM `Booster`, or its model text. Its columns are the customer's, the offer's, then the pair's.
        offers: (k, n_offer) features, NaN = missing, categories as codes.
        n_customer, n_cross: columns of a customer and of a pair.
        start_iteration, num_iteration: which trees, as in `Booster.predict`.

    Raises:
        ShapeError: the columns do not add up to the model's, or the model has several classes.
        DataError: the text is not a whole model.
    """
    catalogue = np.array(offers, np.float64)
    text = _text_of(booster, start_iteration, num_iteration)
    model = parse_model(text)
    widths = (n_customer, catalogue.shape[1], n_cross) if catalogue.ndim == 2 else (-1,)
    if min(widths) < 0 or sum(widths) != model.features:
        raise ShapeError(
            f"{n_customer} customer columns, offers of shape {catalogue.shape} and {n_cross} cross columns are not the "
            f"{model.features} of the model.",
            where="booster",
            remedy="Give the columns in the order customer, offer, cross.",
        )
    outside = model.outside() or ("leaves lie too far apart" if spread_too_far(model) else "")
    if outside:
        import lightgbm

        return Grid(catalogue, n_customer, n_cross, outside, None, lightgbm.Booster(model_str=text))
    plan = make_plan(model, catalogue, Sides(n_customer, catalogue.shape[1]))
    return Grid(catalogue, n_customer, n_cross, "", plan, None)
