"""One customer now: beliefs, worth, prices, what is left of the budgets, chances, one draw, one row.

Everything before the draw is a function of the snapshot, the request and the room that is left.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import lru_cache
from typing import TypeAlias, final

import numpy as np
from numpy.typing import NDArray
from sqlmodel import Session

from allot import AllotError
from allot.uniforms import key, stream, uniform
from bandit import SUCCESSES, Beliefs, Kind, choice_probabilities
from engine.budgets import account_of
from engine.objective import Worth, rate_of, worth_of
from engine.serving.budget import BOUNDLESS, Budget, Micros, Needs, Prices, most_value, needs_of
from engine.serving.customer import Customer
from engine.serving.moment import as_of_now
from engine.serving.requests import Decision, Mode, Refusal, Request, Status
from engine.serving.snapshot import BUDGET, UNKNOWN, Snapshot
from warehouse.holds import Claim
from warehouse.singles import Numbers, Single, add_singles, signed, single_of

Floats: TypeAlias = NDArray[np.float64]

_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(24)  # for E f(z), z ~ N(0, 1)
_WEIGHTS = _WEIGHTS / _WEIGHTS.sum()


@dataclass(frozen=True, slots=True, eq=False)
class Weighed:
    """A customer with what each offer is worth to them, before anybody asked what is left of the budgets.

    Args:
        customer: who.
        beliefs: (1, k + 1).
        worth: of one row.
        rate: (k,) what one success, or one unit of an amount, is worth, currency units.
        needs: (m, k) micros that each offer may use of each limit.
        mode: "normal" or "segment_prior"; "no_rules" where nothing is known.
    """

    customer: Customer
    beliefs: Beliefs
    worth: Worth
    rate: Floats
    needs: Micros
    mode: Mode


@dataclass(frozen=True, slots=True, eq=False)
class Chances:
    """What is drawn from: reasons (k,) against each offer, price (k,) and probability (k + 1,) float32."""

    reasons: NDArray[np.uint64]
    price: Floats
    probability: NDArray[np.float32]


def weighed(snapshot: Snapshot, needs: Needs, customer: Customer) -> Weighed:
    """What every offer is worth to a customer. Offers that rules exclude are weighed too: to explain them."""
    book, k = snapshot.book, len(snapshot.book.offer_ids)
    objective, terms = book.campaign.objective, book.terms
    mode: Mode = "normal"
    if snapshot.scoring is not None and customer.scored is not None:
        beliefs, relative = snapshot.scoring.beliefs(customer.scored)
        played = snapshot.scoring.played
    elif snapshot.segments is not None:
        cell, means = slice(customer.cell, customer.cell + 1), snapshot.segments
        beliefs = Beliefs(means.mean[cell].astype(np.float32), means.sd[cell].astype(np.float32))
        relative, played, mode = means.relative[cell], means.played, "segment_prior"
    else:
        nothing = np.zeros((1, k + 1), np.float32)
        beliefs, relative, played, mode = Beliefs(nothing, nothing), None, np.zeros(k + 1), "no_rules"
    terms = replace(terms, relative=relative)
    worth = worth_of(objective, beliefs, np.ones((1, k), bool), terms, played * book.campaign.exploration.temperature)
    rate = np.asarray(rate_of(objective, terms)[0]).reshape(-1)
    return Weighed(customer, beliefs, worth, rate, needs.of(customer.cell, most_value(objective, terms)), mode)


def _unsure(kind: Kind, one: Weighed, offer: int) -> float:
    """How unsure an offer's worth is: the sd of its mean outcome, in money."""
    mean, sd = float(one.beliefs.mean[0, offer]), float(one.beliefs.sd[0, offer])
    if kind == SUCCESSES:
        chance = kind.mean(mean + sd * _NODES)
        level = float(chance @ _WEIGHTS)
        sd = float(np.sqrt(np.square(chance - level) @ _WEIGHTS))
    return abs(float(one.rate[offer])) * sd


