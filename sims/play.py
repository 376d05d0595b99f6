"""One policy in one world: day by day it decides within the limits, and hears later how it went."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from portfolio import usage, use_of
from sims.allocations import Batch, Decided, balanced, batch_of, in_turn, optimum
from sims.days import Known
from sims.learners import Learner, Residual
from sims.news import News
from sims.people import Floats, Ints
from sims.policies import Policy
from sims.visits import Visits

CHANCE: Final = 2
"""Label of the generator that learners draw from; every policy meets the same."""


@dataclass(frozen=True, slots=True)
class Played:
    """A day of a run, true expected money in currency units.

    Args:
        decisions: customers decided on.
        contacts: (k,) how many of them got each offer.
        reward: true expected profit of the plan.
        spend, budget: true expected cost, and its maximum; NaN where there is none.
        fullest: the largest share of its maximum that any limit is used up to.
        propensity: (decisions,) chance of each choice; None where nothing was drawn.
        prices: of the limits, by name.
        status: "released", or why nobody got anything.
        seconds: CPU time of deciding and learning.
    """

    day: int
    decisions: int
    contacts: Ints
    reward: float
    spend: float
    budget: float
    fullest: float
    propensity: NDArray[np.float32] | None
    prices: dict[str, float]
    status: str
    seconds: float


def play(known: Known, policy: Policy) -> Iterator[Played]:
    """Play all days of a world; the same world and policy give the same days.

    Args:
        known: the world and what everybody may know of it.
        policy: who decides.
    """
    world, learner = known.world, policy.start(known)
    news, visits, r = News(world), Visits(world), np.random.default_rng([world.seed, CHANCE])
    prices: dict[str, float] | None = None
    for day in range(world.days):
        rows = visits.on(day)
        contacts = visits.contacts[rows]
        batch = batch_of(world, day, rows, visits.eligible[rows], contacts)
        started = time.process_time()
        if learner is not None:
            news.tell(learner, day)
        decided = _decided(policy, learner, batch, prices, r)
        seconds = time.process_time() - started
        shown = decided.choice >= 0
        news.decided(rows[shown], decided.choice[shown], day, contacts[shown])
        visits.contacted(rows[shown], day)
        prices = decided.prices or prices
        yield _counted(batch, decided, seconds)


def _decided(
    policy: Policy, learner: Learner | None, batch: Batch, prices: dict[str, float] | None, r: np.random.Generator
) -> Decided:
    if policy.allocation == "balanced" and isinstance(learner, Residual):
        return balanced(batch, learner.worth(batch.rows, batch.eligible), prices)
    scores: Floats = batch.value if learner is None else learner.scores(batch.rows, r)
    if policy.allocation == "optimum":
        return optimum(batch, scores)
    return in_turn(batch, scores, best_first=policy.allocation == "best-first")


def _counted(batch: Batch, decided: Decided, seconds: float) -> Played:
    n, k = batch.eligible.shape
    contacted = np.flatnonzero(decided.choice >= 0)
    taken = decided.choice[contacted]
    used = usage(batch.limits, use_of(batch.problem(batch.value), decided.choice), decided.prices)
    budgets = [x.maximum for x, limit in zip(used, batch.limits, strict=True) if limit.measure == "cost" and x.maximum]
    return Played(
        day=batch.day,
        decisions=n,
        contacts=np.bincount(taken, minlength=k),
        reward=float(batch.value[contacted, taken].sum()),
        spend=float(batch.cost[contacted, taken].sum()),
        budget=min(budgets, default=np.nan),
        fullest=max((x.used / x.maximum for x in used if x.maximum), default=0.0),
        propensity=decided.propensity,
        prices=decided.prices,
        status=decided.status,
        seconds=seconds,
    )
