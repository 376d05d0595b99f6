"""The trees of the prior: the log as they see it, and how they are grown."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from bandit.columns import Columns
from bandit.prior import Log

Floats: TypeAlias = NDArray[np.float64]

MOST_TREES = 400
"""Of the prior; early stopping takes fewer."""

_PATIENCE = 30  # rounds without improvement before the hold-out stops the boosting
_ROWS_PER_THREAD = 50_000  # with fewer, threads wait for one another longer than they work
_TREES = {
    "num_leaves": 15,
    "learning_rate": 0.08,
    "min_data_in_leaf": 40,
    "lambda_l2": 1.0,
    "feature_fraction": 0.8,
    "cat_smooth": 20.0,
    "deterministic": True,
    "force_row_wise": True,
    "verbosity": -1,
}


@dataclass(frozen=True, slots=True, eq=False)
class TrainingData:
    """The log as the trees see it, and how to train on part of it; `target` (r,) is what they are to say."""

    log: Log
    offers: Floats
    columns: Columns
    matrix: Floats
    target: Floats
    parameters: dict[str, Any]

    def train(self, rows: NDArray[np.int64], trees: int, stop: NDArray[np.int64] | None = None) -> Any:
        """A booster of some rows; with `stop`, the number of trees is the best on those rows."""
        import lightgbm

        data = lightgbm.Dataset(
            self.matrix[rows],
            self.target[rows],
            weight=self._weight(rows),
            categorical_feature=list(self.columns.categorical),
            params=self.parameters,
        )
        if stop is None:
            return lightgbm.train(self.parameters, data, trees)
        held = data.create_valid(self.matrix[stop], self.target[stop], weight=self._weight(stop))
        watch = lightgbm.early_stopping(_PATIENCE, verbose=False)
        return lightgbm.train(self.parameters, data, trees, valid_sets=[held], callbacks=[watch])

    def _weight(self, rows: NDArray[np.int64]) -> Floats | None:
        return None if self.log.weight is None else self.log.weight[rows]


def training_data(
    log: Log,
    offers: Floats,
    columns: Columns,
    *,
    seed: int,
    threads: int,
    monotone: Mapping[str, int] | None = None,
) -> TrainingData:
    """The matrix and the parameters that the prior is trained with.

    Args:
        log: exposures.
        offers: (k + 1, do) offer features; the last row is no offer.
        columns: what the columns of `log.customers` and `offers` are.
        seed: of the trees' feature sampling.
        threads: the most to use; the bits do not depend on it.
        monotone: +1 or -1 by column name; names that are not among the columns are not read.
    """
    useful = max(1, min(threads, len(log.arm) // _ROWS_PER_THREAD))
    own = {"objective": log.kind.objective, "seed": seed % 2**31, "num_threads": useful}
    parameters = {**_TREES, **own, **_constraints(columns, monotone or {})}
    seen = log.customers[:, : len(columns.customer)]
    matrix = np.concatenate([seen, offers[log.arm], columns.of_rows(log.customers, log.arm)], axis=1)
    return TrainingData(log, offers, columns, matrix, log.outcome, parameters)


def _constraints(columns: Columns, monotone: Mapping[str, int]) -> dict[str, Any]:
    """What LightGBM is to be told; nothing without constraints."""
    signs = [monotone.get(name, 0) for name in columns.names]
    if not any(signs):
        return {}
    return {"monotone_constraints": signs, "monotone_constraints_method": "intermediate"}


def one_kind(outcome: Floats) -> bool:
    """Whether there is nothing to grow trees of: no outcome, or all the same."""
    return len(outcome) == 0 or bool(outcome.min() == outcome.max())


def text_of(booster: Any) -> str:
    """The model text without the list of parameters, which names the number of threads."""
    return str(booster.model_to_string()).split("\nparameters:")[0] + "\n"
