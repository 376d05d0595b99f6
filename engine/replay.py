"""A campaign's policy on somebody else's log: what it would have done with the customers who were logged."""

from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from bandit import AMOUNTS, SUCCESSES
from engine.campaign import Campaign
from engine.computed import Setup, set_up, some_worth
from engine.house import under_house_rules
from engine.logs import LoggedRows
from engine.models import load_models
from engine.plan import best_plan, check_feasible, without_forbidden
from engine.policy import Setting, policy_of
from engine.replayed import Replayed
from engine.rows import column_keys, own_keys
from engine.scenario import Scenario, changed
from engine.segments import rescaled
from engine.stages import Stages
from engine.stamp import stamp_now
from portfolio import Limit, Problem, Share, compile_rows, initial_headroom
from warehouse import Store, Workspace

Floats: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Replay:
    """A campaign set up on logged customers, ready to be played there under any limits.

    Args:
        campaign: as of the moment of the log.
        setup: its whole audience of n customers, with beliefs and limits.
        rows: the log.
        logged: (n,) bool, who of the audience was logged and has an eligible offer.
        factor: as many as these per customer that the campaign decides for: sums in limits are scaled by it.
        reasons: why the policy may not be judged on this log; empty when it may.
    """

    campaign: Campaign
    setup: Setup
    rows: LoggedRows
    logged: NDArray[np.bool_]
    factor: float
    reasons: tuple[str, ...]

    def under(self, scenario: Scenario | None, stages: Stages) -> Replayed:
        """The policy under the campaign's limits, or under a scenario's.

        Logged customers outside the audience, or without an eligible offer, get no offer.

        Raises:
            LimitError: no policy can keep the limits.
        """
        limits = self.setup.segments.limits
        limits = rescaled(limits if scenario is None else changed(limits, scenario), self.factor)
        full = self.setup.problem(self.logged)
        problem = Problem(full.value, full.cost, full.eligible, full.cell, limits)
        with stages("replay", int(self.logged.sum())):
            chance, prices = self._played(problem)
        chance /= chance.sum(1, keepdims=True)
        n, k = len(self.logged), len(self.rows.offer_ids)
        columns = [*(self.rows.offer_ids.index(o) for o in self.setup.audience.offer_ids), k]
        table, believed, cost = np.zeros((n, k + 1)), np.zeros((n, k + 1)), np.zeros(n)
        table[:, k] = 1.0
        table[np.flatnonzero(self.logged)[:, None], columns] = chance
        kind, beliefs = self.setup.terms.kind, self.setup.beliefs
        believed[:, columns] = kind.expected(beliefs.mean, beliefs.sd)
        cost[self.logged] = (chance[:, :-1] * full.cost).sum(1)
        at, inside = _places(self.setup.audience.people.key, column_keys(self.rows.customer_id))
        expected = np.where(inside[:, None], believed[at], 0.0)
        return Replayed(
            probability=np.where(inside[:, None], table[at], np.eye(k + 1)[k]),
            name=self.campaign.name,
            success=expected if kind == SUCCESSES else None,
            reasons=self.reasons,
            cost=float(np.where(inside, cost[at], 0.0).sum()),
            facts={
                "limits_scaled_by": self.factor,
                "logged_in_audience": int(inside.sum()),
                "limits": [_in_words(limit, prices) for limit in limits],
            },
            amount=expected if kind == AMOUNTS else None,
        )

    def _played(self, problem: Problem) -> tuple[Floats, dict[str, float]]:
        """Probabilities of the logged customers (l, k + 1), and what one more unit of each limit's room is worth."""
        check_feasible(problem)
        explore = self.campaign.exploration
        if explore.temperature == 0.0:
            return best_plan(problem).probability.astype(np.float64), {}
        worth, problem = without_forbidden(some_worth(self.setup.worth, self.logged), problem)
        rows = compile_rows(problem.limits, problem.n_cells, problem.value.shape[1])
        setting = Setting(explore.share, initial_headroom(rows, problem))
        policy = policy_of(worth.scores, problem, setting)
        return policy.probability.astype(np.float64), policy.prices


def replay(workspace: Workspace, store: Store, campaign: Campaign, rows: LoggedRows, stages: Stages) -> Replayed:
    """The probabilities that a campaign would have given to the logged customers; see `prepared`.

    Raises:
        CampaignError, RuleError, DataError, LimitError: what is wrong with the campaign, its data or its limits.
    """
    return prepared(workspace, store, campaign, rows, stages).under(None, stages)


def prepared(workspace: Workspace, store: Store, campaign: Campaign, rows: LoggedRows, stages: Stages) -> Replay:
    """Set a campaign up on logged customers.

    On our own decisions the models are those that the log was made with, so that nothing is judged by what it has
    learnt from; on a file they are the current ones, and rows that these were trained on make the answer invalid.

    Raises:
        CampaignError, RuleError, DataError: what is wrong with the campaign or its data.
    """
    campaign = under_house_rules(store, campaign)
    stamp = stamp_now(workspace, store, campaign)
    if rows.stamp is not None:
        stamp = replace(rows.stamp, campaign=campaign.digest)
        campaign = replace(campaign, as_of=store.allocation(rows.name).as_of)
    setup = set_up(workspace, store, campaign, stamp, stages)
    return on_rows(campaign, setup, rows, _learnt_from(workspace, store, stamp.posterior, rows))


def on_rows(campaign: Campaign, setup: Setup, rows: LoggedRows, seen: NDArray[np.bool_]) -> Replay:
    """A campaign that is set up, on logged rows; `seen` (r,) bool are those that its models have learnt from."""
    audience = setup.audience
    eligible = audience.eligible.any(1)
    logged = np.isin(audience.people.key, column_keys(rows.customer_id)) & eligible
    factor = float(logged.sum() / max(1, (eligible & ~audience.held_out).sum()))
    reasons: tuple[str, ...] = ()
    if seen.any():
        what = f"The policy has learnt from {int(seen.sum()):,} of these {len(rows.reward):,} rows"
        reasons = (f"{what}, so it may not be judged on them.",)
    return Replay(campaign, setup, rows, logged, factor, reasons)


def _in_words(limit: Limit | Share, prices: dict[str, float]) -> dict[str, Any]:
    bounds = {"minimum": limit.minimum, "maximum": limit.maximum}
    return {"name": limit.name, **bounds, "price": prices.get(limit.name)}


def _places(keys: NDArray[np.uint64], wanted: NDArray[np.uint64]) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    at = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)  # keys ascend
    return at, keys[at] == wanted


def _learnt_from(workspace: Workspace, store: Store, posterior_id: str, rows: LoggedRows) -> NDArray[np.bool_]:
    """(r,) bool: rows that a posterior, or the prior under it, has learnt from."""
    foundation, _ = load_models(workspace, store, posterior_id)
    seen = np.isin(rows.row_key, foundation.seen)
    if rows.stamp is None:  # a file may repeat decisions of our own that were folded or trained on
        own = own_keys(workspace, store)
        if store.model("posterior", posterior_id).watermark["windows"] or np.isin(own, foundation.seen).any():
            seen |= np.isin(rows.row_key, own)
    return seen
