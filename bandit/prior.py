"""What the log alone says: a calibrated logit for every customer and arm, from gradient-boosted trees.

Arms are the k offers and, last, no offer (arm k). An arm is warm with at least `WARM_ROWS` rows in the log, else cold.
Offers that came after training, newcomers, stand last before no offer; they are cold until the next training.
"""

import json
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from allot import DataError, ShapeError
from bandit.grid import Grid, compile_grid

Floats: TypeAlias = NDArray[np.float64]

WARM_ROWS = 200
"""Log rows from which an arm is told apart from the others."""

_PAIRS_AT_ONCE = 500_000  # calibrated together: bounds the memory
_FORMAT = 1


@dataclass(frozen=True, slots=True)
class Columns:
    """Names of the customer's and the offer's columns, and which of both (customer first) are categories."""

    customer: tuple[str, ...]
    offer: tuple[str, ...]
    categorical: tuple[int, ...]

    def __post_init__(self) -> None:
        names = self.names
        if len(set(names)) < len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise ShapeError("Two columns have one name.", where=twice, remedy="Prefix customer and offer columns.")
        if any(not 0 <= j < len(names) for j in self.categorical):
            raise ShapeError(f"Category positions {self.categorical} do not all lie within {len(names)} columns.")

    @property
    def names(self) -> tuple[str, ...]:
        """Customer columns, then offer columns: the order in which the trees see them."""
        return self.customer + self.offer


@dataclass(frozen=True, slots=True, eq=False)
class Log:
    """Logged exposures, one row each.

    `customers` (r, dc) float64, NaN = missing, categories as codes; `arm` (r,) 0..k, k = no offer;
    `outcome` (r,) 0 or 1; `decided_at` (r,) days; `customer_key` (r,) uint64; `weight` (r,) how much each row counts
    in everything that is fitted or averaged, None = 1.
    """

    customers: Floats
    arm: NDArray[np.int64]
    outcome: Floats
    decided_at: Floats
    customer_key: NDArray[np.uint64]
    weight: Floats | None = None

    def __post_init__(self) -> None:
        rows = len(self.arm)
        shapes = [a.shape for a in (self.arm, self.outcome, self.decided_at, self.customer_key)]
        if self.customers.ndim != 2 or len(self.customers) != rows or any(shape != (rows,) for shape in shapes):
            raise ShapeError(f"A log of customers {self.customers.shape} and columns {shapes} is not one row each.")
        if not np.isin(self.outcome, (0.0, 1.0)).all():
            raise ShapeError("An outcome is neither 0 nor 1.", where="outcome")
        if self.weight is not None and (self.weight.shape != (rows,) or not (self.weight > 0).all()):
            raise ShapeError("Weights are not one positive number for each row.", where="weight")

    @property
    def weights(self) -> Floats:
        """(r,) how much each row counts."""
        return np.ones(len(self.arm)) if self.weight is None else self.weight

    def some(self, rows: NDArray[Any]) -> "Log":
        """Some of the rows, by mask or position."""
        return Log(
            self.customers[rows],
            self.arm[rows],
            self.outcome[rows],
            self.decided_at[rows],
            self.customer_key[rows],
            None if self.weight is None else self.weight[rows],
        )


