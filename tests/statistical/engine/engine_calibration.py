"""Three hundred allocations that differ in nothing but the seed, and what their choices say about the logged table."""

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from allot.uniforms import stream
from bandit import Beliefs
from engine.objective import Terms, Worth, worth_of
from engine.plan import Draws
from engine.policy import Policy, Setting, affordable_policy
from portfolio import Limit, Problem, Rows, Selection, Share, balance, compile_rows, initial_headroom

Floats: TypeAlias = NDArray[np.float64]
Table: TypeAlias = NDArray[np.floating]
Choices: TypeAlias = NDArray[np.int64]

DRAWS = 300
FOUR = 4.0  # standard errors
FLOOR = 0.002  # importance weights are averaged over pairs at least as likely: expected some hundred hits an offer
ROUNDING = 1e-3  # contacts; the table is float32, and a total that never varies has no standard error


@dataclass(frozen=True, slots=True)
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
        return of_no_offer(np.stack(drawn), self.problem.value.shape[1])


def of_no_offer(choice: Choices, k: int) -> Choices:
    """Offer numbers with k instead of -1 for no offer."""
    return np.where(choice < 0, k, choice)


def campaign(*, share: float = 0.03, objective: str = "profit", seed: int = 5) -> Case:
    """2,000 customers in four segments, eight offers and twelve limits of every kind, most of which bind."""
    r = np.random.default_rng(seed)
    n, k = 2000, 8
    cell = r.choice(4, n, p=(0.4, 0.3, 0.2, 0.1)).astype(np.int32)
    taste = r.normal(0, 0.5, (4, k + 1))
    mean = (-2.2 + taste[cell] + r.normal(0, 0.6, (n, k + 1))).astype(np.float32)
    mean[:, k] -= 1.0
    sd = np.exp(r.normal(-0.8, 0.4, (n, k + 1))).astype(np.float32)
    terms = Terms(
        margin=r.uniform(20, 60, k),
        contact_cost=r.uniform(0.3, 2, k),
        redemption_cost=np.where(np.arange(k) % 3 == 0, 5.0, 0.0),
        outside_margin=30.0,
    )
    eligible = r.random((n, k)) < 0.8
    worth = worth_of(objective, Beliefs(mean, sd), eligible, terms, np.full(k + 1, 0.6))
    problem = Problem(worth.value, worth.cost, eligible, cell, limits())
    keys = stream(9, "people") + np.arange(n, dtype=np.uint64) * np.uint64(7919)
    rows = compile_rows(problem.limits, problem.n_cells, k)
    policy = policy_of(worth, problem, Setting(share, initial_headroom(rows, problem)))
    return Case(worth, problem, rows, policy, share, keys)


def limits(*, scale: float = 1.0) -> tuple[Limit | Share, ...]:
    """Budget, caps, channel caps, segment limits, a minimum and shares; `scale` multiplies the budget."""
    return (
        Limit("budget", "cost", maximum=1400.0 * scale),
        *(
            Limit(f"cap {a}", "count", maximum=most, offers=(a,))
            for a, most in ((1, 180), (3, 150), (5, 200), (6, 220))
        ),
        Limit("channel a", "count", maximum=330, offers=(0, 3, 6)),
        Limit("channel b", "count", maximum=300, offers=(1, 4, 7)),
        Limit("segment budget", "cost", maximum=420.0 * scale, cells=(0,)),
        Limit("segment contacts", "count", maximum=230, cells=(2,)),
        Limit("minimum", "count", minimum=60, offers=(0,)),
        Share("share", "count", Selection((1, 4, 7)), Selection(), maximum=0.3),
        Share("segment share", "cost", Selection(None, (3,)), Selection(), minimum=0.05),
    )


def policy_of(worth: Worth, problem: Problem, setting: Setting) -> Policy:
    """The affordable policy of what the draw sees."""
    s = worth.scores
    return affordable_policy(Beliefs(s.mean, s.sd), s.value, problem, fee=s.fee, outside=s.outside, setting=setting)


def normalised(table: Table) -> Floats:
    """Rows that sum to one in float64, as the draw reads them."""
    out = np.asarray(table, np.float64)
    return out / out.sum(1, keepdims=True)


def calibrated(table: Table, choices: Choices) -> list[str]:
    """Which criteria say that the choices were not made with these probabilities; none if they were.

    Draws of one plan depend on each other, so every standard error is taken across plans, which do not.

    Args:
        table: (n, k + 1) the logged probabilities.
        choices: (draws, n) offer numbers, k = no offer.
    """
    p = normalised(table)
    row = np.arange(len(p))
    failed = [] if (p[row, choices] > 0).all() else ["chosen although impossible"]
    if abs(chi_square(p, choices)) > FOUR:
        failed.append("chi-square")
    centred = p - 1.0 / p.shape[1]
    slope = centred[row, choices].sum(1) / (centred**2).sum()
    if abs(deviation(slope, 1.0)) > FOUR:
        failed.append("slope")
    total = np.stack([np.bincount(c, minlength=p.shape[1]) for c in choices]).astype(np.float64)
    off = np.abs(deviation(total, p.sum(0), rounding=ROUNDING))
    failed += [f"total of {a}" for a in np.flatnonzero(off > FOUR)]
    often = p >= FLOOR
    weight = np.where(often, 1.0 / np.maximum(p, FLOOR), 0.0)[row, choices]
    for a in range(p.shape[1]):
        mean = np.where(choices == a, weight, 0.0).sum(1) / often[:, a].sum()
        if abs(deviation(mean, 1.0)) > FOUR:
            failed.append(f"weights of {a}")
    return failed


def chi_square(p: Floats, choices: Choices) -> float:
    """Pearson's chi-square of every customer, summed, less its degrees of freedom, in standard errors.

    The statistic is the sum over pairs of draws r, s of K(r, s) = sum over customers of [same choice] / p - 1. A draw
    paired with itself only adds noise that grows with 1 / p, so those pairs are left out. For the others K has mean 0
    given either draw; hence pairs are uncorrelated, however much the customers of one draw depend on each other.
    """
    inverse = 1.0 / np.maximum(p, 1e-12)
    pairs = -float(len(p)) * np.ones((len(choices), len(choices)))
    for a in range(p.shape[1]):
        chosen = (choices == a).astype(np.float64)
        pairs += (chosen * inverse[:, a]) @ chosen.T
    apart = pairs[np.triu_indices(len(choices), 1)]
    return float(apart.sum() / np.sqrt((apart**2).sum()))


def deviation(seen: Floats, expected: Floats | float, *, rounding: float = 0.0) -> Floats:
    """Distance of the mean over draws (first axis) from its expectation, in standard errors across draws."""
    error = seen.std(0, ddof=1) / np.sqrt(len(seen))
    out: Floats = (seen.mean(0) - expected) / (error + rounding / FOUR)
    return out
