"""What a risk limit buys and costs, in a world whose truth is known.

A plan at temperature 0 trusts the estimates, and those of one offer err together. Over several worlds: the plan with
and without a limit on the standard deviation of its total value, the spread that the posterior gives both, and how far
the truth lies from what was planned.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from api.console import say, table
from bandit import Learnt
from engine.computed import Setup, set_up
from engine.models import load_models
from engine.risk import campaign_risk, some_risk
from engine.stages import Stages
from engine.stamp import stamp_now
from portfolio import Risk, solve, solve_with_risk
from sims import nbo
from sims.oracle import realised_value
from sims.rounds import Lab, laboratory, plan_of
from warehouse import open_store

SEEDS = range(1000, 1008)
CUSTOMERS = 2_000
ALLOWED = 0.7  # of the standard deviation of the plan without a risk limit
GAP = 1e-3
DRAWS = 2_000


@dataclass(frozen=True, slots=True)
class Outcome:
    """One plan in one world, currency units: planned value, sd as stated and as drawn, and the true value."""

    planned: float
    stated: float
    drawn: float
    true: float


@dataclass(frozen=True, slots=True)
class _Case:
    """One world's problem: everything about its addressable customers, and how they lean on the posterior."""

    setup: Setup
    rows: NDArray[np.bool_]
    risk: Risk
    posterior: Learnt
    arms: NDArray[np.intp]


def run() -> None:
    """Plan in every world with and without the risk limit, and compare."""
    say("", "[bold]Risk of a plan as a whole, world nbo[/]")
    pairs = [_world(seed) for seed in SEEDS]
    free, limited = [p[0] for p in pairs], [p[1] for p in pairs]
    rows = [
        (seed, *(f"{x:,.0f}" for x in (a.planned, b.planned, a.stated, b.stated, a.drawn, b.drawn, a.true, b.true)))
        for seed, a, b in zip(SEEDS, free, limited, strict=True)
    ]
    columns = ("seed", "planned", "limited", "sd", "limited", "sd drawn", "limited", "true", "limited")
    table(f"{CUSTOMERS:,} customers; sd of the total allowed: {ALLOWED:.0%} of the free plan's", columns, rows)
    pairs_of = list(zip(free, limited, strict=True))
    say(
        f"Planned value given up: {_ratio([1 - b.planned / a.planned for a, b in pairs_of])}; "
        f"true value given up: {_ratio([1 - b.true / a.true for a, b in pairs_of])}.",
        f"Spread over the posterior, without the first-order formula: less by "
        f"{_ratio([1 - b.drawn / a.drawn for a, b in pairs_of])}; stated: less by "
        f"{_ratio([1 - b.stated / a.stated for a, b in pairs_of])}.",
        f"Truth less plan, root mean square over {len(pairs_of)} worlds: {_far(free):,.0f} without the limit, "
        f"{_far(limited):,.0f} with it; in stated sd {_scaled(free)} and {_scaled(limited)}; the distance is less by "
        f"{_ratio([abs(a.true - a.planned) - abs(b.true - b.planned) for a, b in pairs_of], money=True)}.",
    )


def _ratio(x: list[float], *, money: bool = False) -> str:
    """Mean over worlds and its 95 % interval."""
    from scipy.stats import t

    half = float(t.ppf(0.975, len(x) - 1) * np.std(x, ddof=1) / np.sqrt(len(x)))
    mean = float(np.mean(x))
    return f"{mean:,.0f} ({mean - half:,.0f} to {mean + half:,.0f})" if money else f"{mean:.1%} ± {half:.1%}"


def _far(outcomes: list[Outcome]) -> float:
    return float(np.sqrt(np.mean([(x.true - x.planned) ** 2 for x in outcomes])))


def _scaled(outcomes: list[Outcome]) -> str:
    return f"{np.sqrt(np.mean([((x.true - x.planned) / x.stated) ** 2 for x in outcomes])):.2f}"


def _world(seed: int) -> tuple[Outcome, Outcome]:
    """The plan without and with the risk limit."""
    with laboratory(nbo(seed, customers=CUSTOMERS)) as lab:
        case = _case(lab)
        problem = case.setup.problem(case.rows)
        plain = solve(problem, gap=GAP).choice
        limit = ALLOWED * case.risk.deviation(case.risk.exposures(plain))
        found = solve_with_risk(problem, replace(case.risk, price=None, maximum_sd=limit), gap=GAP)
        if found.words:
            raise SystemExit(f"seed {seed}: {found.words}")
        return _judged(lab, case, plain), _judged(lab, case, found.solution.choice)


def _case(lab: Lab) -> _Case:
    campaign = lab.campaign
    with open_store(lab.workspace) as store:
        stamp = stamp_now(lab.workspace, store, campaign)
        setup = set_up(lab.workspace, store, campaign, stamp, Stages())
        foundation, posterior = load_models(lab.workspace, store, stamp.posterior)
        risk = campaign_risk(lab.workspace, store, campaign, stamp, setup, price=0.0)
    rows = setup.audience.eligible.any(1) & ~setup.audience.held_out
    arms = foundation.arms(setup.audience.offers)[:-1]
    return _Case(setup, rows, some_risk(risk, rows), posterior, arms)


def _judged(lab: Lab, case: _Case, choice: NDArray[np.int64]) -> Outcome:
    problem = case.setup.problem(case.rows)
    chosen = np.flatnonzero(choice >= 0)
    offer = choice[chosen]
    planned = float(problem.value[chosen, offer].sum(dtype=np.float64))
    ids = np.asarray(case.setup.audience.people.customer_id.to_pylist())[case.rows]
    return Outcome(
        planned=planned,
        stated=case.risk.deviation(case.risk.exposures(choice)),
        drawn=float(_totals(lab, case, chosen, offer).std(ddof=1)),
        true=realised_value(lab.world, plan_of(lab.world, ids, choice), 0),
    )


def _totals(lab: Lab, case: _Case, chosen: NDArray[np.intp], offer: NDArray[np.int64]) -> NDArray[np.float64]:
    """(DRAWS,) the plan's total profit for weights drawn from the posterior, with the whole logistic curve."""
    weights, covariance = case.posterior.weights()
    rng = np.random.default_rng([lab.world.seed, 7])
    mean = case.setup.beliefs.mean[case.rows]
    earned = case.setup.worth.scores.value
    total = np.zeros(DRAWS)
    for a, arm in enumerate(case.arms):
        error = rng.multivariate_normal(np.zeros(len(weights[arm])), covariance[arm], DRAWS)
        who = chosen[offer == a]
        shared, own = case.risk.features, case.risk.pair_feature
        if len(who) and shared is not None and own is not None:
            psi = np.column_stack([shared[who], own[who, a]])
            chance = 1.0 / (1.0 + np.exp(-(mean[who, a] + error @ psi.T)))
            total += earned[a] * chance.sum(1)
    return total


if __name__ == "__main__":
    run()
