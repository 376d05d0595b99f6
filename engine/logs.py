"""Logs as arrays: decisions with their propensities and rewards, from our own allocations or from a file."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from allot import DataError
from bandit import AMOUNTS, SUCCESSES, Kind, Log, cross_fitted_rewards, kind_named
from engine.catalogue import catalogue
from engine.features import learn_spec, model_inputs
from engine.logged_chances import whole_rows
from engine.odd_rows import decisions, late, perhaps_late, repeated
from engine.rows import Past, column_keys, released, row_features
from engine.served import served_at, served_columns
from engine.stamp import Stamp
from governance import CONTRACTS
from warehouse import (
    DataVersion,
    Store,
    StoredAllocation,
    Workspace,
    attach,
    connect,
    current_version,
    exposures_log,
    history,
    outcomes,
    read_checked,
    read_decisions,
    read_version,
)

Floats: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class LoggedRows:
    """r logged decisions over k offers; arm k is no offer.

    Args:
        name: what to call the log.
        offer_ids: the k arms.
        customer_id, decided_at: (r,) Arrow texts and moments; `cluster` (r,) integers are the same customers.
        arm, outcome, reward, propensity: (r,).
        probability: (r, k + 1) the whole logged row, or None.
        support: (r, k + 1) bool, what could have been chosen, or None.
        success: (r, k + 1) chances of success that were believed at the time, or None.
        row_key: (r,) uint64, to tell whether a model has seen the row.
        decision: (r,) integers; rows that share one are copies of the same decision.
        stamp: of the allocation that was logged, or None.
        left_out: rows that are held out, too young or unanswered; `immature` of them are too young.
        unknown_propensity: rows without one.
        reasons: why nothing may be judged by these rows; empty when it may.
        read: gives what was known of each row's customer at the time, r rows, and the offers' table.
        amount: (r, k + 1) amounts that were expected at the time, or None.
    """

    name: str
    offer_ids: tuple[str, ...]
    customer_id: pa.Array
    decided_at: pa.Array
    cluster: NDArray[np.int64]
    arm: NDArray[np.int64]
    outcome: Floats
    reward: Floats
    propensity: Floats
    probability: Floats | None
    support: NDArray[np.bool_] | None
    success: Floats | None
    row_key: NDArray[np.uint64]
    decision: NDArray[np.int64]
    stamp: Stamp | None
    left_out: int
    immature: int
    unknown_propensity: int
    notes: tuple[str, ...]
    reasons: tuple[str, ...]
    read: Callable[[], tuple[pa.Table, pa.Table]]
    amount: Floats | None = None

    def reward_model(self) -> Floats:
        """The modelled reward of every arm (r, k + 1), cross-fitted: no row by a model that saw its customer."""
        return self.modelled(*self.read())

    def modelled(self, table: pa.Table, offers: pa.Table) -> Floats:
        """`reward_model` of what `read` gave."""
        spec, _ = learn_spec(table, people=len(np.unique(self.cluster)))
        matrix, columns = model_inputs(spec, offers)
        nowhen = np.zeros(len(self.arm))
        log = Log(spec.encode(table), self.arm, self.outcome, nowhen, self.cluster.astype(np.uint64))
        return cross_fitted_rewards(log, matrix, columns, self.reward, seed=0)

    def some(self, rows: NDArray[np.bool_]) -> "LoggedRows":
        """Some of the rows (r,) bool, as a log."""
        mask = pa.array(rows)

        def read() -> tuple[pa.Table, pa.Table]:
            table, offers = self.read()
            return table.filter(mask), offers

        arrays = ("cluster", "arm", "outcome", "reward", "propensity", "row_key", "decision")
        return replace(
            self,
            customer_id=self.customer_id.filter(mask),
            decided_at=self.decided_at.filter(mask),
            probability=None if self.probability is None else self.probability[rows],
            support=None if self.support is None else self.support[rows],
            success=None if self.success is None else self.success[rows],
            amount=None if self.amount is None else self.amount[rows],
            unknown_propensity=int(np.isnan(self.propensity[rows]).sum()),
            read=read,
            **{name: getattr(self, name)[rows] for name in arrays},
        )


def log_from_file(
    workspace: Workspace, store: Store, path: Path | None, outcome_days: float, as_of: datetime
) -> LoggedRows:
    """Read an exposures file without loading it, or (None) the exposures that are loaded.

    A success without a reward counts at its offer's margin.

    Raises:
        DataError: it breaks the contract of exposures, none of its rows is old enough, or successes without an offer
            have no reward and the offers' margins differ.
    """
    version = current_version(workspace)
    name = "exposures" if path is None else path.name
    offers, log, given, strangers = _checked_log(workspace, version, path, outcome_days, as_of)
    old = log.filter(log["matured"])
    if old.num_rows == 0:
        raise DataError(
            f"no row is older than {outcome_days:g} days as of {as_of:%Y-%m-%d}.",
            where=name,
            remedy="Give a smaller --outcome-days, or wait.",
        )
    offer_ids = tuple(offers["offer_id"].to_pylist())
    customer, at = (old[c].combine_chunks() for c in ("customer_id", "decided_at"))
    cluster = np.unique(column_keys(customer), return_inverse=True)[1].astype(np.int64)
    arm = _arms(old["offer_id"], offer_ids)
    outcome, _, propensity = _floats(old)
    key = column_keys(old["row_key"])
    delays = _delays(old)
    timed = np.isfinite(delays).any()
    suspected = () if timed else perhaps_late(offer_ids, arm, outcome, _age_days(at, as_of))
    chances, unused = whole_rows(given.take(old["place"]), offer_ids, arm, propensity, name)
    possible = None if chances is None else chances > 0
    if possible is not None:
        possible[np.arange(len(arm)), arm] = True  # what was done was possible, though its chance is written as 0
    reward, unpaid = _rewarded(old, arm, np.array(offers["margin"].to_pylist(), np.float64), name)

    def read() -> tuple[pa.Table, pa.Table]:
        with connect(workspace) as own:
            attach(own, workspace, version)
            past = Past(tuple(a.allocation_id for a in store.allocations(status="released")), as_of)
            return row_features(own, store, workspace, (customer, at), past), offers

    return LoggedRows(
        name=name,
        offer_ids=offer_ids,
        customer_id=customer,
        decided_at=at,
        cluster=cluster,
        arm=arm,
        outcome=outcome,
        reward=reward,
        propensity=propensity,
        probability=chances,
        support=possible,
        success=None,
        row_key=key,
        decision=decisions(key, at),
        stamp=None,
        left_out=log.num_rows - old.num_rows,
        immature=log.num_rows - old.num_rows,
        unknown_propensity=int(np.isnan(propensity).sum()),
        notes=(*strangers, *unpaid, *unused, *repeated(key), *suspected),
        reasons=late(offer_ids, arm, delays, outcome_days),
        read=read,
    )


def _checked_log(
    workspace: Workspace, version: DataVersion, path: Path | None, outcome_days: float, as_of: datetime
) -> tuple[pa.Table, pa.Table, pa.Table, tuple[str, ...]]:
    """The offers, the file's rows as they were known at a moment, as they were given, and what is odd about them."""
    for needed in ("customers", "offers", *(("exposures",) if path is None else ())):
        if needed not in version.tables:
            remedy = f"Run `allot load --{needed} FILE`."
            raise DataError(f"no {needed} are loaded.", where="workspace", remedy=remedy)
    with connect(workspace) as connection:
        attach(connection, workspace, version)
        offers = catalogue(connection)
        if path is None:
            table = connection.sql("FROM exposures").to_arrow_table()
        else:
            table = read_checked(connection, path, CONTRACTS["exposures"], offers["offer_id"].to_pylist())
        connection.register("logged", table)
        named = "FROM logged ANTI JOIN customers USING (customer_id) SELECT count(*)"
        strangers = connection.execute(named).fetchall()[0][0]
    with connect(workspace) as connection:
        connection.register("exposures", table)
        log = exposures_log(connection, outcome_days, as_of)
    notes = (f"{strangers:,} logged decisions are about customers of whom nothing is known",) if strangers else ()
    return offers, log, table, notes


