"""What is odd about the rows of a log, in words: rows that are there twice, offers whose outcomes come too late."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from offline_eval import suspected_late

LATE = 0.05
"""Share of an offer's successes that may come later than outcome_days before its young rows count as incomplete."""

_FEWEST = 10  # late successes before a share of them is believed; rows before all of them count as copied
_DAY_US = 86_400_000_000


def repeated(row_key: NDArray[np.uint64], rows: str = "logged decisions") -> tuple[str, ...]:
    """A note if decisions are in a log more than once: the same id, or the same customer, offer and moment."""
    times = len(row_key) - len(np.unique(row_key))
    if not times:
        return ()
    return (
        f"{times:,} of {len(row_key):,} {rows} repeat another: they count as one customer's, so they narrow no "
        "interval, but they weigh twice",
    )


def decisions(row_key: NDArray[np.uint64], decided_at: pa.Array) -> NDArray[np.int64]:
    """(r,) integers that tell the decisions of a file apart: rows that share one are copies of each other.

    Rows that say the same of a customer, an offer and a moment are copies where moments tell decisions apart (at least
    half of them are different), or where every row is there as many times, or a multiple. Else they may be different
    decisions, of one mailing day, say.

    Args:
        row_key: (r,) what was decided for whom and when, or the decision's own id.
        decided_at: (r,) moments.
    """
    times = np.unique(row_key, return_counts=True)[1]
    fine = 2 * len(pc.unique(decided_at)) >= len(times)
    if fine or (np.gcd.reduce(times) > 1 and len(times) >= _FEWEST):
        return row_key.view(np.int64)
    return np.arange(len(row_key))


def late(
    offer_ids: Sequence[str], arm: NDArray[np.int64], delay_us: NDArray[np.float64], outcome_days: float
) -> tuple[str, ...]:
    """Sentences about offers whose outcomes take longer than outcome_days, while those of others do not.

    Rows that are just old enough then look like failures of that offer, and every comparison with it is wrong. Where
    all offers are late alike, nothing is said.

    Args:
        offer_ids: the k offers; arm k is no offer.
        arm: (r,) what was decided.
        delay_us: (r,) microseconds that the success took; NaN without a success or where its time is not known.
        outcome_days: how long an outcome may take.
    """
    known = np.isfinite(delay_us)
    count = np.bincount(arm[known], minlength=len(offer_ids) + 1)
    slow = np.bincount(arm[known & (delay_us > outcome_days * _DAY_US)], minlength=len(offer_ids) + 1)
    share = slow / np.maximum(count, 1)
    guilty = (share > LATE) & (slow >= _FEWEST)
    if guilty[count > 0].all():
        return ()
    names = [*offer_ids, "no offer"]
    return tuple(
        f"The outcomes of {names[a]} come late: {share[a]:.0%} of its {count[a]:,} successes took longer than "
        f"{outcome_days:g} days, so its younger rows look like failures; give a larger outcome_days."
        for a in np.flatnonzero(guilty)
    )


def perhaps_late(
    offer_ids: Sequence[str], arm: NDArray[np.int64], outcome: NDArray[np.float64], age_days: NDArray[np.float64]
) -> tuple[str, ...]:
    """Notes about offers whose youngest rows lack successes, for logs that do not say when outcomes came.

    Args:
        offer_ids: the k offers; arm k is no offer.
        arm, outcome: (r,) what was decided, and 1 for a success.
        age_days: (r,) how long ago.
    """
    names = [*offer_ids, "no offer"]
    return tuple(
        f"the outcomes of {names[one.action]} may come late: {one.found:,} successes in its rows of at most "
        f"{one.age:.0f} days, where {one.expected:,.0f} would be expected; log when outcomes came, or give a larger "
        "outcome_days"
        for one in suspected_late(arm, outcome > 0, age_days, actions=len(names))
    )
