"""Training: everything the log says, learnt anew; the one place where a prior is made."""

import difflib
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from allot import DataError
from bandit import (
    AMOUNTS,
    SUCCESSES,
    Basis,
    FittedPrior,
    Kind,
    Learnt,
    Log,
    Rows,
    effective,
    fit_basis,
    fit_margins,
    fit_prior,
    propensity_weights,
    start,
    start_amounts,
    start_experts,
)
from engine.catalogue import catalogue, check_offers
from engine.exposed import Exposed, exposed_rows
from engine.features import FeatureSpec, learn_spec, model_inputs
from engine.kin import kin_keys
from engine.models import Foundation, posterior_id, save_foundation, sweep_foundations
from engine.rows import Past, column_keys, days, row_features
from engine.stages import Reporter, Stages, silent
from engine.succession import Candidate, Succession, succession
from engine.training_report import training_document
from warehouse import (
    AuditEntry,
    Store,
    StoredModel,
    Workspace,
    attach,
    connect,
    current_version,
    open_store,
    pack_arrays,
)

_WAYS = {"up": 1, "down": -1}


@dataclass(frozen=True, slots=True)
class Wishes:
    """How a model is to be trained.

    Args:
        monotone: number columns in which the prior's logit may only rise or only fall: "customer.tenure=up",
            "offer.contact_cost=down", "cross.contacts_90d_own_offer=down".
        weigh: weight rows by logged propensities, so that whom the logging policy preferred is not learnt as customer
            behaviour.
        margins: learn how the amounts of successes differ between customers; an offer's margin is then multiplied, for
            each customer, by the expected amount over the mean of all its successes.
        experts: let three posteriors run beside one another, weighed by how well each foresees what comes.
        force: put the model to use even if it is worse than the one in use, and its trees even if they are worse than
            the base rate.
        kind: what is learnt: whether decisions are successes, or the amounts that they bring.

    Raises:
        DataError: margins or experts are asked for together with amounts.
    """

    monotone: tuple[str, ...] = ()
    weigh: bool = False
    margins: bool = False
    experts: bool = False
    force: bool = False
    kind: Kind = SUCCESSES

    def __post_init__(self) -> None:
        if self.kind != AMOUNTS:
            return
        if self.margins:
            what = (
                "--learn-margins learns how much successes bring; a model of amounts learns what every decision brings."
            )
            raise DataError(what, where="--outcome amount", remedy="Leave one of them out.")
        if self.experts:
            what = "--experts are weighed by chances of success; a model of amounts has one posterior."
            raise DataError(what, where="--outcome amount", remedy="Leave one of them out.")


@dataclass(frozen=True, slots=True)
class Trained:
    """A model before it is put to use: its report, its files, its posterior, and the log that it was fitted to."""

    fitted: FittedPrior
    foundation: Foundation
    posterior: Learnt
    log: Log


def train(
    workspace: Workspace,
    *,
    as_of: datetime,
    outcome_days: float = 30.0,
    seed: int = 0,
    wishes: Wishes | None = None,
    reporter: Reporter = silent,
) -> dict[str, Any]:
    """Fit the prior and start the posterior from the cross-fitted log.

    The log is the matured exposures and our own matured decisions, so that nothing is lost by training again and
    nothing is counted twice. A model that is worse than the one in use is not put to use, unless that is forced.

    Args:
        workspace: with customers, offers and exposures.
        as_of: only rows whose outcome was due by then are read.
        outcome_days: how long an outcome of an exposure may take.
        seed: of the model; the same data and seed give the same model to the bit.
        wishes: how to train; None = as usual.
        reporter: told about progress.

    Returns:
        model ids, whether they are `in_use` and if not why (`refused`), and what training found (`training_document`).

    Raises:
        DataError: nothing to learn from, or a wish cannot be granted.
    """
    wanted = wishes or Wishes()
    stages = Stages(reporter)
    version = current_version(workspace)
    for table in ("customers", "offers", "exposures"):
        if table not in version.tables:
            raise DataError(f"no {table} are loaded.", where="workspace", remedy=f"Run `allot load --{table} FILE`.")
    with workspace.lock(), open_store(workspace) as store:
        sweep_foundations(workspace, store)
        with connect(workspace) as connection:
            attach(connection, workspace, version)
            offers = catalogue(connection)
            if wanted.kind == AMOUNTS:
                check_offers(offers)
            with stages("log"):
                exposed = exposed_rows(connection, store, workspace, offers, as_of, outcome_days)
                exposed.learnt(wanted.kind)  # refused before the work
            with stages("features", len(exposed.arm)):
                everything = tuple(a.allocation_id for a in store.allocations(status="released"))
                past = Past(everything, as_of)
                features = row_features(connection, store, workspace, (exposed.customer_id, exposed.at), past)
        spec, notes = learn_spec(features, people=pc.count_distinct(exposed.customer_id).as_py())
        made = fit(exposed, (spec, features, offers), (seed, outcome_days), wanted, stages)
        with stages("comparison", len(exposed.arm)):
            ids = made.foundation.offer_ids
            judged = succession(workspace, store, Candidate(made.fitted, exposed, features, made.log, ids))
        document = _document(made, judged, wanted, as_of, (exposed, offers))
        document["warnings"] = [
            *notes,
            *judged.notes,
            *_left_behind(store, made),
            *_warnings(made, wanted, exposed, version.tables["customers"].columns),
        ]
        with stages("save"):
            try:
                _save(workspace, store, made, document)
            except BaseException:
                sweep_foundations(workspace, store)
                raise
    return {**document, "seconds": stages.seconds}