def _rewarded(rows: pa.Table, arm: NDArray[np.int64], margin: Floats, name: str) -> tuple[Floats, tuple[str, ...]]:
    """What each row brought, and a note: where a success has no reward, its offer's margin stands in.

    A success without an offer is worth the margin that all offers share; where they differ nobody knows.
    """
    unpaid = ~np.asarray(rows["reward_known"], bool)
    worth = np.append(margin, margin[0] if (margin == margin[:1]).all() else np.nan)
    reward = np.where(unpaid, worth[arm], np.asarray(rows["reward"], np.float64))
    unknown = np.flatnonzero(np.isnan(reward))
    if len(unknown):
        first = rows.slice(int(unknown[0]), 1).to_pylist()[0]
        example = f"customer {first['customer_id']} at {first['decided_at']:%Y-%m-%d %H:%M:%S}"
        what = f"{len(unknown):,} successes without an offer have no reward, and the offers' margins differ"
        raise DataError(
            f"{what}, e.g. {example}.",
            where=f"{name}, column reward",
            remedy="Write what each of these successes brought.",
        )
    if not unpaid.any():
        return reward, ()
    return reward, (f"{int(unpaid.sum()):,} successes have no reward: each counts at its offer's margin",)


def log_from_allocation(
    workspace: Workspace, store: Store, allocation: StoredAllocation, as_of: datetime
) -> LoggedRows:
    """Our own decisions of one allocation: not held out, old enough, with feedback or with silence that says failure.

    Raises:
        DataError: nothing of it can be evaluated yet.
    """
    with connect(workspace) as connection:
        log = history(connection, released(workspace, _family(store, allocation)), outcomes(store, up_to=as_of), as_of)
    heard = np.asarray(log["answered"], bool).any()  # silence says failure only where somebody speaks
    log = log.filter(pc.equal(log["allocation_id"], allocation.allocation_id))
    says = np.asarray(log["answered"], bool) | np.asarray(log["silence_is_failure"], bool)
    matured, held_out = (np.asarray(log[name], bool) for name in ("matured", "held_out"))
    used = says & matured & ~held_out
    rows = log.filter(pa.array(used))
    if not heard or not rows.num_rows:
        raise DataError(
            f"no decision of {allocation.allocation_id} has feedback as of {as_of:%Y-%m-%d}.",
            where="evaluate",
            remedy="Feed outcomes back, or wait for outcome_days to pass (--as-of).",
        )
    offer_ids = tuple(allocation.summary["offer_ids"])
    k = len(offer_ids)
    kept = _decided(workspace, allocation, used, rows["decision_id"])
    probability = _matrix(kept["probability"], k + 1)
    probability /= probability.sum(1, keepdims=True)
    customer, at = (rows[c].combine_chunks() for c in ("customer_id", "decided_at"))
    arm = _arms(rows["offer_id"], offer_ids)
    outcome, reward, propensity = _floats(rows)
    cluster = np.arange(len(arm))
    if served_at(allocation) is not None:  # a customer may have asked several times
        cluster = np.unique(column_keys(customer), return_inverse=True)[1].astype(np.int64)
    key = column_keys(rows["decision_id"])
    stamp = Stamp.from_json(allocation.versions)
    ignored = int((~says).sum())
    notes = (f"{ignored:,} decisions without feedback are left out (no_feedback = ignore)",) if ignored else ()

    def read() -> tuple[pa.Table, pa.Table]:
        with connect(workspace) as own:
            attach(own, workspace, read_version(workspace, stamp.data))
            return served_columns(workspace, store, allocation, rows), catalogue(own)

    kind = kind_named(stamp.outcome)
    believed = _believed(kept, k, kind, arm, reward)
    return LoggedRows(
        name=allocation.allocation_id,
        offer_ids=offer_ids,
        customer_id=customer,
        decided_at=at,
        cluster=cluster,
        arm=arm,
        outcome=outcome,
        reward=reward,
        propensity=propensity,
        probability=probability,
        support=probability > 0,
        success=believed if kind == SUCCESSES else None,
        row_key=key,
        decision=key.view(np.int64),
        stamp=stamp,
        left_out=log.num_rows - rows.num_rows,
        immature=int((~matured & ~held_out).sum()),
        unknown_propensity=0,
        notes=notes,
        reasons=late(offer_ids, arm, _delays(rows), allocation.summary["document"]["outcome_days"]),
        read=read,
        amount=believed if kind == AMOUNTS else None,
    )


