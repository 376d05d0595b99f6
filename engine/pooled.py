"""Several allocations' logs as one, in which a customer who was decided on twice is one cluster of two rows."""

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from allot import DataError
from engine.logs import LoggedRows
from engine.rows import column_keys

Floats: TypeAlias = NDArray[np.float64]


def pooled(logs: Sequence[LoggedRows]) -> LoggedRows:
    """One log of all rows, in the order of the logs; its arms are the offers of any of them.

    Args:
        logs: of our own allocations; one log is returned as it is.
    """
    if len(logs) == 1:
        return logs[0]
    offer_ids = tuple(sorted({offer for log in logs for offer in log.offer_ids}))
    customer, at = (pa.concat_arrays([getattr(log, name) for log in logs]) for name in ("customer_id", "decided_at"))

    def joined(name: str) -> NDArray[Any]:
        return np.concatenate([getattr(log, name) for log in logs])

    def table(name: str) -> NDArray[Any] | None:
        parts = [getattr(log, name) for log in logs]
        return None if any(part is None for part in parts) else over_arms(parts, logs, offer_ids)

    return LoggedRows(
        name=", ".join(log.name for log in logs),
        offer_ids=offer_ids,
        customer_id=customer,
        decided_at=at,
        cluster=np.unique(column_keys(customer), return_inverse=True)[1].astype(np.int64),
        arm=np.concatenate([_places(log, offer_ids)[log.arm] for log in logs]),
        outcome=joined("outcome"),
        reward=joined("reward"),
        propensity=joined("propensity"),
        probability=table("probability"),
        support=table("support"),
        success=table("success"),
        amount=table("amount"),
        row_key=joined("row_key"),
        decision=joined("decision"),
        stamp=None,
        left_out=sum(log.left_out for log in logs),
        immature=sum(log.immature for log in logs),
        unknown_propensity=sum(log.unknown_propensity for log in logs),
        notes=tuple(f"{log.name}: {note}" for log in logs for note in log.notes),
        reasons=tuple(f"{log.name}: {reason}" for log in logs for reason in log.reasons),
        read=lambda: _read(logs, offer_ids),
    )


def over_arms(tables: Sequence[NDArray[Any]], logs: Sequence[LoggedRows], offer_ids: tuple[str, ...]) -> NDArray[Any]:
    """Tables over the arms of their logs as one table over these arms; 0 for offers that a log did not have."""
    if len(tables) == 1:
        return tables[0]
    parts = []
    for table, log in zip(tables, logs, strict=True):
        part = np.zeros((len(table), len(offer_ids) + 1), table.dtype)
        part[:, _places(log, offer_ids)] = table
        parts.append(part)
    return np.concatenate(parts)


def _places(log: LoggedRows, offer_ids: tuple[str, ...]) -> NDArray[np.int64]:
    """Where each arm of a log is among these, no offer last."""
    return np.array([*(offer_ids.index(offer) for offer in log.offer_ids), len(offer_ids)])


def _read(logs: Sequence[LoggedRows], offer_ids: tuple[str, ...]) -> tuple[pa.Table, pa.Table]:
    """Features of all rows, and each offer as the latest log describes it."""
    features, catalogues = zip(*(log.read() for log in logs), strict=True)
    described = {row["offer_id"]: row for catalogue in catalogues for row in catalogue.to_pylist()}
    try:
        table = pa.concat_tables(features, promote_options="permissive")
        schema = pa.unify_schemas([c.schema for c in catalogues], promote_options="permissive")
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise DataError(
            f"a column has changed its type between these allocations ({error}).",
            where="evaluate",
            remedy="Evaluate the allocations before the change and those after it one by one.",
        ) from error
    return table, pa.Table.from_pylist([described[offer] for offer in offer_ids], schema)
