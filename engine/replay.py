"""A campaign's policy on somebody else's log: what it would have done with the customers who were logged."""

from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from bandit import mean_success
from engine.campaign import Campaign
from engine.computed import Setup, load_models, set_up, some_worth
from engine.logs import LoggedRows
from engine.plan import best_plan, check_feasible, without_forbidden
from engine.policy import Setting, policy_of
from engine.rows import column_keys, own_keys
from engine.segments import rescaled
from engine.stages import Stages
from engine.stamp import stamp_now
from portfolio import Problem, compile_rows, initial_headroom
from warehouse import Store, Workspace

Floats: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Replayed:
    """A target policy on the logged rows.

    Args:
        probability: (r, k + 1).
        name: what to call it.
        success: (r, k + 1) what it believes, or None.
        reasons: why it may not be judged on this log; empty when it may.
        facts: what else to tell, e.g. how limits were scaled.
    """

    probability: Floats
    name: str
    success: Floats | None
    reasons: tuple[str, ...]
    facts: dict[str, Any] = field(default_factory=dict)


def replay(workspace: Workspace, store: Store, campaign: Campaign, rows: LoggedRows, stages: Stages) -> Replayed:
    """The probabilities that a campaign would have given to the logged customers.

    On our own decisions the models are those that the log was made with, so that nothing is judged by what it has
    learnt from; on a file they are the current ones, and rows that these were trained on make the answer invalid. Sums
    in limits are scaled by the share of the campaign's audience that was logged. Logged customers outside the audience,
    or without an eligible offer, get no offer.
    """
    stamp = stamp_now(workspace, store, campaign)
    if rows.stamp is not None:
        stamp = replace(rows.stamp, campaign=campaign.digest)
        campaign = replace(campaign, as_of=store.allocation(rows.name).as_of)
    setup = set_up(workspace, store, campaign, stamp, stages)
    keys = setup.audience.people.key
    active = setup.audience.eligible.any(1) & ~setup.audience.held_out
    logged = np.isin(keys, column_keys(rows.customer_id)) & setup.audience.eligible.any(1)
    factor = float(logged.sum() / max(1, active.sum()))
    with stages("replay", int(logged.sum())):
        chance = _policy(campaign, setup, logged, factor)
    k = len(rows.offer_ids)
    table = np.zeros((len(keys), k + 1))
    table[:, k] = 1.0
    columns = [*(rows.offer_ids.index(o) for o in setup.audience.offer_ids), k]
    table[np.flatnonzero(logged)[:, None], columns] = chance / chance.sum(1, keepdims=True)
    believed = np.zeros((len(keys), k + 1))
    believed[:, columns] = mean_success(setup.beliefs.mean, setup.beliefs.sd)
    at, inside = _places(keys, column_keys(rows.customer_id))
    nobody = np.eye(k + 1)[k]
    probability = np.where(inside[:, None], table[at], nobody)
    success = np.where(inside[:, None], believed[at], 0.0)
    facts = {"limits_scaled_by": factor, "logged_in_audience": int(inside.sum())}
    return Replayed(probability, campaign.name, success, _learnt_from(workspace, store, stamp.posterior, rows), facts)


def _policy(campaign: Campaign, setup: Setup, logged: NDArray[np.bool_], factor: float) -> Floats:
    full = setup.problem(logged)
    problem = Problem(full.value, full.cost, full.eligible, full.cell, rescaled(full.limits, factor))
    check_feasible(problem)
    if campaign.exploration.temperature == 0.0:
        return best_plan(problem).probability.astype(np.float64)
    worth, problem = without_forbidden(some_worth(setup.worth, logged), problem)
    rows = compile_rows(problem.limits, problem.n_cells, problem.value.shape[1])
    setting = Setting(campaign.exploration.share, initial_headroom(rows, problem))
    return policy_of(worth.scores, problem, setting).probability.astype(np.float64)


def _places(keys: NDArray[np.uint64], wanted: NDArray[np.uint64]) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    at = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)  # keys ascend
    return at, keys[at] == wanted


def _learnt_from(workspace: Workspace, store: Store, posterior_id: str, rows: LoggedRows) -> tuple[str, ...]:
    foundation, _ = load_models(workspace, store, posterior_id)
    seen = np.isin(rows.row_key, foundation.seen)
    if rows.stamp is None:  # a file may repeat decisions of our own that were folded or trained on
        own = own_keys(workspace, store)
        if store.model("posterior", posterior_id).watermark["windows"] or np.isin(own, foundation.seen).any():
            seen |= np.isin(rows.row_key, own)
    shared = int(seen.sum())
    if not shared:
        return ()
    return (
        f"The policy has learnt from {shared:,} of these {len(rows.reward):,} rows, so it may not be judged on them.",
    )
