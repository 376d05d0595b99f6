"""An allocation as arrays: the pure middle between what the warehouse knows and what it will keep."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

from allot import CampaignError, LimitError
from bandit import Beliefs, Kind, Learnt
from engine.audience import Audience, catalogue_beliefs, find_audience, held_out, remembering, scored_audience
from engine.budgets import for_batch
from engine.campaign import Campaign
from engine.catalogue import terms_of
from engine.drawable import check_drawable, no_room_for_draw
from engine.models import Foundation, load_models, taking_in
from engine.objective import Terms, Worth, check_objective, worth_of
from engine.oracle import some_scores
from engine.plan import Draws, Plan, best_plan, check_feasible, drawn_plan
from engine.rows import Past
from engine.segments import Segmented, known_values, segmented
from engine.spread import Shared
from engine.stages import Stages
from engine.stamp import Stamp
from portfolio import Problem
from warehouse import DataVersion, attach, connect, read_version

if TYPE_CHECKING:
    from warehouse import Store, Workspace

Floats: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Computed:
    """Everything about one allocation, before it is written.

    Args:
        campaign: the request.
        audience: n customers in hash order, k offers.
        beliefs: (n, k + 1) mean and sd of the logit, or of the mean amount; the last column is no offer.
        worth: expected outcome, value and cost of each pair in posterior means.
        segments: limits over cells.
        plan: the plan of the customers in `active`.
        active: (n,) customers that took part in the draw: not held out, with something eligible.
        choice: (n,) offer numbers, -1 = no offer.
        probability: (n, k + 1) float32.
        played: (k + 1,) temperature with which each arm was played.
        newcomers: the offers of the catalogue that came after training.
        kind: of the outcomes that beliefs are about.
        terms: the offers' money.
        shared: what the beliefs have in common.
    """

    campaign: Campaign
    audience: Audience
    beliefs: Beliefs
    worth: Worth
    segments: Segmented
    plan: Plan
    active: NDArray[np.bool_]
    choice: NDArray[np.int64]
    probability: NDArray[np.float32]
    played: Floats
    newcomers: tuple[str, ...]
    kind: Kind
    terms: Terms
    shared: Shared

    @property
    def problem(self) -> Problem:
        """The portfolio's problem for all n customers."""
        w, cell = self.worth, self.segments.cell
        return Problem(w.value, w.cost, self.audience.eligible, cell, self.segments.limits)

    @property
    def asked(self) -> Problem:
        """The portfolio's problem for the customers in `active`: what the plan is a plan of."""
        w, cell, a = self.worth, self.segments.cell, self.active
        eligible, g = self.audience.eligible[a], len(self.segments.labels)
        return Problem(w.value[a], w.cost[a], eligible, cell[a], self.segments.limits, n_cells=g)

    @property
    def propensity(self) -> Floats:
        """(n,) probability of what was chosen; 1 where nothing was drawn."""
        chosen = np.where(self.choice < 0, self.probability.shape[1] - 1, self.choice)
        return self.probability[np.arange(len(chosen)), chosen].astype(np.float64)


@dataclass(frozen=True, slots=True)
class Setup:
    """What a policy is computed from: the audience, its beliefs, the money and worth, and the limits over its cells."""

    audience: Audience
    beliefs: Beliefs
    terms: Terms
    worth: Worth
    segments: Segmented
    played: Floats
    newcomers: tuple[str, ...]
    shared: Shared

    def problem(self, rows: NDArray[np.bool_]) -> Problem:
        """The portfolio's problem for some of the customers."""
        w, cell = self.worth, self.segments.cell
        eligible, limits = self.audience.eligible[rows], self.segments.limits
        return Problem(w.value[rows], w.cost[rows], eligible, cell[rows], limits, n_cells=len(self.segments.labels))


def set_up(workspace: "Workspace", store: "Store", campaign: Campaign, stamp: Stamp, stages: Stages) -> Setup:
    """Audience, beliefs, worth and limits of a campaign, from the versions that a stamp names.

    Raises:
        CampaignError, RuleError, DataError: what is wrong with the campaign or its data.
    """
    model = load_models(workspace, store, stamp.posterior)
    campaign = for_batch(campaign, stamp.room)
    return set_up_with(workspace, store, campaign, (read_version(workspace, stamp.data), stamp.past), model, stages)