def _family(store: Store, allocation: StoredAllocation) -> list[StoredAllocation]:
    """The allocations that are heard together: all single decisions of a release, or one allocation alone."""
    release = allocation.summary.get("release_id")
    if release is None:
        return [allocation]
    every = store.allocations(campaign=allocation.campaign, status="released")
    return [a for a in every if a.summary.get("release_id") == release]


def _decided(
    workspace: Workspace, allocation: StoredAllocation, used: NDArray[np.bool_], ids: pa.ChunkedArray
) -> pa.Table:
    """What was written of an allocation's decisions that are `used`: those of the log, by `ids` and in their order."""
    path = workspace.root / str(allocation.decisions_path)
    kept = read_decisions(path, ["decision_id", "probability", "mean", "sd"]).filter(pa.array(used))
    if kept["decision_id"].to_pylist() != ids.to_pylist():
        raise DataError("the decisions and the log are in different orders.", where=str(path))
    return kept


def _believed(kept: pa.Table, k: int, kind: Kind, arm: NDArray[np.int64], reward: Floats) -> Floats:
    """(r, k + 1) what was expected of each option at the time, from the decisions as they were written.

    Beliefs about no offer are not kept: 0, or with amounts the mean of what it brought stands for them.
    """
    believed = np.zeros((kept.num_rows, k + 1))
    believed[:, :k] = kind.expected(_matrix(kept["mean"], k), _matrix(kept["sd"], k))
    if kind == AMOUNTS and (arm == k).any():
        believed[:, k] = reward[arm == k].mean()
    return believed


