"""The tables that a user would bring, written from a data set's columns."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
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


@dataclass(frozen=True, slots=True)
class Shown:
    """What was shown to whom at random, as columns; offer_id None = no offer, outcome 0/1."""

    customer_id: Sequence[str]
    offer_id: Sequence[str | None]
    outcome: Sequence[int]
    propensity: float
    at: datetime


def exposures(path: Path, shown: Shown, rows: Sequence[int], reward: Sequence[float]) -> Path:
    """Some rows of what was shown as an exposures table; `reward` is what each row of `shown` earned."""
    outcome = np.array([shown.outcome[i] for i in rows], np.int64)
    answered = pa.array([shown.at + timedelta(days=ANSWER_DAYS)] * len(rows), TIME, mask=outcome == 0)
    return write(
        path,
        {
            "customer_id": pa.array([shown.customer_id[i] for i in rows], pa.string()),
            "offer_id": pa.array([shown.offer_id[i] for i in rows], pa.string()),
            "decided_at": pa.array([shown.at] * len(rows), TIME),
            "propensity": np.full(len(rows), shown.propensity),
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
