"""One policy in one world: day by day it decides within the limits, and hears later how it went."""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from portfolio import usage, use_of
from sims.allocations import Batch, Decided, balanced, batch_of, in_turn, optimum
from sims.claims import Claims, claims_of
from sims.days import Known
from sims.judged import WINDOW_DAYS, Judge, Judged
from sims.learners import Learner, Residual
from sims.news import News
from sims.people import Floats, Ints
from sims.policies import Policy
from sims.targets import TARGETS, Target
from sims.visits import Visits

CHANCE: Final = 2
"""Label of the generator that learners draw from; every policy meets the same."""

CHECKED: Final = 2_000
"""Decisions of a day, spread evenly, that are held against the truth; checking must not take longer than deciding."""


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
        claims: what the learner believed, against the truth; None of a learner without beliefs.
        judged: what other policies would have earned in the days up to this one; empty but at the end of a week.
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
    claims: Claims | None
    judged: tuple[Judged, ...]


def play(
    known: Known, policy: Policy, *, targets: Mapping[str, Target] = TARGETS, checked: int = CHECKED
) -> Iterator[Played]:
    """Play all days of a world; the same world and policy give the same days.

    Args:
        known: the world and what everybody may know of it.
        policy: who decides.
        targets: whom the log of its decisions is asked about, where they are drawn.
        checked: decisions of a day, spread evenly, that are held against the truth, and that targets see.
    """
    world, learner = known.world, policy.start(known)
    judge = Judge(targets)
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
        some = np.arange(0, len(rows), -(-len(rows) // checked) or 1)
        if decided.drawn is not None and len(rows):
            drawn = decided.drawn.part(some)
            judge.add(drawn, _earned(drawn.batch, drawn.plan.choice, contacts[some]))
        over = day % WINDOW_DAYS == WINDOW_DAYS - 1 or day == world.days - 1
        claims = _claims(batch.part(some), decided, some, learner, contacts[some])
        yield _counted(batch, decided, seconds, claims, judge.judged() if over else ())


def _decided(
    policy: Policy, learner: Learner | None, batch: Batch, prices: dict[str, float] | None, r: np.random.Generator
) -> Decided:
    if policy.allocation == "balanced" and isinstance(learner, Residual):
        return balanced(batch, learner.worth(batch.rows, batch.eligible), prices)
    scores: Floats = batch.value if learner is None else learner.scores(batch.rows, r)
    if policy.allocation == "optimum":
        return optimum(batch, scores)
    return in_turn(batch, scores, best_first=policy.allocation == "best-first")


def _earned(batch: Batch, choice: Ints, contacts: Ints) -> Floats:
    """(n,) profit that came of every decision, whatever is reported of it."""
    offers, shown = batch.world.offers, np.flatnonzero(choice >= 0)
    taken = choice[shown]
    outcome, margin = batch.world.outcomes(batch.rows[shown], taken, batch.day, contacts=contacts[shown])
    out = np.zeros(len(choice))
    out[shown] = margin - outcome * offers.redemption_cost[taken] - offers.contact_cost[taken]
    return out


def _claims(batch: Batch, decided: Decided, some: Ints, learner: Learner | None, contacts: Ints) -> Claims | None:
    """Of `some` (r,) of the day's customers, who are the batch; None without beliefs, or where no plan was released."""
    if not isinstance(learner, Residual) or decided.status != "released":
        return None
    n, k = batch.eligible.shape
    offer = np.tile(np.arange(k), n)
    truth = batch.world.success(np.repeat(batch.rows, k), offer, batch.day, contacts=np.repeat(contacts, k))
    chances = None if decided.drawn is None else decided.drawn.plan.probability[some]
    return claims_of(learner.beliefs(batch.rows), truth.reshape(n, k), batch.eligible, decided.choice[some], chances)


def _counted(
    batch: Batch, decided: Decided, seconds: float, claims: Claims | None, judged: tuple[Judged, ...]
) -> Played:
    n, k = batch.eligible.shape
    contacted = np.flatnonzero(decided.choice >= 0)
    taken = decided.choice[contacted]
    used = usage(batch.limits, use_of(batch.problem(batch.value), decided.choice), decided.prices)
    costs = [x.maximum for x, limit in zip(used, batch.limits, strict=True) if limit.measure == "cost"]
    return Played(
        day=batch.day,
        decisions=n,
        contacts=np.bincount(taken, minlength=k),
        reward=float(batch.value[contacted, taken].sum()),
        spend=float(batch.cost[contacted, taken].sum()),
        budget=min((most for most in costs if most is not None), default=np.nan),
        fullest=max((x.used / x.maximum for x in used if x.maximum), default=0.0),
        propensity=decided.propensity,
        prices=decided.prices,
        status=decided.status,
        seconds=seconds,
        claims=claims,
        judged=judged,
    )
