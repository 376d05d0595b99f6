"""What a single decision has to pay for the use of limits: so much that what is left lasts as long as the demand does.

Some customers of the last release's audience stand for everybody who is still expected to ask. Prices are solved for
them as for an allocation, against what is left of every limit; they hold until enough is spent or an hour is over.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from hashlib import sha256
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

from allot import ConvergenceError, LimitError
from engine.exploration import even_scale
from engine.policy import Setting, policy_of
from engine.serving.holding import NOTHING, Tied
from portfolio import Limit, Problem, Rows, Share, compile_rows

if TYPE_CHECKING:
    from bandit import Scores

Floats: TypeAlias = NDArray[np.float64]

LONGEST = timedelta(hours=1)
"""Prices are solved again after this time at the latest."""

MOVED = 0.01
"""Prices are solved again when what is left of a limit has changed by this part of its cap,"""

MOVED_OF_REST = 0.1
"""or by this part of what was left, where that is less."""

_LEAST_MOVED = 0.0005  # of a cap: below that, nothing is worth solving for

_TRUST = 50.0  # requests: a forecast counts as much as so many that were observed


@dataclass(frozen=True, slots=True)
class Demand:
    """How many requests are still to come.

    Args:
        expected: from now on, by the forecast and by what was observed.
        observed: so far.
        foreseen: so far, by the forecast.
    """

    expected: float
    observed: int
    foreseen: float


def expected_demand(per_day: float, *, days_gone: float, days_left: float, observed: int) -> Demand:
    """The forecast, put right by how many came so far: the mean of a Gamma-Poisson posterior.

    The number of requests in a day is Poisson around the forecast times a factor; the factor is Gamma around 1, worth
    `_TRUST` requests, so that a few requests more or less at the beginning mean little.

    Args:
        per_day: the forecast.
        days_gone, days_left: since the release, and until no more requests are expected.
        observed: requests so far.
    """
    foreseen = per_day * max(days_gone, 0.0)
    factor = (_TRUST + observed) / (_TRUST + foreseen)
    return Demand(max(per_day * days_left * factor, 1.0), observed, foreseen)


@dataclass(frozen=True, slots=True, eq=False)
class PriceVersion:
    """Prices that single decisions are made at.

    Args:
        id: derives from everything below.
        account: of the campaign in the ledger.
        charges: (3, g, k) per contact, per unit of cost and per unit of value.
        even: (g, k) what exploration plays of each offer, as a part of an even share.
        prices: of each limit by name.
        solved_at: when.
        remaining: micros that were left of each limit.
        demand: requests that they are meant for.
    """

    id: str
    account: str
    charges: Floats
    even: Floats
    prices: Mapping[str, float]
    solved_at: datetime
    remaining: Mapping[str, int]
    demand: Demand


@dataclass(frozen=True, slots=True, eq=False)
class Crowd:
    """Customers who stand for those who will ask, each as likely as the other.

    Args:
        scores: what the draw sees of them.
        problem: what each pair is worth and costs, in posterior means, under the campaign's limits.
        share: of exploration.
        audience: how many customers the release was made for.
        most: (3, k) what one decision holds of a limit at most, by measure; currency units.
        least: (3, k) of these, what is spent whatever the outcome.
    """

    scores: "Scores"
    problem: Problem
    share: float
    audience: int
    most: Floats
    least: Floats


def due(last: PriceVersion, now: datetime, remaining: Mapping[str, int], caps: Mapping[str, int]) -> bool:
    """Whether prices are to be solved again: an hour is over, or what is left has changed by enough.

    Args:
        last: the latest prices.
        now: by the same clock.
        remaining: micros left of each limit now.
        caps: micros.
    """
    if now - last.solved_at >= LONGEST or remaining.keys() != last.remaining.keys():
        return True
    for name, left in remaining.items():
        then, cap = last.remaining[name], caps.get(name, 0)
        enough = max(_LEAST_MOVED * cap, min(MOVED * cap, MOVED_OF_REST * then))
        if abs(left - then) > enough or (left > 0) != (then > 0):
            return True
    return False


def resolve_prices(
    crowd: Crowd,
    account: str,
    remaining: Mapping[str, int],
    demand: Demand,
    *,
    now: datetime,
    tied: Tied = NOTHING,
    start: Mapping[str, float] | None = None,
) -> PriceVersion | None:
    """Prices at which those who are expected use up what is left, in expectation, and no more.

    Of a decision counts what it is expected to use, and of what it holds beyond that the part that is still held at the
    end. What is held now is to be had again as far as it will have come back by then.

    Args:
        crowd: stands for those who are expected.
        account: of the campaign.
        remaining: micros left of each limit; its maximum from now on.
        demand: how many are expected.
        now: kept with the prices.
        tied: what decisions tie up until the end.
        start: prices by limit to begin with, such as those before.

    Returns:
        None where there are no such prices (shares that nobody can keep any more, say): those before hold on.
    """
    problem = _who_can_get_what(crowd, remaining)
    per_head = len(problem.eligible) / demand.expected
    prices: Mapping[str, float] = start or {}
    lost: Mapping[str, float] = {}
    try:
        for _ in range(2 if any(tied.back.values()) else 1):  # what comes back, a policy like that which held it tells
            rows = _rows_from_now_on(crowd, remaining, tied, per_head, lost)
            begin = np.array([prices.get(name, 0.0) for name in rows.names])
            policy = policy_of(crowd.scores, problem, Setting(crowd.share, None, begin), rows)
            prices, lost = policy.prices, _lost(crowd, policy.use)
    except (LimitError, ConvergenceError):
        return None
    even = even_scale(problem, rows, crowd.share)[0]
    charges = policy.charges
    named = sha256(f"{account} {now.isoformat()} {sorted(remaining.items())} {demand}".encode())
    named.update(charges.tobytes() + even.tobytes())
    return PriceVersion(f"price-{named.hexdigest()[:16]}", account, charges, even, prices, now, dict(remaining), demand)


def _rows_from_now_on(
    crowd: Crowd, remaining: Mapping[str, int], tied: Tied, per_head: float, lost: Mapping[str, float]
) -> Rows:
    """The limits of those whom the crowd stands for, brought to its own number.

    A limit with an account has what is left of it, and what comes back. Shares stay as they are. A maximum with a
    penalty goes on at the pace of the allocation, whose minimums are its own affair.

    Args:
        per_head: customers of the crowd for each that is expected.
        lost: by limit, the part of what may come back that successes spend; of others, all.
    """
    limits: list[Limit | Share] = []
    for limit in crowd.problem.limits:
        left = remaining.get(limit.name)
        if isinstance(limit, Share):
            limits.append(limit)
        elif left is not None:
            back = tied.back.get(limit.name, 0.0) * (1.0 - lost.get(limit.name, 1.0))
            if left > 0:
                limits.append(replace(limit, minimum=None, maximum=(left + back) / 1e6 * per_head))
        elif limit.maximum is not None:
            part = len(crowd.problem.eligible) / crowd.audience
            limits.append(replace(limit, minimum=None, maximum=limit.maximum * part))
    rows = _compiled(crowd, limits)
    for r, name in enumerate(rows.names):
        if name in remaining:
            most = (rows.coefficient[r] * crowd.most[:, None]).sum(0)  # every limit has one measure
            rows.coefficient[r] *= 1.0 - tied.part
            rows.coefficient[r, 0] += tied.part * most
    return rows


def _lost(crowd: Crowd, use: Floats) -> dict[str, float]:
    """By limit, which part of what decisions hold beyond what is spent in any case successes spend, in expectation.

    Args:
        use: (3, g, k) of a policy like that which made them.
    """
    rows = _compiled(crowd, [limit for limit in crowd.problem.limits if isinstance(limit, Limit)])
    sure, most = (rows.consumption(use[0] * each[:, None]) for each in (crowd.least, crowd.most))
    part = np.clip((rows.consumption(use) - sure) / np.maximum(most - sure, 1e-12), 0.0, 1.0)
    return dict(zip(rows.names, part.tolist(), strict=True))


def _compiled(crowd: Crowd, limits: Sequence[Limit | Share]) -> Rows:
    return compile_rows(limits, crowd.problem.n_cells, crowd.problem.eligible.shape[1])


def _who_can_get_what(crowd: Crowd, remaining: Mapping[str, int]) -> Problem:
    """The crowd without the offers that draw on what is used up."""
    eligible = crowd.problem.eligible
    for limit in crowd.problem.limits:
        if remaining.get(limit.name, 1) <= 0:
            table = _compiled(crowd, [limit]).coefficient[0]
            eligible = eligible & ~(table != 0).any(0)[crowd.problem.cell]
    return replace(crowd.problem, eligible=eligible, limits=())
