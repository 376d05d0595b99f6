"""The same question by every estimator: those that trade bias for noise, beside those that an evaluation judges by."""

from typing import Final, TypeAlias

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from engine.features import FeatureSpec, learn_spec
from engine.logs import LoggedRows
from offline_eval import (
    Estimate,
    Log,
    balanced_by_customer,
    dm,
    mips,
    mrdr,
    replay,
    subgaussian_dr,
    subgaussian_ips,
    tuned_clip,
    tuned_shrinkage,
    tuned_switch,
    weights,
)

Floats: TypeAlias = NDArray[np.float64]

NOTE: Final = "the intervals of the estimators beside ips, snips, dr and sndr know their noise, not their bias"
_DOUBT: Final = 0.05  # chance of a larger deviation, by which the subgaussian estimators' shrinkage is set


def every_estimate(
    rows: LoggedRows, target: Floats, q_hat: Floats, tables: tuple[pa.Table, pa.Table]
) -> list[Estimate]:
    """Clip, switch and shrinkage as the data say; `mips` by the offers' category where whole rows are logged.

    `balanced_ips` where there are several decisions about a customer, as of several allocations; `replay` only where
    the target is certain and the log uniform.

    Args:
        rows: r decisions over k offers.
        target, q_hat: (r, k + 1) the policy's probabilities and the modelled rewards.
        tables: what was known of each row's customer, r rows, and the offers.
    """
    log = Log(rows.reward, rows.arm, rows.propensity, rows.cluster)
    known, offers = tables
    w = weights(log, target)
    # Metelli, Russo and Restelli 2021: sqrt(2 log(1 / doubt) / (3 n E w^2)), at most 1.
    shrinkage = float(min(1.0, np.sqrt(2 * np.log(1 / _DOUBT) / (3 * max(float(np.square(w).sum()), 1.0)))))
    found = [
        dm(log, target, q_hat),
        tuned_clip(log, target).estimate.named("clipped_ips"),
        tuned_switch(log, target, q_hat).estimate.named("switch_dr"),
        tuned_shrinkage(log, target, q_hat).estimate.named("dr_os"),
        subgaussian_ips(log, target, shrinkage),
        subgaussian_dr(log, target, q_hat, shrinkage),
        mrdr(log, target, _numbers(rows, known)),
    ]
    if rows.probability is not None and "category" in offers.column_names:
        found.append(mips(log, target, rows.probability, _kinds(rows, offers)))
    if rows.probability is not None and log.cluster is not None and len(target) > 1 + log.cluster.max():
        found.append(balanced_by_customer(log, target, rows.probability))
    if ((target == 0) | (target == 1)).all() and np.ptp(log.propensity) < 1e-9:
        found.append(replay(log, target))
    return found


def _numbers(rows: LoggedRows, known: pa.Table) -> Floats:
    """(r, d) the number columns, standardised; 0 where one is missing."""
    spec, _ = learn_spec(known, people=len(np.unique(rows.cluster)))
    x = FeatureSpec(tuple(f for f in spec.features if f.kind == "number")).encode(known)
    missing = np.isnan(x)
    x[missing] = 0.0
    count = np.maximum((~missing).sum(0), 1)
    mean = x.sum(0) / count
    x = np.where(missing, 0.0, x - mean)
    spread = np.sqrt(np.square(x).sum(0) / count)
    scaled: Floats = x[:, spread > 0] / spread[spread > 0]
    return scaled


def _kinds(rows: LoggedRows, offers: pa.Table) -> NDArray[np.int64]:
    """(k + 1,) the number of each offer's category; no offer is of its own."""
    category = dict(zip(offers["offer_id"].to_pylist(), map(str, offers["category"].to_pylist()), strict=True))
    named = [category[offer] for offer in rows.offer_ids]
    codes = np.unique(named, return_inverse=True)[1]
    return np.append(codes, codes.max() + 1).astype(np.int64)
