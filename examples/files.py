"""The tables that a user would bring, written from a data set's columns."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pa_parquet

TIME = pa.timestamp("us", "UTC")
ANSWER_DAYS = 7  # successes are dated a week after the decision; the data sets do not say when they happened


def write(path: Path, columns: Mapping[str, Any]) -> Path:
    """One table as CSV or Parquet, by the file's ending."""
    table = pa.table(dict(columns))
    (pa_csv.write_csv if path.suffix == ".csv" else pa_parquet.write_table)(table, path)
    return path


def exposures(
    path: Path,
    shown: Mapping[str, Sequence[Any]],
    rows: Sequence[int],
    *,
    propensity: float,
    at: datetime,
    reward: Sequence[float],
) -> Path:
    """Some rows of what was shown as an exposures table.

    Args:
        path: of the file.
        shown: columns customer_id, offer_id (None = no offer) and outcome (0/1).
        rows: which of them.
        propensity: with which each was chosen.
        at: when.
        reward: what each row of `shown` earned.
    """
    outcome = np.array([shown["outcome"][i] for i in rows], np.int64)
    answered = pa.array([at + timedelta(days=ANSWER_DAYS)] * len(rows), TIME, mask=outcome == 0)
    return write(
        path,
        {
            "customer_id": pa.array([shown["customer_id"][i] for i in rows], pa.string()),
            "offer_id": pa.array([shown["offer_id"][i] for i in rows], pa.string()),
            "decided_at": pa.array([at] * len(rows), TIME),
            "propensity": np.full(len(rows), propensity),
            "outcome": outcome,
            "reward": np.array([reward[i] for i in rows], np.float64),
            "outcome_at": answered,
        },
    )


def always(path: Path, customers: Sequence[str], offer: str | None) -> Path:
    """The policy that gives everybody the same offer, or none, as a target list."""
    people = sorted(set(customers))
    offers = pa.array([offer] * len(people), pa.string())
    return write(path, {"customer_id": people, "offer_id": offers, "probability": np.ones(len(people))})
