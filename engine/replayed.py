"""What a policy would have done on a log: the answer of a replay, and that of several as one."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from engine.logs import LoggedRows
from engine.pooled import over_arms

Floats: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Replayed:
    """A target policy on the logged rows.

    Args:
        probability: (r, k + 1).
        name: what to call it.
        success: (r, k + 1) chances of success that it believes, or None.
        reasons: why it may not be judged on this log; empty when it may.
        cost: expected cost of all r decisions in posterior means, or None.
        facts: what else to tell, e.g. how limits were scaled.
        amount: (r, k + 1) amounts that it expects, or None.
    """

    probability: Floats
    name: str
    success: Floats | None
    reasons: tuple[str, ...]
    cost: float | None = None
    facts: dict[str, Any] = field(default_factory=dict)
    amount: Floats | None = None


def together(parts: Sequence[Replayed], logs: Sequence[LoggedRows], rows: LoggedRows) -> Replayed:
    """One policy that was replayed on several logs, on their pooled rows."""
    if len(parts) == 1:
        return parts[0]
    offer_ids = rows.offer_ids

    def whole(tables: list[Floats | None]) -> Floats | None:
        known = [table for table in tables if table is not None]
        return over_arms(known, logs, offer_ids) if len(known) == len(parts) else None

    return Replayed(
        probability=over_arms([part.probability for part in parts], logs, offer_ids),
        name=parts[0].name,
        success=whole([part.success for part in parts]),
        amount=whole([part.amount for part in parts]),
        reasons=tuple(dict.fromkeys(reason for part in parts for reason in part.reasons)),
        cost=sum(part.cost or 0.0 for part in parts),
        facts={
            "logged_in_audience": sum(part.facts["logged_in_audience"] for part in parts),
            "replays": [{"log": log.name, **part.facts} for log, part in zip(logs, parts, strict=True)],
        },
    )
