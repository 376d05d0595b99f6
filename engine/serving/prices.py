"""Prices that follow what is left: looked at every moment, solved again when it is time, kept by their version."""

from dataclasses import asdict, replace
from datetime import datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from engine.budgets import account_of
from engine.models import Scored
from engine.objective import worth_of
from engine.serving.budget import Prices, most_value
from engine.serving.holding import Tied, how_soon, tied_up
from engine.serving.pacing import Crowd, Demand, PriceVersion, due, expected_demand, resolve_prices
from engine.serving.snapshot import Snapshot
from portfolio import Problem
from warehouse import Ledger, Store
from warehouse.prices import StoredPrices, add_prices, decisions_so_far, latest_prices
from warehouse.waiting import waiting_holds

CROWD = 4_000
"""Customers of the audience who stand for those who will ask."""

_DAY = 86_400.0
_AGES, _MOST_AGES = 64, 4_096  # of decisions that wait for their outcome; more where a campaign was released anew


def newest_prices(store: Store, ledger: Ledger, snapshot: Snapshot, now: datetime) -> Prices | None:
    """The prices at which a release's single decisions compete now; solved again where that is due.

    Args:
        store: where versions are kept; another process may have solved them meanwhile.
        ledger: what is left.
        snapshot: of the release.
        now: by the server's clock.

    Returns:
        None where there are none but the release's own: the campaign does not say how many customers are expected, has
        no accounts, or its model cannot be read.
    """
    campaign = snapshot.book.campaign
    said, account = campaign.single_decisions, account_of(campaign)
    if said is None or said.expected_per_day is None or snapshot.scoring is None:
        return None
    balances = ledger.balances(account)
    remaining = {b.limit: 0 if b.frozen else b.free + b.lent for b in balances}
    caps = {b.limit: b.cap for b in balances}
    with store.transaction(write=False) as session:
        kept = latest_prices(session, account)
        last = None if kept is None else _version(kept)
        if not balances or (last is not None and not due(last, now, remaining, caps)):
            return None if last is None else _prices(last)
        observed = decisions_so_far(session, snapshot.book.release_id)
    until = said.until or campaign.as_of + timedelta(days=campaign.outcome_days)
    gone, left = ((b - a).total_seconds() / _DAY for a, b in ((campaign.as_of, now), (now, until)))
    demand = expected_demand(said.expected_per_day, days_gone=gone, days_left=max(left, 0.0), observed=observed)
    held = _tied_up(store, snapshot, now, max(left, 0.0))
    start = None if last is None else last.prices
    solved = resolve_prices(crowd_of(snapshot), account, remaining, demand, now=now, tied=held, start=start)
    if solved is None:
        return None if last is None else _prices(last)
    with store.transaction() as session:
        add_prices(session, _stored(solved))
    return _prices(solved)


def _tied_up(store: Store, snapshot: Snapshot, now: datetime, days_left: float) -> Tied:
    """What the campaign's decisions hold until the end, by how soon outcomes have come so far."""
    campaign = snapshot.book.campaign
    outcome = timedelta(days=campaign.outcome_days)
    width = max(min(outcome, now - campaign.as_of) / _AGES, outcome / _MOST_AGES, timedelta(seconds=1))
    with store.transaction(write=False) as session:
        held = waiting_holds(session, account_of(campaign), outcome=outcome, now=now, width=width)
    days = width.total_seconds() / _DAY
    outcomes = how_soon(held.made, held.open, width=days, longest=campaign.outcome_days)
    return tied_up(outcomes, held.back, days_left)


def crowd_of(snapshot: Snapshot, size: int = CROWD) -> Crowd:
    """Customers of the release, evenly through their hashed order, as the newest posterior sees them."""
    book, scoring = snapshot.book, snapshot.scoring
    if scoring is None:
        raise AssertionError("without a model there is no crowd")
    active = np.flatnonzero((book.reasons == 0).any(1) & ~book.held_out)
    rows: NDArray[np.intp] = active[:: max(1, len(active) // size)]
    kept = scoring.scored
    scored = Scored(kept.basis[rows], kept.logits[rows], None if kept.relative is None else kept.relative[rows])
    beliefs, relative = scoring.beliefs(scored)
    eligible = book.reasons[rows] == 0
    explore = book.campaign.exploration
    terms, played = replace(book.terms, relative=relative), scoring.played * explore.temperature
    worth = worth_of(book.campaign.objective, beliefs, eligible, terms, played)
    problem = Problem(worth.value, worth.cost, eligible, book.cell[rows], book.limits, n_cells=len(book.labels))
    most = most_value(book.campaign.objective, terms)
    nothing, one = np.zeros(len(book.offer_ids)), np.ones(len(book.offer_ids))
    earned = nothing if most is None else np.maximum(most, 0.0).reshape(-1, len(one)).mean(0)
    largest = np.stack([one, terms.contact_cost + terms.redemption_cost, earned])
    return Crowd(
        worth.scores, problem, explore.share, len(active), largest, np.stack([one, terms.contact_cost, nothing])
    )


def _prices(version: PriceVersion) -> Prices:
    return Prices(version.id, version.charges, version.even)


def _stored(version: PriceVersion) -> StoredPrices:
    return StoredPrices(
        price_version=version.id,
        account=version.account,
        solved_at=version.solved_at,
        prices=dict(version.prices),
        remaining=dict(version.remaining),
        demand={name: float(value) for name, value in asdict(version.demand).items()},
        tables={"charges": version.charges, "even": version.even},
    )


def _version(kept: StoredPrices) -> PriceVersion:
    demand = Demand(kept.demand["expected"], int(kept.demand["observed"]), kept.demand["foreseen"])
    charges, even = (kept.tables[name] for name in ("charges", "even"))
    known = (kept.prices, kept.solved_at, kept.remaining, demand)
    return PriceVersion(kept.price_version, kept.account, charges, even, *known)