def chances(
    snapshot: Snapshot, one: Weighed, prices: Prices, reasons: NDArray[np.uint64], room: Micros | None
) -> Chances:
    """The probability of each offer, on those that no rule excludes and whose maximal use can be reserved now.

    Args:
        snapshot: of the release.
        one: the customer.
        prices: that compete.
        reasons: (k,) bits of the rules as of now.
        room: (m,) micros left under each limit; None: nobody knows, and only what uses none can be had.
    """
    k = len(reasons)
    cost, value = one.worth.cost[0], one.worth.value[0]
    price = prices.charge(one.customer.cell, cost, value)
    short = (one.needs > (0 if room is None else room[:, None])).any(0)
    reasons = np.where(short, reasons | np.uint64(BUDGET.mask), reasons)
    if one.mode == "no_rules":
        reasons = reasons | np.uint64(UNKNOWN.mask)
    eligible = reasons == 0
    probability = np.zeros(k + 1)
    if one.customer.held_out or not eligible.any():
        probability[k] = 1.0
    elif snapshot.book.campaign.exploration.temperature == 0.0:
        net = np.where(eligible, value - price, -np.inf)
        probability[int(net.argmax()) if net.max() > 0.0 else k] = 1.0
    else:
        share = snapshot.book.campaign.exploration.share
        even = eligible * prices.even[one.customer.cell] / (1.0 + eligible.sum())
        even = np.append(even, 1.0 - even.sum())
        probability = (1.0 - share) * _competing(one.worth, price, eligible) + share * even
    return Chances(reasons, price, probability.astype(np.float32))


def _competing(worth: Worth, price: Floats, eligible: NDArray[np.bool_]) -> Floats:
    """(k + 1,) how likely each offer, or none, is to be worth most after its price."""
    s = worth.scores
    fee = np.broadcast_to(s.fee, s.mean.shape) + price
    found = choice_probabilities(s.mean, s.sd, s.value, fee, eligible[None], outside=s.outside, threads=1)
    out: Floats = found[0]
    return out


@lru_cache
def _draws(house_key: int, campaign: str) -> np.uint64:
    """The stream of a campaign's single decisions."""
    return stream(house_key, "single", campaign)


def drawn(probability: NDArray[np.float32], house_key: int, request: Request) -> int:
    """The offer that is played, k for none: by a uniform of the decision's id, which nobody outside can foresee."""
    u = uniform(_draws(house_key, request.campaign), key(request.decision_id))
    edges = np.cumsum(probability, dtype=np.float64)
    return int(np.searchsorted(edges, u * edges[-1], side="right"))


@dataclass(frozen=True, slots=True, eq=False)
class _Made:
    """A decision about a customer, its row, and the offer that is played if there is one."""

    one: Weighed
    decision: Decision
    single: Single
    played: int | None

    @property
    def held(self) -> Micros:
        """What it holds of each limit (m,)."""
        needs = self.one.needs
        out: Micros = np.zeros(len(needs), np.int64) if self.played is None else needs[:, self.played]
        return out


@final
class TakenError(AllotError):
    """Among several decisions there is one whose id is taken."""


