"""No published plan breaks a limit: whole allocations of random campaigns, recounted from the choices."""

from collections import Counter

import numpy as np
import pytest
from engine_random_campaigns import broken_limits, request

from allot import ConvergenceError, LimitError
from engine.plan import drawn_plan
from engine.stages import Stages


@pytest.mark.parametrize(
    ("seeds", "largest", "published"),
    [
        (range(110), 250, 66),
        pytest.param(range(1_000, 3_000), 250, 1_200, marks=pytest.mark.soak),
        pytest.param(range(5_000, 5_200), 4_000, 120, marks=pytest.mark.soak),
    ],
)
def test_no_plan_of_many_random_campaigns_breaks_a_limit(seeds, largest, published, record_property):
    """The others are refused: limits that exclude each other, or that leave a draw no room."""
    outcome: Counter[str] = Counter()
    broken, counted = [], 0
    for seed in seeds:
        asked = request(seed, largest=largest)
        try:
            plan = drawn_plan(asked.worth, asked.problem, asked.share, asked.draws, Stages())
        except (LimitError, ConvergenceError) as error:
            outcome[type(error).__name__] += 1
            continue
        outcome[plan.status] += 1
        if plan.status == "released":
            broken += [(seed, name) for name in broken_limits(asked.problem, plan.choice)]
            counted += len(asked.problem.limits)
            picked = np.flatnonzero(plan.choice >= 0)
            assert asked.problem.eligible[picked, plan.choice[picked]].all()
    record_property("published plans", f"{dict(outcome)}, {counted:,} limits recounted, {len(broken)} broken")
    assert broken == []
    assert outcome["released"] >= published
