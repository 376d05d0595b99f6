"""Intervals hold the truth of the reference world on logs that one balanced draw wrote, row depending on row.

Customers, limits and policy stay; a seed redraws the plan, and every choice succeeds or not by its true chance.
"""

from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import pytest
from engine_calibration import Floats, Table
from engine_statistics import FOUR, deviation, normalised

from bandit import Beliefs
from engine.objective import Terms, Worth, worth_of
from engine.policy import Setting, policy_of
from offline_eval import Log, Report, evaluate
from portfolio import Problem, balance, compile_rows, initial_headroom
from sims.limits import reference_limits
from sims.world import World, nbo

CUSTOMERS, SHARE, TEMPERATURE = 3_000, 0.1, 0.6
LOGS = 2_000


@dataclass(frozen=True, slots=True, eq=False)
class Campaign:
    """The reference world's campaign on beliefs that err: true logits and noise of the size they admit."""

    world: World
    worth: Worth
    problem: Problem
    logging: Table
    success: Floats
    margin: Floats


@cache
def campaign() -> Campaign:
    world = nbo(3, customers=CUSTOMERS, history=1_000)
    everybody = np.arange(CUSTOMERS)
    success = np.column_stack([world.success(everybody, a, 0) for a in range(len(world.offers.ids))])
    success = np.column_stack([success, world.success(everybody, -1, 0)])
    r = np.random.default_rng(5)
    sd = np.full(success.shape, 0.5, np.float32)
    mean = (np.log(success / (1 - success)) + sd * r.normal(size=success.shape)).astype(np.float32)
    offers = world.offers
    terms = Terms(offers.margin, offers.contact_cost, offers.redemption_cost, world.outside_margin)
    worth = worth_of("profit", Beliefs(mean, sd), world.eligible, terms, np.full(success.shape[1], TEMPERATURE))
    limits = reference_limits(world, 0)
    problem = Problem(worth.value, worth.cost, world.eligible, np.zeros(CUSTOMERS, np.int32), limits)
    margin = np.append(offers.margin, world.outside_margin)
    return Campaign(world, worth, problem, played(worth, problem), success, margin)


def played(worth: Worth, problem: Problem, share: float = SHARE) -> Table:
    """(n, k + 1) what the campaign plays under the limits of a problem, exploring with a share of its chance."""
    rows = compile_rows(problem.limits, problem.n_cells, problem.value.shape[1])
    return policy_of(worth.scores, problem, Setting(share, initial_headroom(rows, problem))).probability


@cache
def target(name: str) -> Floats:
    """(n, k + 1) of another policy that could have been played."""
    c = campaign()
    if name == "uniform":
        possible = np.column_stack([c.problem.eligible, np.ones(CUSTOMERS, np.bool_)])
        return normalised(possible.astype(np.float64))
    if name == "greedier":
        colder = replace(c.worth, scores=replace(c.worth.scores, sd=c.worth.scores.sd / np.float32(2)))
        return normalised(played(colder, c.problem))
    if name == "more exploration":
        return normalised(played(c.worth, c.problem, 3 * SHARE))
    half = tuple(replace(x, maximum=x.maximum / 2) if x.measure == "cost" else x for x in c.problem.limits)
    return normalised(played(c.worth, replace(c.problem, limits=half)))


TARGETS = ("half the budget", "greedier", "more exploration", "uniform")


def truth(name: str) -> float:
    c = campaign()
    return float((target(name) * c.success * c.margin).sum(1).mean())


def judged(name: str, seed: int) -> Report:
    """What `evaluate` says of a policy on the log of one seed; the reward model takes all customers for alike."""
    c = campaign()
    q_hat = np.broadcast_to((c.success * c.margin).mean(0), c.success.shape)
    return evaluate(drawn(seed), target(name), q_hat, chances=normalised(c.logging))


def drawn(seed: int) -> Log:
    """One balanced draw, and the outcomes of its choices."""
    c = campaign()
    plan = balance(c.logging, c.problem, seed=seed)
    assert plan.status == "released"
    k = c.problem.value.shape[1]
    action = np.where(plan.choice < 0, k, plan.choice)
    row = np.arange(CUSTOMERS)
    won = np.random.default_rng([9, seed]).random(CUSTOMERS) < c.success[row, action]
    return Log(won * c.margin[action], action, normalised(c.logging)[row, action])


@dataclass(frozen=True)
class Seen:
    """Of many logs: shares that are valid, supported, and whose chosen interval holds the truth.

    `off` is the bias of ips in standard errors over logs, one of which is `known` of the truth; `spread` the mean error
    that was reported, of the true one.
    """

    valid: float
    supported: float
    holds: float
    off: float
    known: float
    spread: float


def coverage(name: str, logs: int) -> Seen:
    exact = truth(name)
    lines = []
    for seed in range(logs):
        found = judged(name, seed)
        e = found.estimate
        if e is not None:
            held = e.low <= exact <= e.high
            lines.append((found.verdict == "supported", held, found.estimates[0].value, e.value, e.std_error))
    supported, held, ips, value, error = np.array(lines).T
    return Seen(
        valid=len(lines) / logs,
        supported=float(supported.mean()),
        holds=float(held.mean()),
        off=float(deviation(ips, exact)),
        known=float(ips.std(ddof=1) / np.sqrt(logs) / exact),
        spread=float(error.mean() / value.std(ddof=1)),
    )


def check(found: Seen, logs: int) -> None:
    """The chosen interval may hold more than it promises: a balanced draw wobbles less than the rows say."""
    assert found.valid == 1
    assert found.holds > 0.95 - FOUR * np.sqrt(0.95 * 0.05 / logs)
    assert abs(found.off) < FOUR
    assert found.known < 0.05 * np.sqrt(40 / logs)  # or being unbiased would say nothing


@pytest.mark.parametrize("name", TARGETS)
def test_other_policies_are_judged_rightly_on_balanced_draws(name):
    check(coverage(name, 40), 40)


def test_propensities_that_were_not_played_are_found_out_by_bias_or_refused():
    """The same draws, their chances written down as those of half the budget."""
    wrong = target("half the budget")
    row = np.arange(CUSTOMERS)
    logs = [drawn(seed) for seed in range(40)]
    lies = [Log(log.reward, log.action, wrong[row, log.action]) for log in logs]
    value = np.array([evaluate(log, target("greedier")).estimates[0].value for log in lies])
    refused = np.mean([evaluate(log, target("greedier"), chances=wrong).verdict == "invalid" for log in lies])
    assert abs(deviation(value, truth("greedier"))) > FOUR
    assert refused > 0.9


@pytest.mark.soak
@pytest.mark.parametrize("name", TARGETS)
def test_intervals_hold_the_truth_on_balanced_draws(name, record_property):
    found = coverage(name, LOGS)
    record_property(
        "coverage on balanced draws",
        f"{LOGS:,} draws of {CUSTOMERS:,} customers, {name}: {found.holds:.1%} of the chosen intervals hold the truth, "
        f"{found.supported:.0%} supported; bias of ips {found.off:+.1f} standard errors of {found.known:.2%}; "
        f"reported error {found.spread:.2f} of the true one",
    )
    check(found, LOGS)
