"""The logged probabilities are those with which customers were decided; a table that is not is found out."""

import numpy as np
import pytest
from engine_calibration import DRAWS, K, N, campaign, of_no_offer, played
from engine_mutants import (
    at_no_prices,
    at_prices_of_one_draw,
    counted_in_two_hundred_samples,
    drawn_alone,
    drawn_alone_and_mended,
    with_exploration_never_played,
    with_less_uncertainty,
    with_one_offer_tilted,
)
from engine_statistics import FOUR, calibrated, normalised, shown, statistics

from engine.exploration import even_policy
from engine.plan import drawn_plan
from engine.stages import Stages
from portfolio import usage, use_of

TABLES = {
    at_prices_of_one_draw: {"chi-square of customers", "chi-square of pairs", "total of 5"},
    with_less_uncertainty: {"chi-square of customers", "chi-square of pairs", "slope", "probabilities from bin 5"},
    counted_in_two_hundred_samples: {"chi-square of customers", "chi-square of pairs", "slope", "weights of 0"},
    at_no_prices: {"chi-square of customers", "chi-square of pairs", "slope", "total of 1"},
    with_exploration_never_played: {"chi-square of pairs", "slope", "total of 0", "weights of 0"},
    with_one_offer_tilted: {"total of 5"},
}
"""Tables that were not played, and some of the statistics that say so at 2,000 customers."""

MENDED = {"chi-square of pairs", "slope", "weights of 8"}


@pytest.mark.parametrize(
    ("n", "draws"),
    [
        (200, 300),
        (N, DRAWS),
        (20_000, 30),
        pytest.param(200, 6_000, marks=pytest.mark.soak),
        pytest.param(N, 3_000, marks=pytest.mark.soak),
        pytest.param(20_000, 400, marks=pytest.mark.soak),
    ],
)
def test_choices_of_many_seeds_match_the_logged_probabilities(n, draws, record_property):
    table = campaign(n).policy.probability
    found = statistics(table, played(n, draws))
    record_property("calibration", shown(found, table, played(n, draws)))
    assert {name: z for name, z in found.items() if abs(z) > FOUR} == {}


def test_so_they_do_where_no_offer_is_uncertain_too():
    """Objective `incremental`: no offer competes with beliefs of its own."""
    case = campaign(500, objective="incremental", share=0.01)
    assert calibrated(case.policy.probability, case.choices(range(150))) == []


def test_every_limit_is_kept_in_every_plan(case, choices):
    for plan in choices:
        for limit in usage(case.problem.limits, use_of(case.problem, np.where(plan == K, -1, plan))):
            assert limit.slack >= -1e-9, limit


@pytest.mark.parametrize("n", [N, 20_000])
def test_the_limits_bind(n):
    """Or the tests of this file would say little."""
    priced = {name for name, price in campaign(n).policy.prices.items() if abs(price) > 0.1}
    assert priced >= {
        "budget", "cap 1", "cap 3", "cap 5", "channel b", "segment budget", "segment contacts", "minimum",
        "share",
    }  # fmt: skip


@pytest.mark.parametrize(("n", "seed"), [(200, 1), (N, 0), (N, 299), pytest.param(20_000, 2, marks=pytest.mark.soak)])
def test_a_whole_allocation_draws_the_same_plan_from_the_same_table(n, seed):
    """Neither prices nor headroom depend on the seed, which is why one table serves every draw."""
    case = campaign(n)
    plan = drawn_plan(case.worth, case.problem, case.share, case.draws(seed), Stages())
    assert plan.status == "released"
    assert np.array_equal(plan.probability, case.policy.probability)
    assert np.array_equal(of_no_offer(plan.choice), case.choices(range(seed, seed + 1))[0])


@pytest.mark.parametrize("logged", TABLES, ids=lambda mutant: mutant.__name__)
def test_probabilities_that_were_not_played_are_found_out(case, choices, logged):
    assert TABLES[logged] <= set(calibrated(logged(case), choices))


@pytest.mark.soak
@pytest.mark.parametrize(("n", "draws"), [(200, 6_000), (20_000, 400)])
@pytest.mark.parametrize("logged", TABLES, ids=lambda mutant: mutant.__name__)
def test_so_they_are_among_few_customers_and_among_many(n, draws, logged, record_property):
    table = logged(campaign(n))
    found = statistics(table, played(n, draws))
    record_property(f"mutant {logged.__name__.replace('_', ' ')}", shown(found, table, played(n, draws)))
    assert max(abs(z) for z in found.values()) > FOUR


def test_exploration_that_is_played_and_not_logged_is_found_out(case, choices):
    even, _ = even_policy(case.problem, case.rows, case.share)
    silent = np.maximum(normalised(case.policy.probability) - case.share * even, 0.0)
    assert {"chi-square of pairs", "slope"} <= set(calibrated(silent, choices))


@pytest.mark.parametrize(
    ("n", "plans"),
    [(N, 60), pytest.param(200, 2_000, marks=pytest.mark.soak), pytest.param(20_000, 100, marks=pytest.mark.soak)],
)
def test_plans_that_are_mended_afterwards_are_found_out(n, plans, record_property):
    """Why a plan is never repaired: nobody knows with which probability the customers who are left were chosen."""
    case = campaign(n)
    table = case.policy.probability
    assert calibrated(table, drawn_alone(case, plans)) == []
    mended = drawn_alone_and_mended(case, plans)
    found = statistics(table, mended)
    record_property("mutant greedy repair", shown(found, table, mended))
    assert {name for name, z in found.items() if abs(z) > FOUR} >= MENDED
