"""Training: everything the log says, learnt anew; the one place where a prior is made."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from allot import DataError
from bandit import FittedPrior, Log, Posterior, Rows, fit_basis, fit_prior, start
from engine.audience import catalogue
from engine.features import FeatureSpec, learn_spec, model_inputs
from engine.models import Foundation, posterior_id, save_foundation, sweep_foundations
from engine.rows import Past, column_keys, days, own_keys, released, row_features
from engine.stages import Reporter, Stages, silent
from warehouse import (
    AuditEntry,
    Store,
    StoredModel,
    Workspace,
    attach,
    connect,
    current_version,
    exposures_log,
    history,
    outcomes,
    pack_arrays,
)

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
        key: (r,) uint64, names the row for ever.
        delays: (s,) days that the successes took whose time is known.
    """

    customer_id: pa.Array
    at: pa.Array
    arm: NDArray[np.int64]
    outcome: Floats
    key: NDArray[np.uint64]
    delays: Floats


def train(
    workspace: Workspace, *, as_of: datetime, outcome_days: float = 30.0, seed: int = 0, reporter: Reporter = silent
) -> dict[str, Any]:
    """Fit the prior and start the posterior from the cross-fitted log.

    The log is the matured exposures and our own matured decisions, so that nothing is lost by training again and
    nothing is counted twice.

    Args:
        workspace: with customers, offers and exposures.
        as_of: only rows whose outcome was due by then are read.
        outcome_days: how long an outcome of an exposure may take.
        seed: of the model; the same data and seed give the same model to the bit.
        reporter: told about progress.

    Returns:
        model ids, hold-out log loss beside the base rate's, what the log knows of each offer, warnings.

    Raises:
        DataError: nothing to learn from.
    """
    stages = Stages(reporter)
    version = current_version(workspace)
    for table in ("customers", "offers", "exposures"):
        if table not in version.tables:
            raise DataError(f"no {table} are loaded.", where="workspace", remedy=f"Run `allot load --{table} FILE`.")
    with workspace.lock(), Store.open(workspace.store_path) as store:
        sweep_foundations(workspace, store)
        with connect(workspace) as connection:
            attach(connection, workspace, version)
            offers = catalogue(connection)
            with stages("log"):
                exposed = exposed_rows(connection, store, workspace, offers, as_of, outcome_days)
            with stages("features", len(exposed.arm)):
                everything = tuple(a.allocation_id for a in store.allocations(status="released"))
                past = Past(everything, as_of)
                table = row_features(connection, store, workspace, (exposed.customer_id, exposed.at), past)
        spec, notes = learn_spec(table)
        fitted, foundation, posterior = _fit(exposed, spec, table, offers, (seed, outcome_days), stages)
        with stages("save"):
            try:
                made = _save(workspace, store, foundation, posterior, as_of, fitted)
            except BaseException:
                sweep_foundations(workspace, store)
                raise
    report = fitted.report
    arms = [*offers["offer_id"].to_pylist(), None]
    rates = _rates(exposed, len(arms))
    return {
        **made,
        "rows": report.rows,
        "holdout_rows": report.holdout_rows,
        "log_loss": report.log_loss,
        "base_log_loss": report.base_log_loss,
        "brier": report.brier,
        "trees": report.trees,
        "arms": [
            {"offer_id": arm, "rows": rows, "rate": rate, "warm": bool(warm)}
            for arm, rows, rate, warm in zip(arms, report.support, rates, foundation.prior.warm, strict=True)
        ],
        "calibration": [{"predicted": b.predicted, "observed": b.observed, "rows": b.rows} for b in report.calibration],
        "gain": dict(sorted(report.gain.items(), key=lambda item: -item[1])[:20]),
        "warnings": [*notes, *_warnings(report.constant, version.tables["customers"].columns)],
        "seconds": stages.seconds,
    }


def _warnings(constant: str, customer_columns: dict[str, str]) -> list[str]:
    out = [f"the prior is constant: {constant}"] if constant else []
    if "valid_from" not in customer_columns:
        out.append("customers have no valid_from: features are those of today, not of the time of each exposure")
    return out


