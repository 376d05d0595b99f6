"""What the log alone says: a calibrated logit for every customer and arm, from gradient-boosted trees.

Where outcomes are amounts, the amount that is expected stands in the place of the logit.

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
from bandit.columns import Columns, Cross
from bandit.grid import Grid, compile_grid
from bandit.kinds import SUCCESSES, Kind, kind_named

Floats: TypeAlias = NDArray[np.float64]

WARM_ROWS = 200
"""Log rows from which an arm is told apart from the others."""

_PAIRS_AT_ONCE = 500_000  # calibrated together: bounds the memory
_FORMAT = 2
_WITHOUT_CROSS = 1  # the format of a model without cross columns


@dataclass(frozen=True, slots=True, eq=False)
class Log:
    """Logged exposures, one row each.

    `customers` (r, width) float64, NaN = missing, categories as codes; `arm` (r,) 0..k, k = no offer;
    `outcome` (r,) of its `kind`; `decided_at` (r,) days; `customer_key` (r,) uint64; `weight` (r,) how much each row
    counts in everything that is fitted or averaged, None = 1.
    """

    customers: Floats
    arm: NDArray[np.int64]
    outcome: Floats
    decided_at: Floats
    customer_key: NDArray[np.uint64]
    weight: Floats | None = None
    kind: Kind = SUCCESSES

    def __post_init__(self) -> None:
        rows = len(self.arm)
        shapes = [a.shape for a in (self.arm, self.outcome, self.decided_at, self.customer_key)]
        if self.customers.ndim != 2 or len(self.customers) != rows or any(shape != (rows,) for shape in shapes):
            raise ShapeError(f"A log of customers {self.customers.shape} and columns {shapes} is not one row each.")
        self.kind.check(self.outcome)
        if self.weight is not None and (self.weight.shape != (rows,) or not (self.weight > 0).all()):
            raise ShapeError("Weights are not one positive number for each row.", where="weight")

    @property
    def weights(self) -> Floats:
        """(r,) how much each row counts."""
        return np.ones(len(self.arm)) if self.weight is None else self.weight

    def read_by(self, columns: Columns) -> "Log":
        """With the leading columns of the customers alone, as many as these are."""
        return replace(self, customers=self.customers[:, : columns.width])

    def some(self, rows: NDArray[Any]) -> "Log":
        """Some of the rows, by mask or position."""
        return Log(
            self.customers[rows],
            self.arm[rows],
            self.outcome[rows],
            self.decided_at[rows],
            self.customer_key[rows],
            None if self.weight is None else self.weight[rows],
            self.kind,
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
        kind: of the outcomes that it was trained on.
    """

    text: str
    offers: Floats
    columns: Columns
    warm: NDArray[np.bool_]
    intercept: float
    slope: float
    mean_logit: float
    newcomers: int = 0
    kind: Kind = SUCCESSES

    def __post_init__(self) -> None:
        if self.offers.ndim != 2 or self.offers.shape[1] != len(self.columns.offer):
            raise ShapeError(f"Offers of shape {self.offers.shape} do not have {len(self.columns.offer)} columns.")
        if self.warm.shape != (len(self.offers),) or len(self.offers) < 2:
            raise ShapeError(f"Warm flags of shape {self.warm.shape} do not fit {len(self.offers)} arms.")
        if not 0 <= self.newcomers < len(self.offers) or self.warm[len(self.warm) - 1 - self.newcomers : -1].any():
            raise ShapeError(f"{self.newcomers} newcomers of {len(self.offers)} arms are not cold offers.")
        if any(len(cross.own) != len(self.offers) - 1 - self.newcomers for cross in self.columns.cross):
            raise ShapeError("A cross column does not say what each trained offer reads.")

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
        """The LightGBM booster; its columns are the customer's, the offer's, then those of the pair."""
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
            customers: (n, width) float64, NaN = missing, categories as codes.
            threads: how many may work.

        Returns:
            (n, k + 1) float32. A customer's logits are the same to the bit with whomever, in whatever order and by
            however many threads they are computed.

        Raises:
            ShapeError: the matrix does not have the model's columns.
        """
        if customers.ndim != 2 or customers.shape[1] != self.columns.width:
            raise ShapeError(
                f"A customer matrix of shape {customers.shape} does not have {self.columns.width} columns.",
                remedy="Encode customers with the columns that the model was trained on.",
            )
        out = np.empty((len(customers), len(self.offers)), np.float32)
        if self.constant:
            out[:] = self.intercept
            return out
        size = max(1, _PAIRS_AT_ONCE // len(self.offers))
        for first in range(0, len(customers), size):
            piece = slice(first, first + size)
            raw = pair_scores(self.text, customers[piece], self.offers, self.columns, arms=self.scored, threads=threads)
            self._finish(raw, out[piece])
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
        columns = self.columns
        trained = np.ones(len(self.offers), np.bool_)
        trained[len(trained) - 1 - self.newcomers : -1] = False
        table = {
            "format": _FORMAT if columns.cross else _WITHOUT_CROSS,
            "customer": columns.customer,
            "offer": columns.offer,
            "categorical": columns.categorical,
            "offers": [[None if np.isnan(x) else float(x) for x in row] for row in self.offers[trained]],
            "warm": self.warm[trained].tolist(),
            "intercept": self.intercept,
            "slope": self.slope,
            "mean_logit": self.mean_logit,
        }
        if self.kind != SUCCESSES:
            table |= {"outcome": self.kind.name}
        if columns.cross:
            table |= {"cross": [[cross.name, cross.own] for cross in columns.cross], "sources": columns.sources}
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
        if table.get("format") not in (_FORMAT, _WITHOUT_CROSS):
            raise DataError(f"Format {table.get('format')} is unknown.", where="prior.json", remedy="Train again.")
        columns = Columns(
            tuple(table["customer"]),
            tuple(table["offer"]),
            tuple(table["categorical"]),
            tuple(Cross(name, tuple(own)) for name, own in table.get("cross", ())),
            tuple(table.get("sources", ())),
        )
        rows = [[np.nan if x is None else x for x in row] for row in table["offers"]]
        return Prior(
            text=files["model.txt"].decode(),
            offers=np.array(rows, np.float64).reshape(len(rows), len(columns.offer)),
            columns=columns,
            warm=np.array(table["warm"], np.bool_),
            intercept=table["intercept"],
            slope=table["slope"],
            mean_logit=table["mean_logit"],
            kind=kind_named(table.get("outcome", SUCCESSES.name)),
        )


@lru_cache(maxsize=4)
def parse(text: str) -> Any:
    """The booster of a model text; parsed once, since one decision at a time would otherwise be mostly parsing."""
    import lightgbm

    return lightgbm.Booster(model_str=text)


@lru_cache(maxsize=8)
def _compiled(text: str, offers: bytes, shape: tuple[int, int], widths: tuple[int, int]) -> Grid:
    return compile_grid(text, np.frombuffer(offers).reshape(shape), *widths)


def pair_scores(
    model: Any,
    customers: Floats,
    offers: Floats,
    columns: Columns,
    *,
    arms: NDArray[np.int64] | None = None,
    threads: int,
) -> Floats:
    """Raw scores of some customers with some arms.

    Args:
        model: a LightGBM booster or its text; compiled once, since that takes longer than one decision.
        customers: (n, width).
        offers: (K, do) features of all arms.
        columns: what the columns are.
        arms: (a,) which arms; None = all.
        threads: how many may work.

    Returns:
        (n, a) as `bandit.grid` gives them.
    """
    which = np.arange(len(offers)) if arms is None else arms
    some = np.asarray(offers[which], np.float64)
    text = model if isinstance(model, str) else model.model_to_string()
    grid = _compiled(text, some.tobytes(), (len(which), some.shape[1]), (len(columns.customer), len(columns.cross)))
    seen = customers[:, : len(columns.customer)]
    return grid.logits(seen, columns.of_pairs(customers, which), threads=threads).astype(np.float64)
