"""From scores to a plan within the limits of one day, in four ways."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

from allot import ConvergenceError, LimitError
from engine.objective import Worth
from engine.oracle import some_scores
from engine.plan import Draws, Plan, drawn_plan
from engine.stages import Stages
from portfolio import Limit, Problem, compile_rows, solve
from sims.files import moment
from sims.limits import limits_of
from sims.people import Floats, Ints
from sims.world import World

EXPLORATION_SHARE: Final = 0.01
"""Of the balanced draw, as campaigns have it by default."""

GAP: Final = 1e-3
"""How near to its optimum a deterministic plan is; the last digits cost most of the time."""


@dataclass(frozen=True, slots=True)
class Batch:
    """The n customers of a day, what every offer truly is worth and costs, and the limits, which are the same for all.

    Args:
        world: whose name and seed the draw is keyed by.
        day: of the decision.
        rows: (n,) rows of the population, in the order in which they come.
        eligible: (n, k).
        value, cost: (n, k) true expected profit and cost, currency units.
        limits: over contacts and true expected cost.
    """

    world: World
    day: int
    rows: Ints
    eligible: NDArray[np.bool_]
    value: Floats
    cost: Floats
    limits: tuple[Limit, ...]

    def problem(self, value: NDArray[Any]) -> Problem:
        """The portfolio's problem for some values (n, k); where they are infinite, the offer is out of the question."""
        allowed = self.eligible & np.isfinite(value)
        return Problem(np.where(allowed, value, 0.0), self.cost, allowed, np.zeros(len(value), np.int64), self.limits)

    def part(self, some: Ints) -> "Batch":
        """Some of the customers; the limits stay those of all."""
        rows, eligible, value, cost = self.rows[some], self.eligible[some], self.value[some], self.cost[some]
        return replace(self, rows=rows, eligible=eligible, value=value, cost=cost)


@dataclass(frozen=True, slots=True)
class Drawn:
    """A day's batch, what was believed of it, and the plan that was drawn from this with the chances of all options."""

    batch: Batch
    worth: Worth
    plan: Plan

    def part(self, some: Ints) -> "Drawn":
        """Some of the customers; prices and limits stay those of all."""
        worth, plan = self.worth, self.plan
        tables = (getattr(worth, name)[some] for name in ("expected", "value", "cost"))
        return Drawn(
            self.batch.part(some),
            Worth(some_scores(worth.scores, some), *tables),
            replace(plan, choice=plan.choice[some], probability=plan.probability[some]),
        )

    @property
    def table(self) -> Floats:
        """(n, k + 1) chances; rows sum to 1 in float64."""
        chances = self.plan.probability.astype(np.float64)
        out: Floats = chances / chances.sum(1, keepdims=True)
        return out

    @property
    def scores(self) -> Floats:
        """(n, k + 1) what options are believed to be worth less what limits charge; no offer 0, ineligible -inf."""
        value = self.worth.value.astype(np.float64)
        one, cost, worth = self.plan.charges[:, 0]
        score = value - one - cost * self.batch.cost - worth * value
        return np.column_stack([np.where(self.batch.eligible, score, -np.inf), np.zeros(len(value))])


@dataclass(frozen=True, slots=True)
class Decided:
    """What a day's customers get.

    Args:
        choice: (n,) offers, -1 = no offer.
        propensity: (n,) float32, the chance of what was chosen; None where nothing was drawn.
        prices: of the limits, by name; none where customers are served one after the other.
        status: "released", or why nobody gets anything.
        drawn: what the plan was drawn from, where one was released.
    """

    choice: Ints
    propensity: NDArray[np.float32] | None
    prices: dict[str, float]
    status: str = "released"
    drawn: Drawn | None = None


def batch_of(world: World, day: int, rows: Ints, eligible: NDArray[np.bool_], contacts: Ints) -> Batch:
    """Some customers of a day.

    Args:
        world: whose truth it is.
        day: of the decision.
        rows: (n,) rows of the population.
        eligible: (n, k) what the offers' rules allow; offers that may not be sent on this day are taken out.
        contacts: (n,) of the last 30 days.
    """
    value, cost = world.value(day, rows, contacts=contacts)[:, :-1], world.cost(day, rows, contacts=contacts)
    allowed = eligible & world.open(day)
    limits = limits_of(value, cost, allowed, world.offers.ids, budget_factor=world.budget_factor(day))
    return Batch(world, day, rows, allowed, value, cost, limits)


def balanced(batch: Batch, worth: Worth, prices: Mapping[str, float] | None) -> Decided:
    """The product's way: chances that keep the limits in expectation, and one draw that keeps them.

    What the product would refuse, because there is no room for a draw, is refused here too: nobody gets anything.

    Args:
        batch: of the day.
        worth: of its pairs, as the learner believes.
        prices: of an earlier day, to start from.
    """
    draws = Draws(batch.world.seed, batch.world.name, moment(batch.day).isoformat(), batch.rows.astype(np.uint64))
    try:
        plan = drawn_plan(worth, batch.problem(worth.value), EXPLORATION_SHARE, draws, Stages(), prices=prices)
    except (LimitError, ConvergenceError) as refused:
        return Decided(np.full(len(batch.rows), -1), None, {}, str(refused))
    chance = plan.probability[np.arange(len(batch.rows)), plan.choice]
    drawn = Drawn(batch, worth, plan) if plan.status == "released" else None
    return Decided(plan.choice, chance, {x.name: x.price for x in plan.usage}, plan.status, drawn)


def optimum(batch: Batch, scores: Floats) -> Decided:
    """The plan of the largest sum of scores (n, k)."""
    solution = solve(batch.problem(scores), gap=GAP)
    return Decided(solution.choice, None, dict(solution.prices), solution.status if solution.conflict else "released")


def in_turn(batch: Batch, scores: Floats, *, best_first: bool = False) -> Decided:
    """Customers one after the other; each gets the offer of the highest score above 0 that still fits.

    Args:
        batch: of the day.
        scores: (n, k).
        best_first: by their highest score instead of by arrival.

    Raises:
        LimitError: there are other limits than maxima of contacts and cost.
    """
    rows = compile_rows(batch.limits, 1, scores.shape[1])
    use = rows.coefficient[:, :, 0]
    if (rows.coefficient < 0).any() or use[:, 2].any() or np.isfinite(rows.lower).any():
        raise LimitError("only maxima of contacts and cost can be kept one customer at a time.", where="limits")
    wanted = np.where(batch.eligible, scores, -np.inf)
    order = np.argsort(-wanted.max(1), kind="stable") if best_first else np.arange(len(wanted))
    choice = np.full(len(wanted), -1)
    _serve(order, wanted, batch.cost, use[:, 0].copy(), use[:, 1].copy(), rows.upper.copy(), choice)
    return Decided(choice, None, {})


@njit(cache=True, nogil=True)
def _serve(order: Any, score: Any, cost: Any, contact: Any, money: Any, room: Any, choice: Any) -> None:
    """`contact` and `money` (m, k): what a contact and a unit of its cost take from `room` (m,), which is used up."""
    m = len(room)
    for i in order:
        for a in np.argsort(-score[i]):
            if not score[i, a] > 0.0:
                break
            fits = True
            for r in range(m):
                if contact[r, a] + money[r, a] * cost[i, a] > room[r]:
                    fits = False
            if fits:
                choice[i] = a
                for r in range(m):
                    room[r] -= contact[r, a] + money[r, a] * cost[i, a]
                break