def _floats(rows: pa.Table) -> tuple[Floats, Floats, Floats]:
    outcome, reward, propensity = (rows[c].to_numpy().astype(np.float64) for c in ("outcome", "reward", "propensity"))
    return outcome, reward, propensity


def _delays(rows: pa.Table) -> Floats:
    return np.asarray(rows["delay_us"].combine_chunks().to_numpy(zero_copy_only=False), np.float64)


def _age_days(at: pa.Array, as_of: datetime) -> Floats:
    taken = np.asarray(at.to_numpy(zero_copy_only=False), "datetime64[us]").astype(np.float64)
    age: Floats = (as_of.timestamp() * 1e6 - taken) / 86_400e6
    return age


def _matrix(column: pa.ChunkedArray, width: int) -> Floats:
    flat = column.combine_chunks().flatten().to_numpy(zero_copy_only=False)
    return np.asarray(flat, np.float64).reshape(-1, width)


def _arms(column: pa.ChunkedArray, offer_ids: tuple[str, ...]) -> NDArray[np.int64]:
    position: dict[str | None, int] = {offer_id: arm for arm, offer_id in enumerate(offer_ids)}
    position[None] = len(offer_ids)
    return np.array([position[o] for o in column.to_pylist()], np.int64)


def target_from_file(workspace: Workspace, path: Path, rows: LoggedRows) -> Floats:
    """A list of theirs as a table of probabilities on the logged rows, (r, k + 1); missing pairs are 0.

    Raises:
        DataError: it breaks its contract, leaves out logged customers, or a customer's probabilities do not sum to one.
    """
    with connect(workspace) as connection:
        table = read_checked(connection, path, CONTRACTS["target"], list(rows.offer_ids))
    k = len(rows.offer_ids)
    logged, place = np.unique(column_keys(rows.customer_id), return_inverse=True)
    listed = column_keys(table["customer_id"])
    at = np.minimum(np.searchsorted(logged, listed), len(logged) - 1)
    ours = logged[at] == listed
    by_customer = np.zeros((len(logged), k + 1))
    arm = _arms(table["offer_id"], rows.offer_ids)
    np.add.at(by_customer, (at[ours], arm[ours]), table["probability"].to_numpy()[ours])
    total = by_customer.sum(1)
    off = np.abs(total - 1.0) > 1e-6
    if off.any():
        row = int(np.flatnonzero(off[place])[0])
        missing = int((total == 0).sum())
        what = f"the probabilities of customer {rows.customer_id[row].as_py()} sum to {total[place][row]:.6g}, not to 1"
        more = f" ({int(off.sum()):,} customers; {missing:,} are not listed at all)."
        remedy = "List every logged customer; give the rest of the probability to a row with empty offer_id."
        raise DataError(what + more, where=f"{path.name}, column probability", remedy=remedy)
    return by_customer[place]
