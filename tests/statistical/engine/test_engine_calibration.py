"""The logged probabilities are those with which customers were decided; a table that is not is found out."""

import numpy as np
import pytest
from engine_calibration import DRAWS, calibrated, campaign, normalised, of_no_offer
from engine_mutants import (
    at_no_prices,
    at_prices_of_one_draw,
    drawn_alone,
    mended,
    mixed,
    with_less_uncertainty,
    with_one_offer_tilted,
)

from engine.exploration import even_policy
from engine.plan import drawn_plan
from engine.stages import Stages
from portfolio import usage, use_of


def test_choices_of_three_hundred_seeds_match_the_logged_probabilities(case, choices):
    assert calibrated(case.policy.probability, choices) == []


def test_so_they_do_where_no_offer_is_uncertain_too():
    """Objective `incremental`: no offer competes with beliefs of its own."""
    case = campaign(objective="incremental", share=0.01, seed=6)
    assert calibrated(case.policy.probability, case.choices(range(DRAWS // 2))) == []


def test_every_limit_is_kept_in_every_plan(case, choices):
    k = case.problem.value.shape[1]
    for plan in choices:
        for limit in usage(case.problem.limits, use_of(case.problem, np.where(plan == k, -1, plan))):
            assert limit.slack >= -1e-9, limit


def test_the_limits_bind(case):
    """Or the tests of this file would say little."""
    priced = {name for name, price in case.policy.prices.items() if abs(price) > 0.5}
    assert priced >= {"budget", "cap 1", "cap 5", "cap 6", "segment budget", "minimum", "share"}


@pytest.mark.parametrize("seed", [0, 1, 299])
def test_a_whole_allocation_draws_the_same_plan_from_the_same_table(case, choices, seed):
    """Neither prices nor headroom depend on the seed, which is why one table serves three hundred draws."""
    plan = drawn_plan(case.worth, case.problem, case.share, case.draws(seed), Stages())
    assert plan.status == "released"
    assert np.array_equal(plan.probability, case.policy.probability)
    assert np.array_equal(of_no_offer(plan.choice, case.problem.value.shape[1]), choices[seed])


@pytest.mark.parametrize(
    ("logged", "criteria"),
    [
        (at_prices_of_one_draw, {"chi-square", "slope", "total of 1"}),
        (with_less_uncertainty, {"chi-square", "slope", "total of 3"}),
        (at_no_prices, {"chi-square", "slope", "total of 5"}),
        (with_one_offer_tilted, {"total of 5"}),
    ],
)
def test_probabilities_that_were_not_played_are_found_out(case, choices, logged, criteria):
    assert criteria <= set(calibrated(logged(case), choices))


def test_exploration_that_is_logged_and_not_played_is_found_out(case):
    bold = campaign(share=0.0)
    choices = bold.choices(range(60))
    assert calibrated(bold.policy.probability, choices) == []
    found = calibrated(mixed(case, bold.policy.probability), choices)
    assert {"chi-square", "slope", "total of 0"} <= set(found)


def test_exploration_that_is_played_and_not_logged_is_found_out(case, choices):
    even, _ = even_policy(case.problem, case.rows, case.share)
    silent = np.maximum(normalised(case.policy.probability) - case.share * even, 0.0)
    assert {"chi-square", "slope"} <= set(calibrated(silent, choices))


def test_plans_that_are_mended_afterwards_are_found_out(case):
    """Why a plan is never repaired: nobody knows with which probability the customers who are left were chosen."""
    plans = drawn_alone(case, 60)
    assert calibrated(case.policy.probability, plans) == []
    assert {"chi-square", "slope", "total of 8"} <= set(calibrated(case.policy.probability, mended(case, plans)))
