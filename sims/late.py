"""What lateness costs: successes arrive some days after the decision, and silence may still be one."""

from typing import Final, Literal, TypeAlias

import numpy as np

from bandit import arrival_share
from sims.days import Day, Known, decided, ours
from sims.people import Floats, Ints

Young: TypeAlias = Literal["waiting", "failures", "weighted"]

HORIZON_DAYS: Final = 8
"""Age at which a decision is mature: every success has arrived."""

_STAYS_AWAY = 0.75  # the chance of a success to come later, for each whole day, up to seven
_LOGGED_DELAYS = 500  # successes in the log whose delay is known


def late_share(known: Known, young: Young) -> float:
    """Our share of the oracle where a success is up to seven whole days late, and each day late is less likely.

    Args:
        known: of the world.
        young: what is made of decisions that are not mature: nothing ("waiting"), silence as failure ("failures"), or
            silence by the share of successes that arrive by the decision's age ("weighted").
    """
    world, learner = known.world, ours(known)
    r = np.random.default_rng([world.seed, 2])
    delay, arrived = _delays(world.seed, len(world.customers)), _delays(world.seed + 1, _LOGGED_DELAYS)
    past: dict[int, tuple[Day, Floats]] = {}
    earned = possible = 0.0
    for day in range(world.days):
        ripe = day - HORIZON_DAYS
        if ripe in past:
            done, outcome = past.pop(ripe)
            learner.hear(done.rows, done.arm, outcome, ripe)
            arrived = np.append(arrived, delay[done.rows[outcome == 1]])
        if young != "waiting" and past:
            rows, arm, seen, age = _glimpsed(past, delay, day)
            share = arrival_share(arrived, HORIZON_DAYS)(age) if young == "weighted" else np.ones(len(age))
            learner.glimpse(rows, arm, seen, np.where(seen == 1, 1.0, share))
        done = decided(world, learner, day, r)
        earned, possible = earned + done.earned, possible + done.possible
        came, _ = world.outcomes(done.rows, done.arm, day)
        past[day] = done, came.astype(np.float64)
    return float(earned / possible)


def _delays(seed: int, n: int) -> Floats:
    """(n,) days from a decision to its success: whole days, and a part of one."""
    r = np.random.default_rng([seed, 3])
    late = _STAYS_AWAY ** np.arange(HORIZON_DAYS)
    out: Floats = r.choice(HORIZON_DAYS, n, p=late / late.sum()) + r.random(n)
    return out


def _glimpsed(past: dict[int, tuple[Day, Floats]], delay: Floats, now: int) -> tuple[Ints, Ints, Floats, Floats]:
    """Customers, offers, what has been heard of them so far, and their age in days; of decisions not yet mature."""
    rows, arm = (np.concatenate([getattr(done, name) for done, _ in past.values()]) for name in ("rows", "arm"))
    age = np.concatenate([np.full(len(done.rows), float(now - day)) for day, (done, _) in past.items()])
    outcome = np.concatenate([outcome for _, outcome in past.values()])
    return rows, arm, outcome * (delay[rows] <= age), age