def _document(
    made: Trained, judged: Succession, wishes: Wishes, as_of: datetime, log: tuple[Exposed, pa.Table]
) -> dict[str, Any]:
    exposed, offers = log
    weighted = ~np.isnan(exposed.propensity)
    return {
        "prior": made.foundation.id,
        "posterior": posterior_id(made.posterior, made.foundation.id),
        "outcome": wishes.kind.name,
        "in_use": wishes.force or not judged.refused,
        "as_of": as_of.isoformat(),
        **training_document(made.fitted.report, made.log, offers, made.foundation.prior.warm.tolist(), judged),
        "weighted_rows": int(weighted.sum()) if wishes.weigh else 0,
        "monotone": list(wishes.monotone),
        "experts": made.posterior.shares,
        "learnt_margins": made.foundation.margins is not None and made.foundation.margins.slope > 0.0,
    }


def _warnings(made: Trained, wishes: Wishes, exposed: Exposed, customer_columns: dict[str, str]) -> list[str]:
    report = made.fitted.report
    out = [f"the prior is constant: {report.constant}"] if report.constant else []
    if report.forced:
        out.append(f"the trees are used only because it was forced: {report.forced}")
    read = made.foundation.prior.columns.names
    for name in (wish.rpartition("=")[0] for wish in wishes.monotone):
        if name not in read:
            out.append(f"{name} is held to no direction: cross columns are not used")
    if wishes.weigh and made.log.weight is None:
        out.append("no row has a known propensity: nothing is weighted")
    margins = made.foundation.margins
    if margins is not None and margins.reason:
        out.append(f"margins are those of the offers for every customer: {margins.reason}")
    unpaid = int(np.isnan(exposed.reward).sum())
    if margins is not None and unpaid:
        out.append(f"{unpaid:,} successes have no reward: margins are learnt from the others")
    if "valid_from" not in customer_columns:
        out.append("customers have no valid_from: features are those of today, not of the time of each exposure")
    return out


def _left_behind(store: Store, made: Trained) -> list[str]:
    """Experts of the model in use that the new one does without."""
    current = store.current("posterior")
    had = () if current is None else current.manifest.get("experts", ())
    gone = [name for name in had if name not in made.posterior.shares]
    return (
        [f"the model in use has experts ({', '.join(gone)}) that this one has not: --experts keeps them"]
        if gone
        else []
    )


def fit(
    exposed: Exposed,
    known: tuple[FeatureSpec, pa.Table, pa.Table],
    settings: tuple[int, float],
    wishes: Wishes,
    stages: Stages,
) -> Trained:
    """Prior, basis and posterior from a log alone.

    Args:
        exposed: the log, r rows.
        known: the columns to read, their table (r rows), and the offers.
        settings: seed of the prior, and how many days an outcome may take.
        wishes: how to train.
        stages: told about progress.

    Raises:
        DataError: amounts are to be learnt, and some are not known.
    """
    (spec, table, offers), (seed, outcome_days) = known, settings
    customers = spec.encode(table)
    matrix, columns = model_inputs(spec, offers)
    at = days(exposed.at)
    known_chances = wishes.weigh and not np.isnan(exposed.propensity).all()
    weight = propensity_weights(exposed.arm, exposed.propensity, arms=len(matrix)) if known_chances else None
    log = Log(
        customers, exposed.arm, exposed.learnt(wishes.kind), at, column_keys(exposed.customer_id), weight, wishes.kind
    )
    with stages("prior", len(at)) as done:
        fitted = fit_prior(
            log,
            matrix,
            columns,
            seed=seed,
            monotone=_directions(wishes, columns.numbers),
            force=wishes.force,
            progress=lambda _step, share: done(int(share * (len(at) - 1))),
        )
    columns = fitted.prior.columns
    spec, log = spec.some({*columns.customer, *columns.sources}), log.read_by(columns)
    with stages("posterior", len(at)):
        basis, posterior = _begun(fitted, log, (spec, offers), seed, wishes)
    foundation = _founded(fitted, exposed, (spec, basis), tuple(offers["offer_id"].to_pylist()), outcome_days)
    if wishes.margins:
        with stages("margins", len(at)):
            paid = np.isfinite(exposed.reward)
            margins = fit_margins(log.some(paid), matrix, columns, exposed.reward[paid], seed=seed)
        foundation = replace(foundation, margins=margins)
    return Trained(fitted, foundation, posterior, log)