@dataclass(frozen=True, slots=True, eq=False)
class Decider:
    """Decides within one snapshot.

    Args:
        snapshot: of the campaign's last release.
        house_key: of the workspace.
        prices: that compete.
        budget: the ledger.
        needs: what decisions may use of the limits; `account` is where it is booked.
    """

    snapshot: Snapshot
    house_key: int
    prices: Prices
    budget: Budget
    needs: Needs
    account: str

    @staticmethod
    def of(snapshot: Snapshot, house_key: int, budget: Budget, prices: Prices | None = None) -> "Decider":
        """With the release's own prices where there are no newer ones."""
        book = snapshot.book
        cells, k = len(book.labels), len(book.offer_ids)
        own = Prices(book.release_id, book.charges, np.ones((cells, k)))
        needs = needs_of(book.limits, cells, book.terms)
        return Decider(snapshot, house_key, prices or own, budget, needs, account_of(book.campaign))

    def weigh(self, customer: Customer) -> Weighed:
        """What does not need the database, so that it can be done before the writer's turn."""
        return weighed(self.snapshot, self.needs, customer)

    def decide(self, session: Session, request: Request, one: Weighed, *, budgeted: bool = True) -> Decision | Refusal:
        """Decide, hold and keep, within the caller's transaction; requests in one see each other's contacts and holds.

        Args:
            session: of the transaction.
            request: what is asked.
            one: the customer.
            budgeted: False where the ledger cannot say what is left: then only what draws on nothing can be had.

        Raises:
            LeaseLostError: what was left has been taken meanwhile; decide again, in a new transaction.
            WorkspaceError: the ledger or the database cannot be used; nothing was kept.
        """
        reasons = as_of_now(self.snapshot.book, one.customer, request.at, session)
        if not budgeted:
            one = _free(one)
        room = self._room(session, self._most(one, reasons)) if budgeted else None
        found = chances(self.snapshot, one, self.prices, reasons, room)
        made = self._settled(request, one, found)
        if not add_singles(session, [made.single]):
            return _said_before(session, request)
        self._hold(session, [made])
        return made.decision

    def decide_all(self, session: Session, asked: Sequence[tuple[Request, Weighed]]) -> list[Decision | Refusal]:
        """As `decide` for one after the other; in few statements where they are about different customers.

        The room is asked for once, as much as all of them could take; each finds what those before it have left.

        Raises:
            LeaseLostError, WorkspaceError: as `decide`.
            TakenError: one was asked before; nothing of what was written may stay. Decide each by itself.
        """
        if not self._apart(asked):
            return [self.decide(session, request, one) for request, one in asked]
        reasons = [as_of_now(self.snapshot.book, one.customer, request.at, session) for request, one in asked]
        most = np.stack([self._most(one, bits) for (_, one), bits in zip(asked, reasons, strict=True)])
        room = self._room(session, most.sum(0))
        made: list[_Made] = []
        for (request, one), bits in zip(asked, reasons, strict=True):
            made.append(self._settled(request, one, chances(self.snapshot, one, self.prices, bits, room)))
            room = room - made[-1].held
        if add_singles(session, [each.single for each in made]) < len(made):
            raise TakenError("one of several decisions was asked before.")
        self._hold(session, made)
        return [each.decision for each in made]

    def without_store(self, request: Request, one: Weighed) -> Single:
        """The decision where the database is away: only what draws on nothing, and nothing under a contact policy,
        because nobody knows what the customer got since. The caller keeps it.
        """
        reasons = as_of_now(self.snapshot.book, one.customer, request.at, None)
        free = _free(one)
        return self._settled(request, free, chances(self.snapshot, free, self.prices, reasons, None)).single

    def _apart(self, asked: Sequence[tuple[Request, Weighed]]) -> bool:
        """Whether all have ids and customers of their own."""
        ids, customers = {request.decision_id for request, _ in asked}, {one.customer.key for _, one in asked}
        return len(ids) == len(customers) == len(asked) > 1

    def _most(self, one: Weighed, reasons: NDArray[np.uint64]) -> Micros:
        """What the dearest offer that no rule excludes would take of each limit (m,), where anybody knows how much."""
        needs = one.needs[:, reasons == 0]
        out: Micros = needs.max(1, initial=0, where=needs < BOUNDLESS)
        return out

    def _room(self, session: Session, most: Micros) -> Micros:
        """Micros left under each limit (m,); the ledger hears how much would be needed."""
        need = {name: amount for name, amount in zip(self.needs.names, most.tolist(), strict=True) if amount > 0}
        left = self.budget.room(session, self.account, need) if need else {}
        return np.array([left.get(name, 0) for name in self.needs.names], np.int64)

    def _hold(self, session: Session, made: Sequence["_Made"]) -> None:
        claims = [claim for each in made if (claim := self._claim(each)) is not None]
        if claims:
            self.budget.hold_all(session, self.account, claims)

    def _claim(self, made: "_Made") -> Claim | None:
        """What a decision holds; None where it has no offer, or one that draws on nothing."""
        if made.played is None:
            return None
        use = zip(self.needs.names, made.held.tolist(), strict=True)
        held = {name: amount for name, amount in use if amount > 0}
        if not held:
            return None
        sure = self.needs.sure(made.one.customer.cell, made.played)
        due = made.decision.decided_at + timedelta(days=self.snapshot.book.campaign.outcome_days)
        return Claim(made.decision.decision_id, held, {name: sure[name] for name in held}, due)

    def _settled(self, request: Request, one: Weighed, found: Chances) -> "_Made":
        """Draw, and say what came of it."""
        k = len(found.reasons)
        played = drawn(found.probability, self.house_key, request)
        chosen = played < k
        decision = Decision(
            decision_id=request.decision_id,
            campaign=request.campaign,
            customer_id=request.name,
            offer_id=self.snapshot.book.offer_ids[played] if chosen else None,
            status=_status(one.customer.held_out, found, chosen),
            propensity=float(found.probability[played]),
            value=float(one.worth.value[0, played]) if chosen else 0.0,
            sd=_unsure(self.snapshot.kind, one, played) if chosen else 0.0,
            cost=float(one.worth.cost[0, played]) if chosen else 0.0,
            mode=one.mode,
            decided_at=request.at,
            price_version=self.prices.version,
            versions=self._versions(),
            missing=one.customer.missing,
        )
        return _Made(one, decision, self._row(request, one, found, decision), played if chosen else None)

    def _versions(self) -> dict[str, str]:
        book, scoring = self.snapshot.book, self.snapshot.scoring
        return {
            "release": book.release_id,
            "data": book.stamp.data,
            "campaign": book.stamp.campaign,
            "prior": book.stamp.prior,
            "posterior": "" if scoring is None else scoring.posterior_id,
        }

    def _row(self, request: Request, one: Weighed, found: Chances, decision: Decision) -> Single:
        k = len(found.reasons)
        numbers = Numbers(
            probability=found.probability,
            mean=one.beliefs.mean[0, :k],
            sd=one.beliefs.sd[0, :k],
            values=one.worth.value[0],
            costs=one.worth.cost[0],
            price=found.price.astype(np.float32),
            reasons=found.reasons,
            cell=one.customer.cell,
        )
        return Single(
            decision_id=request.decision_id,
            campaign=request.campaign,
            release_id=self.snapshot.book.release_id,
            customer_id=request.name,
            customer_key=signed(one.customer.key),
            decided_at=request.at,
            digest=request.digest,
            offer_id=decision.offer_id,
            prior=decision.versions["prior"],
            posterior=decision.versions["posterior"],
            answer=decision.to_document(),
            numbers=numbers.pack(),
            features=None if request.features is None else dict(request.features),
        )


def _said_before(session: Session, request: Request) -> Decision | Refusal:
    """The answer to a request whose decision id is taken."""
    before = single_of(session, request.decision_id)
    if before is None:
        raise AssertionError("an id that is taken has a decision")
    return answered(before, request)


def answered(before: Single, request: Request) -> Decision | Refusal:
    """What was said of the same decision; a refusal where something else is asked under its id."""
    if before.digest != request.digest:
        what = "the decision id is already taken by another request."
        return Refusal("taken", what, "Give every decision an id of its own.")
    return Decision.from_document(before.answer)


def _free(one: Weighed) -> Weighed:
    """The customer where nobody can say what is left of the budgets; a lesser mode stays."""
    return replace(one, mode="free_only") if one.mode == "normal" else one


def _status(held: bool, found: Chances, chosen: bool) -> Status:
    if held:
        return "held_out"
    if not (found.reasons == 0).any():
        return "no_eligible"
    return "chosen" if chosen else "no_offer"
