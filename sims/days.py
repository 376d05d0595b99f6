"""A world day by day: decide on whoever arrives, hear of it some days later, and count what was truly earned.

There are no limits here: what is compared is how well somebody learns, not how well he plans.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
from scipy.special import logit as logit_of

from bandit import Columns, FittedPrior, Log, Posterior, Rows, fit_basis, fit_prior, start
from sims.learners import BetaSegment, EpsilonGreedy, Fixed, Learner, Linear, Money, Residual, Singles, Uniform
from sims.people import Floats, Ints
from sims.world import World

DELAY_DAYS: Final = 3
"""Days after which the outcomes of a day are heard."""


@dataclass(frozen=True)
class Known:
    """What everybody may know of a world before its first day: the log, the population's features, the offers' money.

    `seed` is of the model over the log.
    """

    world: World
    seed: int = 0

    @cached_property
    def money(self) -> Money:
        """Of the world's offers."""
        offers = self.world.offers
        return Money(offers.margin - offers.redemption_cost, offers.contact_cost)

    @cached_property
    def log(self) -> Log:
        """The history without its times, all of one moment; no offer is the last arm."""
        history = self.world.history
        arm = np.where(history.offer < 0, self.offers, history.offer)
        outcome, person = history.outcome.astype(np.float64), history.person.astype(np.uint64)
        return Log(history.customers.matrix, arm, outcome, np.zeros(len(arm)), person)

    @property
    def offers(self) -> int:
        """k."""
        return len(self.world.offers.ids)

    @cached_property
    def columns(self) -> Columns:
        """Of the customers and of the offers, of whom the code alone is read."""
        names = self.world.customers.names
        return Columns(("segment", *names), ("offer",), (0, 1 + len(names)))

    @cached_property
    def prior(self) -> FittedPrior:
        """Trees over the log, shared by whoever believes in them."""
        return fit_prior(self.log, np.arange(self.offers + 1.0)[:, None], self.columns, seed=self.seed, threads=1)

    @cached_property
    def logit(self) -> Singles:
        """(n, k + 1) the prior's, of the population."""
        return self.prior.prior.logits(self.world.customers.matrix, threads=1)

    @cached_property
    def basis(self) -> tuple[Singles, Singles, tuple[int, ...]]:
        """ψ of the population (n, p), of the log (r, p), and its blocks."""
        made = fit_basis(self.log.customers, self.columns, levels={"segment": len(self.world.customers.segments)})
        return made(self.world.customers.matrix), made(self.log.customers), made.blocks

    def started(self, logged: Floats, as_cold: Floats, centre: float) -> Posterior:
        """The posterior that the log gives over some logits of its rows (r,)."""
        _, psi, block = self.basis
        rows = Rows(psi, logged, self.log.arm, self.log.outcome)
        return start(rows, as_cold, self.offers + 1, centre=centre, block=block, window=-1)


def ours(known: Known) -> Residual:
    """Trees, log, hierarchy: the product."""
    fitted = known.prior
    state = known.started(fitted.shown, fitted.as_cold, fitted.prior.mean_logit)
    return Residual(state, known.basis[0], known.logit, known.money)


def logistic_ts(known: Known) -> Learner:
    """The same posterior over the log's rate instead of trees: Bayesian logistic regression (Chapelle and Li 2011)."""
    y = known.log.outcome
    rate = float(logit_of((y.sum() + 1) / (len(y) + 2)))
    flat = np.full(len(y), rate)
    state = known.started(flat, flat, rate)
    return Residual(state, known.basis[0], np.full_like(known.logit, rate), known.money)


def linear(known: Known, width: float, *, add: bool = False, log: bool = False) -> Linear:
    """LinTS; with `add`, LinUCB; with `log`, after the log's rows."""
    made = Linear(known.basis[0].astype(np.float64), known.money, width, "add" if add else "draw")
    if log:
        shown = known.log.arm < known.offers
        made.add(known.basis[1][shown].astype(np.float64), known.log.arm[shown], known.log.outcome[shown])
    return made


def beta_segment(known: Known) -> Learner:
    """Beta posteriors by segment, after the log's rows."""
    shown = known.log.arm < known.offers
    history = known.world.history
    made = BetaSegment(known.world.customers.segment, known.money, float(known.log.outcome.mean()))
    made.add(history.customers.segment[shown], known.log.arm[shown], known.log.outcome[shown])
    return made


def best_static(known: Known) -> Learner:
    """Everybody is alike: an offer is worth to each customer what it earned per contact in the log."""
    shown = known.log.arm < known.offers
    seen = np.bincount(known.log.arm[shown], minlength=known.offers)
    won = np.bincount(known.log.arm[shown], known.log.outcome[shown], known.offers)
    worth = np.where(seen > 0, known.money.worth(won / np.maximum(seen, 1)), -np.inf)
    return Fixed(np.tile(worth, (len(known.world.customers), 1)))


def prior_greedy(known: Known) -> Learner:
    """The trees as they are."""
    return Fixed(known.money.worth(1.0 / (1.0 + np.exp(-known.logit[:, :-1].astype(np.float64)))))


LEARNERS: Final[dict[str, Callable[[Known], Learner]]] = {
    "allot": ours,
    "prior-greedy": prior_greedy,
    "epsilon-greedy": lambda known: EpsilonGreedy(linear(known, 0.0, log=True), 0.02),
    "uniform": lambda known: Uniform(known.offers),
    "lints": lambda known: linear(known, 1.0),
    "lints-log": lambda known: linear(known, 1.0, log=True),
    "linucb": lambda known: linear(known, 0.3, add=True, log=True),
    "beta-segment": beta_segment,
    "logistic-ts": logistic_ts,
    "best-static": best_static,
}
"""By name; the oracle, who knows the truth of each day, is what their shares are of."""


def oracle_share(known: Known, learner: Learner, *, delay_days: int = DELAY_DAYS) -> float:
    """True expected profit of all decisions as a share of the largest possible one, day by day without limits.

    Everybody meets the same customers, outcomes and source of chance.
    """
    world = known.world
    r = np.random.default_rng([world.seed, 2])
    earned = possible = 0.0
    waiting: dict[int, tuple[Ints, Ints]] = {}
    for day in range(world.days):
        if day - delay_days in waiting:
            rows, arm = waiting.pop(day - delay_days)
            outcome, _ = world.outcomes(rows, arm, day - delay_days)
            learner.hear(rows, arm, outcome.astype(np.float64), day - delay_days)
        done = decided(world, learner, day, r)
        earned, possible = earned + done.earned, possible + done.possible
        waiting[day] = done.rows, done.arm
    return float(earned / possible)


@dataclass(frozen=True, slots=True)
class Day:
    """Whom (r,) a day's decisions contacted with what (r,); what all of them truly earn, and the most they could."""

    rows: Ints
    arm: Ints
    earned: float
    possible: float


def decided(world: World, learner: Learner, day: int, r: np.random.Generator) -> Day:
    """Everybody who arrives on a day gets the eligible offer of the highest score, or none where none is above 0."""
    rows = np.flatnonzero(world.arrival == day)
    worth = np.where(world.eligible[rows], world.value(day, rows)[:, :-1], -np.inf)
    scores = np.where(world.eligible[rows], learner.scores(rows, r), -np.inf)
    arm = scores.argmax(1)
    contacted = np.flatnonzero(scores.max(1) > 0.0)
    earned = worth[contacted, arm[contacted]].sum()
    return Day(rows[contacted], arm[contacted], float(earned), float(np.maximum(worth.max(1), 0.0).sum()))
