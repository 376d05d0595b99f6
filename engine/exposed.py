"""What is trained on: matured exposures and our own matured decisions, each once."""

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from allot import DataError
from bandit import SUCCESSES, Kind
from engine.rows import column_keys, own_keys, released
from warehouse import Store, Workspace, exposures_log, history, outcomes

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

Floats: TypeAlias = NDArray[np.float64]

_DAY_US = 86_400_000_000
_MOST_DELAYS = 2_000


@dataclass(frozen=True, slots=True)
class Exposed:
    """What is trained on: r rows of who was offered what, and what came of it.

    Args:
        customer_id, at: (r,) Arrow arrays.
        arm: (r,) catalogue position; the number of offers = no offer.
        outcome: (r,) 0 or 1.
        reward: (r,) what it brought, currency units; NaN where that of a success is not known.
        propensity: (r,) chance with which that arm was chosen; NaN where it is not known, or nobody chose: held out.
        key: (r,) uint64, names the row for ever.
        delays: (s,) days that the successes took whose time is known.
    """

    customer_id: pa.Array
    at: pa.Array
    arm: NDArray[np.int64]
    outcome: Floats
    reward: Floats
    propensity: Floats
    key: NDArray[np.uint64]
    delays: Floats

    def learnt(self, kind: Kind) -> Floats:
        """(r,) what a model of this kind learns of each row.

        Raises:
            DataError: an amount is not known.
        """
        if kind == SUCCESSES:
            return self.outcome
        unknown = int(np.isnan(self.reward).sum())
        if unknown:
            raise DataError(
                f"{unknown:,} of {len(self.reward):,} rows are successes without a reward; amounts are to be learnt.",
                where="exposures, column reward",
                remedy="Write what each brought, or train with --outcome success.",
            )
        return self.reward


def exposed_rows(
    connection: "DuckDBPyConnection",
    store: Store,
    workspace: Workspace,
    offers: pa.Table,
    as_of: datetime,
    outcome_days: float,
) -> Exposed:
    """Matured exposures, then our own matured decisions.

    Raises:
        DataError: there is none, or a decision speaks of an offer that the catalogue no longer has.
    """
    log = exposures_log(connection, outcome_days, as_of)
    log = log.filter(log["matured"])
    log = log.filter(pa.array(~np.isin(column_keys(log["row_key"]), own_keys(workspace, store))))
    own = history(
        connection, released(workspace, store.allocations(status="released")), outcomes(store, up_to=as_of), as_of
    )
    known = np.asarray(own["matured"]) & (np.asarray(own["answered"]) | np.asarray(own["silence_is_failure"]))
    own = own.filter(pa.array(known))
    if log.num_rows + own.num_rows == 0:
        raise DataError(
            f"no exposure is older than {outcome_days:g} days as of {as_of:%Y-%m-%d}.",
            where="exposures",
            remedy="Load older exposures, or give a smaller --outcome-days.",
        )
    log = log.set_column(
        log.column_names.index("reward"), "reward", pc.if_else(log["reward_known"], log["reward"], None)
    )
    own = own.set_column(
        own.column_names.index("propensity"), "propensity", pc.if_else(own["held_out"], None, own["propensity"])
    )
    parts = [
        (t["customer_id"], t["decided_at"], t["offer_id"], t["outcome"], t["reward"], t["propensity"], t[key])
        for t, key in ((log, "row_key"), (own, "decision_id"))
    ]
    customer, at, offer, outcome, reward, chance, key = (
        pa.concat_arrays([_flat(p[j]) for p in parts]) for j in range(7)
    )
    position = {offer_id: arm for arm, offer_id in enumerate(offers["offer_id"].to_pylist())}
    position[None] = len(position)
    arm = [position.get(o, -1) for o in offer.to_pylist()]
    kept = np.array(arm) >= 0  # decisions about offers that were retired since then
    mask = pa.array(kept)
    return Exposed(
        customer.filter(mask),
        at.filter(mask),
        np.array(arm)[kept],
        np.asarray(outcome, np.float64)[kept],
        _numbers(reward)[kept],
        _numbers(chance)[kept],
        column_keys(key.filter(mask)),
        np.concatenate([_delays(log["delay_us"]), _delays(own["delay_us"])]),
    )


def _delays(column: pa.ChunkedArray) -> Floats:
    """Known delays in days, at most a few thousand of them, evenly through the log."""
    known = column.drop_null().to_numpy() / _DAY_US
    known = known[known >= 0]
    return np.asarray(known[:: max(1, len(known) // _MOST_DELAYS)], np.float64)


def _numbers(column: pa.Array) -> Floats:
    """NaN for null."""
    return np.asarray(column.to_numpy(zero_copy_only=False), np.float64)


def _flat(column: pa.ChunkedArray) -> pa.Array:
    kind = pa.timestamp("us", "UTC") if pa.types.is_timestamp(column.type) else column.type
    return column.cast(kind).combine_chunks()