def set_up_with(
    workspace: "Workspace",
    store: "Store",
    campaign: Campaign,
    known: tuple[DataVersion, Past],
    model: tuple[Foundation, Learnt],
    stages: Stages,
) -> Setup:
    """`set_up` with a model at hand, from a version of the data and the part of our own log that is known."""
    version, past = known
    campaign = for_batch(campaign)
    kind = model[0].prior.kind
    check_objective(campaign, kind)
    if campaign.objective == "incremental" and model[1].count[-1] < 1.0:
        raise CampaignError(
            "objective 'incremental' needs a control group, and the model has seen nobody without an offer.",
            where=campaign.name,
            remedy="Load exposures with empty offer_id, or keep a holdout and feed its outcomes back.",
        )
    with connect(workspace, user_sql=True) as connection:
        attach(connection, workspace, version)
        with stages("candidates"):
            audience = find_audience(connection, store, workspace, campaign, (version, past))
        terms = terms_of(audience.offers, campaign, kind)
        held = held_out(workspace, audience.people.key, campaign.exploration.holdout)
        people = remembering(audience.people, model[0].features)
        audience = Audience(people, audience.rules, audience.offers, audience.eligible, held)
        segments = segmented(
            campaign.limits, audience.offers, audience.people.columns, known_values(connection, version)
        )
        foundation, posterior = taking_in(model, audience.offers)
        scored = scored_audience(connection, audience, campaign, foundation, stages)
    shared = Shared(scored, posterior, foundation.arms(audience.offers))
    with stages("beliefs", len(scored.basis)):
        beliefs, relative = catalogue_beliefs(scored, posterior, shared.arms)
    played = posterior.temperature()[shared.arms] * campaign.exploration.temperature
    with stages("worth", len(beliefs.mean)):
        terms = replace(terms, relative=relative)
        worth = worth_of(campaign.objective, beliefs, audience.eligible, terms, played)
    newcomers = tuple(offer for offer in audience.offer_ids if offer in foundation.newcomers)
    return Setup(audience, beliefs, terms, worth, segments, played, newcomers, shared)


def compute(workspace: "Workspace", store: "Store", campaign: Campaign, stamp: Stamp, stages: Stages) -> Computed:
    """Decide: a pure function of the stamp.

    Raises:
        LimitError: limits in conflict or too narrow for a draw.
    """
    setup = set_up(workspace, store, campaign, stamp, stages)
    audience = setup.audience
    active = audience.eligible.any(1) & ~audience.held_out
    problem = setup.problem(active)
    keys = audience.people.key[active]
    explore = campaign.exploration
    if explore.temperature == 0.0:
        with stages("limits", len(keys)):
            check_feasible(problem)
        with stages("optimum", len(keys)):
            plan = best_plan(problem)
    else:
        draws = Draws(campaign.seed, campaign.name, campaign.as_of.isoformat(), keys)
        plan = _drawn(some_worth(setup.worth, active), problem, explore.share, draws, stages)
    n, k = audience.eligible.shape
    choice = np.full(n, -1, np.int64)
    choice[active] = plan.choice
    probability = np.zeros((n, k + 1), np.float32)
    probability[:, k] = 1.0
    probability[active] = plan.probability
    return Computed(
        campaign,
        audience,
        setup.beliefs,
        setup.worth,
        setup.segments,
        plan,
        active,
        choice,
        probability,
        setup.played,
        setup.newcomers,
        setup.terms.kind,
        setup.terms,
        setup.shared,
    )


def _drawn(worth: Worth, problem: Problem, share: float, draws: Draws, stages: Stages) -> Plan:
    """The drawn plan; where there is none, what would make room for one."""
    with stages("limits", len(draws.keys)):
        check_drawable(worth, problem, share)
    try:
        return drawn_plan(worth, problem, share, draws, stages)
    except LimitError as refused:
        found = no_room_for_draw(worth, problem, share)
        if found is None:
            raise
        raise found.error() from refused


def some_worth(worth: Worth, rows: NDArray[np.bool_]) -> Worth:
    """The worth of some customers."""
    return Worth(some_scores(worth.scores, rows), worth.expected[rows], worth.value[rows], worth.cost[rows])
