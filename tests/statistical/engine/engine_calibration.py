"""Campaigns of three sizes whose allocations differ in nothing but the seed."""

from dataclasses import dataclass
from functools import cache
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from allot.uniforms import stream
from bandit import Beliefs
from engine.objective import Terms, Worth, worth_of
from engine.plan import Draws
from engine.policy import Policy, Setting, policy_of
from portfolio import Limit, Problem, Rows, Selection, Share, balance, compile_rows, initial_headroom

Floats: TypeAlias = NDArray[np.float64]
Table: TypeAlias = NDArray[np.floating]
Choices: TypeAlias = NDArray[np.int64]

N, K, DRAWS = 2_000, 8, 300


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """Customers, offers and limits of one campaign, and the policy with which every seed draws."""

    worth: Worth
    problem: Problem
    rows: Rows
    policy: Policy
    share: float
    keys: NDArray[np.uint64]

    def draws(self, seed: int) -> Draws:
        """What the draw of one seed is keyed by."""
        return Draws(seed, "spring", "2026-03-01T00:00:00+00:00", self.keys)

    def choices(self, seeds: range) -> Choices:
        """(seeds, n) offer numbers, k = no offer."""
        drawn = []
        for seed in seeds:
            plan = balance(self.policy.probability, self.problem, seed=self.draws(seed).purpose("draw"), keys=self.keys)
            assert plan.status == "released"
            drawn.append(plan.choice)
        return of_no_offer(np.stack(drawn))


def of_no_offer(choice: Choices) -> Choices:
    """Offer numbers with k instead of -1 for no offer."""
    return np.where(choice < 0, K, choice)


@cache
def campaign(n: int = N, *, share: float = 0.03, objective: str = "profit", seed: int = 7) -> Case:
    """Customers in four segments, eight offers and twelve limits of every kind, most of which bind.

    The offers do not depend on n, and limits grow with it: the same campaign for fewer or more people.
    """
    r = np.random.default_rng(seed)
    taste = r.normal(0, 0.5, (4, K + 1))
    terms = Terms(
        margin=r.uniform(20, 60, K),
        contact_cost=r.uniform(0.3, 2, K),
        redemption_cost=np.where(np.arange(K) % 3 == 0, 5.0, 0.0),
        outside_margin=30.0,
    )
    cell = r.choice(4, n, p=(0.4, 0.3, 0.2, 0.1)).astype(np.int32)
    mean = (-2.2 + taste[cell] + r.normal(0, 0.6, (n, K + 1))).astype(np.float32)
    mean[:, K] -= 1.0
    sd = np.exp(r.normal(-0.8, 0.4, (n, K + 1))).astype(np.float32)
    eligible = r.random((n, K)) < 0.8
    worth = worth_of(objective, Beliefs(mean, sd), eligible, terms, np.full(K + 1, 0.6))
    problem = Problem(worth.value, worth.cost, eligible, cell, limits(n))
    keys = stream(9, "people") + np.arange(n, dtype=np.uint64) * np.uint64(7919)
    rows = compile_rows(problem.limits, problem.n_cells, K)
    policy = policy_of(worth.scores, problem, Setting(share, initial_headroom(rows, problem)))
    return Case(worth, problem, rows, policy, share, keys)


def limits(n: int = N, *, money: float = 1.0) -> tuple[Limit | Share, ...]:
    """Budget, caps, channel caps, segment limits, a minimum and shares; `money` multiplies the budgets."""
    size = n / 1000
    return (
        Limit("budget", "cost", maximum=700 * size * money),
        *(
            Limit(f"cap {a}", "count", maximum=most * size, offers=(a,))
            for a, most in ((1, 86), (3, 18), (5, 100), (6, 110))
        ),
        Limit("channel a", "count", maximum=132 * size, offers=(0, 3, 6)),
        Limit("channel b", "count", maximum=150 * size, offers=(1, 4, 7)),
        Limit("segment budget", "cost", maximum=210 * size * money, cells=(0,)),
        Limit("segment contacts", "count", maximum=80 * size, cells=(2,)),
        Limit("minimum", "count", minimum=30 * size, offers=(0,)),
        Share("share", "count", Selection((6, 7)), Selection(), maximum=0.25),
        Share("segment share", "cost", Selection(None, (3,)), Selection(), minimum=0.1),
    )


@cache
def played(n: int = N, draws: int = DRAWS, *, share: float = 0.03) -> Choices:
    """(draws, n) what the campaign chose with so many seeds."""
    return campaign(n, share=share).choices(range(draws))