def _rates(exposed: Exposed, arms: int) -> list[float | None]:
    rows = np.bincount(exposed.arm, minlength=arms)
    successes = np.bincount(exposed.arm, exposed.outcome, arms)
    return [float(s / r) if r else None for s, r in zip(successes, rows, strict=True)]


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
    parts = [
        (t["customer_id"], t["decided_at"], t["offer_id"], t["outcome"], t[key])
        for t, key in ((log, "row_key"), (own, "decision_id"))
    ]
    customer, at, offer, outcome, key = (pa.concat_arrays([_flat(p[j]) for p in parts]) for j in range(5))
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
        column_keys(key.filter(mask)),
        np.concatenate([_delays(log["delay_us"]), _delays(own["delay_us"])]),
    )


def _delays(column: pa.ChunkedArray) -> Floats:
    """Known delays in days, at most a few thousand of them, evenly through the log."""
    known = column.drop_null().to_numpy() / _DAY_US
    known = known[known >= 0]
    return np.asarray(known[:: max(1, len(known) // _MOST_DELAYS)], np.float64)


def _flat(column: pa.ChunkedArray) -> pa.Array:
    kind = pa.timestamp("us", "UTC") if pa.types.is_timestamp(column.type) else column.type
    return column.cast(kind).combine_chunks()


def _fit(
    exposed: Exposed,
    spec: FeatureSpec,
    table: pa.Table,
    offers: pa.Table,
    settings: tuple[int, float],
    stages: Stages,
) -> tuple[FittedPrior, Foundation, Posterior]:
    seed, outcome_days = settings
    customers = spec.encode(table)
    matrix, columns = model_inputs(spec, offers)
    at = days(exposed.at)
    log = Log(customers, exposed.arm, exposed.outcome, at, column_keys(exposed.customer_id))
    with stages("prior", len(at)) as done:
        fitted = fit_prior(
            log, matrix, columns, seed=seed, progress=lambda _step, share: done(int(share * (len(at) - 1)))
        )
    levels = {spec.features[j].name: count for j, count in spec.categories.items()}
    own = [name for name in spec.names if name.startswith("customer.")]
    with stages("posterior", len(at)):
        # Memory belongs to the prior, whose trees do not extrapolate: what a customer's contacts look like today may
        # lie far outside the log. The residual corrects by who the customer is.
        basis = fit_basis(customers, columns, levels=levels, gain=fitted.report.gain, among=own)
        rows = Rows(basis(customers), fitted.shown, exposed.arm, exposed.outcome)
        posterior = start(rows, fitted.as_cold, len(matrix), centre=fitted.prior.mean_logit, block=basis.blocks)
    offer_ids = tuple(offers["offer_id"].to_pylist())
    seen, first = np.unique(exposed.key, return_index=True)
    outcome = exposed.outcome[first].astype(np.int8)
    foundation = Foundation(fitted.prior, spec, basis, offer_ids, seen, outcome, exposed.delays, outcome_days)
    return fitted, foundation, posterior


def _save(
    workspace: Workspace,
    store: Store,
    foundation: Foundation,
    posterior: Posterior,
    as_of: datetime,
    fitted: FittedPrior,
) -> dict[str, str]:
    """Model folder first, then one transaction that makes both current."""
    now = datetime.now(UTC)
    manifest = {"rows": fitted.report.rows, "log_loss": fitted.report.log_loss, "as_of": as_of.isoformat()}
    prior_id = save_foundation(workspace, foundation, manifest)
    new = posterior_id(posterior, prior_id)
    blob = pack_arrays(posterior.to_arrays())
    with store.transaction():
        store.put_model(StoredModel("prior", prior_id, now, manifest=manifest))
        watermark = {"base": new, "windows": [], "decisions": 0}
        store.put_model(StoredModel("posterior", new, now, (prior_id,), manifest, watermark, blob))
        store.audit(AuditEntry(now, "allot", "train", prior_id, {"posterior": new}))
    return {"prior": prior_id, "posterior": new}
