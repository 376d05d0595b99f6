"""The logged probabilities are those with which customers were decided; a table that is not is found out."""

from dataclasses import replace

import numpy as np
import pytest
from engine_calibration import DRAWS, calibrated, campaign, normalised

from bandit import Scores, Use, priced_probabilities
from engine.exploration import even_policy
from engine.plan import drawn_plan
from engine.stages import Stages
from portfolio import Problem, solve, usage, use_of


def test_choices_of_three_hundred_seeds_match_the_logged_probabilities(case, choices):
    assert calibrated(case.policy.probability, choices) == []


def test_so_they_do_where_no_offer_is_uncertain_too():
    """Objective `incremental`: no offer competes with beliefs of its own."""
    case = campaign(objective="incremental", share=0.01, seed=6)
    assert calibrated(case.policy.probability, case.choices(range(DRAWS))) == []


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
    assert np.array_equal(np.where(plan.choice < 0, case.problem.value.shape[1], plan.choice), choices[seed])


def mixed(case, table):
    """With the campaign's exploration share."""
    even, _ = even_policy(case.problem, case.rows, case.share)
    return (1.0 - case.share) * table + case.share * even


def at_charges(case, charges, scores: Scores | None = None):
    use = Use(case.problem.cost, case.problem.value, case.problem.cell, case.problem.n_cells)
    return mixed(case, priced_probabilities(scores or case.worth.scores, use, charges).probability)


def at_prices_of_one_draw(case):
    """Values drawn once from the beliefs, and the prices that are right for them."""
    s = case.worth.scores
    z = np.random.default_rng(1).normal(size=s.mean.shape)
    value = (s.value / (1.0 + np.exp(-(s.mean + s.sd * z))) - s.fee).astype(np.float32)
    p = case.problem
    prices = solve(Problem(value, p.cost, p.eligible, p.cell, p.limits)).prices
    return at_charges(case, case.rows.charges(np.array([prices[name] for name in case.rows.names])))


def with_less_uncertainty(case):
    s = case.worth.scores
    return at_charges(case, case.policy.charges, replace(s, sd=np.float32(0.8) * s.sd))


def at_no_prices(case):
    return at_charges(case, 0.0 * case.policy.charges)


def with_one_offer_tilted(case):
    """Five percent more of offer 5, at the expense of no offer."""
    table = normalised(case.policy.probability)
    more = np.minimum(0.05 * table[:, 5], 0.5 * table[:, -1])
    table[:, 5] += more
    table[:, -1] -= more
    return table


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