def _founded(
    fitted: FittedPrior,
    exposed: Exposed,
    view: tuple[FeatureSpec, Basis],
    offer_ids: tuple[str, ...],
    outcome_days: float,
) -> Foundation:
    """The model, and of the log what later rows are told apart from and judged by."""
    seen, first = np.unique(exposed.key, return_index=True)
    held, own_rows = np.unique(exposed.key[fitted.held.rows], return_index=True)
    outcome = exposed.learnt(fitted.prior.kind)[first]
    return Foundation(
        prior=fitted.prior,
        features=view[0],
        basis=view[1],
        offer_ids=offer_ids,
        seen=seen,
        outcome=outcome.astype(np.int8) if fitted.prior.kind == SUCCESSES else outcome,
        delays=exposed.delays,
        outcome_days=outcome_days,
        held_key=held,
        held_logit=fitted.held.logit[own_rows].astype(np.float32),
    )


def _begun(
    fitted: FittedPrior, log: Log, known: tuple[FeatureSpec, pa.Table], seed: int, wishes: Wishes
) -> tuple[Basis, Learnt]:
    """How the posterior sees a customer, and what it knows from the cross-fitted log alone."""
    # Memory belongs to the prior, whose trees do not extrapolate: what a customer's contacts look like today may
    # lie far outside the log. The residual corrects by who the customer is.
    (spec, offers), prior = known, fitted.prior
    own = [name for name in spec.names if name.startswith("customer.")]
    levels = {spec.features[j].name: count for j, count in spec.categories.items()}
    basis = fit_basis(log.customers, prior.columns, levels=levels, gain=fitted.report.gain, among=own)
    counted = None if log.weight is None else effective(log.weight, log.arm)
    rows = Rows(basis(log.customers), fitted.shown, log.arm, log.outcome, counted)
    kin = np.pad(kin_keys(offers, offers["offer_id"].to_pylist(), prior.columns), ((0, 1), (0, 0)))  # no offer: no kin
    begin = start_amounts if log.kind == AMOUNTS else partial(start_experts, seed=seed) if wishes.experts else start
    return basis, begin(rows, fitted.as_cold, len(prior.offers), centre=prior.mean_logit, block=basis.blocks, kin=kin)


def _directions(wishes: Wishes, numbers: tuple[str, ...]) -> dict[str, int]:
    """+1 or -1 by column.

    Raises:
        DataError: a wish says neither up nor down, or names no column of numbers that the model reads.
    """
    signs: dict[str, int] = {}
    for wish in wishes.monotone:
        name, _, way = wish.rpartition("=")
        if way not in _WAYS or signs.get(name, _WAYS[way]) != _WAYS[way]:
            what = f"{wish!r} does not say in which one direction the column works."
            raise DataError(what, where="--monotone", remedy="Write NAME=up or NAME=down, once for each column.")
        if name not in numbers:
            near = difflib.get_close_matches(name, numbers, 3, cutoff=0.4) or numbers[:5]
            remedy = f"Name a column of numbers that varies in the log, such as {', '.join(near)}."
            raise DataError(f"the model has no column of numbers {name!r}.", where="--monotone", remedy=remedy)
        signs[name] = _WAYS[way]
    return signs


def _save(workspace: Workspace, store: Store, made: Trained, document: dict[str, Any]) -> None:
    """Model folder first, then one transaction that makes both current; of a refused model only the report."""
    now = datetime.now(UTC)
    manifest = {name: document[name] for name in ("rows", "outcome", "as_of")}
    prior_id, new = document["prior"], document["posterior"]
    about = StoredModel("prior", prior_id, now, manifest={**manifest, "report": document})
    if not document["in_use"]:
        with store.transaction():
            store.put_model(about, make_current=False)
            store.audit(AuditEntry(now, "allot", "refuse", prior_id, {"because": document["refused"]}))
        return
    save_foundation(workspace, made.foundation, manifest)
    blob = pack_arrays(made.posterior.to_arrays())
    with store.transaction():
        store.put_model(about)
        watermark = {"base": new, "windows": [], "decisions": 0}
        known = {**manifest, "experts": list(made.posterior.shares)}
        store.put_model(StoredModel("posterior", new, now, (prior_id,), known, watermark, blob))
        store.audit(AuditEntry(now, "allot", "train", prior_id, {"posterior": new}))
