"""What it costs that every choice is drawn with a known chance: a random plan beside the best fixed one."""

from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from allot import AllotError
from engine.campaign import Exploration
from engine.objective import Worth
from engine.oracle import some_scores
from engine.policy import Setting, policy_of
from engine.segments import rescaled
from portfolio import Problem, compile_rows, initial_headroom, ruled_out, solve
from portfolio.certificate import recount

GAP = 1e-4
"""How near to its bound the best fixed plan is wanted: far less than any cost that is worth a word."""

_EVERYBODY = 2_000_000
_SOME = 20_000
"""Customers: up to the first the best fixed plan is of all of them; a policy that is only tried is of so many."""


@dataclass(frozen=True, slots=True)
class CostOfChance:
    """A released plan against the best fixed plan inside the same limits, all in posterior means.

    Args:
        best_fixed_value: planned value of the deterministic optimum, penalties of broken elastic limits taken off.
        bound: what no plan inside the limits is planned to exceed.
        given_up: what the released plan is planned to earn less than the best fixed one, in the objective's units.
        given_up_share: the same as a part of the best fixed plan's value.
        of_bound: the released plan's value as a part of the bound.
        sampled: estimated from a sample of the customers.
    """

    best_fixed_value: float
    bound: float
    given_up: float
    given_up_share: float
    of_bound: float
    sampled: bool

    def document(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def cost_of_chance(problem: Problem, choice: NDArray[np.int64]) -> CostOfChance | None:
    """Compare a plan with the deterministic optimum.

    Args:
        problem: of the customers who took part, with the limits.
        choice: (n,) what they got, -1 = no offer.

    Returns:
        None where no fixed plan was found, or none is worth anything.
    """
    n = len(choice)
    step = -(-n // _EVERYBODY)
    some, share = thinned(problem, step)
    rows = compile_rows(problem.limits, problem.n_cells, problem.value.shape[1])
    planned = recount(problem, rows, choice)[0]
    there = planned if step <= 1 else _value(some, choice[::step])
    best = solve(some, gap=GAP)
    if best.status == "infeasible" or best.broken or best.value <= 0.0 or best.bound <= 0.0:
        return None
    lost = best.value - there
    return CostOfChance(
        best_fixed_value=best.value / share if step <= 1 else planned + lost / share,
        bound=best.bound if step <= 1 else planned + (best.bound - there) / share,
        given_up=lost / share,
        given_up_share=lost / best.value,
        of_bound=there / best.bound,
        sampled=step > 1,
    )


def random_share(worth: Worth, problem: Problem, exploration: Exploration) -> float | None:
    """About which part of the best fixed plan's value a random plan of the same campaign would give up.

    An estimate: from the policy's expected value, of a sample where there are many customers.

    Args:
        worth, problem: of the customers who take part.
        exploration: of the campaign.

    Returns:
        None at temperature 0, and where no policy or no fixed plan can be found.
    """
    if exploration.temperature == 0.0 or not len(problem.value):
        return None
    rows = compile_rows(problem.limits, problem.n_cells, problem.value.shape[1])
    problem = replace(problem, eligible=problem.eligible & ~ruled_out(problem, rows))
    step = -(-len(problem.value) // _SOME)
    some, share = thinned(problem, step)
    headroom = initial_headroom(rows, problem)
    scores = some_scores(worth.scores, np.arange(0, len(problem.value), step))
    best = solve(some, gap=GAP)
    if best.status == "infeasible" or best.broken or best.value <= 0.0:
        return None
    try:
        policy = policy_of(scores, some, Setting(exploration.share, headroom * share))
    except AllotError:  # LimitError or ConvergenceError: a random plan cannot be had at all
        return None
    return max(0.0, 1.0 - float(policy.use[2].sum()) / best.value)


def thinned(problem: Problem, step: int) -> tuple[Problem, float]:
    """Every so many-th customer under limits of that size, and which part of all they are.

    A fair sample where rows are in the order of a hash.
    """
    if step <= 1:
        return problem, 1.0
    rows = slice(0, None, step)
    share = len(problem.value[rows]) / len(problem.value)
    some = replace(
        problem,
        value=problem.value[rows],
        cost=problem.cost[rows],
        eligible=problem.eligible[rows],
        cell=problem.cell[rows],
        limits=rescaled(problem.limits, share),
    )
    return some, share


def _value(problem: Problem, choice: NDArray[np.int64]) -> float:
    chosen = np.flatnonzero(choice >= 0)
    return float(problem.value[chosen, choice[chosen]].sum(dtype=np.float64))
