"""What each offer is worth to some customers, how likely each is drawn at some prices, and the draw.

All of it is a function of the snapshot, the customers and the room that is left. A customer's numbers are the same
bits whoever else is weighed with them.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from allot.uniforms import key, stream, uniform
from bandit import SUCCESSES, Beliefs, Kind, Outside, choice_probabilities
from engine.models import Scored
from engine.objective import Worth, rate_of, worth_of
from engine.serving.budget import BOUNDLESS, Micros, Needs, Prices, most_value
from engine.serving.customer import Customer
from engine.serving.requests import Mode, Request
from engine.serving.snapshot import BUDGET, UNKNOWN, Snapshot

Floats: TypeAlias = NDArray[np.float64]
Masks: TypeAlias = NDArray[np.uint64]

_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(24)  # for E f(z), z ~ N(0, 1)
_WEIGHTS = _WEIGHTS / _WEIGHTS.sum()


@dataclass(frozen=True, slots=True, eq=False)
class Weighed:
    """n customers with what each offer is worth to them, before anybody asked what is left of the budgets.

    Args:
        customers: who.
        cell: (n,) of each.
        beliefs: (n, k + 1).
        worth: of n rows.
        rate: (n, k) what one success, or one unit of an amount, is worth, currency units.
        needs: (n, m, k) micros that each offer may use of each limit.
        mode: "normal" or "segment_prior"; "no_rules" where nothing is known.
    """

    customers: tuple[Customer, ...]
    cell: NDArray[np.int64]
    beliefs: Beliefs
    worth: Worth
    rate: Floats
    needs: Micros
    mode: Mode

    def alone(self, i: int) -> "Weighed":
        """One of them."""
        row, s = slice(i, i + 1), self.worth.scores
        scores = replace(
            s,
            mean=s.mean[row],
            sd=s.sd[row],
            eligible=s.eligible[row],
            value=s.value[row] if s.value.ndim == 2 else s.value,
            fee=s.fee[row] if s.fee.ndim == 2 else s.fee,
            outside=_outside_of(s.outside, row),
        )
        worth = Worth(scores, self.worth.expected[row], self.worth.value[row], self.worth.cost[row])
        beliefs = Beliefs(self.beliefs.mean[row], self.beliefs.sd[row])
        who = self.customers[row]
        return Weighed(who, self.cell[row], beliefs, worth, self.rate[row], self.needs[row], self.mode)

    def most(self, allowed: NDArray[np.bool_]) -> Micros:
        """What the dearest offer would take of each limit (n, m), of those (n, k) that are allowed; where anybody knows
        how much."""
        counts = (self.needs < BOUNDLESS) & allowed[:, None]
        out: Micros = self.needs.max(2, initial=0, where=counts)
        return out


@dataclass(frozen=True, slots=True, eq=False)
class Chances:
    """What is drawn from, for n customers: reasons (n, k) against each offer, price (n, k) and probability (n, k + 1)
    float32."""

    reasons: Masks
    price: Floats
    probability: NDArray[np.float32]


def alike(snapshot: Snapshot, customers: Sequence[Customer]) -> bool:
    """Whether customers can be weighed together: the model speaks for all of them, or for none."""
    if snapshot.scoring is None:
        return True
    rows = [one.scored for one in customers]
    return len({(row is None, row is None or row.relative is None) for row in rows}) == 1


def weighed(snapshot: Snapshot, needs: Needs, customers: Sequence[Customer]) -> Weighed:
    """What every offer is worth to some customers, who are `alike`. Offers that rules exclude are weighed too: to
    explain them."""
    book, n, k = snapshot.book, len(customers), len(snapshot.book.offer_ids)
    objective, terms = book.campaign.objective, book.terms
    cell = np.array([one.cell for one in customers], np.int64)
    mode: Mode = "normal"
    rows = [one.scored for one in customers if one.scored is not None]
    if snapshot.scoring is not None and rows:
        beliefs, relative = snapshot.scoring.beliefs(_together(rows))
        played = snapshot.scoring.played
    elif snapshot.segments is not None:
        means = snapshot.segments
        beliefs = Beliefs(means.mean[cell].astype(np.float32), means.sd[cell].astype(np.float32))
        relative, played, mode = means.relative[cell], means.played, "segment_prior"
    else:
        nothing = np.zeros((n, k + 1), np.float32)
        beliefs, relative, played, mode = Beliefs(nothing, nothing), None, np.zeros(k + 1), "no_rules"
    terms = replace(terms, relative=relative)
    worth = worth_of(objective, beliefs, np.ones((n, k), bool), terms, played * book.campaign.exploration.temperature)
    rate = np.broadcast_to(rate_of(objective, terms)[0], (n, k))
    most = needs.of(cell, most_value(objective, terms))
    return Weighed(tuple(customers), cell, beliefs, worth, rate, most, mode)


def _together(rows: Sequence[Scored]) -> Scored:
    if len(rows) == 1:
        return rows[0]
    relative = [row.relative for row in rows if row.relative is not None]
    basis, logits = (np.concatenate([getattr(row, name) for row in rows]) for name in ("basis", "logits"))
    return Scored(basis, logits, np.concatenate(relative) if relative else None)


def _outside_of(outside: float | NDArray[np.floating] | Outside, rows: slice) -> float | NDArray[np.floating] | Outside:
    """Of some customers; what is the same for all stays."""
    if isinstance(outside, Outside):
        value = outside.value if np.ndim(outside.value) == 0 else np.asarray(outside.value)[rows]
        return Outside(outside.mean[rows], outside.sd[rows], value)
    return outside if np.ndim(outside) == 0 else np.asarray(outside)[rows]


def unsure(kind: Kind, those: Weighed, played: NDArray[np.int64]) -> Floats:
    """How unsure the worth of one offer for each customer is (n,): the sd of its mean outcome, in money."""
    rows = np.arange(len(played))
    mean, sd = (table[rows, played].astype(np.float64) for table in (those.beliefs.mean, those.beliefs.sd))
    if kind == SUCCESSES:
        chance = kind.mean(mean[:, None] + sd[:, None] * _NODES)
        level = (chance * _WEIGHTS).sum(1)
        sd = np.sqrt((np.square(chance - level[:, None]) * _WEIGHTS).sum(1))
    out: Floats = np.abs(those.rate[rows, played]) * sd
    return out


def chances(snapshot: Snapshot, those: Weighed, prices: Prices, reasons: Masks, room: Micros | None) -> Chances:
    """The probability of each offer, on those that no rule excludes and whose maximal use can be reserved now.

    Args:
        snapshot: of the release.
        those: n customers.
        prices: that compete.
        reasons: (n, k) bits of the rules as of now.
        room: (m,) micros left under each limit for each of them; None: nobody knows, and only what uses none can be
            had.
    """
    n, k = reasons.shape
    cost, value = those.worth.cost, those.worth.value
    price = prices.charge(those.cell, cost, value)
    short = (those.needs > (0 if room is None else room[:, None])).any(1)
    reasons = np.where(short, reasons | np.uint64(BUDGET.mask), reasons)
    if those.mode == "no_rules":
        reasons = reasons | np.uint64(UNKNOWN.mask)
    eligible = reasons == 0
    live = eligible & ~np.array([one.held_out for one in those.customers])[:, None]
    probability = np.zeros((n, k + 1))
    if snapshot.book.campaign.exploration.temperature == 0.0:
        net = np.where(live, value - price, -np.inf)
        best = np.where(net.max(1) > 0.0, net.argmax(1), k)
        probability[np.arange(n), best] = 1.0
    elif live.any():
        share = snapshot.book.campaign.exploration.share
        even = eligible * prices.even[those.cell] / (1.0 + eligible.sum(1, keepdims=True))
        even = np.concatenate([even, 1.0 - even.sum(1, keepdims=True)], 1)
        probability = (1.0 - share) * _competing(those.worth, price, live) + share * even
    nobody = ~live.any(1)
    probability[nobody, :k], probability[nobody, k] = 0.0, 1.0
    return Chances(reasons, price, probability.astype(np.float32))


def _competing(worth: Worth, price: Floats, eligible: NDArray[np.bool_]) -> Floats:
    """(n, k + 1) how likely each offer, or none, is to be worth most after its price."""
    s = worth.scores
    fee = np.broadcast_to(s.fee, s.mean.shape) + price
    return choice_probabilities(s.mean, s.sd, s.value, fee, eligible, outside=s.outside, threads=1)


@lru_cache
def _draws(house_key: int, campaign: str) -> np.uint64:
    """The stream of a campaign's single decisions."""
    return stream(house_key, "single", campaign)


def drawn(probability: NDArray[np.float32], house_key: int, requests: Sequence[Request]) -> NDArray[np.int64]:
    """(n,) the offers that are played, k for none: by a uniform of each decision's id, which nobody outside can
    foresee.

    Args:
        probability: (n, k + 1).
        house_key: of the workspace.
        requests: n.
    """
    u = np.array([uniform(_draws(house_key, one.campaign), key(one.decision_id)) for one in requests])
    edges = np.cumsum(probability, 1, np.float64)
    out: NDArray[np.int64] = (edges <= (u * edges[:, -1])[:, None]).sum(1)
    return out
