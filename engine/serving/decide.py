"""One customer now, or several at once: what is left of the budgets, chances, one draw, one row."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TypeAlias, final

import numpy as np
from numpy.typing import NDArray
from sqlmodel import Session

from allot import AllotError
from engine.budgets import account_of
from engine.serving.budget import BOUNDLESS, Budget, Micros, Needs, Prices, needs_of
from engine.serving.customer import Customer
from engine.serving.moment import as_of_now
from engine.serving.requests import Decision, Refusal, Request, Status
from engine.serving.snapshot import Snapshot
from engine.serving.weigh import Chances, Weighed, alike, chances, drawn, unsure, weighed
from warehouse.holds import Claim
from warehouse.singles import Numbers, Single, add_singles, signed, single_of

Turn: TypeAlias = tuple[Request, Customer]


@dataclass(frozen=True, slots=True, eq=False)
class _Made:
    """A decision about a customer, its row, the offer that is played if there is one, and what it holds (m,)."""

    customer: Customer
    decision: Decision
    single: Single
    played: int | None
    held: Micros


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

    def weigh(self, customers: Sequence[Customer]) -> Weighed:
        """What every offer is worth to customers who are `alike`."""
        return weighed(self.snapshot, self.needs, customers)

    def decide(
        self, session: Session, request: Request, customer: Customer, *, budgeted: bool = True
    ) -> Decision | Refusal:
        """Decide, hold and keep, within the caller's transaction; requests in one see each other's contacts and holds.

        Args:
            session: of the transaction.
            request: what is asked.
            customer: whom it is about.
            budgeted: False where the ledger cannot say what is left: then only what draws on nothing can be had.

        Raises:
            LeaseLostError: what was left has been taken meanwhile; decide again, in a new transaction.
            WorkspaceError: the ledger or the database cannot be used; nothing was kept.
        """
        made = self._made(session, [(request, customer)], budgeted=budgeted)
        if not add_singles(session, [made[0].single]):
            return _said_before(session, request)
        self._hold(session, made)
        return made[0].decision

    def decide_all(self, session: Session, asked: Sequence[Turn]) -> list[Decision | Refusal]:
        """As `decide` for one after the other; in few passes and statements where they are about different customers.

        The room is asked for once, as much as all of them could take; each finds what those before it have left.

        Raises:
            LeaseLostError, WorkspaceError: as `decide`.
            TakenError: one was asked before; nothing of what was written may stay. Decide each by itself.
        """
        if not self._apart(asked):
            return [self.decide(session, request, customer) for request, customer in asked]
        made = self._made(session, asked, budgeted=True)
        if add_singles(session, [each.single for each in made]) < len(made):
            raise TakenError("one of several decisions was asked before.")
        self._hold(session, made)
        return [each.decision for each in made]

    def without_store(self, request: Request, customer: Customer) -> Single:
        """The decision where the database is away: only what draws on nothing, and nothing under a contact policy,
        because nobody knows what the customer got since. The caller keeps it.
        """
        reasons = as_of_now(self.snapshot.book, customer, request.at, None)[None]
        free = _free(self.weigh([customer]))
        return self._settled([request], free, chances(self.snapshot, free, self.prices, reasons, None))[0].single

    def _apart(self, asked: Sequence[Turn]) -> bool:
        """Whether all have ids and customers of their own, and can be weighed together."""
        people = [customer for _, customer in asked]
        ids, keys = {request.decision_id for request, _ in asked}, {one.key for one in people}
        return len(ids) == len(keys) == len(asked) > 1 and alike(self.snapshot, people)

    def _made(self, session: Session, asked: Sequence[Turn], *, budgeted: bool) -> list[_Made]:
        """Decisions about different customers; nothing is kept or held yet."""
        requests, those = [request for request, _ in asked], self.weigh([customer for _, customer in asked])
        reasons = np.stack([as_of_now(self.snapshot.book, who, request.at, session) for request, who in asked])
        if not budgeted:
            those = _free(those)
            return self._settled(requests, those, chances(self.snapshot, those, self.prices, reasons, None))
        room = self._room(session, those.most(reasons == 0).sum(0))
        if len(asked) == 1 or _enough(those, room):
            return self._settled(requests, those, chances(self.snapshot, those, self.prices, reasons, room))
        made: list[_Made] = []
        for i, request in enumerate(requests):
            one = those.alone(i)
            made += self._settled([request], one, chances(self.snapshot, one, self.prices, reasons[i : i + 1], room))
            room = room - made[-1].held
        return made

    def _room(self, session: Session, most: Micros) -> Micros:
        """Micros left under each limit (m,); the ledger hears how much would be needed."""
        need = {name: amount for name, amount in zip(self.needs.names, most.tolist(), strict=True) if amount > 0}
        left = self.budget.room(session, self.account, need) if need else {}
        return np.array([left.get(name, 0) for name in self.needs.names], np.int64)

    def _hold(self, session: Session, made: Sequence[_Made]) -> None:
        claims = [claim for each in made if (claim := self._claim(each)) is not None]
        if claims:
            self.budget.hold_all(session, self.account, claims)

    def _claim(self, made: _Made) -> Claim | None:
        """What a decision holds; None where it has no offer, or one that draws on nothing."""
        if made.played is None:
            return None
        use = zip(self.needs.names, made.held.tolist(), strict=True)
        held = {name: amount for name, amount in use if amount > 0}
        if not held:
            return None
        sure = self.needs.sure(made.customer.cell, made.played)
        due = made.decision.decided_at + timedelta(days=self.snapshot.book.campaign.outcome_days)
        return Claim(made.decision.decision_id, held, {name: sure[name] for name in held}, due)

    def _settled(self, requests: Sequence[Request], those: Weighed, found: Chances) -> list[_Made]:
        """Draw, and say what came of it."""
        k = found.reasons.shape[1]
        played = drawn(found.probability, self.house_key, requests)
        offers = np.minimum(played, k - 1)  # of no offer nothing is said
        sd, versions = unsure(self.snapshot.kind, those, offers), self._versions()
        made = []
        for i, (request, customer) in enumerate(zip(requests, those.customers, strict=True)):
            offer, chosen = int(offers[i]), bool(played[i] < k)
            decision = Decision(
                decision_id=request.decision_id,
                campaign=request.campaign,
                customer_id=request.name,
                offer_id=self.snapshot.book.offer_ids[offer] if chosen else None,
                status=_status(customer.held_out, found.reasons[i], chosen),
                propensity=float(found.probability[i, played[i]]),
                value=float(those.worth.value[i, offer]) if chosen else 0.0,
                sd=float(sd[i]) if chosen else 0.0,
                cost=float(those.worth.cost[i, offer]) if chosen else 0.0,
                mode=those.mode,
                decided_at=request.at,
                price_version=self.prices.version,
                versions=versions,
                missing=customer.missing,
            )
            held: Micros = those.needs[i, :, offer] if chosen else np.zeros(len(self.needs.names), np.int64)
            row = self._row(request, customer, decision, _numbers(those, found, i))
            made.append(_Made(customer, decision, row, offer if chosen else None, held))
        return made

    def _versions(self) -> dict[str, str]:
        book, scoring = self.snapshot.book, self.snapshot.scoring
        return {
            "release": book.release_id,
            "data": book.stamp.data,
            "campaign": book.stamp.campaign,
            "prior": book.stamp.prior,
            "posterior": "" if scoring is None else scoring.posterior_id,
        }

    def _row(self, request: Request, customer: Customer, decision: Decision, numbers: Numbers) -> Single:
        return Single(
            decision_id=request.decision_id,
            campaign=request.campaign,
            release_id=self.snapshot.book.release_id,
            customer_id=request.name,
            customer_key=signed(customer.key),
            decided_at=request.at,
            digest=request.digest,
            offer_id=decision.offer_id,
            prior=decision.versions["prior"],
            posterior=decision.versions["posterior"],
            answer=decision.to_document(),
            numbers=numbers.pack(),
            features=None if request.features is None else dict(request.features),
        )


def _enough(those: Weighed, room: Micros) -> bool:
    """Whether what fits into the room fits for each of them, whatever the others draw. What does not never will."""
    fits: NDArray[np.bool_] = np.all(those.needs <= room[:, None], axis=1)
    return bool((those.most(fits).sum(0) <= room).all() and (room < BOUNDLESS).all())


def _numbers(those: Weighed, found: Chances, i: int) -> Numbers:
    """What the decision about one of them was drawn from."""
    return Numbers(
        probability=found.probability[i],
        mean=those.beliefs.mean[i, :-1],
        sd=those.beliefs.sd[i, :-1],
        values=those.worth.value[i],
        costs=those.worth.cost[i],
        price=found.price[i].astype(np.float32),
        reasons=found.reasons[i],
        cell=int(those.cell[i]),
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


def _free(those: Weighed) -> Weighed:
    """The customers where nobody can say what is left of the budgets; a lesser mode stays."""
    return replace(those, mode="free_only") if those.mode == "normal" else those


def _status(held: bool, reasons: NDArray[np.uint64], chosen: bool) -> Status:
    if held:
        return "held_out"
    if reasons.all():
        return "no_eligible"
    return "chosen" if chosen else "no_offer"
