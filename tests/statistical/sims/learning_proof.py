"""What one seed of the reference world proves: learning, limits kept, and off-policy estimates against the truth."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from engine.campaign import Campaign
from engine.evaluate import Question, evaluate
from engine.logs import log_from_allocation
from engine.replay import replay
from engine.stages import Stages
from sims.files import moment
from sims.limits import reference_limits
from sims.rounds import ROUND_DAYS, Lab, Round, laboratory, oracle_values, rounds_of, scored
from sims.world import World, nbo
from warehouse import open_store

TOLERANCE = 1e-6  # what sums of costs may differ by, relative to the limit


@dataclass(frozen=True)
class Judged:
    """An off-policy estimate of a campaign with half the budget, from one round's log, beside the truth.

    Money per decision. `truth` is what the same probabilities earn in true expectation, `logged` what the round earned.
    Where the verdict is "invalid" there is no estimate (NaN), and `reasons` say why.
    """

    seed: int
    round: int
    truth: float
    value: float
    std_error: float
    low: float
    high: float
    logged: float
    estimator: str
    verdict: str
    reasons: tuple[str, ...]

    @property
    def covered(self) -> bool:
        """Whether the 95 % interval holds the truth."""
        return self.low <= self.truth <= self.high

    @property
    def z(self) -> float:
        """The error in standard errors."""
        return (self.value - self.truth) / self.std_error


@dataclass(frozen=True)
class Seen:
    """One round: `share` of the oracle; `breaches` names limits that the recount found broken, among `limits`."""

    seed: int
    round: int
    share: float
    status: str
    limits: int
    breaches: tuple[str, ...]
    spend: float
    true_spend: float
    budget: float
    judged: Judged


def examine(seed: int, *, customers: int, rounds: int, history: int = 30_000) -> list[Seen]:
    """Play a seed's rounds and look at each while its workspace is there."""
    world = nbo(seed, customers=customers, history=history)
    best = oracle_values(world, rounds)
    with laboratory(world) as lab:
        return [see(lab, one, best[one.number - 1]) for one in rounds_of(lab, rounds)]


def see(lab: Lab, one: Round, best: float) -> Seen:
    """One round in figures."""
    world = lab.world
    figures = scored(world, one, best)
    used = recount(world, one)
    limits = {x.name: float(x.maximum) for x in reference_limits(world, 0)}
    broken = tuple(name for name, most in limits.items() if used[name] > most * (1 + TOLERANCE))
    return Seen(
        seed=world.seed,
        round=one.number,
        share=figures["oracle_share"],
        status=figures["status"],
        limits=len(limits),
        breaches=broken,
        spend=used["budget"],
        true_spend=figures["true_spend"],
        budget=limits["budget"],
        judged=judge(lab, one),
    )


def recount(world: World, one: Round) -> dict[str, float]:
    """Every limit's use, from the rows of the decisions file alone."""
    table = pq.read_table(one.plan["decisions"], columns=["offer_id", "cost"])
    offers, cost = table["offer_id"].to_pylist(), table["cost"].to_pylist()
    used = {f"cap {offer}": float(offers.count(offer)) for offer in world.offers.ids}
    used["budget"] = float(sum(c for offer, c in zip(offers, cost, strict=True) if offer is not None))
    return used


def half_budget(campaign: Campaign) -> Campaign:
    """The same campaign with half of every limit on cost."""
    limits = tuple(replace(x, maximum=x.maximum / 2) if x.measure == "cost" else x for x in campaign.limits)
    return replace(campaign, name="half the budget", limits=limits)


def judge(lab: Lab, one: Round) -> Judged:
    """`allot evaluate` of half the budget on one round's decisions, and the truth for the very same probabilities."""
    target, as_of = half_budget(lab.campaign), moment(one.day + ROUND_DAYS)
    question = Question(target, None, None, (one.plan["allocation_id"],), 0.0, as_of)
    answer: dict[str, Any] = evaluate(lab.workspace, question)
    chosen = answer["estimate"] or dict.fromkeys(("value", "std_error", "low", "high"), float("nan"))
    return Judged(
        seed=lab.world.seed,
        round=one.number,
        truth=truth(lab, one, target, as_of),
        value=chosen["value"],
        std_error=chosen["std_error"],
        low=chosen["low"],
        high=chosen["high"],
        logged=answer["logged"]["value"],
        estimator=str(answer["estimator"]),
        verdict=answer["verdict"],
        reasons=tuple(answer["reasons"]),
    )


def truth(lab: Lab, one: Round, target: Campaign, as_of: datetime) -> float:
    """What a campaign's probabilities earn per logged decision in true expectation, gross of cost as rewards are."""
    with open_store(lab.workspace) as store:
        rows = log_from_allocation(lab.workspace, store, store.allocation(one.plan["allocation_id"]), as_of)
        probability = replay(lab.workspace, store, target, rows, Stages()).probability
    world = lab.world
    people = np.array([int(customer[1:]) - 1 for customer in rows.customer_id.to_pylist()])
    arms = [world.offers.ids.index(offer) for offer in rows.offer_ids] + [-1]
    margin = np.append(world.offers.margin, world.outside_margin)
    worth = np.column_stack([world.success(people, arm, one.day) * margin[arm] for arm in arms])
    return float((probability * worth).sum(1).mean())
