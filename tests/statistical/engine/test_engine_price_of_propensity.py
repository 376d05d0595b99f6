"""What it costs that every probability is known: the drawn plan against greed, which knows none."""

from dataclasses import dataclass

import numpy as np
import pytest
from engine_calibration import Case, Choices, campaign, played
from engine_greedy import mended
from engine_mutants import charges_of, net_of_charges, sampled
from engine_random_campaigns import broken_limits

from portfolio import solve


@dataclass(frozen=True)
class Points:
    """Mean value of plans in percent of the bound for known values, and its standard error."""

    mean: float
    error: float


def points(case: Case, plans: list[Choices], bound: float) -> Points:
    """Of plans (n,), -1 = no offer, in posterior means."""
    value = case.problem.value.astype(np.float64)
    who = np.arange(len(value))
    worth = np.array([np.where(plan < 0, 0.0, value[who, plan]).sum() for plan in plans]) * 100.0 / bound
    return Points(float(worth.mean()), float(worth.std(ddof=1) / np.sqrt(len(worth))))


def greedy_plan(case: Case, seed: int) -> Choices:
    """The best offers for values drawn once, at the prices that are right for them, repaired until limits hold."""
    value = sampled(case, seed)
    net = net_of_charges(case, value, charges_of(case, value))
    return mended(case.problem, case.rows, net.argmax(1), net)


@pytest.mark.parametrize(
    ("n", "draws", "greedy", "most"),
    [
        (2_000, 100, 16, 0.5),
        pytest.param(2_000, 300, 200, 0.5, marks=pytest.mark.soak),
        pytest.param(20_000, 100, 100, 0.1, marks=pytest.mark.soak),
    ],
)
def test_a_known_propensity_costs_little_value_and_less_among_many(n, draws, greedy, most, record_property):
    """Both without exploration; `most` in points of the bound."""
    case = campaign(n, share=0.0)
    bound = solve(case.problem, gap=0.01).bound
    k = case.problem.value.shape[1]
    drawn = [np.where(plan == k, -1, plan) for plan in played(n, draws, share=0.0)]
    assert not any(broken_limits(case.problem, plan) for plan in drawn)
    tried = [greedy_plan(case, seed) for seed in range(greedy)]
    repaired = [plan for plan in tried if not broken_limits(case.problem, plan)]
    assert len(repaired) > 0.9 * greedy  # greed gets stuck now and then
    ours, theirs = points(case, drawn, bound), points(case, repaired, bound)
    lost = theirs.mean - ours.mean
    record_property(
        "value",
        f"{n:,} customers: drawn {ours.mean:.2f} ± {ours.error:.2f} percent of the bound, prices on the decision's own "
        f"draws and greedy repair {theirs.mean:.2f} ± {theirs.error:.2f}, given up {lost:+.2f} points",
    )
    assert np.hypot(ours.error, theirs.error) < 0.3 * most
    assert lost < most
