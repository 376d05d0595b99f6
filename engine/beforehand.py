"""What was known of customers before an experiment began: less of its noise, none of its effect."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final, TypeAlias

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from allot import DataError
from engine.rows import column_keys
from warehouse import (
    DataVersion,
    Workspace,
    attach,
    connect,
    current_version,
    customer_rows,
    exposures_log,
)

Floats: TypeAlias = NDArray[np.float64]

PAST: Final = ("past reward", "past decisions")


def covariate_names(workspace: Workspace) -> list[str]:
    """What may be known of a customer before a start: the past, and the columns that are numbers."""
    version = current_version(workspace)
    with connect(workspace) as connection:
        attach(connection, workspace, version)
        described = connection.execute("DESCRIBE FROM customers").fetchall()
    return [*PAST, *sorted(row[0] for row in described if row[1] in _NUMBERS)]


def known_before(
    workspace: Workspace, version: DataVersion, ids: pa.Array, start: datetime, names: Sequence[str]
) -> Floats:
    """Covariates of customers (n, c), from what had been decided and received before a moment.

    What is missing counts as the mean; a column that is gone counts nothing.

    Args:
        workspace, version: of the data.
        ids: (n,) customers, each once.
        start: the moment.
        names: of the covariates.
    """
    with connect(workspace) as connection:
        attach(connection, workspace, version)
        moments = pa.array([start] * len(ids), pa.timestamp("us", "UTC"))
        pairs = pa.table({"pair_id": np.arange(len(ids)), "customer_id": ids, "at": moments})
        people = customer_rows(connection, pairs)
        log = exposures_log(connection, 0.0, start) if "exposures" in version.tables else None
    past = (np.zeros(len(ids)),) * 2 if log is None else _past(log.filter(log["matured"]), ids)
    columns = dict(zip(PAST, past, strict=True))
    out = []
    for name in names:
        if name in people.column_names:
            x = people[name].cast(pa.float64()).to_numpy().astype(np.float64)
        else:
            x = columns.get(name, np.zeros(len(ids)))
        known = np.isfinite(x)
        out.append(np.where(known, x, x[known].mean() if known.any() else 0.0))
    return np.column_stack(out)


def _past(log: pa.Table, ids: pa.Array) -> tuple[Floats, Floats]:
    """Rewards and decisions of each customer in a log."""
    keys, wanted = column_keys(log["customer_id"]), column_keys(ids)
    order = np.argsort(wanted)
    at = np.minimum(np.searchsorted(wanted[order], keys), len(wanted) - 1)
    ours = wanted[order][at] == keys
    place = order[at[ours]]
    reward = np.nan_to_num(log["reward"].to_numpy().astype(np.float64)[ours])
    n = len(ids)
    return np.bincount(place, reward, n).astype(np.float64), np.bincount(place, minlength=n).astype(np.float64)


def past_rewards(workspace: Workspace, outcome_days: float, at: datetime) -> Floats:
    """Rewards of the exposures whose outcomes are in, to tell their spread.

    Raises:
        DataError: there are none, or they are all the same.
    """
    version = current_version(workspace)
    remedy = "Load exposures of earlier campaigns."
    if "exposures" not in version.tables:
        raise DataError("there are no past rewards to tell their spread from.", where="exposures", remedy=remedy)
    with connect(workspace) as connection:
        attach(connection, workspace, version)
        log = exposures_log(connection, outcome_days, at)
    rewards: Floats = np.nan_to_num(log.filter(log["matured"])["reward"].to_numpy().astype(np.float64))
    if len(rewards) < 2 or rewards.std() == 0:
        raise DataError("past rewards are all the same, or none is old enough.", where="exposures", remedy=remedy)
    return rewards


_NUMBERS: Final = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "FLOAT", "DOUBLE")