@dataclass(frozen=True, slots=True, eq=False)
class Prior:
    """The fitted model, frozen.

    Attributes:
        text: LightGBM's model text; it does not depend on names or on the number of threads.
        offers: (k + 1, do) offer features; the last row is no offer. Those of newcomers are NaN and never read.
        columns: what the columns are.
        warm: (k + 1,) bool.
        intercept, slope: calibration, logit = intercept + slope · raw. Slope 0: the log could not beat its base rate.
        mean_logit: mean cross-fitted logit of the shown arm over the log's rows, a constant of the residual's basis.
        newcomers: how many offers came after training.
    """

    text: str
    offers: Floats
    columns: Columns
    warm: NDArray[np.bool_]
    intercept: float
    slope: float
    mean_logit: float
    newcomers: int = 0

    def __post_init__(self) -> None:
        if self.offers.ndim != 2 or self.offers.shape[1] != len(self.columns.offer):
            raise ShapeError(f"Offers of shape {self.offers.shape} do not have {len(self.columns.offer)} columns.")
        if self.warm.shape != (len(self.offers),) or len(self.offers) < 2:
            raise ShapeError(f"Warm flags of shape {self.warm.shape} do not fit {len(self.offers)} arms.")
        if not 0 <= self.newcomers < len(self.offers) or self.warm[len(self.warm) - 1 - self.newcomers : -1].any():
            raise ShapeError(f"{self.newcomers} newcomers of {len(self.offers)} arms are not cold offers.")

    @property
    def constant(self) -> bool:
        """Whether every pair has the same logit."""
        return self.slope == 0.0

    @property
    def scored(self) -> NDArray[np.int64]:
        """Arms whose own score is used: the warm ones; all trained offers where none is warm: their mean is needed."""
        own = self.warm.copy()
        if not own[:-1].any():
            own[: len(own) - 1 - self.newcomers] = True
        return np.flatnonzero(own)

    def widened(self, count: int) -> "Prior":
        """With `count` more newcomers, last before no offer. Nobody else's logit changes by a bit."""
        at = np.full(count, len(self.offers) - 1)
        offers, warm = np.insert(self.offers, at, np.nan, axis=0), np.insert(self.warm, at, False)
        return replace(self, offers=offers, warm=warm, newcomers=self.newcomers + count)

    def booster(self) -> Any:
        """The LightGBM booster; its columns are the customer's, then the offer's."""
        return parse(self.text)

    def calibrated(self, raw: NDArray[Any]) -> NDArray[np.float32]:
        """Calibrate raw scores and give cold arms their logits.

        Args:
            raw: (n, k + 1) raw scores of the trees; columns of arms not in `scored` are not read.

        Returns:
            (n, k + 1) float32; a cold arm's logit is the mean over the warm offers (not over no offer).
        """
        out = np.empty((len(raw), len(self.offers)), np.float32)
        self._finish(np.asarray(raw, np.float64)[:, self.scored], out)
        return out

    def logits(self, customers: Floats, *, threads: int = 2) -> NDArray[np.float32]:
        """Calibrated logits of all arms, from the factorised scorer (`bandit.grid`), in pieces of bounded memory.

        Args:
            customers: (n, dc) float64, NaN = missing, categories as codes.
            threads: how many may work.

        Returns:
            (n, k + 1) float32. A customer's logits are the same to the bit with whomever, in whatever order and by
            however many threads they are computed.

        Raises:
            ShapeError: the matrix does not have the model's columns.
        """
        if customers.ndim != 2 or customers.shape[1] != len(self.columns.customer):
            raise ShapeError(
                f"A customer matrix of shape {customers.shape} does not have {len(self.columns.customer)} columns.",
                remedy="Encode customers with the columns that the model was trained on.",
            )
        out = np.empty((len(customers), len(self.offers)), np.float32)
        if self.constant:
            out[:] = self.intercept
            return out
        grid = grid_of(self.text, self.offers[self.scored], customers.shape[1])
        size = max(1, _PAIRS_AT_ONCE // len(self.offers))
        for first in range(0, len(customers), size):
            piece = slice(first, first + size)
            self._finish(grid.logits(customers[piece], threads=threads), out[piece])
        return out

    def _finish(self, raw: NDArray[Any], out: NDArray[np.float32]) -> None:
        """From raw scores of the scored arms (n, len(scored)) to calibrated logits of all arms."""
        scored, own = self.scored, self.intercept + self.slope * raw.astype(np.float64)
        if len(scored) == len(self.offers):
            out[:] = own
        else:
            out[:, scored] = own
        if not self.warm.all():
            offers = np.flatnonzero(scored < len(self.offers) - 1).tolist()
            total = np.zeros(len(own))
            for offer in offers:  # in this order: no customer's sum depends on how many there are
                total += own[:, offer]
            out[:, ~self.warm] = (total / len(offers))[:, None]

    def to_files(self) -> dict[str, bytes]:
        """File names and contents: the model text, and everything else as JSON with exact numbers (NaN as null).

        Only what was trained: newcomers are left out.
        """
        trained = np.ones(len(self.offers), np.bool_)
        trained[len(trained) - 1 - self.newcomers : -1] = False
        table = {
            "format": _FORMAT,
            "customer": self.columns.customer,
            "offer": self.columns.offer,
            "categorical": self.columns.categorical,
            "offers": [[None if np.isnan(x) else float(x) for x in row] for row in self.offers[trained]],
            "warm": self.warm[trained].tolist(),
            "intercept": self.intercept,
            "slope": self.slope,
            "mean_logit": self.mean_logit,
        }
        text = json.dumps(table, indent=1, sort_keys=True, allow_nan=False)
        return {"model.txt": self.text.encode(), "prior.json": text.encode()}

    @staticmethod
    def from_files(files: dict[str, bytes]) -> "Prior":
        """What `to_files` wrote.

        Raises:
            DataError: a file is missing, or was written in another format.
        """
        missing = {"model.txt", "prior.json"} - files.keys()
        if missing:
            raise DataError("The model is incomplete.", where=min(missing), remedy="Train again.")
        table = json.loads(files["prior.json"])
        if table.get("format") != _FORMAT:
            raise DataError(f"Format {table.get('format')} is unknown.", where="prior.json", remedy="Train again.")
        width = len(table["offer"])
        rows = [[np.nan if x is None else x for x in row] for row in table["offers"]]
        return Prior(
            text=files["model.txt"].decode(),
            offers=np.array(rows, np.float64).reshape(len(rows), width),
            columns=Columns(tuple(table["customer"]), tuple(table["offer"]), tuple(table["categorical"])),
            warm=np.array(table["warm"], np.bool_),
            intercept=table["intercept"],
            slope=table["slope"],
            mean_logit=table["mean_logit"],
        )


@lru_cache(maxsize=4)
def parse(text: str) -> Any:
    """The booster of a model text; parsed once, since one decision at a time would otherwise be mostly parsing."""
    import lightgbm

    return lightgbm.Booster(model_str=text)


@lru_cache(maxsize=8)
def _compiled(text: str, offers: bytes, shape: tuple[int, int], n_customer: int) -> Grid:
    return compile_grid(text, np.frombuffer(offers).reshape(shape), n_customer)


def grid_of(text: str, offers: Floats, n_customer: int) -> Grid:
    """The scorer of a model text and some offers (a, do); compiled once, since that takes longer than one decision."""
    exact = np.asarray(offers, np.float64)
    arms, width = exact.shape
    return _compiled(text, exact.tobytes(), (arms, width), n_customer)


def pair_scores(booster: Any, customers: Floats, offers: Floats, *, threads: int) -> Floats:
    """Raw scores (n, a) of some customers (n, dc) with some offers (a, do)."""
    grid = grid_of(booster.model_to_string(), offers, customers.shape[1])
    return grid.logits(customers, threads=threads).astype(np.float64)
